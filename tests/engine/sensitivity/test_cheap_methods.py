"""Methods that switch nothing: equal to the obvious way, in parts, and taken up where left off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Event, Logged, SensitivityScored
from engine.layers.layer_map import held
from engine.sensitivity import gradient_run
from engine.sensitivity.gradient_run import GradientText, score_by_gradient
from engine.sensitivity.output_error import score_outputs
from engine.sensitivity.prefix import Prefix
from engine.sensitivity.rounding import Rounding, describe_layer
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.weight_error import score_weights
from tests.engine.sensitivity.scored_tiny import LENGTH, NUM_WINDOWS, Heard, ignore, scored
from tests.engine.tiny_layers import some_tokens

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
            found[name] = found.get(name, 0) + lost.square().sum(-1)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("in_stages", [True, False])
@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2"])
def test_output_errors_are_those_of_the_layers(
    kind: str, embeddings: bool, in_stages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are mean squared output errors per token, tables and tied heads included."""
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
    expected, other = Heard(), Heard()
    run_gradient(scored(widths=WIDTHS)[0], gradient_text(tmp_path / "else", 3), expected)
    run_gradient(scored(widths=WIDTHS)[0], replace(text, key="other"), other)
    assert values(other) == values(expected)
    text.path.write_bytes(b"cut off")
    again = Heard()
    run_gradient(scored(widths=WIDTHS)[0], text, again)
    assert values(again) == values(expected)


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
