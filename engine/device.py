"""Which device a run uses, and what it ran on. Start with `choose_device`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from engine.errors import SpecError

RECORDED = ("bitdial", "torch", "transformers", "safetensors", "datasets", "numpy")


def choose_device(name: str) -> torch.device:
    """Return the device of that name; "auto" takes a GPU where there is one.

    Raises:
        SpecError: When this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise SpecError.at("device", f"{name} is not here; use auto, cpu or cuda") from error
    return device


def describe_device(device: torch.device) -> str:
    """Return the device in words: the GPU's name, or the CPU with its threads."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"CPU, {torch.get_num_threads()} threads"


def describe_environment(device: torch.device, dtype: torch.dtype, seed: int) -> dict[str, str]:
    """Return what a result depends on beside the spec: versions, device, dtype, seed."""
    values = {"python": platform.python_version(), "platform": platform.platform()}
    for package in RECORDED:
        try:
            values[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = find_commit()
    if commit is not None:
        values["commit"] = commit
    return values | {
        "device": describe_device(device),
        "dtype": str(dtype).removeprefix("torch."),
        "seed": str(seed),
    }


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new measurement of peak memory on a GPU; a process's own peak cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak so far: of the GPU's allocator, or resident memory of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if os.name == "posix":
        import resource  # noqa: PLC0415  not on Windows

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(psutil.Process().memory_info().rss)


def free_memory_bytes(device: torch.device) -> int:
    """Return what is free now: of the GPU's memory, or of this machine's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of a GPU, of torch's CPU allocator, of Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def find_commit() -> str | None:
    """Return the commit of the checkout this code runs from, or None where it is installed."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
