"""Named points in the space of specs. Start with `PRESETS`.

A preset is the part of a request that differs from the defaults; files and flags go over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A named starting point.

    Attributes:
        name: How it is called in YAML (`preset: qat-lora`), on the command line and on the page.
        title: The label on the page.
        description: One sentence for the person choosing.
        values: Nested fields of the spec that it sets; never changed in place.
    """

    name: str
    title: str
    description: str
    values: dict[str, Any]


_BESIDE = {"kind": "lora", "r": 16, "lora_alpha": 16.0, "placement": "parallel"}
_NARROW = {"grid": "integer", "symmetry": "narrow", "granularity": "group", "group_size": 64}
_MANY = {**_NARROW, "bits": 4, "inputs": {"rounding": "fixed", "bits": 8}}
_MANY_WIDTHS = {"method": "qat", "objective": "both", "task_weight": 0.5, "warmup_ratio": 0.1}

PRESETS: tuple[Preset, ...] = (
    Preset(
        "baseline",
        "16-bit baseline",
        "The model as it is: what every compressed run is compared with.",
        {"quantizer": {"grid": "float"}},
    ),
    Preset(
        "rtn",
        "Round to nearest",
        "Round the weights and measure; no training, done in a minute.",
        {"quantizer": {"grid": "integer", "bits": 4}},
    ),
    Preset(
        "qat-lora",
        "QAT with absorbable LoRA",
        "Train low-rank adapters and ranges through the rounding against the 16-bit model; the "
        "adapters vanish into the integer weights.",
        {
            "quantizer": {"grid": "integer", "bits": 3},
            "adapter": {"kind": "lora"},
            "training": {"method": "qat"},
        },
    ),
    Preset(
        "loftq",
        "LoftQ",
        "Round to NormalFloat and put what rounding lost into adapters beside the weights; no "
        "training, no data, done in a minute.",
        {
            "quantizer": {"grid": "normal-float", "bits": 4},
            "adapter": _BESIDE,
            "initialization": {"method": "loftq", "iterations": 5},
        },
    ),
    Preset(
        "loftq-data-aware",
        "Calibrated LoftQ (CLoQ)",
        "Round to NormalFloat and fit the adapters so that each layer's output on calibration text "
        "changes least; no training, done in minutes.",
        {
            "quantizer": {"grid": "normal-float", "bits": 4},
            "adapter": _BESIDE,
            "initialization": {"method": "data-aware", "num_samples": 48},
        },
    ),
    Preset(
        "loftq-classify",
        "LoftQ for a classifier",
        "Round an encoder to 2 bits, let LoftQ start its adapters, and train them and a "
        "classification head on the sentiment of SST-2.",
        {
            "model": {"source": "bundled:minilm-l6-v2", "head": "classification"},
            "quantizer": {"grid": "normal-float", "bits": 2},
            "adapter": _BESIDE,
            "initialization": {"method": "loftq", "iterations": 5},
            "training": {
                "method": "qat",
                "objective": "task",
                "data": {"kind": "task", "task": "sst2"},
                "max_length": 128,
                "per_device_train_batch_size": 32,
                "learning_rate": 5e-4,
                "warmup_ratio": 0.1,
            },
            "evaluation": {"benchmarks": ["sst2"]},
        },
    ),
    Preset(
        "switchable",
        "Switchable bits (QaLoF)",
        "Train 8, 6 and 4 bits in every step over 8-bit inputs, each width with an adapter of its "
        "own, the lower ones following the higher; one run can be served at any of them.",
        {
            "quantizer": _MANY,
            "adapter": {**_BESIDE, "kind": "lora-bank", "fallback": "nearest"},
            "training": {
                **_MANY_WIDTHS,
                "bit_policy": {"policy": "switchable", "widths": [8, 6, 4]},
            },
        },
    ),
    Preset(
        "cyclic",
        "Cyclic precision (CPT)",
        "Let the width rise from 4 to 8 bits in eight cycles over 8-bit inputs, under one shared "
        "adapter; one run serves the whole range.",
        {
            "quantizer": _MANY,
            "adapter": _BESIDE,
            "training": {**_MANY_WIDTHS, "bit_policy": {"policy": "cyclic", "num_cycles": 8}},
        },
    ),
    Preset(
        "random-precision",
        "Random precision",
        "Draw 4 to 8 bits anew for every transformer block and step over 8-bit inputs, under one "
        "shared adapter, so that layers of any width go together.",
        {
            "quantizer": _MANY,
            "adapter": _BESIDE,
            "training": {
                **_MANY_WIDTHS,
                "bit_policy": {"policy": "random", "widths": [8, 7, 6, 5, 4], "scope": "block"},
            },
        },
    ),
    Preset(
        "curriculum",
        "Curriculum of widths",
        "Begin at 8 bits and go down by steps to 3 under one shared adapter, so that the last "
        "width starts from a model that has learned already.",
        {
            "quantizer": {**_NARROW, "bits": 3},
            "adapter": _BESIDE,
            "training": {
                **_MANY_WIDTHS,
                "bit_policy": {"policy": "curriculum", "widths": [8, 6, 4, 3]},
            },
        },
    ),
    Preset(
        "qat-nls",
        "QAT with neural low-rank adapter search",
        "Train elastic adapters on a downstream task through the rounding; each layer's best rank "
        "is searched afterwards.",
        {
            "quantizer": {"grid": "integer", "bits": 4},
            "adapter": {"kind": "elastic-lora"},
            "training": {
                "method": "qat",
                "objective": "task",
                "data": {
                    "kind": "task",
                    "task": "openbookqa",
                    "loss_on": "answer",
                    "held_out": 200,
                },
                "per_device_train_batch_size": 16,
                "warmup_ratio": 0.1,
            },
            "evaluation": {
                "data": {"source": "Salesforce/wikitext", "config": "wikitext-2-raw-v1"},
                "benchmarks": ["openbookqa"],
            },
        },
    ),
)


def find_preset(name: str) -> Preset | None:
    """Return the preset of that name, or None."""
    return next((preset for preset in PRESETS if preset.name == name), None)
