"""What trains at which rate: adapters and a head at one, ranges at another.

Start with `build_optimizer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from engine.layers.adapters import LoraPair
from engine.layers.rounded_weight import RoundedWeight
from engine.specs import QatTraining
from engine.specs.bit_policy import SwitchableBits
from engine.training.bit_policy import find_part

ADAPTERS, RANGES = "adapters", "ranges"
NO_HEAD: Mapping[str, nn.Parameter] = MappingProxyType({})
_SCHEDULERS = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def named_trainables(
    layers: Mapping[str, RoundedWeight], head: Mapping[str, nn.Parameter] = NO_HEAD
) -> dict[str, nn.Parameter]:
    """Return what an optimizer trains by "layer/part.name", in the model's order.

    What several widths have of their own is named by them ("layer/adapter.8.a"). What is trained as
    it is comes last, as "head/name".

    An elastic adapter appears as the stretches that train together ("layer/adapter.a[8:12]"); they
    share memory with the whole.
    """
    named: dict[str, nn.Parameter] = {}
    for layer_name, layer in layers.items():
        for key, adapter in layer.list_adapters().items():
            parts = adapter.named_parts().items()
            named |= {f"{layer_name}/{key}.{name}": part for name, part in parts}
        for key, ranges in layer.list_ranges().items():
            values = ranges.named_parameters()
            named |= {f"{layer_name}/{key}.{name}": value for name, value in values}
    return named | {f"head/{name}": value for name, value in head.items()}


def list_adapters(layers: Mapping[str, RoundedWeight]) -> tuple[LoraPair, ...]:
    """Return every pair of every width, each once."""
    return tuple(pair for layer in layers.values() for pair in layer.list_adapters().values())


def list_wholes(
    layers: Mapping[str, RoundedWeight], head: Mapping[str, nn.Parameter] = NO_HEAD
) -> tuple[nn.Parameter, ...]:
    """Return the parameters gradients are computed for: whole adapters first, ranges, the head."""
    ranges = (each for layer in layers.values() for each in layer.list_ranges().values())
    wholes = tuple(
        parameter
        for module in (*list_adapters(layers), *ranges)
        for parameter in module.parameters()
        if parameter.requires_grad
    )
    return (*wholes, *head.values())


def trains_through_rounding(layers: Mapping[str, RoundedWeight]) -> bool:
    """Return whether rounded weights change in training: through absorbed adapters or ranges."""
    ranges = (each for layer in layers.values() for each in layer.list_ranges().values())
    return any(pair.is_absorbed for pair in list_adapters(layers)) or any(
        parameter.requires_grad for each in ranges for parameter in each.parameters()
    )


def build_optimizer(
    layers: Mapping[str, RoundedWeight],
    spec: QatTraining,
    head: Mapping[str, nn.Parameter] = NO_HEAD,
) -> AdamW:
    """Build AdamW with a group of adapters and, where their rate is not zero, one of ranges.

    A head trains with the adapters. Ranges are never decayed: decay would pull the grid together
    whatever the data says.
    """
    named = named_trainables(layers)
    ranges = [value for name, value in named.items() if "/ranges." in name]
    adapters = [value for name, value in named.items() if "/adapter." in name]
    for parameter in head.values():
        parameter.requires_grad = True
    adapters += head.values()
    for parameter in ranges:
        parameter.requires_grad = spec.range_learning_rate > 0
    groups = [
        {"params": adapters, "lr": spec.learning_rate, "weight_decay": spec.weight_decay},
        {"params": ranges, "lr": spec.range_learning_rate, "weight_decay": 0.0},
    ]
    names = (ADAPTERS, RANGES)
    kept = [
        {**group, "name": name}
        for group, name in zip(groups, names, strict=True)
        if group["params"] and group["lr"]
    ]
    return AdamW(kept, betas=(0.9, 0.999), eps=1e-8, foreach=True)


def build_scheduler(optimizer: AdamW, spec: QatTraining, total_steps: int) -> LambdaLR:
    """Build the schedule; the warm-up is rounded to whole steps.

    Where widths are trained one after another, each has a whole schedule of its own.
    """
    policy = spec.bit_policy
    if isinstance(policy, SwitchableBits) and policy.order == "one-after-another":
        return LambdaLR(optimizer, _restarting(spec, len(policy.widths), total_steps))
    return _plain_schedule(optimizer, spec, total_steps)


def _plain_schedule(optimizer: Optimizer, spec: QatTraining, total_steps: int) -> LambdaLR:
    scheduler: LambdaLR = get_scheduler(
        _SCHEDULERS[spec.lr_scheduler_type],
        optimizer,
        num_warmup_steps=round(total_steps * spec.warmup_ratio),
        num_training_steps=total_steps,
    )
    return scheduler


def _restarting(spec: QatTraining, num_parts: int, total_steps: int) -> Callable[[int], float]:
    """Return the factor of the rates after so many steps, from the beginning in every part."""
    parts = [find_part(step, num_parts, total_steps) for step in range(1, total_steps + 1)]
    starts = [parts.index(part) for part in range(num_parts)]
    nobody = SGD([torch.zeros(1)], lr=1.0)
    factors = [
        _plain_schedule(nobody, spec, parts.count(part)).lr_lambdas[0] for part in range(num_parts)
    ]

    def factor(steps: int) -> float:
        part = find_part(steps + 1, num_parts, total_steps)
        return float(factors[part](steps - starts[part]))

    return factor


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the current rate of each group by its name."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}
