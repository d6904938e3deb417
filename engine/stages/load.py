"""What a run needs before it computes: benchmarks, examples and the model.

What is cheap and often wrong comes first, so that a misspelt benchmark or a missing file is told
before a model is read. Start with `load`; `load_with_head` is the same for models that classify,
mark spans or summarize.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.data.tasks import Example, load_examples, split_held_out
from engine.device import describe_environment
from engine.evaluation.benchmarks import Benchmarks, load_benchmarks
from engine.events import EnvironmentSeen, Logged
from engine.layers.head import SplitModel
from engine.models.loading import NO_HEAD, FreshHead, LoadedModel, load_model
from engine.session import Session
from engine.specs import QatTraining, TaskData
from engine.supervised.family import Family
from engine.teacher.fingerprint import fingerprint

Examples = tuple[Example, ...]


@dataclass(frozen=True)
class Loaded:
    """What a run works on.

    Attributes:
        model: The model with its tokenizer, as it was read.
        split: The same as body and head.
        key: Fingerprint of its weights.
        benchmarks: What it will be asked besides text.
        examples: A task's examples to train on, without those held out; empty for text.
        held_out: Examples no run trains on.
    """

    model: LoadedModel
    split: SplitModel
    key: str
    benchmarks: Benchmarks
    examples: Examples
    held_out: Examples


@dataclass(frozen=True)
class LoadedHead:
    """What a run with another head works on.

    Attributes:
        model: The model with its tokenizer, as it was read.
        key: Fingerprint of its weights, a fresh head's included.
        family: What it learns and is measured on.
    """

    model: LoadedModel
    key: str
    family: Family


def load(session: Session) -> Loaded:
    """Load everything a run needs.

    Raises:
        DataError: When a benchmark or a task's examples cannot be found.
        ModelError: When the model cannot be.
    """
    spec, workspace = session.spec, session.workspace
    with session.stage("load"):
        benchmarks = load_benchmarks(
            spec.evaluation, mirror=workspace.mirror, data_folder=workspace.data_folder
        )
        examples, held_out = _load_examples(session)
        model = _load_model(session)
        split = SplitModel(model.model)
        return Loaded(model, split, fingerprint(model.model), benchmarks, examples, held_out)


def load_with_head(session: Session) -> LoadedHead:
    """Load everything a run with a head other than causal-lm needs.

    Raises:
        DataError: When a task's examples cannot be found.
        ModelError: When the model cannot be, or the head does not fit it.
    """
    # its metrics and readers are heavy, and most runs have no such head
    from engine.supervised.catalogue import load_family  # noqa: PLC0415

    with session.stage("load"):
        family = load_family(
            session.spec,
            data_folder=session.workspace.data_folder,
            mirror=session.workspace.mirror,
        )
        for note in family.notes:
            session.listener(Logged("info", note))
        head = FreshHead(family.num_labels, session.spec.seed, family.classes)
        model = _load_model(session, head)
        return LoadedHead(model, fingerprint(model.model), family)


def _load_model(session: Session, head: FreshHead = NO_HEAD) -> LoadedModel:
    """Load the model, and announce what it is and what it runs on."""
    spec = session.spec
    model = load_model(
        spec.model,
        data_folder=session.workspace.data_folder,
        device=session.device,
        listener=session.listener,
        head=head,
    )
    values = describe_environment(session.device, model.dtype, spec.seed)
    session.listener(EnvironmentSeen(values))
    num_parameters = sum(value.numel() for value in model.model.parameters())
    session.listener(
        Logged("info", f"{spec.model.source}: {num_parameters:,} weights, {values['dtype']}")
    )
    return model


def _load_examples(session: Session) -> tuple[Examples, Examples]:
    training = session.spec.training
    if not isinstance(training, QatTraining) or not isinstance(training.data, TaskData):
        return (), ()
    examples = load_examples(
        training.data,
        split="train",
        field="training.data",
        data_folder=session.workspace.data_folder,
        mirror=session.workspace.mirror,
    )
    return split_held_out(examples, training.data.held_out)
