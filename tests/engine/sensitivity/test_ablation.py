"""Ablations: equal to the obvious loop in both directions, with and without what is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from engine.errors import Cancelled, ModelError
from engine.evaluation.language_modeling import evaluate_language_model
from engine.events import Event, Logged
from engine.layers.bit_maps import setting_at
from engine.layers.layer_map import apply_map, bypassed, held, read_map
from engine.sensitivity import prefix
from engine.sensitivity.ablation import ablate
from engine.sensitivity.checks import Pair, list_pairs
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.text_losses import CalibrationText
from engine.specs import SensitivitySpec
from engine.specs.layer_bits import LayerBits
from tests.engine.sensitivity.scored_tiny import GEMMA3N, NUM_WINDOWS, Heard, Scores, ignore, scored

NATS = 1e-5


def run(
    model: ScoredModel,
    text: CalibrationText,
    spec: SensitivitySpec,
    *,
    reuse: bool = True,
    **asked: Any,
) -> Heard:
    """Measure every pair; return what was heard."""
    heard = Heard()
    pairs = list_pairs(spec, model.units)
    ablate(model, text, pairs, reuse=reuse, listener=heard, progress=ignore, **asked)
    return heard


def measure(model: ScoredModel, text: CalibrationText) -> tuple[float, float]:
    """Return divergence and log perplexity as an evaluation measures them."""

    def teacher(hidden: torch.Tensor) -> torch.Tensor:
        with bypassed(model.start.layers):
            return model.split.logits(hidden)

    with held(model.start.layers, torch.float32):
        found = evaluate_language_model(
            model.split,
            text.windows,
            batch_size=text.batch_size,
            teacher=text.hidden,
            teacher_logits=teacher,
            progress=ignore,
        )
    assert found.divergence is not None
    return found.divergence.value, math.log(found.perplexity.value)


def measure_slowly(
    model: ScoredModel, text: CalibrationText, spec: SensitivitySpec
) -> dict[Pair, tuple[float, float]]:
    """Return what every pair loses, by the obvious loop."""
    start = measure(model, text)
    found = {}
    for pair in list_pairs(spec, model.units):
        setting = setting_at(LayerBits(pair.bits), model.start.quantizer)
        apply_map(model.start.layers, dict.fromkeys(model.units[pair.unit], setting))
        divergence, loss = measure(model, text)
        found[pair] = divergence - start[0], loss - start[1]
        model.start.apply()
    return found


def assert_equal(scores: Scores, expected: dict[Pair, tuple[float, float]]) -> None:
    """Compare all scores with those of the obvious loop."""
    assert {(unit, bits) for unit, bits, _ in scores} == set(map(tuple, expected))
    for pair, (divergence, loss) in expected.items():
        assert scores[*pair, "kl_divergence"].value == pytest.approx(divergence, abs=NATS)
        assert scores[*pair, "log_perplexity"].value == pytest.approx(loss, abs=NATS)


@pytest.mark.parametrize("start_bits", [16, 2])
@pytest.mark.parametrize("unit", ["layer", "block", "kind"])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_equals_the_obvious_loop(kind: str, unit: Any, start_bits: int) -> None:
    """Scores are those of a layer map applied and evaluated, one low among high and vice versa."""
    asked = {
        "unit": unit,
        "start_bits": start_bits,
        "widths": (8, 4) if start_bits == 2 else (4, 2),
    }
    expected = measure_slowly(*scored(kind, **asked))
    kept, whole = (run(*scored(kind, **asked), reuse=reuse).scores for reuse in (True, False))
    assert_equal(kept, expected)
    signs = {score.value > 0 for key, score in kept.items() if key[2] == "kl_divergence"}
    assert (start_bits == 16) in signs
    for key, score in kept.items():
        assert score.value == pytest.approx(whole[key].value, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2"])
def test_tables_and_heads_are_units(kind: str) -> None:
    """Embeddings and heads, tied or not, score as by the obvious loop, from 8 bits on."""
    asked = {"embeddings": True, "start_bits": 8}
    expected = measure_slowly(*scored(kind, **asked))
    assert_equal(run(*scored(kind, **asked)).scores, expected)


def test_a_start_map_gives_layers_their_start() -> None:
    """Lines of the start map hold; a unit is not scored at the width it starts at."""
    asked = {"start_map": ("*.layers.0.*=4", "*.layers.1.mlp.*=2")}
    model, text, spec = scored(**asked)
    expected = measure_slowly(model, text, spec)
    found = run(*scored(**asked)).scores
    assert_equal(found, expected)
    assert ("model.layers.0.mlp.up_proj", 4, "kl_divergence") not in found
    assert ("model.layers.1.mlp.up_proj", 4, "kl_divergence") in found


def test_errors_are_those_of_paired_windows() -> None:
    """A standard error is that of the mean difference over windows; one window has none."""
    model, text, spec = scored(widths=(2,))
    name = next(iter(model.units))
    found = run(model, text, spec).scores[name, 2, "log_perplexity"]
    gaps = []
    for window, hidden in zip(text.windows, text.hidden, strict=True):
        alone = CalibrationText(window[None], hidden[None], 1)
        score = run(model, alone, spec).scores[name, 2, "log_perplexity"]
        assert (score.standard_error, score.num_samples) == (None, 1)
        gaps.append(score.value)
    expected = torch.tensor(gaps)
    assert found.num_samples == NUM_WINDOWS
    assert found.value == pytest.approx(float(expected.mean()), rel=1e-4)
    error = float(expected.std()) / math.sqrt(NUM_WINDOWS)
    assert found.standard_error == pytest.approx(error, rel=1e-3)


def test_what_is_done_is_not_measured_again() -> None:
    """A run that goes on measures what is left, in the same order and with the same scores."""
    whole = run(*scored())
    done = {(unit, bits) for unit, bits, _ in list(whole.scores)[:9]}
    rest = run(*scored(), done=done).scores
    assert list(rest) == [key for key in whole.scores if key[:2] not in done]
    assert all(rest[key] == whole.scores[key] for key in rest)
    everything = {key[:2] for key in whole.scores}
    assert run(*scored(), done=everything).events == []


def test_the_lowest_width_comes_first_and_progress_counts_pairs() -> None:
    """All units are scored at the lowest width before the next; done pairs count as done."""
    model, text, spec = scored(widths=(8, 2))
    told: list[tuple[int, int]] = []
    heard = Heard()
    pairs = list_pairs(spec, model.units)
    ablate(
        model,
        text,
        pairs,
        reuse=True,
        listener=heard,
        progress=lambda done, total: told.append((done, total)),
        done={tuple(pairs[0])},
    )
    widths = [bits for _, bits, _ in heard.scores]
    assert widths == sorted(widths)
    assert told == [(count, len(pairs)) for count in range(1, len(pairs) + 1)]


def assert_untouched(model: ScoredModel, before: dict[str, Any]) -> None:
    """No hook, no forward and no held weight is left, and the map is as it was."""
    assert read_map(model.start.layers) == before
    assert all(layer.held is None for layer in model.start.layers.values())
    for module in model.root.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


@pytest.mark.parametrize("place", range(0, 24, 5))
def test_a_stop_leaves_nothing_behind(place: int) -> None:
    """Wherever a listener stops it, the model is as it was before."""
    model, text, spec = scored(unit="layer")
    before = read_map(model.start.layers)
    heard = Heard()

    def stop(event: Event) -> None:
        heard(event)
        if len(heard.events) > place:
            raise Cancelled

    pairs = list_pairs(spec, model.units)
    with pytest.raises(Cancelled):
        ablate(model, text, pairs, reuse=True, listener=stop, progress=ignore)
    assert_untouched(model, before)


def test_an_error_inside_a_pass_leaves_nothing_behind() -> None:
    """A block that fails while others hand back what is kept leaves no forward replaced."""
    model, text, spec = scored()
    before = read_map(model.start.layers)
    norm = model.root.get_submodule("model.norm")
    calls = 0

    def fail(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise RuntimeError("broken")

    handle = norm.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="broken"):
        run(model, text, spec)
    handle.remove()
    assert_untouched(model, before)


def test_a_pair_of_no_numbers_is_left_out() -> None:
    """One unit whose rounding gives NaN has no score and a line in the log; the others have one."""
    expected = run(*scored(widths=(2,))).scores
    model, text, spec = scored(widths=(2,))
    name = "model.layers.0.mlp.up_proj"
    layer = model.start.layers[name]

    def spoil(module: torch.nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
        del module, args
        return output * math.nan if layer.active_bits == 2 else output

    model.root.get_submodule(name).register_forward_hook(spoil)
    heard = run(model, text, spec)
    assert heard.scores == {key: each for key, each in expected.items() if key[0] != name}
    (told,) = [event for event in heard.events if isinstance(event, Logged)]
    assert told.level == "warning"
    assert told.message.startswith(f"{name} at 2 bits has no score")


def test_a_model_of_no_numbers_is_refused() -> None:
    """Where the model computes NaN the sentence says so, at its format, before any score."""
    model, text, spec = scored()
    model.root.get_submodule("model.norm").weight.data.fill_(math.nan)
    with pytest.raises(ModelError, match="at its start map") as caught:
        run(model, text, spec)
    assert caught.value.field == "model.dtype"


def test_what_cannot_be_kept_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little memory every block is run, the log says so, and scores are the same."""
    expected = run(*scored(), reuse=False).scores
    monkeypatch.setattr(prefix, "FREE_SHARE", 0.0)
    heard = run(*scored())
    assert heard.scores == expected
    (told,) = [event.message for event in heard.events if isinstance(event, Logged)]
    assert "more than a quarter" in told


def test_blocks_that_share_more_are_found_out() -> None:
    """Where a block's result depends on more than what the one before hands it, nothing is kept."""
    model, text, _ = scored()
    first, second = Prefix(model.root, model.split, model.start.layers).blocks
    shared: list[torch.Tensor] = []
    model.split.body.register_forward_pre_hook(lambda *_: shared.clear())
    first.self_attn.register_forward_hook(  # type: ignore[operator, union-attr]
        lambda *given: shared.append(given[2][0])
    )
    second.register_forward_hook(lambda *given: given[2] + (shared.pop() if shared else 0))
    found = Prefix(model.root, model.split, model.start.layers)
    assert "share more" in found.find_obstacle([text.windows])
    assert found.place == 0


def test_keys_of_earlier_blocks_are_found_out() -> None:
    """Where the last blocks look up keys that a skipped block would have left, all are run."""
    asked: dict[str, Any] = {"widths": (2,), "unit": "block", "quantizer": GEMMA3N}
    expected = run(*scored("gemma3n", **asked), reuse=False).scores
    heard = run(*scored("gemma3n", **asked))
    assert len({unit for unit, _, _ in heard.scores}) == 10
    assert heard.scores == expected
    (told,) = [event.message for event in heard.events if isinstance(event, Logged)]
    assert "share more" in told


def test_an_error_of_a_block_is_told() -> None:
    """It need not be shared keys that a trial fails on: the log names the error and its words."""
    model, text, spec = scored(widths=(2,))
    expected = run(model, text, spec, reuse=False).scores
    fail_alone(model, TypeError("no such\nargument"))
    heard = run(model, text, spec)
    assert heard.scores == expected
    (told,) = [event.message for event in heard.events if isinstance(event, Logged)]
    assert told.endswith("(TypeError: no such argument).")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("full"),
        MemoryError("full"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: full"),
    ],
)
def test_too_little_memory_is_raised(error: Exception) -> None:
    """A trial that runs out of memory says nothing of the blocks, and leaves nothing kept."""
    model, text, _ = scored()
    found = Prefix(model.root, model.split, model.start.layers)
    fail_alone(model, error)
    with pytest.raises(type(error), match="full"):
        found.find_obstacle([text.windows])
    assert found.place == 0


def fail_alone(model: ScoredModel, error: Exception) -> None:
    """Let the last block fail where the first is not run before it."""
    first, *_, last = Prefix(model.root, model.split, model.start.layers).blocks
    ran: list[int] = []
    model.split.body.register_forward_pre_hook(lambda *_: ran.clear())
    first.mlp.register_forward_hook(lambda *_: ran.append(1))  # type: ignore[operator, union-attr]

    def fail(*_: Any) -> None:
        if not ran:
            raise error

    last.register_forward_pre_hook(fail)


@pytest.mark.parametrize(("kind", "counted"), [("up_proj", 6), ("down_proj", 7)])
def test_only_what_comes_after_a_switch_is_computed(kind: str, counted: int) -> None:
    """The first block is computed to look inside, for its own units and to move on, no more.

    Of its own units those that come after a layer in the block do not compute it again.
    """
    counts = {}
    for reuse in (True, False):
        model, text, spec = scored(widths=(2,))
        layer = model.root.get_submodule(f"model.layers.0.mlp.{kind}")
        ran: list[int] = []
        compute = layer._rounded_output  # type: ignore[operator]

        def count(inputs: torch.Tensor, ran: list[int] = ran, compute: Any = compute) -> Any:
            ran.append(1)
            return compute(inputs)

        layer._rounded_output = count  # type: ignore[assignment]
        run(model, text, spec, reuse=reuse)
        counts[reuse] = len(ran)
    batches = math.ceil(NUM_WINDOWS / 2)
    assert counts[False] == batches * (1 + 14)
    # the start, a look inside, own units, a move; and the trial: once whole, once to keep
    assert counts[True] == batches * (1 + 1 + counted + 1) + 2
