"""The six runs of `bitdial demo`: one small real model, compressed in steps. Start with `DEMO`.

Perplexity climbs as bits fall, and training wins most of it back; that is what the demo shows. The
two trainings see the same few windows in the same order, so the teacher is asked once for both.
"""

from __future__ import annotations

from typing import Any

_TRAINED: dict[str, Any] = {
    "preset": "qat-lora",
    # Few steps: start well, at full rate, and let the rate fall from there.
    "initialization": {"method": "data-aware"},
    "training": {
        "max_steps": 14,
        "learning_rate": 1e-3,
        "range_learning_rate": 3e-4,
        "warmup_ratio": 0.0,
        "save_steps": 5,
    },
}

DEMO: tuple[dict[str, Any], ...] = (
    {"preset": "baseline"},
    {"preset": "rtn", "quantizer": {"bits": 4}},
    {"preset": "rtn", "quantizer": {"bits": 3}},
    {"preset": "rtn", "quantizer": {"bits": 2}},
    {**_TRAINED, "quantizer": {"bits": 3}},
    {**_TRAINED, "quantizer": {"bits": 2}},
)
