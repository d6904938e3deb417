"""Training as a stage of a run, whatever is learned. Start with `train_layers`."""

from __future__ import annotations

from engine.events import RanksChosen
from engine.initialize.catalogue import Installed
from engine.layers.layer_map import apply_map
from engine.layers.rank_groups import RankGroups
from engine.session import Session
from engine.specs import ElasticLoraAdapter, QatTraining, Subject
from engine.teacher.cache import make_key
from engine.training.batches import batch_size
from engine.training.learner import Learner, Part
from engine.training.loop import Place, train
from engine.training.rank_policy import RankPolicy

_MICROBATCHING = ("per_device_train_batch_size", "gradient_accumulation_steps")


def train_layers(
    session: Session,
    training: QatTraining,
    learner: Learner[Part],
    *,
    installed: Installed,
    groups: RankGroups | None,
    key: str,
) -> None:
    """Train, and leave elastic adapters at the ranks the run reports.

    Args:
        session: The run.
        training: How to train.
        learner: What is learned.
        installed: The model with its layers.
        groups: The groups of an elastic adapter.
        key: Fingerprint of the model, which checkpoints belong to.
    """
    spec, workspace = session.spec, session.workspace
    policy = None
    if groups is not None and isinstance(spec.adapter, ElasticLoraAdapter):
        policy = RankPolicy(groups, spec.adapter, spec.seed)
    with session.stage("train", learner.total_steps):
        train(
            learner,
            installed.layers,
            training,
            place=Place(workspace.folder, _identity(spec, key), workspace.resume_from),
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
    that ran out of memory cuts finer). Of what is measured a summary's length counts: it cuts those
    that are learned, too.
    """
    values = spec.model_dump(
        mode="json", exclude={"name": True, "evaluation": True, "adapter": {"sub_adapter"}}
    )
    if isinstance(spec.training, QatTraining):
        for key in ("save_steps", "logging_steps", *_MICROBATCHING):
            values["training"].pop(key)
        values["batch_size"] = batch_size(spec.training)
    if spec.model.head == "seq2seq":
        values["longest_summary"] = spec.evaluation.max_new_tokens
    return make_key({"spec": values, "model": model_key})
