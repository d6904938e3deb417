"""What a benchmark prints: figures, the targets they are held to, and where it ran.

Start with `Report`.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_TARGET = re.compile(r"(>=|<=)\s*(\d+(?:\.\d+)?)")


class CannotMeasure(Exception):
    """The benchmark cannot measure here; the message says in one sentence what it needs."""


@dataclass(frozen=True)
class Report:
    """The outcome of one benchmark.

    Attributes:
        benchmark: Its name, as in `python -m tests.benchmarks.NAME`.
        figures: Name to number; ratios are what counts, seconds and bytes are for the reader.
        targets: Name of a figure to its bound, such as ">=1.5".
        environment: What it ran on.
    """

    benchmark: str
    figures: Mapping[str, float]
    targets: Mapping[str, str]
    environment: Mapping[str, Any]

    @property
    def met(self) -> dict[str, bool]:
        """Return which targets are reached."""
        return {name: is_met(self.figures[name], bound) for name, bound in self.targets.items()}

    def to_json(self) -> str:
        """Return the one JSON object of this report, on one line."""
        fields = {
            "benchmark": self.benchmark,
            "figures": {name: float(f"{value:.5g}") for name, value in self.figures.items()},
            "targets": dict(self.targets),
            "met": self.met,
            "environment": dict(self.environment),
        }
        return json.dumps(fields)

    def to_text(self) -> str:
        """Return the same for a person to read."""
        lines = [self.benchmark]
        for name, value in self.figures.items():
            bound = self.targets.get(name)
            verdict = "" if bound is None else f"  (target {bound}: {_verdict(self.met[name])})"
            lines.append(f"  {name:36} {value:14,.3f}{verdict}")
        return "\n".join(lines)


def is_met(value: float, bound: str) -> bool:
    """Say whether a figure keeps a bound such as ">=1.5".

    Raises:
        ValueError: When the bound is written in another way.
    """
    match = _TARGET.fullmatch(bound)
    if match is None:
        raise ValueError(f"{bound!r} is no bound; write >= or <= and a number")
    limit = float(match[2])
    return value >= limit if match[1] == ">=" else value <= limit


def describe_environment(packages: Sequence[str], **extra: Any) -> dict[str, Any]:
    """Return processor, Python and the versions of the packages that matter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
        **extra,
    }


def _verdict(is_kept: bool) -> str:
    return "met" if is_kept else "missed"


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
