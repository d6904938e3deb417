"""How adapters and ranges are trained, in the words of Transformers. Start with `QatTraining`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from engine.specs.base import Spec, option
from engine.specs.bit_policy import BitPolicySpec, FixedBits
from engine.specs.data import TextData, TrainingDataSpec

Objective = Literal["distillation", "task", "both"]
Scheduler = Literal["constant", "linear", "cosine"]


class NoTraining(Spec):
    """No training: measure the model as initialized."""

    method: Literal["none"] = option("none", "Training", "Measure the model as initialized.")


class QatTraining(Spec):
    """Quantization-aware training of adapters and quantizer ranges."""

    method: Literal["qat"] = option(
        "qat", "Training", "Train adapters and quantizer ranges through the rounding."
    )
    objective: Objective = option(
        "distillation",
        "Objective",
        "distillation follows the 16-bit model's predictions, task the text itself, both a mix.",
    )
    temperature: float = option(
        1.0,
        "Temperature",
        "Softens both distributions before they are compared.",
        shown_when={"objective": ["distillation", "both"]},
        advanced=True,
        gt=0,
        le=100,
    )
    task_weight: float = option(
        0.5,
        "Task weight",
        "Share of the task loss in the mix; the rest is distillation.",
        shown_when={"objective": ["both"]},
        ge=0,
        le=1,
    )
    bit_policy: BitPolicySpec = option(
        FixedBits(), "Bit policy", "Which widths each step of the training uses."
    )
    data: TrainingDataSpec = option(
        TextData(split="train"), "Training data", "Text or examples to train on."
    )
    max_length: int = option(
        256,
        "Window length",
        "Tokens per training window; a task's longer examples are cut.",
        unit="tokens",
        ge=8,
        le=131072,
    )
    num_train_epochs: float = option(
        1.0,
        "Epochs",
        "Passes over the training text; not used where a number of steps is given.",
        unit="epochs",
        gt=0,
        le=1000,
    )
    max_steps: int | None = option(
        None,
        "Steps",
        "Optimizer steps; empty to go by epochs.",
        unit="steps",
        ge=1,
        le=10_000_000,
    )
    per_device_train_batch_size: int = option(
        4, "Microbatch", "Windows computed at once.", unit="windows", ge=1, le=4096
    )
    gradient_accumulation_steps: int = option(
        1,
        "Accumulation",
        "Microbatches per optimizer step; batch = microbatch × accumulation.",
        unit="microbatches",
        ge=1,
        le=4096,
    )
    learning_rate: float = option(
        5e-4, "Learning rate", "Peak learning rate of the adapters.", gt=0, le=1
    )
    range_learning_rate: float = option(
        5e-5, "Learning rate of ranges", "Peak learning rate of the quantizer ranges.", ge=0, le=1
    )
    lr_scheduler_type: Scheduler = option(
        "cosine", "Schedule", "How learning rates fall after the warm-up.", advanced=True
    )
    warmup_ratio: float = option(
        0.05,
        "Warm-up",
        "Share of the steps in which learning rates rise from zero.",
        advanced=True,
        ge=0,
        lt=1,
    )
    weight_decay: float = option(
        0.0,
        "Weight decay",
        "Decay of the adapters; ranges are never decayed.",
        advanced=True,
        ge=0,
        le=1,
    )
    max_grad_norm: float | None = option(
        1.0, "Gradient clipping", "Largest gradient norm; empty for none.", advanced=True, gt=0
    )
    logging_steps: int = option(
        1, "Log every", "Steps between points of the curves.", unit="steps", advanced=True, ge=1
    )
    save_steps: int = option(
        50,
        "Checkpoint every",
        "Steps between checkpoints; an interrupted run goes on from the last.",
        unit="steps",
        advanced=True,
        ge=1,
    )

    @field_validator("data", mode="before")
    @classmethod
    def _name_kind(cls, value: Any) -> Any:
        """Data without a kind is text, as it was before tasks could be trained on."""
        if isinstance(value, Mapping) and "kind" not in value:
            return {**value, "kind": "text"}
        return value


TrainingSpec = Annotated[NoTraining | QatTraining, Field(discriminator="method")]
