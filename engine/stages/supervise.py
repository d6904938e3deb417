"""A run of a model that classifies, marks spans or summarizes: what follows once it is loaded.

There is no teacher and no text: the head learns its task's labels and is measured on its task.
Start with `supervise`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from transformers import PreTrainedTokenizerBase

from engine.events import FileWritten, Logged, Phase
from engine.initialize.catalogue import Installed
from engine.layers.layer_map import held
from engine.models.heads import list_trained, save_head
from engine.result import save_result
from engine.session import Session
from engine.specs import QatTraining
from engine.stages.load import LoadedHead, load_with_head
from engine.stages.measure import announce_score
from engine.stages.start import start
from engine.stages.train import train_layers
from engine.training.labeled import LabeledLearner

HEAD_FILE = "head.safetensors"


def supervise(session: Session, *, result: str) -> None:
    """Carry out the whole run; `result` is the file of the trained layers in the run's folder."""
    loaded = load_with_head(session)
    _tell_limits(session, loaded.model.tokenizer)
    installed, groups = start(session, loaded)
    model = loaded.model
    head = list_trained(model.model, session.spec.model.head, model.fresh)
    training = session.spec.training
    if isinstance(training, QatTraining):
        # whoever goes on from a checkpoint was measured before its first step
        if session.spec.evaluation.before_training and session.workspace.resume_from is None:
            measure_task(session, loaded, installed, phase="before")
        learner = _build_learner(session, loaded, training, head)
        train_layers(session, training, learner, installed=installed, groups=groups, key=loaded.key)
    folder = session.workspace.folder
    if installed.layers:
        save_result(folder / result, installed.layers)
        session.listener(FileWritten("result", result))
    if head:
        save_head(folder / HEAD_FILE, head)
        session.listener(FileWritten("head", HEAD_FILE))
    measure_task(session, loaded, installed, phase="final")


def _tell_limits(session: Session, tokenizer: PreTrainedTokenizerBase) -> None:
    """Say where the model reads fewer tokens than the spec lets a row have."""
    spec, limit = session.spec, int(tokenizer.model_max_length)
    asked = {"evaluation.max_length": spec.evaluation.max_length}
    if isinstance(spec.training, QatTraining):
        asked["training.max_length"] = spec.training.max_length
    if spec.model.head == "seq2seq":
        asked["evaluation.max_new_tokens"] = spec.evaluation.max_new_tokens
    for field, length in asked.items():
        if length > limit:
            told = f"{field} is taken as {limit:,} instead of {length:,}: the model reads no more."
            session.listener(Logged("info", told))


def _build_learner(
    session: Session,
    loaded: LoadedHead,
    training: QatTraining,
    head: Mapping[str, nn.Parameter],
) -> LabeledLearner:
    """Read the task's rows."""
    rows = loaded.family.training_rows(loaded.model.tokenizer, max_length=training.max_length)
    learner = LabeledLearner(loaded.model.model, training, rows, seed=session.spec.seed, head=head)
    session.listener(
        Logged("info", f"{learner.total_steps} steps over {len(rows.lengths)} examples")
    )
    return learner


def measure_task(
    session: Session, loaded: LoadedHead, installed: Installed, *, phase: Phase
) -> None:
    """Ask what the task asks, at the current bits and ranks, and announce the scores."""
    family = loaded.family
    with (
        session.stage("benchmarks", family.num_questions),
        held(installed.layers, installed.split.head_weight.dtype),
    ):
        scores = family.evaluate(
            loaded.model.model,
            loaded.model.tokenizer,
            spec=session.spec.evaluation,
            phase=phase,
            progress=session.progress("benchmarks"),
        )
    for score in scores:
        announce_score(session, score)
