"""What a model's head means for what is written: its task in PEFT's words, its own modules.

PEFT keeps a classification or span head beside the pairs; the base model has the same one, so that
it answers alone, too. Start with `TASK_TYPES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import Tensor
from transformers import PreTrainedModel

from engine.data.supervised_tasks import GLUE
from engine.specs import Head, Subject

TASK_TYPES: Mapping[Head, str] = MappingProxyType(
    {
        "causal-lm": "CAUSAL_LM",
        "classification": "SEQ_CLS",
        "span-qa": "QUESTION_ANS",
        "seq2seq": "SEQ_2_SEQ_LM",
    }
)


def list_classes(spec: Subject) -> tuple[str, ...] | None:
    """Return the classes of a spec's head; empty for a number, None where it does not classify."""
    if spec.model.head != "classification":
        return None
    task = spec.training_task
    return GLUE[spec.measured_tasks[0] if task is None else task.task].labels


def list_head_modules(model: PreTrainedModel, head: Head) -> tuple[str, ...]:
    """Return the modules outside the body that were trained whole, by name."""
    if head in ("causal-lm", "seq2seq"):
        return ()
    return tuple(
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    )


def head_tensors(model: PreTrainedModel, modules: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the parameters of these modules by their full names."""
    return {
        f"{name}.{key}": value.detach()
        for name in modules
        for key, value in model.get_submodule(name).state_dict().items()
    }
