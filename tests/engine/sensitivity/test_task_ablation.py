"""Ablations on tasks, with tasks that are made up: what is lost, in which direction, how surely."""

from __future__ import annotations

import math

import pytest

from engine.errors import Cancelled, ModelError
from engine.events import Direction, Event, Logged, ScoreMeasured
from engine.layers.layer_map import read_map
from engine.sensitivity.checks import Pair
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.task_ablation import START, ablate_on_tasks
from tests.engine.sensitivity.scored_tiny import Heard, scored

UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"
PAIRS = (Pair(UP, 2), Pair(DOWN, 2), Pair(UP, 4))


class Quiz:
    """Tasks whose scores follow from the widths that two layers stand at.

    Attributes:
        labels: What was asked, in order.
        spoiled: Metrics that are no number, by label.
    """

    def __init__(self, model: ScoredModel, *, error: float | None = None) -> None:
        self.labels: list[tuple[str, int]] = []
        self.spoiled: dict[str, str] = {}
        self._layers = model.start.layers
        self._error = error

    def __call__(self, label: str, count: int) -> list[ScoreMeasured]:
        """Score the model as it stands: each layer below 16 bits costs what its width lacks."""
        self.labels.append((label, count))
        up, down = (self._layers[name].active_bits for name in (UP, DOWN))
        lost = (16 - up) + 2 * (16 - down)
        return [
            self._score(label, "acc", 100.0 - lost, direction="higher"),
            self._score(label, "word_perplexity", 10.0 + lost, direction="lower"),
        ]

    def _score(
        self, label: str, metric: str, value: float, *, direction: Direction
    ) -> ScoreMeasured:
        value = math.nan if self.spoiled.get(label) == metric else value
        error = self._error if metric == "acc" else None
        return ScoreMeasured("quiz", metric, value, error, 40, direction)


def run(
    *,
    spoiled: dict[str, str] | None = None,
    done: set[tuple[str, int]] | None = None,
    error: float | None = None,
) -> tuple[Heard, Quiz]:
    """Ask the quiz at all pairs."""
    model, _, _ = scored()
    quiz, heard = Quiz(model, error=error), Heard()
    quiz.spoiled = spoiled or {}
    ablate_on_tasks(
        model.start, model.units, PAIRS, measure=quiz, listener=heard, done=done or set()
    )
    return heard, quiz


def test_what_is_lost_is_positive_in_both_directions() -> None:
    """A metric that grows with quality and one that falls with it both score what is lost."""
    heard, quiz = run()
    for metric in ("quiz acc", "quiz word_perplexity"):
        found = {key[:2]: score.value for key, score in heard.scores.items() if key[2] == metric}
        assert found == {(UP, 2): 14, (DOWN, 2): 28, (UP, 4): 12}
    assert quiz.labels[0] == (START, 0)
    assert [count for _, count in quiz.labels] == [0, 1, 2, 3]


def test_errors_are_added_in_quadrature() -> None:
    """The error of a loss is that of two independent scores; without one there is none."""
    heard, _ = run(error=0.3)
    for (_, _, metric), score in heard.scores.items():
        expected = pytest.approx(math.hypot(0.3, 0.3)) if metric == "quiz acc" else None
        assert score.standard_error == expected
        assert score.num_samples == 40


def test_what_is_known_is_not_asked_again() -> None:
    """A run that goes on asks the start and what is left; where nothing is left it asks nothing."""
    heard, quiz = run(done={(UP, 2), (UP, 4)})
    assert {key[:2] for key in heard.scores} == {(DOWN, 2)}
    assert [label for label, _ in quiz.labels] == [START, f"{DOWN} at 2 bits"]
    heard, quiz = run(done={(pair.unit, pair.bits) for pair in PAIRS})
    assert (heard.events, quiz.labels) == ([], [])


@pytest.mark.parametrize("place", range(6))
def test_a_stop_leaves_the_start_map(place: int) -> None:
    """Wherever a listener or a task stops it, the layers stand as they did, none held."""
    model, _, _ = scored()
    before, quiz = read_map(model.start.layers), Quiz(model)
    told: list[Event | None] = []

    def stop(event: Event | None) -> None:
        told.append(event)
        if len(told) > place:
            raise Cancelled

    def measure(label: str, count: int) -> list[ScoreMeasured]:
        found = quiz(label, count)
        stop(None)
        return found

    with pytest.raises(Cancelled):
        ablate_on_tasks(model.start, model.units, PAIRS, measure=measure, listener=stop)
    assert read_map(model.start.layers) == before
    assert all(layer.held is None for layer in model.start.layers.values())


def test_a_metric_of_no_number_is_left_out() -> None:
    """One metric that is NaN at one pair has a line in the log; all others have their scores."""
    label = f"{DOWN} at 2 bits"
    whole, heard = run()[0], run(spoiled={label: "acc"})[0]
    expected = {key: each for key, each in whole.scores.items() if key != (DOWN, 2, "quiz acc")}
    assert heard.scores == expected
    (told,) = [event for event in heard.events if isinstance(event, Logged)]
    assert told.level == "warning"
    assert told.message == f"{label} has no score: its quiz acc is no number"


def test_a_start_of_no_number_is_refused() -> None:
    """Where the start itself is NaN the sentence blames the start, and no unit is measured."""
    model, _, _ = scored()
    quiz = Quiz(model)
    quiz.spoiled = {START: "word_perplexity"}
    with pytest.raises(ModelError, match="quiz word_perplexity of the model at its start") as got:
        ablate_on_tasks(model.start, model.units, PAIRS, measure=quiz, listener=Heard())
    assert got.value.field == "model.dtype"
    assert quiz.labels == [(START, 0)]
