"""How long importing the web process takes, without Gradio's own import, and that it has no torch.

Seconds are the median over fresh interpreters: all of `app.server` minus `gradio` alone, both
measured in turn. Start with `measure`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version

HEAVY = ("torch", "transformers", "datasets", "accelerate")
NUM_REPEATS = 5
PROGRAM = """
import sys, time
begin = time.perf_counter()
import {module}
seconds = time.perf_counter() - begin
print(seconds, sum(name in sys.modules for name in {heavy!r}))
"""


def measure() -> dict[str, object]:
    """Return the benchmark's JSON object."""
    gradio, server = [], []
    num_heavy = 0
    for _ in range(NUM_REPEATS):
        gradio.append(_import_once("gradio")[0])
        seconds, num_heavy = _import_once("app.server")
        server.append(seconds)
    alone = statistics.median(server) - statistics.median(gradio)
    figures = {
        "seconds_without_gradio": round(alone, 3),
        "seconds_gradio": round(statistics.median(gradio), 3),
        "seconds_web_process": round(statistics.median(server), 3),
        "heavy_modules": num_heavy,
    }
    return {
        "benchmark": "web_import",
        "figures": figures,
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


def _import_once(module: str) -> tuple[float, int]:
    program = PROGRAM.format(module=module, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, num_heavy = done.stdout.split()
    return float(seconds), int(num_heavy)


if __name__ == "__main__":
    main()
