"""Promises of estimates for one model at many maps, and for attacks on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.estimates import Estimate, SpeedBasis, estimate, map_memory
from engine.models.shapes import ModelShapes, read_shapes
from engine.robustness.attackable import SAMPLE_BYTES
from engine.specs import ExperimentSpec, MapEvaluationSpec, ModelSpec, resolve, resolve_child

UNIFORM = [{"map": "uniform", "bits": bits} for bits in (8, 6, 4)]
RANDOM = [{"map": "random", "widths": [8, 6, 16]}]


@pytest.fixture(scope="module")
def shapes() -> ModelShapes:
    return read_shapes(ModelSpec(), data_folder=Path())


@pytest.fixture(scope="module")
def classifier() -> ExperimentSpec:
    return resolve({"preset": "loftq-classify", "quantizer": {"grid": "integer"},
                    "initialization": {"method": "round-to-nearest"}}).spec  # fmt: skip


def measure(parent: ExperimentSpec, shapes: ModelShapes, **values: Any) -> Estimate:
    spec = resolve_child(MapEvaluationSpec, parent, {"parent": 1, "maps": UNIFORM, **values})
    return estimate(spec, shapes, speed=SpeedBasis())


def test_every_map_is_measured_like_a_run(shapes: ModelShapes) -> None:
    """Three maps take three times as long as one; loading and teaching happen once."""
    parent = resolve({"preset": "rtn"}).spec
    one, three = (measure(parent, shapes, maps=UNIFORM[:count]) for count in (1, 3))
    assert three.seconds_parts["maps"] == pytest.approx(3 * one.seconds_parts["maps"])
    assert three.seconds_parts["load"] == one.seconds_parts["load"]
    assert three.seconds_parts["teach"] == one.seconds_parts["teach"] > 0
    assert not {"evaluate", "benchmarks"} & three.seconds_parts.keys()
    own = estimate(parent, shapes, speed=SpeedBasis()).seconds_parts["evaluate"]
    assert one.seconds_parts["maps"] > own
    assert three.seconds == pytest.approx(sum(three.seconds_parts.values()))


def test_random_maps_keep_every_width(shapes: ModelShapes) -> None:
    """Weights rounded for a random map stand beside each other; 16 bits need no rounding."""
    parent = resolve({"preset": "rtn"}).spec
    drawn, uniform = (measure(parent, shapes, maps=maps).memory_parts for maps in (RANDOM, UNIFORM))
    assert drawn["rounded_weights"] == 2 * uniform["rounded_weights"]


@pytest.fixture(scope="module")
def encoder(classifier: ExperimentSpec) -> ModelShapes:
    return read_shapes(classifier.model, data_folder=Path())


@pytest.mark.parametrize(
    ("field", "counts"),
    [("num_samples", (10, 20)), ("num_steps", (50, 100)), ("num_gradient_samples", (5, 10))],
)
def test_an_attack_takes_time(
    classifier: ExperimentSpec, encoder: ModelShapes, field: str, counts: tuple[int, ...]
) -> None:
    """More texts, steps or samples take longer, and no more texts are attacked than there are."""
    short, long = (
        measure(classifier, encoder, attack={"attack": "gbda", field: count}) for count in counts
    )
    clean = measure(classifier, encoder)
    times = [found.seconds_parts["maps"] for found in (clean, short, long)]
    assert times == sorted(set(times))
    full = {"attack": "gbda", "num_samples": 872}
    most = measure(classifier, encoder, attack=full).seconds
    assert measure(classifier, encoder, attack=full | {"num_samples": 9999}).seconds == most


def test_an_attack_takes_memory(classifier: ExperimentSpec, encoder: ModelShapes) -> None:
    """Soft texts count with their copies, as many at once as an attack takes."""
    assert measure(classifier, encoder).memory_parts["attack"] == 0
    found = measure(classifier, encoder, attack={"attack": "gbda"}).memory_parts
    assert 0.9 < found["attack"] / (map_memory.SAMPLE_COPIES * SAMPLE_BYTES) <= 1
    few = {"attack": "gbda", "num_gradient_samples": 1}
    assert measure(classifier, encoder, attack=few).memory_parts["attack"] <= found["attack"]


def test_a_decoder_is_judged_by_its_own_language_model(
    classifier: ExperimentSpec, shapes: ModelShapes
) -> None:
    """Fluency, which only a decoder can be weighed for, takes time and memory."""
    decoder = classifier.model_copy(update={"model": ModelSpec(head="classification")})
    fluent, not_fluent = (
        measure(decoder, shapes, attack={"attack": "gbda", "fluency_weight": weight})
        for weight in (1, 0)
    )
    assert fluent.seconds_parts["maps"] > not_fluent.seconds_parts["maps"]
    assert fluent.memory_parts["attack"] == 2 * not_fluent.memory_parts["attack"]
