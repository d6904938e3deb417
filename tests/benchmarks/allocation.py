"""From scores to a layer map at 448 layers and 7 widths, beside scipy's MILP (HiGHS).

Scores are made up as real ones are: they fall about fourfold per bit, spread over layers by more
than a hundredfold, and are noisy, so that some fall short of order or below zero; layers have the
few sizes that a decoder of 64 blocks has. Every map is checked to be within its budget; times are
medians over all seeds and budgets. Start with `measure`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from statistics import median
from typing import TypeVar

import numpy as np

from engine.allocation.choices import LayerChoices, Table, build_table
from engine.allocation.exact import solve_exactly
from engine.allocation.frontier import Frontier, Solution, build_frontier
from engine.allocation.stored import stored_bits
from engine.models.shapes import LayerShape
from engine.specs import IntegerQuantizer
from tests.benchmarks.report import Report, describe_environment

NUM_BLOCKS = 64
WIDTHS = (2, 3, 4, 5, 6, 8, 16)
SHAPES = {
    "self_attn.q_proj": (5120, 5120),
    "self_attn.k_proj": (1024, 5120),
    "self_attn.v_proj": (1024, 5120),
    "self_attn.o_proj": (5120, 5120),
    "mlp.gate_proj": (17408, 5120),
    "mlp.up_proj": (17408, 5120),
    "mlp.down_proj": (5120, 17408),
}
BITS = (2.5, 2.75, 3.0, 3.5, 4.0, 4.75, 6.0)
NUM_SEEDS = 4
NOISE = (0.0, 0.02)
"""Standard deviation of a score, as a share of the median score at 4 bits."""
TARGETS = {
    "solve_milliseconds": "<=10",
    "frontier_milliseconds": "<=50",
    "largest_gap_percent": "<=0.5",
}
Result = TypeVar("Result")


def draw_choices(seed: int, noise: float, *, num_blocks: int = NUM_BLOCKS) -> list[LayerChoices]:
    """Return made-up scores of every layer at every width, with the real sizes."""
    rng, quantizer = np.random.default_rng(seed), IntegerQuantizer(group_size=64)
    found = []
    for block, (kind, shape) in product(range(num_blocks), SHAPES.items()):
        layer = LayerShape(f"model.layers.{block}.{kind}", *shape)
        falling = 4.0 ** (4 - np.array(WIDTHS)) * rng.uniform(0.7, 1.4, len(WIDTHS))
        losses = np.exp(rng.normal(0, 1.5)) * falling + noise * rng.normal(size=len(WIDTHS))
        stored = tuple(stored_bits(layer, quantizer, width) for width in WIDTHS)
        found.append(
            LayerChoices(layer.name, layer.num_weights, WIDTHS, tuple(losses.tolist()), stored)
        )
    return found


def measure(
    *,
    bits: Sequence[float] = BITS,
    num_seeds: int = NUM_SEEDS,
    num_blocks: int = NUM_BLOCKS,
) -> Report:
    """Solve every budget of every seed, by the frontier and by both exact solvers.

    Of the figures, `solve_milliseconds` is from scores to a map, table and frontier included;
    `frontier_milliseconds` from scores to every corner; `slide_milliseconds` a further budget on a
    frontier that is there; `milp_ratio` how much longer the MILP takes than the first. Gaps are
    shares of the proven best loss, `largest_bound_percent` the gap that solutions admit themselves.
    """
    times: dict[str, list[float]] = {name: [] for name in ("solve", "frontier", "slide")}
    times |= {"exact": [], "milp": []}
    gaps, admitted = [], []
    for seed, noise in product(range(num_seeds), NOISE):
        choices = draw_choices(seed, noise, num_blocks=num_blocks)
        table = build_table(choices)
        frontier = _time(times["frontier"], lambda given=choices: _build(given))
        for asked in bits:
            limit = int(asked * table.num_weights)
            found = _time(times["solve"], lambda given=choices, to=limit: _solve(given, to))
            _time(times["slide"], lambda known=frontier, to=limit: known.solve(to))
            best = _time(times["exact"], lambda on=table, to=limit: solve_exactly(on, to))
            proven = _time(
                times["milp"], lambda on=table, to=limit: solve_exactly(on, to, method="milp")
            )
            _check(table, found, limit=limit)
            least = min(best.loss, proven.loss)
            gaps.append(100 * max(found.loss - least, 0.0) / abs(least))
            admitted.append(100 * found.gap)
    figures = {f"{name}_milliseconds": 1000 * median(each) for name, each in times.items()}
    figures["milp_ratio"] = figures["milp_milliseconds"] / figures["solve_milliseconds"]
    figures["largest_gap_percent"] = max(gaps)
    figures["mean_gap_percent"] = sum(gaps) / len(gaps)
    figures["largest_bound_percent"] = max(admitted)
    environment = describe_environment(
        ("numpy", "scipy"),
        layers=num_blocks * len(SHAPES),
        widths=len(WIDTHS),
        problems=len(gaps),
    )
    return Report("allocation", figures, TARGETS, environment)


def _build(choices: Sequence[LayerChoices]) -> Frontier:
    frontier = build_frontier(build_table(choices))
    _ = frontier.points
    return frontier


def _solve(choices: Sequence[LayerChoices], limit: int) -> Solution:
    return build_frontier(build_table(choices)).solve(limit)


def _time(seconds: list[float], action: Callable[[], Result]) -> Result:
    """Do something and note how long it took."""
    start = time.perf_counter()
    result = action()
    seconds.append(time.perf_counter() - start)
    return result


def _check(table: Table, found: Solution, *, limit: int) -> None:
    """Make sure that what is compared is a map within the budget."""
    if found.stored_bits > limit or len(found.widths) != len(table.layers):
        raise AssertionError(f"a map of {found.stored_bits} bits for a budget of {limit}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, as JSON or as lines."""
    parser = argparse.ArgumentParser(description="Scores to a layer map, beside scipy's MILP.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="how many sets of scores")
    asked = parser.parse_args(arguments)
    report = measure(num_seeds=asked.seeds)
    sys.stdout.write(f"{report.to_json() if asked.json else report.to_text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
