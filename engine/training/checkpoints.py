"""Saving and resuming a training exactly: one safetensors file per checkpoint, nothing pickled.

A file holds adapters, ranges, both moments of the optimizer, the random state, and in its header
the step reached and what it belongs to. The data position follows from the step. Start with
`Checkpoint`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from engine.errors import CheckpointError
from engine.teacher.cache import Tensors, write_tensors

FORMAT = "bitdial-checkpoint-1"
EMPTY: Mapping[str, Tensor] = MappingProxyType({})
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


class Loaded(NamedTuple):
    """What a checkpoint was saved with: the step, and the caller's own tensors by name."""

    step: int
    extra: Tensors


def read_identity(path: Path) -> str | None:
    """Return what training a checkpoint belongs to; None where it does not say.

    Raises:
        CheckpointError: When the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _read_header(file).get("identity")
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error


@dataclass(frozen=True)
class Checkpoint:
    """Where everything of a training that changes is found.

    Attributes:
        named: Trained parameters by name.
        optimizer: Their optimizer.
        scheduler: Its schedule.
        identity: What the training belongs to: a hash of spec and model. A file of another identity
            is refused.
    """

    named: Mapping[str, nn.Parameter]
    optimizer: Optimizer
    scheduler: LambdaLR
    identity: str

    def save(self, path: Path, *, step: int, extra: Mapping[str, Tensor] = EMPTY) -> None:
        """Write everything to a file that appears complete or not at all.

        `extra` are tensors of the caller that belong to the same moment.

        Raises:
            StorageError: When it cannot be written.
        """
        tensors: Tensors = {
            f"parameter/{name}": value.detach() for name, value in self.named.items()
        }
        tensors["random/cpu"] = torch.get_rng_state()
        tensors |= {f"extra/{name}": value for name, value in extra.items()}
        for name, value in self.named.items():
            state = self.optimizer.state.get(value, {})
            for moment in MOMENTS:
                if moment in state:
                    tensors[f"{moment}/{name}"] = torch.as_tensor(state[moment])
        header = {"format": FORMAT, "step": str(step), "identity": self.identity}
        write_tensors(path, tensors, {"bitdial": json.dumps(header)})

    def load(self, path: Path) -> Loaded:
        """Put everything back, in place.

        Raises:
            CheckpointError: When the file is missing, damaged, or belongs to another training;
                nothing is changed then.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = _read_header(file)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path.name} is missing or damaged: {error}") from error
        self._check(path, header, tensors)
        self._restore(tensors)
        step = int(header["step"])
        self.scheduler.load_state_dict(self._scheduler_state(step))
        extra = {
            name.removeprefix("extra/"): value
            for name, value in tensors.items()
            if name.startswith("extra/")
        }
        return Loaded(step, extra)

    def _check(self, path: Path, header: Mapping[str, str], tensors: Tensors) -> None:
        if header.get("format") != FORMAT or header.get("identity") != self.identity:
            raise CheckpointError(f"{path.name} belongs to another training or an older version")
        for name, value in self.named.items():
            saved = tensors.get(f"parameter/{name}")
            if saved is None or saved.shape != value.shape:
                raise CheckpointError(f"{path.name} lacks {name} in shape {tuple(value.shape)}")

    def _restore(self, tensors: Tensors) -> None:
        torch.set_rng_state(tensors["random/cpu"])
        for name, value in self.named.items():
            value.data.copy_(tensors[f"parameter/{name}"])
            state: dict[str, Tensor] = {
                moment: tensors[f"{moment}/{name}"].to(
                    value.device if moment != "step" else "cpu", copy=True
                )
                for moment in MOMENTS
                if f"{moment}/{name}" in tensors
            }
            if state:
                self.optimizer.state[value] = state

    def _scheduler_state(self, step: int) -> dict[str, object]:
        """Advance the schedule to `step`: its rates are a function of the step alone."""
        rates = [
            base * factor(step)
            for base, factor in zip(self.scheduler.base_lrs, self.scheduler.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        state: dict[str, object] = self.scheduler.state_dict()
        return state | {"last_epoch": step, "_step_count": step + 1, "_last_lr": rates}


def _read_header(file: Any) -> dict[str, str]:
    header: dict[str, str] = json.loads((file.metadata() or {}).get("bitdial", "{}"))
    return header
