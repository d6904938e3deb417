"""Scores from gradients: equal to the slow way, near the true divergence, zero where it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from engine.layers.codebook_scales import build_ranges
from engine.layers.head import SplitModel
from engine.layers.swap import LayerPlan, Users, find_targets
from engine.models.conv1d import replace_conv1d
from engine.quant.grouping import count_groups, split
from engine.sensitivity import fisher
from engine.sensitivity.gradient import Question, Sensitivity, measure_sensitivity
from engine.specs import IntegerQuantizer, NoAdapter, NormalFloatQuantizer
from engine.specs.quantizer import WeightQuantizer
from tests.engine.tiny_layers import integer, some_tokens
from tests.tiny_models import make_gpt2, make_llama
from tests.tolerances import assert_near

WIDTHS = (2, 3, 8)
SEED = 4
NUM_WINDOWS, LENGTH = 3, 10


def make_plain_gpt2() -> PreTrainedModel:
    """Build the tiny GPT-2 with linear layers in place of Conv1D."""
    model = make_gpt2()
    replace_conv1d(model)
    return model


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": make_llama,
    "tied": lambda: make_llama(tied=True),
    "gpt2": make_plain_gpt2,
}


def targets_of(model: PreTrainedModel, quantizer: WeightQuantizer) -> dict[str, Users]:
    """Freeze a model and return the layers that would be replaced."""
    model.requires_grad_(requires_grad=False)
    return find_targets(model, LayerPlan(quantizer, NoAdapter(), seed=1))


def measure(
    model: PreTrainedModel,
    *,
    quantizer: WeightQuantizer | None = None,
    windows: Tensor | None = None,
    widths: tuple[int, ...] = WIDTHS,
    progress: Callable[[int, int], None] | None = None,
) -> Sensitivity:
    """Measure a model on some windows."""
    quantizer = quantizer or integer()
    windows = some_tokens(NUM_WINDOWS, LENGTH) if windows is None else windows
    question = Question(quantizer, widths, windows, SEED)
    targets = targets_of(model, quantizer)
    return measure_sensitivity(SplitModel(model), targets, question, progress=progress or _ignore)


def _ignore(done: int, total: int) -> None:
    del done, total


def rounding_error(weight: Tensor, quantizer: WeightQuantizer, width: int) -> Tensor:
    """Return FQ(W) − W."""
    grouped = split(weight, count_groups(weight.shape[1], quantizer.shared_weights))
    ranges = build_ranges(grouped, quantizer, width)
    return ranges.absorb(weight, None, out=torch.empty_like(weight)) - weight


def measure_slowly(
    model: PreTrainedModel, quantizer: WeightQuantizer, windows: Tensor
) -> Sensitivity:
    """Return the same by autograd on weights that train, one window, layer and width at a time."""
    targets = targets_of(model, quantizer)
    weights = {name: next(iter(users.values())).weight for name, users in targets.items()}
    generator = torch.Generator().manual_seed(SEED)
    for weight in weights.values():
        weight.requires_grad_()
    squares: dict[str, list[Tensor]] = {name: [] for name in weights}
    for tokens in windows:
        log_chances = model(input_ids=tokens[None], use_cache=False).logits[0].log_softmax(-1)
        count = fisher.LABELS_PER_TOKEN
        labels = torch.multinomial(
            log_chances.detach().exp(), count, replacement=True, generator=generator
        )
        loss = -log_chances.gather(-1, labels).sum() / math.sqrt(count)
        found = torch.autograd.grad(loss, list(weights.values()))
        for name, each in zip(weights, found, strict=True):
            squares[name].append(each.square())
    result = Sensitivity({}, {})
    for name, weight in weights.items():
        curvature = torch.stack(squares[name]).sum(0)
        sums = torch.stack(squares[name]).sum((1, 2))
        relative = float(sums.std() / sums.mean()) / math.sqrt(len(windows))
        result.scores[name] = {
            width: float((curvature * rounding_error(weight.data, quantizer, width) ** 2).sum())
            / (2 * windows.numel())
            for width in WIDTHS
        }
        result.errors[name] = {
            width: score * relative for width, score in result.scores[name].items()
        }
    return result


@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_equals_the_slow_way(kind: str, *, embeddings: bool) -> None:
    """Scores and errors are those of plain autograd, tables, positions and tied heads included."""
    quantizer = integer(embeddings=embeddings)
    windows = some_tokens(NUM_WINDOWS, LENGTH)
    found = measure(MODELS[kind](), quantizer=quantizer, windows=windows)
    expected = measure_slowly(MODELS[kind](), quantizer, windows)
    assert list(found.scores) == list(expected.scores) == list(found.errors)
    for part, slow in zip(found, expected, strict=True):
        for name, values in slow.items():
            assert part[name] == pytest.approx(values, rel=1e-3)


def test_logits_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of logits computed at once change nothing, nor for a head that is rounded."""
    quantizer = integer(embeddings=True)
    whole = measure(make_llama(), quantizer=quantizer)
    monkeypatch.setattr(fisher, "_draw", _draw_first)
    once = measure(make_llama(), quantizer=quantizer)
    monkeypatch.setattr(fisher, "LOGIT_ROWS", 3)
    pieces = measure(make_llama(), quantizer=quantizer)
    assert list(pieces.scores) == list(whole.scores)
    for name, values in once.scores.items():
        assert pieces.scores[name] == pytest.approx(values, rel=1e-3)


def _draw_first(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return the gradient of label 0's loss: nothing is drawn."""
    del generator
    gradient_of_first = logits.softmax(-1)
    gradient_of_first[:, 0] -= 1
    return gradient_of_first


def test_near_the_true_divergence() -> None:
    """Summed over layers the scores at 6 bits are, within half, the divergence of rounding all."""
    model = make_llama()
    windows = some_tokens(24, 32)
    quantizer = IntegerQuantizer(bits=6, group_size=16)
    found = measure(model, quantizer=quantizer, windows=windows, widths=(6,))
    expected = sum(scores[6] for scores in found.scores.values())
    with torch.no_grad():
        before = model(input_ids=windows, use_cache=False).logits.log_softmax(-1)
        for users in targets_of(model, quantizer).values():
            for user in users.values():
                user.weight.add_(rounding_error(user.weight, quantizer, 6))
        after = model(input_ids=windows, use_cache=False).logits.log_softmax(-1)
    divergence = float((before.exp() * (before - after)).sum(-1).mean())
    assert divergence / 1.5 < expected < divergence * 1.5


def test_what_does_not_matter_scores_zero() -> None:
    """Layers whose output goes nowhere score 0 at every width, with no error."""
    model = make_llama()
    attention = model.model.layers[1].self_attn
    nn.init.zeros_(attention.o_proj.weight)
    found = measure(model)
    for kind in ("q_proj", "k_proj", "v_proj"):
        name = f"model.layers.1.self_attn.{kind}"
        assert found.scores[name] == found.errors[name] == dict.fromkeys(WIDTHS, 0.0)
    assert found.scores["model.layers.0.self_attn.q_proj"][2] > 0


@pytest.mark.parametrize(
    "quantizer", [integer(), integer(symmetric=True), NormalFloatQuantizer(group_size=16)]
)
def test_more_bits_score_less(quantizer: WeightQuantizer) -> None:
    """On every grid a layer's score falls with its width."""
    for scores in measure(make_llama(), quantizer=quantizer).scores.values():
        assert scores[2] > scores[3] > scores[8] > 0


def test_the_model_is_left_alone() -> None:
    """Afterwards no hook and no gradient is left and the outputs are what they were."""
    model = make_llama()
    tokens = some_tokens(1, 6)
    with torch.no_grad():
        before = model(input_ids=tokens, use_cache=False).logits
    measure(model, quantizer=integer(embeddings=True))
    after = model(input_ids=tokens, use_cache=False).logits
    assert_near(after, before)
    assert not after.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_same_seed_gives_the_same_scores() -> None:
    """Labels follow from the seed; one window has scores and no error."""
    tokens = some_tokens(1, LENGTH)
    first, second = (measure(make_llama(), windows=tokens) for _ in range(2))
    assert first == second
    assert first.errors == {}


def test_progress() -> None:
    """Every window is told, and that all is done."""
    told: list[tuple[int, int]] = []
    measure(make_llama(), progress=lambda done, total: told.append((done, total)))
    assert told[:NUM_WINDOWS] == [(1, 4), (2, 4), (3, 4)]
    assert told[-1] == (4, 4)
    assert told == sorted(told)
