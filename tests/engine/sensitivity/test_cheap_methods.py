"""Methods that switch nothing: equal to the obvious way, in parts, and taken up where left off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.errors import Cancelled, ModelError
from engine.events import Event, Logged, SensitivityScored
from engine.layers.adapters import LoraPair
from engine.layers.layer_map import held
from engine.layers.rounded_weight import Width
from engine.sensitivity import fisher, gradient_run
from engine.sensitivity.gradient_run import GradientText, score_by_gradient
from engine.sensitivity.output_error import score_outputs
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.rounding import Rounding, describe_layer
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.weight_error import score_weights
from engine.teacher.cache import write_tensors
from tests.engine.sensitivity.scored_tiny import GEMMA3N, LENGTH, NUM_WINDOWS, Heard, ignore, scored
from tests.engine.tiny_layers import lora, some_tokens

WIDTHS = (8, 2)


def error_of(model: ScoredModel, name: str, bits: int) -> Tensor:
    """Return FQ(W) − W of a layer as it is held for evaluations."""
    layer = model.start.layers[name]
    layer.set_bits(bits)
    held_weight = layer.hold(torch.float32, trains=False)
    model.start.apply()
    assert held_weight is not None
    return held_weight.weight - layer.weight.detach()


@pytest.mark.parametrize("unit", ["layer", "block", "kind"])
def test_weight_errors_are_sums_of_squares(unit: Any) -> None:
    """A unit's error is Σ ΔW² over its layers, without an error and on no text."""
    model, _, _ = scored(widths=WIDTHS, unit=unit)
    heard = Heard()
    score_weights(model, WIDTHS, listener=heard, progress=ignore)
    assert len(heard.events) == len(model.units) * len(WIDTHS)
    for (name, bits, metric), score in heard.scores.items():
        expected = sum(
            float(error_of(model, each, bits).square().sum()) for each in model.units[name]
        )
        assert metric == "weight_error"
        assert score.value == pytest.approx(expected, rel=1e-3)
        assert (score.standard_error, score.num_samples) == (None, 0)


def output_errors(model: ScoredModel, windows: Tensor, bits: int) -> dict[str, Tensor]:
    """Return each layer's squared output error, (N, T) by window and token, one by one."""
    found: dict[str, Tensor] = {}
    for name, users in model.find_users().items():
        error = error_of(model, name, bits)
        for module in users.values():
            inputs: list[Tensor] = []
            handle = module.register_forward_hook(
                lambda *given, inputs=inputs: inputs.append(given[1][0])
            )
            with torch.no_grad():
                model.split.logits(model.split.hidden(windows))
            handle.remove()
            (x,) = inputs
            lost = x @ error.t() if x.is_floating_point() else error[x]
            squared = lost.square().sum(-1)
            if squared.numel() == windows.numel():  # some families flatten windows and tokens
                squared = squared.view(windows.shape)
            found[name] = found.get(name, 0) + squared  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("in_stages", [True, False])
@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2", "opt"])
def test_output_errors_are_those_of_the_layers(
    kind: str, embeddings: bool, in_stages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are mean squared output errors per token, tables and tied heads included."""
    embeddings = embeddings and kind != "opt"  # whose position table cannot be rounded
    if not in_stages:
        monkeypatch.setattr(Prefix, "find_obstacle", lambda *_: "no reason")
    model, text, _ = scored(kind, widths=WIDTHS, embeddings=embeddings)
    heard = Heard()
    batches = text.list_tokens(torch.device("cpu"))
    score_outputs(model, batches, WIDTHS, listener=heard, progress=ignore)
    assert set(model.units) == {unit for unit, _, _ in heard.scores}
    for bits in WIDTHS:
        for name, expected in output_errors(model, text.windows, bits).items():
            score = heard.scores[name, bits, "output_error"]
            assert score.value == pytest.approx(float(expected.mean()), rel=1e-3)
            assert score.num_samples == NUM_WINDOWS
            assert score.standard_error is not None
            assert 0 <= score.standard_error < score.value
    assert all(not module._forward_hooks for module in model.root.modules())
    told = [event.message for event in heard.events if isinstance(event, Logged)]
    assert [each.endswith("at once: no reason.") for each in told] == [True] * (not in_stages)


def score_of_outputs(kind: str, **asked: Any) -> Heard:
    """Score the outputs of a tiny model."""
    model, text, _ = scored(kind, widths=WIDTHS, **asked)
    heard = Heard()
    batches = text.list_tokens(torch.device("cpu"))
    score_outputs(model, batches, WIDTHS, listener=heard, progress=ignore)
    return heard


def test_windows_are_told_apart_where_tokens_are_flattened() -> None:
    """A layer that sees all tokens in one row has the score and the error it has otherwise."""
    found, expected = values(score_of_outputs("flat")), values(score_of_outputs("llama"))
    assert list(found) == list(expected)
    for key, pair in expected.items():
        assert found[key] == pytest.approx(pair, rel=1e-4)


def test_an_expert_counts_its_tokens_alone() -> None:
    """A layer that some tokens are sent to scores their errors over all tokens, with no error."""
    model, text, _ = scored("routed", widths=WIDTHS)
    heard = score_of_outputs("routed")
    expected = output_errors(model, text.windows, 2)
    for name, squared in expected.items():
        score = heard.scores[name, 2, "output_error"]
        assert score.value == pytest.approx(float(squared.sum()) / text.windows.numel(), rel=1e-3)
        assert (score.standard_error is None) == (".mlp." in name)


def test_output_errors_of_blocks_that_share_keys() -> None:
    """Where the last blocks reuse keys of earlier ones every layer has its score all the same."""
    model, text, _ = scored("gemma3n", widths=WIDTHS, quantizer=GEMMA3N)
    heard = score_of_outputs("gemma3n", quantizer=GEMMA3N)
    for name, squared in output_errors(model, text.windows, 2).items():
        score = heard.scores[name, 2, "output_error"]
        assert score.value == pytest.approx(float(squared.mean()), rel=1e-3)


def test_a_layer_that_runs_twice_has_a_whole_gradient(tmp_path: Path) -> None:
    """Gradients of one weight add up over its uses before they are squared, as autograd's do."""
    found, text = Heard(), gradient_text(tmp_path, 2)
    run_gradient(scored("shared", widths=WIDTHS)[0], text, found)
    model, _, _ = scored("shared", widths=WIDTHS)
    name = "model.layers.0.mlp.down_proj"
    weight = model.root.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    weight.requires_grad_()
    error, total = error_of(model, name, 2).detach(), 0.0
    generator = torch.Generator().manual_seed(text.seed)
    for tokens in text.windows:
        log_chances = model.split.logits(model.split.hidden(tokens[None]))[0].log_softmax(-1)
        count = fisher.LABELS_PER_TOKEN
        labels = torch.multinomial(
            log_chances.detach().exp(), count, replacement=True, generator=generator
        )
        loss = -log_chances.gather(-1, labels).sum() / count**0.5
        (gradient,) = torch.autograd.grad(loss, weight)
        total += float((gradient * error).square().sum()) / (2 * text.windows.numel())
    assert found.scores[name, 2, "kl_divergence"].value == pytest.approx(total, rel=1e-3)


SPOILED = {
    "the output error of": "model.layers.1.input_layernorm",
    "the rounding error of": "model.layers.0.mlp.up_proj",
    "what the model computes on the calibration text": "model.norm",
    "the gradient of": "",
}


@pytest.mark.parametrize("told", SPOILED)
def test_what_is_no_number_is_refused(told: str, tmp_path: Path) -> None:
    """Where scores would be NaN the run ends with a sentence at the format, and announces none."""
    model, text, _ = scored(widths=WIDTHS)
    if SPOILED[told]:
        weight = model.root.get_submodule(SPOILED[told]).weight
        assert isinstance(weight, Tensor)
        weight.data.fill_(math.nan)
    else:
        _spoil_gradient(model.root.get_submodule("model.layers.0.mlp.up_proj"))
    heard, batches = Heard(), text.list_tokens(torch.device("cpu"))
    methods: dict[str, Callable[[], None]] = {
        "output": partial(score_outputs, model, batches, WIDTHS, listener=heard, progress=ignore),
        "rounding": partial(score_weights, model, WIDTHS, listener=heard, progress=ignore),
    }
    by_gradient = partial(run_gradient, model, gradient_text(tmp_path, 2), heard)
    method = methods.get(told.split()[1], by_gradient)
    with pytest.raises(ModelError, match=f"{told}.* is not a finite") as caught:
        method()
    assert caught.value.field == "model.dtype"
    assert all(math.isfinite(each.value) for each in heard.scores.values())


def _spoil_gradient(module: nn.Module) -> None:
    """Let no number come back to a module, which computes numbers."""

    def spoil(module: nn.Module, args: Any, output: Tensor) -> None:
        del module, args
        output.register_hook(lambda gradient: gradient * math.nan)

    module.register_forward_hook(spoil)


def gradient_text(folder: Path, count: int = 8) -> GradientText:
    """Return windows to be scored on, and where the state is kept."""
    return GradientText(some_tokens(count, LENGTH), 3, folder / "state.safetensors", "key")


def run_gradient(model: ScoredModel, text: GradientText, listener: Any) -> None:
    with held(model.start.layers, torch.float32):
        score_by_gradient(model, text, WIDTHS, listener=listener, progress=ignore)


def values(heard: Heard) -> dict[Any, tuple[float, float | None]]:
    return {key: (score.value, score.standard_error) for key, score in heard.scores.items()}


def test_gradients_tell_scores_early(tmp_path: Path) -> None:
    """After a quarter and half of the windows every unit has a score, better at the end."""
    model, _, _ = scored(widths=WIDTHS)
    heard = Heard()
    run_gradient(model, gradient_text(tmp_path), heard)
    told = [event for event in heard.events if isinstance(event, SensitivityScored)]
    assert [each.num_samples for each in told] == [
        count for count in (2, 4, 8) for _ in range(len(model.units) * len(WIDTHS))
    ]
    early = Heard()
    run_gradient(model, gradient_text(tmp_path, 4), early)
    assert {each.num_samples for each in early.scores.values()} == {4}


def test_a_unit_scores_the_sum_of_its_layers(tmp_path: Path) -> None:
    """The gradient's score of a block is that of its layers together, and so is its error."""
    layers, blocks = Heard(), Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path, 3), layers)
    model, _, _ = scored(widths=WIDTHS, unit="block")
    run_gradient(model, gradient_text(tmp_path, 3), blocks)
    for (unit, bits, metric), score in blocks.scores.items():
        parts = [layers.scores[name, bits, metric] for name in model.units[unit]]
        assert score.value == pytest.approx(sum(each.value for each in parts))
        assert score.standard_error == pytest.approx(
            sum(each.standard_error or 0 for each in parts)
        )


@pytest.mark.parametrize("stop_after", [1, 5, 7])
def test_a_stopped_gradient_ends_with_the_same_scores(
    stop_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on from the state gives, bit for bit, the scores of an uninterrupted run."""
    monkeypatch.setattr(gradient_run, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(gradient_run, "SAVING_SHARE", 1e9)
    whole = Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path / "whole"), whole)
    model, _, _ = scored(widths=WIDTHS)
    text = gradient_text(tmp_path)

    def stop(done: int, total: int) -> None:
        if done == stop_after + 1:
            raise Cancelled

    with pytest.raises(Cancelled), held(model.start.layers, torch.float32):
        score_by_gradient(model, text, WIDTHS, listener=Heard(), progress=stop)
    assert text.path.is_file()
    rest = Heard()
    run_gradient(scored(widths=WIDTHS)[0], text, rest)
    assert values(rest) == values(whole)
    (told,) = [event.message for event in rest.events if isinstance(event, Logged)]
    assert told == f"going on after {stop_after} windows"
    assert not text.path.exists()


def test_a_state_of_something_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file, or one with another key, is passed over: the run begins anew."""
    monkeypatch.setattr(gradient_run, "SECONDS_BETWEEN", 0.0)
    text = gradient_text(tmp_path, 3)

    def stop(event: Event) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run_gradient(scored(widths=WIDTHS)[0], text, stop)
    assert text.path.is_file()
    expected, other = Heard(), Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path / "else", 3), expected)
    run_gradient(scored(widths=WIDTHS)[0], replace(text, key="other"), other)
    assert values(other) == values(expected)
    text.path.write_bytes(b"cut off")
    again = Heard()
    run_gradient(scored(widths=WIDTHS)[0], text, again)
    assert values(again) == values(expected)


def test_a_state_of_another_kind_of_device_is_not_used(tmp_path: Path) -> None:
    """Where the random state does not fit the log says so and the run begins anew."""
    text = gradient_text(tmp_path, 3)
    expected, again = Heard(), Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path / "else", 3), expected)
    model, _, _ = scored(widths=WIDTHS)
    begun = fisher.Fisher(model.split, model.find_users(), text.windows, seed=text.seed)
    with held(model.start.layers, torch.float32), pytest.raises(Cancelled):
        begun.run(_stop)
    cuda = {"random": torch.zeros(16, dtype=torch.uint8)}  # a CUDA generator's has 16 bytes
    metadata = {"format": gradient_run.FORMAT, "key": text.key}
    write_tensors(text.path, begun.state() | cuda, metadata)
    run_gradient(scored(widths=WIDTHS)[0], text, again)
    assert values(again) == values(expected)
    (told,) = [event.message for event in again.events if isinstance(event, Logged)]
    assert "begins anew" in told


def test_a_state_of_other_layers_is_not_used(tmp_path: Path) -> None:
    """Where it is of fewer layers the log says that it does not fit, and the run begins anew."""
    text = gradient_text(tmp_path, 3)
    expected, again = Heard(), Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path / "else", 3), expected)
    model, _, _ = scored(widths=WIDTHS)
    begun = fisher.Fisher(model.split, model.find_users(), text.windows, seed=text.seed)
    with held(model.start.layers, torch.float32), pytest.raises(Cancelled):
        begun.run(_stop)
    fewer = {"sums": begun.state()["sums"][1:].clone()}
    metadata = {"format": gradient_run.FORMAT, "key": text.key}
    write_tensors(text.path, begun.state() | fewer, metadata)
    run_gradient(scored(widths=WIDTHS)[0], text, again)
    assert values(again) == values(expected)
    (told,) = [event.message for event in again.events if isinstance(event, Logged)]
    assert "what it had saved does not fit this run" in told


def _stop(done: int) -> None:
    raise Cancelled


def test_facts_tell_the_rank_of_a_bank() -> None:
    """A bank's rank is told although its layers stand at 16 bits, which have no adapter."""
    layer = next(iter(scored(widths=WIDTHS)[0].start.layers.values()))
    width = layer.find_width(2)
    assert width is not None
    pair = LoraPair(layer.weight.shape, lora(r=6), generator=torch.Generator())
    layer.add_width(2, Width(width.ranges, pair))
    layer.set_bits(16)
    assert layer.adapter is None
    assert describe_layer(layer, WIDTHS, Rounding()).rank == 6


def test_facts_describe_a_layer() -> None:
    """Ranges, histogram and relative errors are those of the weight."""
    model, _, _ = scored(widths=WIDTHS)
    name = next(iter(model.start.layers))
    layer = model.start.layers[name]
    fact = describe_layer(layer, (16, *WIDTHS), Rounding())
    weight = layer.weight.detach()
    assert fact.shape == tuple(weight.shape)
    assert (fact.minimum, fact.maximum) == (float(weight.min()), float(weight.max()))
    assert fact.standard_deviation == pytest.approx(float(weight.std(correction=0)))
    assert fact.mean_absolute == pytest.approx(float(weight.abs().mean()))
    counts = torch.histogram(weight.flatten(), torch.tensor(fact.histogram.edges)).hist
    assert sum(fact.histogram.counts) == weight.numel() == fact.num_weights
    assert sum(abs(a - b) for a, b in zip(fact.histogram.counts, counts.tolist(), strict=True)) <= 4
    assert set(fact.relative_error) == set(WIDTHS)
    for bits, value in fact.relative_error.items():
        error = error_of(model, name, bits).square().sum() / weight.square().sum()
        assert value == pytest.approx(float(error), rel=1e-3)
    assert fact.rank is None


def test_a_layer_of_one_value_has_facts() -> None:
    """A layer of zeros has one full bin and no error to speak of."""
    model, _, _ = scored(widths=WIDTHS)
    layer = next(iter(model.start.layers.values()))
    layer.weight.data.zero_()
    fact = describe_layer(layer, WIDTHS, Rounding())
    assert fact.histogram.counts[0] == fact.num_weights
    assert fact.relative_error == {}
