"""An experiment from spec to scores: load, teach, initialize, train, evaluate.

`run_experiment` is the whole; the stages are in `engine.stages`. It knows no store: what happens is
announced as events, and a listener that raises `Cancelled` stops it within a step. Start there.
"""

from __future__ import annotations

from engine.events import FileWritten, Listener, RanksChosen
from engine.initialize.catalogue import Installed
from engine.layers.layer_map import apply_map, held
from engine.result import save_result
from engine.session import Session, Workspace, open_session
from engine.specs import ElasticLoraAdapter, ExperimentSpec, QatTraining, Subject
from engine.stages.load import load
from engine.stages.measure import measure, measure_benchmarks
from engine.stages.start import start
from engine.stages.teach import teach
from engine.teacher.cache import make_key
from engine.training.batches import TrainingData, batch_size
from engine.training.loop import Place, train
from engine.training.rank_policy import RankPolicy

__all__ = ["RESULT_FILE", "Workspace", "run_experiment"]

RESULT_FILE = "result.safetensors"
_MICROBATCHING = ("per_device_train_batch_size", "gradient_accumulation_steps")


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
    with open_session(spec, workspace, listener, device=device) as session:
        _run(session, spec)


def _run(session: Session, spec: ExperimentSpec) -> None:
    loaded = load(session)
    training = spec.training if isinstance(spec.training, QatTraining) else None
    taught = teach(session, loaded, training)
    installed, groups = start(session, loaded)
    if training is not None and taught.training is not None:
        # whoever goes on from a checkpoint was measured before its first step
        if spec.evaluation.before_training and session.workspace.resume_from is None:
            with held(installed.layers, installed.split.head_weight.dtype):
                measure_benchmarks(session, loaded, installed, phase="before")
        policy = None
        if groups is not None and isinstance(spec.adapter, ElasticLoraAdapter):
            policy = RankPolicy(groups, spec.adapter, spec.seed)
        _train(session, training, installed, data=taught.training, policy=policy, key=loaded.key)
    if installed.layers:
        save_result(session.workspace.folder / RESULT_FILE, installed.layers)
        session.listener(FileWritten("result", RESULT_FILE))
    measure(session, loaded, installed, taught.text)


def _train(
    session: Session,
    training: QatTraining,
    installed: Installed,
    *,
    data: TrainingData,
    policy: RankPolicy | None,
    key: str,
) -> None:
    """Train, and leave elastic adapters at the ranks the run reports."""
    workspace = session.workspace
    with session.stage("train", data.total_steps):
        train(
            installed.language,
            installed.layers,
            training,
            data=data,
            place=Place(workspace.folder, _identity(session.spec, key), workspace.resume_from),
            listener=session.listener,
            policy=policy,
        )
    if policy is not None:
        ranks = policy.spec.reported_ranks(len(policy.groups.members))
        apply_map(installed.layers, policy.groups.layer_map(installed.layers, ranks))
        session.listener(RanksChosen(policy.groups.space.groups, ranks))


def _identity(spec: Subject, model_key: str) -> str:
    """Return what a training's checkpoints belong to.

    Left out is what does not change the trajectory: names, what is measured, which ranks are
    reported, how often something is saved, and how a batch is cut into microbatches (an attempt
    that ran out of memory cuts finer).
    """
    values = spec.model_dump(
        mode="json", exclude={"name": True, "evaluation": True, "adapter": {"sub_adapter"}}
    )
    if isinstance(spec.training, QatTraining):
        for key in ("save_steps", "logging_steps", *_MICROBATCHING):
            values["training"].pop(key)
        values["batch_size"] = batch_size(spec.training)
    return make_key({"spec": values, "model": model_key})
