"""Promises of devices: what is not here is refused, and what ran is described."""

from __future__ import annotations

import pytest
import torch

from engine.device import (
    choose_device,
    describe_device,
    describe_environment,
    peak_memory_bytes,
    reset_peak_memory,
)
from engine.errors import SpecError

CPU = torch.device("cpu")


def test_auto_takes_what_is_here() -> None:
    """Auto is the GPU where there is one, else the CPU; a name is taken as it is."""
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "gpu", "", "cpu and more"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    """The refusal names the field and what would be accepted."""
    with pytest.raises(SpecError, match=r"device: .*is not here; use auto, cpu or cuda"):
        choose_device(name)


def test_the_environment_says_what_a_result_depends_on() -> None:
    """Versions, device, dtype and seed are all there, as text."""
    values = describe_environment(CPU, torch.bfloat16, 17)
    assert values["torch"].startswith(torch.__version__.split("+")[0])
    assert values["dtype"] == "bfloat16"
    assert values["seed"] == "17"
    assert values["device"] == describe_device(CPU)
    assert "thread" in values["device"]
    assert {"python", "platform", "transformers"} <= set(values)
    assert all(isinstance(value, str) for value in values.values())


def test_peak_memory_knows_of_a_large_tensor() -> None:
    """The peak is in bytes: it covers what is allocated now and never falls."""
    reset_peak_memory(CPU)
    before = peak_memory_bytes(CPU)
    block = torch.ones(64 << 20, dtype=torch.uint8)
    after = peak_memory_bytes(CPU)
    assert after >= max(before, block.numel())
    assert after < 1 << 40
