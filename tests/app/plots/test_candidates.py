"""Promises of the figure of what a rank search evaluated."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from app.plots.candidates import MOST_POINTS, draw, read_candidates
from app.text import ranks as text
from tasks.store.records import CandidateRecord


def candidate(position: int, value: float, **changes: Any) -> CandidateRecord:
    """Return a configuration of two groups; later ones are smaller."""
    values: dict[str, Any] = {
        "run_id": 1,
        "position": position,
        "ranks": (16, 16 - position % 16),
        "adapter_parameters": 1_000_000 - 1000 * position,
        "metric": "loss",
        "value": value,
        "standard_error": 0.01,
        "num_samples": 200,
        "direction": "lower",
        "origin": "hill-climbing",
        "seconds": 1.0,
    }
    return CandidateRecord(**{**values, **changes})


RECORDS = (
    candidate(0, 0.50, origin="maximal"),
    candidate(1, 0.48, origin="median"),
    candidate(2, 0.60, origin="minimal"),
    candidate(3, 0.48),
    candidate(4, 0.55, origin="lowest-loss"),
    candidate(5, math.nan),
)


def test_the_best_is_the_smallest_of_equal_ones() -> None:
    """Of equal scores the one with fewer parameters wins; what is no number never does."""
    assert read_candidates(RECORDS).best == 3


def test_the_search_has_the_last_word() -> None:
    """Once a search has ended, its own choice is marked."""
    assert read_candidates(RECORDS, chosen=RECORDS[1].ranks).best == 1


def test_front_is_marked_and_improves() -> None:
    """Along the front, more parameters always mean a better score."""
    found = read_candidates(RECORDS)
    assert found.front == (4, 3)
    figure = draw(found)
    line = next(trace for trace in figure["data"] if trace["name"] == text.FRONT)
    assert line["y"] == [0.55, 0.48]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_on_no_front(wrong: float) -> None:
    """A configuration without a score is neither best nor on the front, small as it may be."""
    found = read_candidates([candidate(0, 0.5), candidate(1, wrong)])
    assert (found.front, found.best) == ((0,), 0)
    assert read_candidates([candidate(0, wrong)]).best is None


def test_shares_are_drawn_in_percent_and_higher_is_better() -> None:
    """An accuracy of 0.25 stands at 25, with its error, and the highest wins."""
    records = [
        candidate(place, value, metric="accuracy", direction="higher", standard_error=0.02)
        for place, value in enumerate((0.25, 0.4))
    ]
    found = read_candidates(records)
    assert found.best == 1
    points = next(t for t in draw(found)["data"] if t["name"] == "hill climbing")
    assert points["y"] == [25.0, 40.0]
    assert points["error_y"]["array"] == [2.0, 2.0]


def test_named_configurations_carry_their_names() -> None:
    """Maximal, median, minimal and the like are labelled; searched ones are not."""
    figure = draw(read_candidates(RECORDS))
    modes = {trace["name"]: trace["mode"] for trace in figure["data"]}
    assert modes["maximal"] == modes["lowest loss"] == "markers+text"
    assert modes["hill climbing"] == "markers"


def test_markers_carry_their_position() -> None:
    """A click on a marker knows its configuration, and the selected one has a ring."""
    figure = draw(read_candidates(RECORDS), selected=2)
    drawn = [place for t in figure["data"] if "customdata" in t for place in t["customdata"]]
    assert set(drawn) == {record.position for record in RECORDS}
    assert figure["data"][-1]["customdata"] == [2]
    assert "error_y" not in figure["data"][-1]


def test_too_many_points_keep_what_matters() -> None:
    """Of very many, the named ones, the front and the newest are drawn."""
    many = [candidate(place, 1.0, adapter_parameters=place) for place in range(MOST_POINTS + 500)]
    records = [candidate(0, 0.5, origin="median"), *many[1:]]
    figure = draw(read_candidates(records))
    count = sum(len(t["x"]) for t in figure["data"] if t.get("error_y"))
    assert MOST_POINTS < count < len(records)
    assert any(trace["name"] == "median" for trace in figure["data"])


@pytest.mark.parametrize("records", [(), RECORDS])
def test_figures_go_over_the_wire(records: tuple[CandidateRecord, ...]) -> None:
    """The figure is JSON; without any configuration it says what will appear."""
    figure = draw(read_candidates(records))
    assert json.dumps(figure)
    assert bool(figure["data"]) is bool(records)
    assert figure["meta"]["empty"]
