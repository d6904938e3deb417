"""The six runs of `bitdial demo`: one small real model, compressed in steps. Start with `DEMO`.

Perplexity climbs as bits fall, and training wins most of it back; that is what the demo shows.
"""

from __future__ import annotations

from typing import Any

_TRAINING: dict[str, Any] = {"max_steps": 40}

DEMO: tuple[dict[str, Any], ...] = (
    {"preset": "baseline"},
    {"preset": "rtn", "quantizer": {"bits": 4}},
    {"preset": "rtn", "quantizer": {"bits": 3}},
    {"preset": "rtn", "quantizer": {"bits": 2}},
    {"preset": "qat-lora", "quantizer": {"bits": 3}, "training": _TRAINING},
    {"preset": "qat-lora", "quantizer": {"bits": 2}, "training": _TRAINING},
)
