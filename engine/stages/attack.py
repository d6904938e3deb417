"""A classifier under attack, as the model stands: what is left of its accuracy, and which texts.

How texts are attacked is in `engine.robustness`. Start with `prepare_attack`, once for a model, and
`attack`, at each of its layer maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.data.supervised_rows import Labelled
from engine.data.supervised_tasks import Measured
from engine.evaluation.statistics import Mean
from engine.events import FileWritten, Logged, ScoreMeasured
from engine.layers.layer_map import held
from engine.robustness.attack import AttackScores, attack_classifier
from engine.robustness.classifier import Classifier
from engine.robustness.reference import Reference, build_reference
from engine.robustness.report import write_texts
from engine.session import Session
from engine.specs.attack import ATTACKED, GradientAttack
from engine.stages.measure import announce_score
from engine.stages.restore import RestoredHead
from engine.supervised.classification import Classification
from engine.supervised.family import Progress

STAGE = "attack"
PASSES_OF_A_STEP = 2
"""Of a sample, forward and back, in passes of a question."""


@dataclass(frozen=True)
class Attack:
    """What is needed to attack a model again and again on the same texts.

    Attributes:
        found: The model and its layers.
        victim: The model as it answers.
        texts: What is attacked.
        spec: How.
        reference: Who judges what is similar and fluent.
    """

    found: RestoredHead
    victim: Classifier
    texts: Measured[Labelled]
    spec: GradientAttack
    reference: Reference

    @property
    def num_units(self) -> int:
        """What attacking all texts costs, in questions answered: a count of passes.

        Of each step's samples, read by the model and where something judges them by its 16-bit
        self, and of the tries; that some texts need none is not known beforehand.
        """
        spec = self.spec
        is_fluent = bool(spec.fluency_weight) and self.reference.language is not None
        readers = 1 + (bool(spec.similarity_weight) or is_fluent)
        steps = spec.num_steps * spec.num_gradient_samples * PASSES_OF_A_STEP * readers
        return len(self.texts.examples) * (steps + spec.num_tries)


def prepare_attack(session: Session, found: RestoredHead, spec: GradientAttack) -> Attack:
    """Choose the texts and make the model its own reference.

    Raises:
        SpecError: When the model or its tokenizer cannot be attacked.
    """
    loaded, family = found.loaded.model, found.loaded.family
    if not isinstance(family, Classification):
        raise TypeError("only a classifier can be attacked")
    victim = Classifier(loaded.model, loaded.tokenizer, session.spec.evaluation)
    reference = build_reference(
        loaded, found.installed.layers, spec=spec, revision=session.spec.model.revision
    )
    if reference.note:
        session.listener(Logged("info", reference.note))
    texts = family.attacked_texts(spec.num_samples, model=loaded.model)
    return Attack(found, victim, texts, spec, reference)


def attack(session: Session, prepared: Attack, *, file_name: str, label: str) -> None:
    """Attack the model as it stands, announce the scores and write the texts.

    Progress is told in the units of `Attack.num_units`, step by step.

    Args:
        session: The run.
        prepared: What is attacked.
        file_name: Of the texts, in the run's folder.
        label: What the model stands at.

    Raises:
        StorageError: When the texts cannot be written.
    """
    installed, examples = prepared.found.installed, prepared.texts.examples
    with (
        session.stage(STAGE, prepared.num_units),
        held(installed.layers, installed.split.head_weight.dtype),
    ):
        scores = attack_classifier(
            prepared.victim,
            examples,
            spec=prepared.spec,
            reference=prepared.reference,
            seed=session.spec.seed,
            progress=_scale(session.progress(STAGE), prepared.num_units),
        )
        session.progress(STAGE)(prepared.num_units, prepared.num_units)
    for score in _iter_scores(prepared.texts, scores):
        announce_score(session, score)
    write_texts(session.workspace.folder / file_name, scores.texts, label=label)
    session.listener(FileWritten("report", file_name))


def _scale(progress: Progress, num_units: int) -> Progress:
    """Return what tells of the same share of this many units."""

    def tell(done: int, total: int) -> None:
        if total:
            progress(done * num_units // total, num_units)

    return tell


def _iter_scores(measured: Measured[Labelled], scores: AttackScores) -> Iterator[ScoreMeasured]:
    found: tuple[tuple[str, Mean | None], ...] = (
        ("accuracy", scores.clean_accuracy),
        ("adversarial_accuracy", scores.adversarial_accuracy),
        ("token_change_rate", scores.token_change_rate),
    )
    for metric, mean in found:
        if mean is not None:
            yield ScoreMeasured(
                benchmark=ATTACKED.format(benchmark=measured.name),
                metric=metric,
                value=mean.value,
                standard_error=mean.standard_error,
                num_samples=mean.num_samples,
                direction="higher",
                limited=measured.is_limited,
            )
