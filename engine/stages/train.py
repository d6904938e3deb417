"""Training as a stage of a run, whatever is learned. Start with `train_layers`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.events import FileWritten, Logged, MetricPoint, RanksChosen
from engine.initialize.catalogue import Installed
from engine.layers.bit_maps import own_map
from engine.layers.layer_map import apply_map
from engine.layers.rank_groups import RankGroups
from engine.layers.swap import Layers
from engine.session import Session
from engine.specs import ElasticLoraAdapter, FloatQuantizer, QatTraining, Subject
from engine.specs.bit_policy import CyclicBits
from engine.specs.states import FixedInputs, LayerInputs
from engine.teacher.cache import make_key
from engine.training.batches import batch_size
from engine.training.bit_policy import BitPolicy, build_bit_policy
from engine.training.checkpoints import read_identity
from engine.training.curves import LOWEST_BITS
from engine.training.learner import Learner, Part
from engine.training.loop import Place, train
from engine.training.range_report import REPORT_FILE, RangeReport, find_report, write_report
from engine.training.range_test import STAGE, count_trial_steps, find_lowest
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
    """Train, and leave the layers at the width and elastic adapters at the ranks the run reports.

    Args:
        session: The run.
        training: How to train.
        learner: What is learned.
        installed: The model with its layers.
        groups: The groups of an elastic adapter.
        key: Fingerprint of the model, which checkpoints belong to.

    Raises:
        SpecError: When there are too few steps for the cycles or widths that are asked for.
    """
    spec, workspace, layers = session.spec, session.workspace, installed.layers
    ranks = None
    if groups is not None and isinstance(spec.adapter, ElasticLoraAdapter):
        ranks = RankPolicy(groups, spec.adapter, spec.seed)
    bits, identity = None, _identity(spec, key)
    if not isinstance(spec.quantizer, FloatQuantizer):
        bits = build_bit_policy(
            training.bit_policy,
            layers,
            spec.quantizer,
            total_steps=learner.total_steps,
            seed=spec.seed,
            trains_unrounded=spec.trains_unrounded,
        )
    if bits is not None and isinstance(bits.spec, CyclicBits) and bits.spec.range_test:
        found = _test_range(
            session, training, learner, layers=layers, bits=bits, ranks=ranks, key=identity
        )
        bits = replace(bits, spec=bits.spec.model_copy(update={"lowest": found}))
        identity = make_key({"training": identity, "lowest": found})
    with session.stage("train", learner.total_steps):
        train(
            learner,
            layers,
            training,
            place=Place(workspace.folder, identity, _find_checkpoint(session, identity)),
            listener=session.listener,
            policy=ranks,
            bit_policy=bits,
        )
    if bits is not None:
        apply_map(layers, own_map(layers, spec.quantizer))
    if ranks is not None:
        reported = ranks.spec.reported_ranks(len(ranks.groups.members))
        apply_map(layers, ranks.groups.layer_map(layers, reported))
        session.listener(RanksChosen(ranks.groups.space.groups, reported))


def _test_range(
    session: Session,
    training: QatTraining,
    learner: Learner[Part],
    *,
    layers: Layers,
    bits: BitPolicy,
    ranks: RankPolicy | None,
    key: str,
) -> int:
    """Return the width that cycles begin at: an earlier attempt's, else by a range test."""
    path = session.workspace.folder / REPORT_FILE
    report = find_report(path, key=key)
    if report is None:
        with session.stage(STAGE, count_trial_steps(training.bit_policy)):
            report = find_lowest(
                learner,
                layers,
                training,
                bits=bits,
                ranks=ranks,
                listener=session.listener,
                key=key,
            )
        write_report(path, report)
    session.listener(FileWritten("report", REPORT_FILE))
    session.listener(MetricPoint(LOWEST_BITS, 1, report.lowest))
    session.listener(_describe(report, session.spec.bits))
    return report.lowest


def _describe(report: RangeReport, own: float) -> Logged:
    """Say where cycles begin, and whether the run's own scores are of a width they leave out."""
    listed = ", ".join(
        f"{width} bits {'diverged' if drop is None else f'{drop:+.2%}'}"
        for width, drop in sorted(report.drops.items())
    )
    why = "" if report.has_learned else ", as no width learned"
    told = f"cycles begin at {report.lowest} bits{why}; share of the loss that was lost: {listed}"
    if own >= report.lowest:
        return Logged("info", told)
    return Logged("warning", f"{told}; the run's own scores, at {own:g} bits, are untrained ones")


def _find_checkpoint(session: Session, identity: str) -> Path | None:
    """Return the checkpoint to go on from; none of another cut where the cut matters."""
    path = session.workspace.resume_from
    if path is None or not _follows_cut(session.spec) or read_identity(path) == identity:
        return path
    told = (
        f"{path.name} was trained on batches cut otherwise, which matters where inputs of all "
        "tokens share a scale (quantizer.inputs.granularity); training begins anew"
    )
    session.listener(Logged("warning", told))
    return None


def _follows_cut(spec: Subject) -> bool:
    """Whether the trajectory depends on the cut into microbatches: through a shared scale."""
    inputs = None if isinstance(spec.quantizer, FloatQuantizer) else spec.quantizer.inputs
    return isinstance(inputs, FixedInputs | LayerInputs) and inputs.granularity == "tensor"


def _identity(spec: Subject, model_key: str) -> str:
    """Return what a training's checkpoints belong to.

    Left out is what does not change the trajectory: names, what is measured, which ranks are
    reported, how often something is saved, and how a batch is cut into microbatches (an attempt
    that ran out of memory cuts finer), unless inputs share a scale over all tokens of a pass. Of
    what is measured a summary's length counts: it cuts those that are learned, too.
    """
    values = spec.model_dump(
        mode="json", exclude={"name": True, "evaluation": True, "adapter": {"sub_adapter"}}
    )
    if isinstance(spec.training, QatTraining):
        cut = () if _follows_cut(spec) else _MICROBATCHING
        for key in ("save_steps", "logging_steps", *cut):
            values["training"].pop(key)
        values["batch_size"] = batch_size(spec.training)
    if spec.model.head == "seq2seq":
        values["longest_summary"] = spec.evaluation.max_new_tokens
    return make_key({"spec": values, "model": model_key})
