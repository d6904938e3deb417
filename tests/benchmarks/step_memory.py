"""Peak memory of one side's optimizer step, measured in a process of its own.

Run as `python -m tests.benchmarks.step_memory SIDE DATA_FOLDER`; prints one JSON object of bytes.
What is counted is the resident size of the whole process at its highest while two steps run, after
steps that were not counted (they compile, fill caches and make the optimizer's moments); and the
same above what the imported libraries alone took, so that a heavy import neither helps nor hurts.
Needs Linux (/proc). Start with `measure`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks.report import CannotMeasure
from tests.benchmarks.setting import Setting, draw_windows

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
SIDES = {"own": "tests.benchmarks.own_step", "nncf": "tests.benchmarks.nncf_reference"}
_MEASURED_STEPS = 2


def measure(side: str, data_folder: Path) -> dict[str, float]:
    """Start a process for one side and return what it measured, in bytes.

    Raises:
        CannotMeasure: Where there is no /proc, or the process fails.
    """
    if not _CLEAR.exists():
        raise CannotMeasure("peak memory is read from /proc/self, which only Linux has")
    command = [sys.executable, "-m", "tests.benchmarks.step_memory", side, str(data_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"the memory of {side} was not measured: {done.stderr[-2000:]}")
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def _measure_here(side: str, data_folder: Path) -> dict[str, float]:
    room = import_module(SIDES[side])
    if side == "nncf":
        # what NNCF compiles with, so that it counts as imported
        import_module("nncf.torch")
        import_module("torch._inductor.compile_fx")
    imported = _read("VmRSS")
    setting = Setting(data_folder)
    build = room.OwnStep if side == "own" else room.NncfStep
    step = build(setting, draw_windows(setting))
    values = {"imports": imported}
    for count in (1, setting.microbatches):
        for _ in range(2):
            step.run(count)
        _settle()
        for _ in range(_MEASURED_STEPS):
            step.run(count)
        values[str(count)] = _read("VmHWM")
    return values


def _settle() -> None:
    """Give freed memory back to the system and start the peak anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text(_RESET_PEAK)


def _read(key: str) -> float:
    """Return a line of /proc/self/status in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) * 1024
    raise CannotMeasure(f"/proc/self/status has no {key}")


def _main() -> None:
    side, data_folder = sys.argv[1:]
    values = _measure_here(side, Path(data_folder))
    sys.stdout.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    _main()
