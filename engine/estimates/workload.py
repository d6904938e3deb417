"""How much text a run goes through, stage by stage. Start with `count_workload`.

Exact where the spec gives a number of steps and a limit; where it goes by epochs or over all of a
text, its length is taken from the bundled corpus or a file's size, and guessed for a hub
data set; of a task's examples it is what was counted, or as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from engine.estimates.benchmarks import count_benchmarks
from engine.estimates.row_counts import RowCounts
from engine.estimates.scoring import asks_tasks, count_calibration
from engine.estimates.task_lengths import TASK_LONGEST, TASK_TOKENS
from engine.estimates.text_lengths import count_windows
from engine.estimates.widths import (
    Passes,
    count_passes,
    count_ranges,
    count_trial_steps,
    find_training,
    trains_through_rounding,
)
from engine.specs import (
    Ablation,
    DataAware,
    ExperimentSpec,
    QatTraining,
    SensitivitySpec,
    Subject,
    TaskData,
)
from engine.specs.quantizer import find_measured_mixing

ASKED_SHARE = 1 / 3
"""What a token costs that runs forward alone, of one that runs forward and backward."""


@dataclass(frozen=True)
class Workload:
    """Tokens per stage.

    Attributes:
        train_steps: Optimizer steps; 0 without training.
        train_tokens: Tokens that run forward and backward, once for each configuration of a step.
        asked_tokens: Tokens that run forward alone, at widths that lower ones follow.
        trial_tokens: Tokens of a range test, at most, forward and backward.
        roundings: How often all weights are rounded in the training, its trials left out.
        teach_tokens: Tokens the 16-bit model is asked about before anything is rounded.
        sensitivity_tokens: Tokens that the widths of layers are measured on, counted once; a
            search or an evaluation takes those of its training run.
        calibration_tokens: Tokens an initialization looks at.
        evaluate_tokens: Tokens of the evaluation's text.
        benchmark_tokens: Tokens of the benchmarks, before training and after.
        is_guess: True where the length of a text had to be guessed.
    """

    train_steps: int
    train_tokens: int
    asked_tokens: int
    trial_tokens: int
    roundings: int
    teach_tokens: int
    sensitivity_tokens: int
    calibration_tokens: int
    evaluate_tokens: int
    benchmark_tokens: int
    is_guess: bool

    @property
    def train_work(self) -> float:
        """Tokens of the training, those that run forward alone with their share."""
        return self.train_tokens + ASKED_SHARE * self.asked_tokens


def count_workload(spec: Subject, *, rows: RowCounts | None = None) -> Workload:
    """Count the tokens of every stage of a run.

    Args:
        spec: What was asked; complete.
        rows: How many examples tasks have; as published where not given.
    """
    rows = rows or RowCounts()
    evaluation = spec.evaluation.model_copy(update={"benchmarks": spec.measured_tasks})
    if isinstance(spec, SensitivitySpec):
        return _count_scoring(spec, rows)
    eval_windows, guessed = 0, False  # other heads predict no text
    if spec.model.head == "causal-lm":
        eval_windows, guessed = count_windows(
            evaluation.data, evaluation.max_length, evaluation.limit
        )
    evaluate_tokens = eval_windows * evaluation.max_length
    teach_tokens = evaluate_tokens if evaluation.divergence else 0
    benchmark_tokens, is_unknown = count_benchmarks(evaluation, rows=rows)
    guessed = guessed or is_unknown
    training = find_training(spec)
    passes, per_step = Passes(0, 0, 0), 0
    steps = trials = calibration_tokens = 0
    if training is not None:
        steps, num_windows, is_guess = _count_steps(training, rows)
        guessed = guessed or is_guess
        benchmark_tokens *= 1 + evaluation.before_training
        passes, trials = count_passes(spec, training), count_trial_steps(spec, training)
        per_step = _windows_per_step(training) * _row_tokens(training)
        if training.objective != "task":
            taught = min(num_windows, steps * _windows_per_step(training))
            teach_tokens += taught * _row_tokens(training)
    if isinstance(spec.initialization, DataAware):
        calibration_tokens = spec.initialization.num_samples * spec.initialization.max_length
    return Workload(
        train_steps=steps,
        train_tokens=steps * per_step * passes.trained,
        asked_tokens=round(steps * per_step * passes.asked),
        trial_tokens=trials * per_step,
        roundings=_count_roundings(spec, steps, passes),
        teach_tokens=teach_tokens,
        sensitivity_tokens=_count_sensitivity(spec),
        calibration_tokens=calibration_tokens,
        evaluate_tokens=evaluate_tokens,
        benchmark_tokens=benchmark_tokens,
        is_guess=guessed,
    )


def _count_scoring(spec: SensitivitySpec, rows: RowCounts) -> Workload:
    """Count what a sensitivity run reads once; how often it does is told by `scoring`."""
    benchmark_tokens, is_unknown = 0, False
    if asks_tasks(spec):
        evaluation = spec.evaluation.model_copy(update={"benchmarks": spec.measured_tasks})
        benchmark_tokens, is_unknown = count_benchmarks(evaluation, rows=rows)
    return Workload(
        train_steps=0,
        train_tokens=0,
        asked_tokens=0,
        trial_tokens=0,
        roundings=0,
        teach_tokens=count_calibration(spec) if isinstance(spec.method, Ablation) else 0,
        sensitivity_tokens=count_calibration(spec),
        calibration_tokens=0,
        evaluate_tokens=0,
        benchmark_tokens=benchmark_tokens,
        is_guess=is_unknown,
    )


def _count_roundings(spec: Subject, steps: int, passes: Passes) -> int:
    """Return how often a training rounds all weights: at every pass, or once at every width."""
    if not steps or trains_through_rounding(spec):
        return round(steps * (passes.trained + passes.asked))
    return count_ranges(spec)


def _count_sensitivity(spec: Subject) -> int:
    """Return the tokens that widths are measured on."""
    mixing = find_measured_mixing(spec.quantizer) if isinstance(spec, ExperimentSpec) else None
    return mixing.num_samples * mixing.max_length if mixing else 0


def longest_row(training: QatTraining) -> int:
    """Return the most tokens a row of training data has: what memory must hold."""
    if isinstance(training.data, TaskData):
        return min(training.max_length, TASK_LONGEST[training.data.task])
    return training.max_length


def _row_tokens(training: QatTraining) -> int:
    """Return the tokens of a row: a window's, or an example's mean."""
    if isinstance(training.data, TaskData):
        return min(training.max_length, TASK_TOKENS[training.data.task])
    return training.max_length


def _count_rows(training: QatTraining, rows: RowCounts) -> tuple[int, bool]:
    """Return the windows or examples of the training data, and whether that is a guess."""
    if isinstance(training.data, TaskData):
        return rows.count_trained(training.data)
    return count_windows(training.data, training.max_length, None)


def _windows_per_step(training: QatTraining) -> int:
    return training.per_device_train_batch_size * training.gradient_accumulation_steps


def _count_steps(training: QatTraining, rows: RowCounts) -> tuple[int, int, bool]:
    """Return the optimizer steps, the windows of the text, and whether the steps are a guess."""
    num_windows, guessed = _count_rows(training, rows)
    if training.max_steps is not None:
        return training.max_steps, num_windows, False
    steps = ceil(num_windows * training.num_train_epochs / _windows_per_step(training))
    return max(1, steps), num_windows, guessed
