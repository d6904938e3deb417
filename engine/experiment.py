"""An experiment from spec to scores: load, teach, initialize, train, evaluate.

`run_experiment` is the whole; each stage is a function below it. It knows no store: what happens is
announced as events, and a listener that raises `Cancelled` stops it within a step. Start there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.data.windows import spread
from engine.device import (
    choose_device,
    describe_environment,
    is_out_of_memory,
    peak_memory_bytes,
    reset_peak_memory,
)
from engine.errors import OutOfMemory
from engine.evaluation.language_modeling import LanguageScores, evaluate_language_model
from engine.evaluation.statistics import Mean
from engine.events import (
    EnvironmentSeen,
    FileWritten,
    Listener,
    Logged,
    ResourcesMeasured,
    ScoreMeasured,
)
from engine.initialize.catalogue import Installed, initialize
from engine.layers.head import SplitModel
from engine.layers.layer_map import bypassed, held
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.loading import LoadedModel, load_model
from engine.result import measure_size, save_result
from engine.session import Session, Workspace, load_windows
from engine.specs import DataAware, ExperimentSpec, QatTraining
from engine.teacher.cache import make_key
from engine.teacher.fingerprint import fingerprint
from engine.teacher.hidden_states import teacher_hidden
from engine.teacher.targets import Targets, teacher_targets
from engine.training.loop import (
    Place,
    TrainingData,
    batch_size,
    count_steps,
    train,
    used_windows,
)

__all__ = ["Workspace", "run_experiment"]

RESULT_FILE = "result.safetensors"
_MICROBATCHING = ("per_device_train_batch_size", "gradient_accumulation_steps")


@dataclass(frozen=True)
class _Teaching:
    """What the 16-bit model said before anything was rounded."""

    eval_windows: Tensor
    eval_hidden: Tensor | None
    training: TrainingData | None


def run_experiment(
    spec: ExperimentSpec, *, workspace: Workspace, listener: Listener, device: str = "auto"
) -> None:
    """Carry out an experiment.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of everything; may raise `Cancelled`.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    session = Session(spec, workspace, listener, choose_device(device))
    torch.manual_seed(spec.seed)
    reset_peak_memory(session.device)
    try:
        _run(session)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"{session.device} has too little memory for this run") from error
    listener(ResourcesMeasured(peak_memory_bytes(session.device), session.seconds))


def _run(session: Session) -> None:
    spec = session.spec
    with session.stage("load"):
        loaded = load_model(
            spec.model,
            data_folder=session.workspace.data_folder,
            device=session.device,
            listener=session.listener,
        )
        split = SplitModel(loaded.model)
        values = describe_environment(session.device, loaded.dtype, spec.seed)
        session.listener(EnvironmentSeen(values))
        num_parameters = sum(value.numel() for value in loaded.model.parameters())
        session.listener(
            Logged("info", f"{spec.model.source}: {num_parameters:,} weights, {values['dtype']}")
        )
        model_key = fingerprint(loaded.model)
    teaching = _teach(session, split, loaded, model_key)
    with session.stage("initialize"):
        installed = _initialize(session, loaded)
    if isinstance(spec.training, QatTraining) and teaching.training is not None:
        place = Place(
            session.workspace.folder, _identity(spec, model_key), session.workspace.resume_from
        )
        with session.stage("train", teaching.training.total_steps):
            train(
                installed.split,
                installed.layers,
                spec.training,
                data=teaching.training,
                place=place,
                listener=session.listener,
            )
    if installed.layers:
        save_result(session.workspace.folder / RESULT_FILE, installed.layers)
        session.listener(FileWritten("result", RESULT_FILE))
    _evaluate(session, installed, teaching)


def _identity(spec: ExperimentSpec, model_key: str) -> str:
    """Return what a training's checkpoints belong to.

    Left out is what does not change the trajectory: names, what is measured, how often something
    is saved, and how a batch is cut into microbatches (an attempt that ran out of memory cuts
    finer).
    """
    values = spec.model_dump(mode="json", exclude={"name", "evaluation"})
    if isinstance(spec.training, QatTraining):
        for key in ("save_steps", "logging_steps", *_MICROBATCHING):
            values["training"].pop(key)
        values["batch_size"] = batch_size(spec.training)
    return make_key({"spec": values, "model": model_key})


def _teach(session: Session, split: SplitModel, loaded: LoadedModel, model_key: str) -> _Teaching:
    """Read the data and ask the 16-bit model what it would say."""
    spec = session.spec
    eval_windows = spread(
        load_windows(session, spec.evaluation, loaded, "evaluation"), spec.evaluation.limit
    )
    training = None
    with session.stage("teach"):
        if isinstance(spec.training, QatTraining):
            training = _training_data(
                session, spec.training, split, loaded=loaded, model_key=model_key
            )
        hidden = None
        if spec.evaluation.divergence:
            hidden = teacher_hidden(
                split,
                eval_windows,
                batch_size=spec.evaluation.per_device_eval_batch_size,
                model_key=model_key,
                folder=session.teacher_folder,
                progress=session.progress("teach"),
            )
    return _Teaching(eval_windows, hidden, training)


def _training_data(
    session: Session,
    training: QatTraining,
    split: SplitModel,
    *,
    loaded: LoadedModel,
    model_key: str,
) -> TrainingData:
    windows = load_windows(session, training, loaded, "training")
    total_steps = count_steps(training, len(windows))
    seed = session.spec.seed
    num_windows = len(windows)
    windows = used_windows(training, windows, total_steps=total_steps, seed=seed)
    session.listener(
        Logged("info", f"{total_steps} steps over {len(windows)} of {num_windows} windows")
    )
    targets: Targets | None = None
    if training.objective != "task":
        targets = teacher_targets(
            split,
            windows,
            temperature=training.temperature,
            model_key=model_key,
            folder=session.teacher_folder,
            progress=session.progress("teach"),
        )
    return TrainingData(windows, targets, total_steps, seed)


def _initialize(session: Session, loaded: LoadedModel) -> Installed:
    """Install the layers the spec asks for and bring them to their start."""
    spec = session.spec
    layers = install(loaded.model, LayerPlan(spec.quantizer, spec.adapter, spec.seed))
    installed = Installed(loaded.model, SplitModel(loaded.model), layers)
    initialize(
        installed,
        spec.initialization,
        load_windows=_CalibrationText(session, loaded),
        progress=session.progress("initialize"),
    )
    session.listener(Logged("info", f"{len(layers)} layers at {spec.bits} bits"))
    session.listener(measure_size(loaded.model, layers, spec.quantizer))
    return installed


@dataclass(frozen=True)
class _CalibrationText:
    """Loads calibration windows when an initialization asks for them."""

    session: Session
    loaded: LoadedModel

    def __call__(self, spec: DataAware) -> Tensor:
        windows = load_windows(self.session, spec, self.loaded, "initialization")
        return spread(windows, spec.num_samples)


def _evaluate(session: Session, installed: Installed, teaching: _Teaching) -> None:
    spec, split, layers = session.spec.evaluation, installed.split, installed.layers
    with (
        session.stage("evaluate", len(teaching.eval_windows)),
        held(layers, split.head_weight.dtype),
    ):
        scores = evaluate_language_model(
            split,
            teaching.eval_windows,
            batch_size=spec.per_device_eval_batch_size,
            teacher=teaching.eval_hidden,
            teacher_logits=_TeacherHead(split, layers),
            progress=session.progress("evaluate"),
        )
    for event in _score_events(session.spec, scores):
        session.listener(event)
        session.listener(Logged("info", f"{event.metric} {event.value:.6g}"))


@dataclass(frozen=True)
class _TeacherHead:
    """The head as the 16-bit model has it."""

    split: SplitModel
    layers: Layers

    def __call__(self, hidden: Tensor) -> Tensor:
        with bypassed(self.layers):
            return self.split.logits(hidden)


def _score_events(spec: ExperimentSpec, scores: LanguageScores) -> Iterator[ScoreMeasured]:
    benchmark = f"text/{spec.evaluation.data.source}"
    limited = spec.evaluation.limit is not None
    found: list[tuple[str, Mean | None, str]] = [
        ("perplexity", scores.perplexity, "lower"),
        ("kl_divergence", scores.divergence, "lower"),
        ("top1_agreement", scores.agreement, "higher"),
    ]
    for metric, mean, direction in found:
        if mean is not None:
            yield ScoreMeasured(
                benchmark=benchmark,
                metric=metric,
                value=mean.value,
                standard_error=mean.standard_error,
                num_samples=mean.num_samples,
                direction="lower" if direction == "lower" else "higher",
                limited=limited,
            )
