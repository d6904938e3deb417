"""Runs about layer maps: trained at many widths, measured at many maps, and trained at one alone.

Submitted and recorded through the same doors as real ones; only the events are made up. Start with
`add_map_runs`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.events import (
    Event,
    MapScored,
    MetricPoint,
    Progressed,
    ScoreMeasured,
    StageStarted,
)
from engine.specs import load_spec, resolve
from tasks import submit
from tasks.store import runs
from tasks.submit import Desk
from tests.store_samples import BENCHMARK, carry_out, open_events, size_of

PERPLEXITY = {3: 31.0, 4: 21.9, 5: 19.6, 6: 18.9, 7: 18.7, 8: 18.6, 16: 18.5}
TYPED_WIDTHS = (3, 4, 5, 6, 7, 8, 16)
ATTACKED = "sst2 attack"
NAMED = {"map": "layers", "name": "first blocks wide", "layer_bits": ["model.layers.0.*=8"]}
DRAWN = {"map": "random", "widths": [8, 6, 4], "scope": "layer"}


@dataclass(frozen=True)
class MapSamples:
    """Where the runs are.

    Attributes:
        baseline: The finished 16-bit run of the setting.
        switchable: Finished, trained at 8, 6 and 4 bits, and measured at many maps.
        cyclic: Finished, with a range test; not measured at other widths.
        alone: Finished, each trained at one width, by bits.
        measured: The finished evaluation of maps of `switchable`.
        measuring: One of `cyclic` in the middle of its maps.
        waiting: One of `cyclic` that is queued.
        failed: One of `cyclic` that failed before its first map.
        classifier: Finished, with a classification head.
        attacked: The finished evaluation of maps of the classifier, with an attack.
        loftq: Finished, whose start made its weights for one width.
    """

    baseline: int
    switchable: int
    cyclic: int
    alone: dict[int, int]
    measured: int
    measuring: int
    waiting: int
    failed: int
    classifier: int
    attacked: int
    loftq: int


def add_map_runs(desk: Desk) -> MapSamples:
    """Carry out trainings at many widths and evaluations of their maps."""
    baseline = submit.submit(desk, resolve({"preset": "baseline"})).id
    carry_out(desk, baseline, [*open_events(), *_score_text(18.42, None)])
    switchable = _train(desk, {"preset": "switchable"}, _switchable_curves())
    cyclic = _train(desk, _cyclic_values(), _cyclic_curves())
    alone = {bits: _train(desk, _alone_values(bits), (), bits=bits) for bits in (3, 4, 8)}
    maps = [{"map": "uniform", "bits": bits} for bits in TYPED_WIDTHS]
    measured = _measure(desk, switchable, [*maps, NAMED, DRAWN])
    failed = _measure(desk, cyclic, maps, done=0, ending="failed")
    measuring = _measure(desk, cyclic, [*maps, DRAWN], done=3, ending=None)
    classifier = _train_classifier(desk)
    return MapSamples(
        baseline=baseline,
        switchable=switchable,
        cyclic=cyclic,
        alone=alone,
        measured=measured,
        measuring=measuring,
        waiting=submit.submit_map_evaluation(desk, cyclic, {"maps": maps, "name": "waits"}).id,
        failed=failed,
        classifier=classifier,
        attacked=_attack(desk, classifier),
        loftq=_train(desk, {"preset": "loftq"}, ()),
    )


def _cyclic_values() -> dict[str, Any]:
    policy = {"range_test": True}
    return {"preset": "cyclic", "name": "cyclic, tested", "training": {"bit_policy": policy}}


def _alone_values(bits: int) -> dict[str, Any]:
    return {
        "preset": "switchable",
        "name": f"static {bits}",
        "quantizer": {"bits": bits},
        "training": {"bit_policy": {"policy": "fixed"}},
    }


def _train(desk: Desk, values: dict[str, Any], curves: Iterable[Event], *, bits: int = 4) -> int:
    run = submit.submit(desk, resolve(values), with_baseline=False)
    perplexity = PERPLEXITY[bits] - 0.4
    events = (
        *open_events(),
        *curves,
        size_of(bits),
        *_score_text(perplexity, 0.05 * 2 ** (4 - bits)),
    )
    carry_out(desk, run.id, events)
    return run.id


def _train_classifier(desk: Desk) -> int:
    values = {
        "preset": "loftq-classify",
        "quantizer": {"grid": "integer", "bits": 4},
        "initialization": {"method": "round-to-nearest"},
    }
    run = submit.submit(desk, resolve(values), with_baseline=False)
    accuracy = ScoreMeasured("sst2", "accuracy", 0.874, 0.0112, 872, "higher", limited=False)
    carry_out(desk, run.id, [*open_events(), size_of(4), accuracy])
    return run.id


def _measure(
    desk: Desk,
    parent: int,
    maps: list[dict[str, Any]],
    *,
    done: int | None = None,
    ending: Any = "succeeded",
) -> int:
    """Measure a run at maps, the first `done` of them."""
    run = submit.submit_map_evaluation(desk, parent, {"maps": maps})
    columns = {}
    if ending == "failed":
        columns = {"failure_kind": "data", "failure_message": "the text cannot be read"}
    labels = [each.label for each in load_spec(runs.get_run(desk.database, run.id).spec).maps]  # type: ignore[union-attr]
    shown = list(zip(maps, labels, strict=True))[:done]
    carry_out(desk, run.id, _map_events(shown, len(maps)), ending=ending, columns=columns)
    return run.id


def _attack(desk: Desk, parent: int) -> int:
    maps = [{"map": "uniform", "bits": bits} for bits in (4, 8, 16)] + [DRAWN]
    asked = {"maps": maps, "attack": {"attack": "gbda"}}
    run = submit.submit_map_evaluation(desk, parent, asked)
    events: list[Event] = [*open_events(), StageStarted("maps", len(maps))]
    for place, label in enumerate(("4 bits", "8 bits", "16 bits", "random 8, 6, 4 by layer")):
        bits = (4, 8, 16, 6)[place]
        for benchmark, metric, value, count in (
            ("sst2", "accuracy", 0.85 + place / 100, 872),
            (ATTACKED, "accuracy", 0.86 + place / 100, 100),
            (ATTACKED, "adversarial_accuracy", 0.1 + place / 20, 100),
            (ATTACKED, "token_change_rate", 0.16 + place / 50, 70 + place),
        ):
            error = math.sqrt(value * (1 - value) / count)
            score = (metric, value, error, count, "higher")
            is_limited = benchmark == ATTACKED
            events.append(
                MapScored(place, label, bits, bits + 0.3, benchmark, *score, limited=is_limited)  # type: ignore[arg-type]
            )
    carry_out(desk, run.id, events)
    return run.id


def _map_events(maps: list[tuple[dict[str, Any], str]], total: int) -> Iterator[Event]:
    yield from open_events()
    yield StageStarted("maps", total)
    for place, (wanted, label) in enumerate(maps):
        bits = wanted.get("bits", 4.6 if wanted["map"] == "layers" else 6.0)
        perplexity = PERPLEXITY.get(bits, 20.4)
        divergence = 0.9 * 2 ** (3 - bits)
        for metric, value, direction in (
            ("perplexity", perplexity, "lower"),
            ("kl_divergence", divergence, "lower"),
            ("top1_agreement", math.exp(-divergence), "higher"),
        ):
            error = value / 60
            yield MapScored(
                place, label, bits, bits + 0.3 * (bits < 16), BENCHMARK, metric, value, error,
                4080, direction, limited=True,
            )  # type: ignore[arg-type] # fmt: skip
        yield Progressed("maps", place + 1, total)


def _switchable_curves(steps: int = 60) -> Iterator[Event]:
    yield StageStarted("train", steps)
    for step in range(1, steps + 1):
        losses = {bits: (1 + 6 / bits**2) * (0.4 + 2 * math.exp(-step / 15)) for bits in (8, 6, 4)}
        yield MetricPoint("train/loss", step, sum(losses.values()) / 3)
        for bits, loss in losses.items():
            yield MetricPoint(f"train/loss_{bits}bit", step, loss)
        yield MetricPoint("train/bits", step, 6.0)
        yield from _rates(step)


def _cyclic_curves(steps: int = 96) -> Iterator[Event]:
    yield StageStarted("train", steps)
    for bits in (2, 3, 4):
        for step in range(1, 11):
            fall = 0.02 * step * (bits >= 4)
            yield MetricPoint(f"range_test/loss_{bits}bit", step, 9.0 / bits - fall)
    yield MetricPoint("range_test/lowest_bits", 1, 4)
    for step in range(1, steps + 1):
        share = (step % 12) / 12
        bits = round(4 + 2 * (1 - math.cos(math.pi * share)))
        yield MetricPoint("train/bits", step, bits)
        yield MetricPoint("train/loss", step, 0.4 + 2 * math.exp(-step / 25) + 2.5 / bits**1.5)
        yield from _rates(step)


def _rates(step: int) -> Iterator[Event]:
    yield MetricPoint("train/learning_rate", step, 5e-4 * min(1, step / 6))
    yield MetricPoint("train/range_learning_rate", step, 5e-5 * min(1, step / 6))
    yield MetricPoint("train/tokens_per_second", step, 900 + 40 * math.sin(step))


def _score_text(perplexity: float, divergence: float | None) -> Iterator[Event]:
    score = (perplexity, perplexity / 60, 4080)
    yield ScoreMeasured(BENCHMARK, "perplexity", *score, "lower", limited=True)
    if divergence is not None:
        told = (divergence, divergence / 40, 4080)
        yield ScoreMeasured(BENCHMARK, "kl_divergence", *told, "lower", limited=True)
