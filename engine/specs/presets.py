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
