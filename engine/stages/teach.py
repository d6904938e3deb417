"""What the 16-bit model says before anything is rounded, and what is trained on.

Start with `teach`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.data.example_windows import EncodedExamples, encode_examples
from engine.data.windows import spread
from engine.events import Logged
from engine.session import Session, load_windows
from engine.specs import QatTraining, TaskData
from engine.stages.load import Loaded
from engine.teacher.hidden_states import teacher_hidden
from engine.teacher.targets import Targets, teacher_targets
from engine.training.batches import TrainingData, count_steps, used_windows


@dataclass(frozen=True)
class EvaluationText:
    """Held-out text and what the 16-bit model makes of it.

    Attributes:
        windows: (N, T) int64 on the CPU.
        hidden: (N, T, D) hidden states of the 16-bit model; None where divergence is not asked for.
    """

    windows: Tensor
    hidden: Tensor | None


@dataclass(frozen=True)
class Taught:
    """What was read and asked: text to measure on, and what to train on, if anything."""

    text: EvaluationText
    training: TrainingData | None


def teach(session: Session, loaded: Loaded, training: QatTraining | None) -> Taught:
    """Read all text and ask the 16-bit model what it would say."""
    spec = session.spec.evaluation
    windows = load_windows(
        session, spec.data, loaded.model, field="evaluation.data", max_length=spec.max_length
    )
    windows = spread(windows, spec.limit)
    data = hidden = None
    with session.stage("teach"):
        if training is not None:
            data = _build_training_data(session, training, loaded)
        if spec.divergence:
            hidden = teacher_hidden(
                loaded.split,
                windows,
                batch_size=spec.per_device_eval_batch_size,
                model_key=loaded.key,
                folder=session.teacher_folder,
                progress=session.progress("teach"),
            )
    return Taught(EvaluationText(windows, hidden), data)


def _build_training_data(session: Session, training: QatTraining, loaded: Loaded) -> TrainingData:
    """Read what is trained on, and ask the 16-bit model about it where it is the teacher."""
    seed = session.spec.seed
    examples = _encode(training, loaded)
    if examples is None:
        windows, total_steps, seen = _read_windows(session, training, loaded)
    else:
        windows = examples.tokens
        total_steps = count_steps(training, len(windows))
        seen = f"{len(windows)} examples; {len(loaded.held_out)} more are held out"
    session.listener(Logged("info", f"{total_steps} steps over {seen}"))
    targets: Targets | None = None
    if training.objective != "task":
        targets = teacher_targets(
            loaded.split,
            windows,
            temperature=training.temperature,
            model_key=loaded.key,
            folder=session.teacher_folder,
            progress=session.progress("teach"),
        )
    return TrainingData(windows, targets, total_steps, seed, examples)


def _encode(training: QatTraining, loaded: Loaded) -> EncodedExamples | None:
    """Return a task's examples as rows of tokens; None where running text is trained on."""
    if not isinstance(training.data, TaskData):
        return None
    return encode_examples(
        loaded.examples,
        loaded.model.tokenizer,
        max_length=training.max_length,
        loss_on=training.data.loss_on,
        field="training.data",
    )


def _read_windows(
    session: Session, training: QatTraining, loaded: Loaded
) -> tuple[Tensor, int, str]:
    """Return the windows that will be seen, the number of steps, and words for the log."""
    if isinstance(training.data, TaskData):
        raise TypeError("a task has examples, not windows")
    windows = load_windows(
        session,
        training.data,
        loaded.model,
        field="training.data",
        max_length=training.max_length,
    )
    total_steps, num_windows = count_steps(training, len(windows)), len(windows)
    used = used_windows(training, windows, total_steps=total_steps, seed=session.spec.seed)
    return used, total_steps, f"{len(used)} of {num_windows} windows"
