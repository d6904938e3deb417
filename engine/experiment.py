"""An experiment from spec to scores: load, teach, initialize, train, evaluate.

`run_experiment` is the whole; each stage is a function below it. It knows no store: what happens is
announced as events, and a listener that raises `Cancelled` stops it within a step. Start there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from engine.data.corpora import load_documents
from engine.data.windows import build_windows, spread
from engine.device import (
    choose_device,
    describe_environment,
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
    Progressed,
    ResourcesMeasured,
    ScoreMeasured,
    StageStarted,
)
from engine.initialize.catalogue import initialize
from engine.layers.head import SplitModel
from engine.layers.held_weight import multiplied_dtype
from engine.layers.layer_map import bypassed, held
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.loading import LoadedModel, load_model
from engine.result import measure_size, save_result
from engine.specs import DataSpec, ExperimentSpec, QatTraining
from engine.teacher.cache import make_key
from engine.teacher.fingerprint import fingerprint
from engine.teacher.hidden_states import teacher_hidden
from engine.teacher.targets import Targets, teacher_targets
from engine.training.loop import Place, TrainingData, count_steps, train, used_windows

RESULT_FILE = "result.safetensors"


@dataclass(frozen=True)
class Workspace:
    """Where a run reads and writes.

    Attributes:
        folder: The run's own; made if missing.
        data_folder: Shared: converted models and cached teacher targets.
        mirror: Folder of data sets to look in before the hub, or None.
        resume_from: Checkpoint of an earlier attempt to go on from, or None.
    """

    folder: Path
    data_folder: Path
    mirror: Path | None = None
    resume_from: Path | None = None


@dataclass
class _Session:
    """What the stages of one run share."""

    spec: ExperimentSpec
    workspace: Workspace
    listener: Listener
    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[None]:
        """Announce a stage and time it."""
        self.listener(StageStarted(name, total))
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def progress(self, stage: str) -> _StageProgress:
        return _StageProgress(stage, self.listener)

    @property
    def teacher_folder(self) -> Path:
        return self.workspace.data_folder / "teacher"


@dataclass(frozen=True)
class _StageProgress:
    """Announces progress of one stage."""

    stage: str
    listener: Listener

    def __call__(self, done: int, total: int) -> None:
        self.listener(Progressed(self.stage, done, total))


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
    session = _Session(spec, workspace, listener, choose_device(device))
    torch.manual_seed(spec.seed)
    reset_peak_memory(session.device)
    try:
        _run(session)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(f"the device has too little memory for this run: {error}") from error
    finally:
        peak = peak_memory_bytes(session.device)
    listener(ResourcesMeasured(peak, session.seconds))


def _run(session: _Session) -> None:
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
        model_key = fingerprint(loaded.model)
    teaching = _teach(session, split, loaded, model_key)
    with session.stage("initialize"):
        layers = _initialize(session, loaded)
        split = SplitModel(loaded.model)
        session.listener(measure_size(loaded.model, layers, spec.quantizer))
    if isinstance(spec.training, QatTraining) and teaching.training is not None:
        identity = make_key({"spec": spec.model_dump(mode="json"), "model": model_key})
        place = Place(session.workspace.folder, identity, session.workspace.resume_from)
        with session.stage("train", teaching.training.total_steps):
            train(
                split,
                layers,
                spec.training,
                data=teaching.training,
                place=place,
                listener=session.listener,
            )
        save_result(session.workspace.folder / RESULT_FILE, layers)
        session.listener(FileWritten("adapter", RESULT_FILE))
    _evaluate(session, split, layers, teaching)


def _windows(session: _Session, data: DataSpec, loaded: LoadedModel, name: str) -> Tensor:
    """Load the windows of the spec's part called `name`."""
    documents = load_documents(
        data,
        field=f"{name}.data",
        data_folder=session.workspace.data_folder,
        mirror=session.workspace.mirror,
    )
    max_length = getattr(session.spec, name).max_length
    return build_windows(documents, loaded.tokenizer, max_length=max_length, field=f"{name}.data")


def _teach(session: _Session, split: SplitModel, loaded: LoadedModel, model_key: str) -> _Teaching:
    """Read the data and ask the 16-bit model what it would say."""
    spec = session.spec
    eval_windows = spread(
        _windows(session, spec.evaluation.data, loaded, "evaluation"), spec.evaluation.limit
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
    session: _Session,
    training: QatTraining,
    split: SplitModel,
    *,
    loaded: LoadedModel,
    model_key: str,
) -> TrainingData:
    windows = _windows(session, training.data, loaded, "training")
    total_steps = count_steps(training, len(windows))
    seed = session.spec.seed
    windows = used_windows(training, windows, total_steps=total_steps, seed=seed)
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


def _initialize(session: _Session, loaded: LoadedModel) -> Layers:
    spec = session.spec
    plan = LayerPlan(spec.quantizer, spec.adapter, spec.seed)
    layers = install(loaded.model, plan)
    if layers:
        initialize(loaded, layers, spec, workspace_windows=_CalibrationText(session, loaded))
        session.listener(Logged("info", f"{len(layers)} layers at {spec.bits} bits"))
    return layers


@dataclass(frozen=True)
class _CalibrationText:
    """Loads calibration windows when an initialization asks for them."""

    session: _Session
    loaded: LoadedModel

    def __call__(self) -> Tensor:
        initialization = self.session.spec.initialization
        data = getattr(initialization, "data", None)
        windows = _windows(self.session, data or DataSpec(), self.loaded, "initialization")
        return spread(windows, getattr(initialization, "num_samples", None))


def _evaluate(session: _Session, split: SplitModel, layers: Layers, teaching: _Teaching) -> None:
    spec = session.spec.evaluation
    dtype = multiplied_dtype(session.device, split.head_weight.dtype)
    with session.stage("evaluate", len(teaching.eval_windows)), held(layers, dtype):
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
