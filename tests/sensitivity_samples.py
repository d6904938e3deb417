"""Sensitivity runs of SmolLM2-135M: by gradient and by ablation, half-way, failed, by block.

Submitted and recorded through the same doors as real ones; only the scores and what the layers look
like are made up. Start with `add_sensitivity_runs`.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.events import Event, FileWritten, Progressed, SensitivityScored, StageStarted
from engine.sensitivity.layer_facts import (
    FACTS_FILE,
    NUM_BINS,
    Histogram,
    LayerFact,
    LayerFacts,
    write_layer_facts,
)
from engine.sensitivity.units import list_units
from engine.specs import resolve
from tasks import submit
from tasks.bit_map.checking import verify
from tasks.bit_map.opening import open_map
from tasks.sensitivities import submit_sensitivity
from tasks.submit import Desk
from tests.store_samples import carry_out, open_events, size_of

NUM_BLOCKS = 30
SHAPES = {
    "self_attn.q_proj": (576, 576),
    "self_attn.k_proj": (192, 576),
    "self_attn.v_proj": (192, 576),
    "self_attn.o_proj": (576, 576),
    "mlp.gate_proj": (1536, 576),
    "mlp.up_proj": (1536, 576),
    "mlp.down_proj": (576, 1536),
}
WEIGHTS_OF_KIND = (0.4, 0.5, 2.2, 1.1, 0.8, 1.0, 3.0)
ALL_WIDTHS = (8, 6, 4, 3, 2)
FAILURE = {
    "failure_kind": "out_of_memory",
    "failure_message": "the device ran out of memory while 2 bits were measured; use fewer windows",
}


@dataclass(frozen=True)
class SensitivitySamples:
    """Where the runs are.

    Attributes:
        gradient: Finished, every layer at five widths, with facts of its layers.
        ablation: Finished, on the same question, at 4 and 2 bits.
        running: An ablation in the middle: 140 of 210 layers at its first width.
        failed: One that failed half-way.
        broken: One that failed before its first score.
        waiting: One that is queued.
        blocks: Finished, by block, with two metrics.
        trained: A finished training run at 4 bits.
        trained_scores: The finished sensitivity run of that one.
        opened: The bit map with the scores of `gradient`.
        verified: The queued run that measures this map.
    """

    gradient: int
    ablation: int
    running: int
    failed: int
    broken: int
    waiting: int
    blocks: int
    trained: int
    trained_scores: int
    opened: int
    verified: int


def add_sensitivity_runs(desk: Desk) -> SensitivitySamples:
    """Carry out sensitivity runs of every kind."""
    trained = submit.submit(desk, resolve({"preset": "rtn"}), with_baseline=False).id
    carry_out(desk, trained, [*open_events(), size_of(4)])
    ablation = {"method": {"method": "ablation"}, "widths": [4, 2]}
    short = {"method": {"method": "ablation"}, "widths": [2]}
    gradient = _score(desk, {}, ALL_WIDTHS)
    opened = open_map(desk, {"sensitivity": gradient, "name": "first map"}).record.id
    return SensitivitySamples(
        gradient=gradient,
        ablation=_score(desk, ablation, (4, 2), is_exact=True),
        running=_score(desk, ablation, (2,), is_exact=True, most=140, ending=None),
        failed=_score(desk, {"widths": [4, 2], "seed": 7}, (2,), most=77, ending="failed"),
        broken=_score(desk, {"seed": 8}, (), ending="failed"),
        blocks=_score(
            desk, {"unit": "block"}, ALL_WIDTHS, metrics=("kl_divergence", "log_perplexity")
        ),
        trained=trained,
        trained_scores=_score(desk, {"parent": trained, "widths": [4, 2]}, (4, 2)),
        waiting=submit_sensitivity(desk, {**short, "name": "waits"}).id,
        opened=opened,
        verified=verify(desk, opened),
    )


def list_layers() -> tuple[str, ...]:
    """Return the names of the 210 layers in the model's order."""
    return tuple(f"model.layers.{block}.{kind}" for block in range(NUM_BLOCKS) for kind in SHAPES)


def build_facts() -> LayerFacts:
    """Return what the layers look like: nearly normal, wider in late blocks."""
    return LayerFacts(layers={name: _build_fact(name) for name in list_layers()})


def score_of(unit: str, bits: int, *, is_exact: bool = False) -> float:
    """Return what a unit loses at a width: much in the first and last blocks, and in down_proj."""
    noise = random.Random(f"{unit} {bits} {is_exact}")
    shared = random.Random(unit).gauss(0, 0.5)
    parts = unit.split(".")
    block = int(parts[2]) if len(parts) > 2 else 15
    kind = ".".join(parts[3:])
    place = WEIGHTS_OF_KIND[list(SHAPES).index(kind)] if kind in SHAPES else 6.0
    ends = 1 + 5 * math.exp(-block / 1.5) + 2 * math.exp((block - NUM_BLOCKS) / 2)
    wobble = noise.gauss(0, 0.35 if is_exact else 0.1)
    return 0.35 * place * ends * 4.0**-bits * math.exp(shared + wobble)


def _score(
    desk: Desk,
    values: dict[str, Any],
    widths: Sequence[int],
    *,
    is_exact: bool = False,
    most: int | None = None,
    metrics: Sequence[str] = ("kl_divergence",),
    ending: Any = "succeeded",
) -> int:
    """Carry a run out; of each width the first `most` units are scored."""
    run = submit_sensitivity(desk, values)
    folder = desk.settings.attempt_folder(run.id, 1)
    folder.mkdir(parents=True)
    write_layer_facts(folder / FACTS_FILE, build_facts())
    units = tuple(list_units(list_layers(), values.get("unit", "layer")))
    total = len(units) * len(run.spec["widths"])
    events: list[Event] = [*open_events(), StageStarted("sensitivity", total)]
    if widths:
        events.append(FileWritten("report", FACTS_FILE))
    events += _iter_scores(units[:most], widths, metrics, is_exact=is_exact, total=total)
    columns = FAILURE if ending == "failed" else {}
    carry_out(desk, run.id, events, ending=ending, columns=dict(columns))
    return run.id


def _iter_scores(
    units: Sequence[str],
    widths: Sequence[int],
    metrics: Sequence[str],
    *,
    is_exact: bool,
    total: int,
) -> Iterator[Event]:
    done = 0
    for bits in sorted(widths):
        for unit in units:
            value = score_of(unit, bits, is_exact=is_exact)
            for metric in metrics:
                own = value * (0.7 if metric == "log_perplexity" else 1.0)
                yield SensitivityScored(unit, bits, metric, own, 0.06 * own + 1e-6, 32)
            done += 1
        yield Progressed("sensitivity", done, total)


def _build_fact(name: str) -> LayerFact:
    kind = name.split(".", 3)[3]
    shape = SHAPES[kind]
    spread = 0.06 + 0.002 * int(name.split(".")[2])
    reach = 6.5 * spread
    edges = [reach * (2 * place / NUM_BINS - 1) for place in range(NUM_BINS + 1)]
    middles = [(one + other) / 2 for one, other in itertools.pairwise(edges)]
    heights = [math.exp(-0.5 * (middle / spread) ** 2) for middle in middles]
    count = shape[0] * shape[1]
    counts = [round(count * height / sum(heights)) for height in heights]
    return LayerFact(
        shape=shape,
        num_weights=count,
        minimum=-reach,
        maximum=reach,
        mean_absolute=0.8 * spread,
        standard_deviation=spread,
        histogram=Histogram(edges=tuple(edges), counts=tuple(counts)),
        relative_error={bits: 0.9 * 4.0**-bits * 3 for bits in ALL_WIDTHS},
        rank=16 if kind.endswith("q_proj") else None,
    )
