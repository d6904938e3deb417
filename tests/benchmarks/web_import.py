"""How long importing the web process takes, without Gradio's own import, and that it has no torch.

Seconds are the median over fresh interpreters: all of `app.server` minus `gradio` alone, both
measured in turn. On a busy machine read the seconds computed instead. Start with `measure`.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median

HEAVY = ("torch", "transformers", "datasets", "accelerate")
NUM_REPEATS = 5
PROGRAM = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
import {module}
print(time.perf_counter() - wall, time.process_time() - cpu)
print(sum(name in sys.modules for name in {heavy!r}))
"""


@dataclass(frozen=True)
class Import:
    """One import in a fresh interpreter: seconds that passed, seconds computed, heavy modules."""

    wall_seconds: float
    cpu_seconds: float
    num_heavy: int


def measure() -> dict[str, object]:
    """Return the benchmark's JSON object."""
    gradio, server = [], []
    for _ in range(NUM_REPEATS):
        gradio.append(_import_once("gradio"))
        server.append(_import_once("app.server"))
    wall = [median(each.wall_seconds for each in imports) for imports in (gradio, server)]
    cpu = [median(each.cpu_seconds for each in imports) for imports in (gradio, server)]
    num_heavy = max(each.num_heavy for each in server)
    alone = wall[1] - wall[0]
    return {
        "benchmark": "web_import",
        "figures": {
            "seconds_without_gradio": round(alone, 3),
            "seconds_web_process": round(wall[1], 3),
            "cpu_seconds_without_gradio": round(cpu[1] - cpu[0], 3),
            "cpu_seconds_web_process": round(cpu[1], 3),
            "heavy_modules": num_heavy,
        },
        "targets": {"seconds_without_gradio": "<2", "heavy_modules": "<=0"},
        "met": {"seconds_without_gradio": alone < 2, "heavy_modules": num_heavy == 0},
        "environment": {
            "python": platform.python_version(),
            "gradio": version("gradio"),
            "machine": platform.machine(),
            "repeats": NUM_REPEATS,
        },
    }


def main() -> None:
    """Print the measurement, as JSON or as lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    is_json = parser.parse_args().json
    found = measure()
    text = json.dumps(found) if is_json else json.dumps(found, indent=2)
    sys.stdout.write(f"{text}\n")


def _import_once(module: str) -> Import:
    program = PROGRAM.format(module=module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    wall, cpu, num_heavy = done.stdout.split()
    return Import(float(wall), float(cpu), int(num_heavy))


if __name__ == "__main__":
    main()
