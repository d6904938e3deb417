"""Runs that tell of their start: LoftQ with each layer's error, a fraction of bits with widths.

Submitted and recorded through the same doors as real ones; only the events and reports are made
up. Start with `add_start_runs`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.allocation.width_file import WIDTHS_FILE, WidthFile, write_widths
from engine.events import Event, FileWritten, ScoreMeasured, StageStarted
from engine.initialize.error_report import ERROR_FILE, Errors, Measure, write_errors
from engine.specs import resolve
from tasks import submit
from tasks.submit import Desk
from tests.store_samples import carry_out, open_events, size_of

WIKITEXT = "Salesforce/wikitext"
BENCHMARK = f"text/{WIKITEXT}"
NUM_BLOCKS = 30
KINDS = (
    "self_attn.k_proj",
    "self_attn.o_proj",
    "self_attn.q_proj",
    "self_attn.v_proj",
    "mlp.down_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
)
LAYERS = tuple(f"model.layers.{b}.{kind}" for b in range(NUM_BLOCKS) for kind in KINDS)
FAMILIES = (
    ("round-to-nearest", {4: 33.8, 3: 74.0, 2.5: 620.0, 2: 612_000.0}),
    ("loftq", {4: 31.1, 3: 65.3, 2.5: 410.0, 2: 121_000.0}),
    ("data-aware", {4: 28.5, 3: 34.4, 2.5: 58.0, 2: 107.2}),
)


@dataclass(frozen=True)
class StartSamples:
    """Where the runs are.

    Attributes:
        loftq: Finished, 4 bits, with the error of five iterations.
        mixed: Finished, 2.5 bits by sensitivity, with errors and widths.
        waiting: A LoftQ run that is still queued.
        damaged: Finished, with a report nobody can read.
        families: Every finished run, by start and bits.
        classifier: Finished, with a head that has accuracy and no perplexity.
    """

    loftq: int
    mixed: int
    waiting: int
    damaged: int
    families: dict[tuple[str, float], int]
    classifier: int


def add_start_runs(desk: Desk) -> StartSamples:
    """Carry out a family of runs at four widths for each of three starts."""
    baseline = {"preset": "baseline", "evaluation": _values("loftq", 4)["evaluation"]}
    run = submit.submit(desk, resolve(baseline))
    carry_out(desk, run.id, (*open_events(), _measure_text(27.0)))
    families = {
        (start, bits): _finish(desk, start, bits, perplexity)
        for start, scores in FAMILIES
        for bits, perplexity in scores.items()
    }
    damaged = _finish(desk, "loftq", 8, 27.1)
    for path in desk.settings.attempt_folder(damaged, 1).glob(ERROR_FILE):
        path.write_text('{"format": "bitdial-initialization-error-1", "mean": [0.1], "layers": {}}')
    return StartSamples(
        loftq=families["loftq", 4],
        mixed=families["loftq", 2.5],
        waiting=_submit(desk, "loftq", 4, name="waiting for its start"),
        damaged=damaged,
        families=families,
        classifier=_finish_classifier(desk),
    )


def _finish_classifier(desk: Desk) -> int:
    run = submit.submit(desk, resolve({"preset": "loftq-classify"}), with_baseline=False)
    events = (
        *open_events(),
        size_of(2, adapters=9_768_960),
        ScoreMeasured("sst2", "accuracy", 0.874, 0.0112, 872, "higher", limited=False),
    )
    carry_out(desk, run.id, events)
    return run.id


def make_errors(bits: float, iterations: int = 5) -> Errors:
    """Return errors that fall by iteration, larger in the first and last blocks."""
    found = {}
    for place, name in enumerate(LAYERS):
        block = place // len(KINDS)
        edge = 1 + 0.5 * math.cos(math.pi * block / (NUM_BLOCKS - 1)) ** 2
        size = 0.35 * 2 ** -(bits - 2) * edge * (1 + 0.06 * (place % len(KINDS)))
        stops = 3 if place % 5 == 0 else iterations
        found[name] = tuple(size * (1 - 0.12 * (1 - 0.6**step)) for step in range(stops))
    return found


def make_widths() -> WidthFile:
    """Return widths of 4, 3 and 2 bits, more in the first blocks."""
    layers = {
        name: 4 if place < 40 else 3 if place % 9 == 0 else 2 for place, name in enumerate(LAYERS)
    }
    scores = {name: {2: 0.02, 3: 0.006, 4: 0.001} for name in LAYERS}
    average = sum(layers.values()) / len(layers)
    return WidthFile(rule="sensitivity", key="x", average=average, layers=layers, scores=scores)


def _submit(desk: Desk, start: str, bits: float, *, name: str = "") -> int:
    return submit.submit(desk, resolve(_values(start, bits) | {"name": name})).id


def _values(start: str, bits: float) -> dict[str, Any]:
    quantizer: dict[str, Any] = {"bits": bits}
    if bits != int(bits):
        quantizer["mixing"] = {"rule": "sensitivity"}
    evaluation = {"data": {"source": WIKITEXT, "config": "wikitext-2-raw-v1"}}
    values = {"quantizer": quantizer, "evaluation": evaluation}
    if start == "round-to-nearest":
        return {"preset": "rtn", **values, "quantizer": {"grid": "normal-float", **quantizer}}
    return {"preset": "loftq", **values, "initialization": {"method": start}}


def _finish(desk: Desk, start: str, bits: float, perplexity: float) -> int:
    run_id = _submit(desk, start, bits)
    folder = desk.settings.attempt_folder(run_id, 1)
    carry_out(desk, run_id, _events(folder, start, bits, perplexity))
    return run_id


def _events(folder: Path, start: str, bits: float, perplexity: float) -> Iterator[Event]:
    yield from open_events()
    yield StageStarted("initialize", len(LAYERS))
    if bits != int(bits):
        write_widths(folder / WIDTHS_FILE, make_widths())
        yield FileWritten("report", WIDTHS_FILE)
    if start != "round-to-nearest":
        measure: Measure = "outputs" if start == "data-aware" else "weights"
        write_errors(folder / ERROR_FILE, make_errors(bits), measure=measure)
        yield FileWritten("report", ERROR_FILE)
    yield size_of(bits, adapters=0 if start == "round-to-nearest" else 9_768_960)
    yield _measure_text(perplexity)
    (folder / "model.safetensors").write_bytes(bytes(64))
    yield FileWritten("result", "model.safetensors")


def _measure_text(perplexity: float) -> ScoreMeasured:
    return ScoreMeasured(BENCHMARK, "perplexity", perplexity, perplexity / 80, 4080, "lower", True)


def write_report(path: Path, values: Mapping[str, Any]) -> None:
    """Write a report of one's own over a recorded one."""
    path.write_text(json.dumps(values), encoding="utf-8")
