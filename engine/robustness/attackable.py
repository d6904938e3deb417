"""Whether a run's model can be attacked at all; no torch. Start with `check_attack`."""

from __future__ import annotations

from engine.errors import SpecError
from engine.specs.data import CLASSES_BY_TASK
from engine.specs.subject import Subject

FIELD = "attack.attack"
SAMPLE_BYTES = 2**28
"""Of the probabilities a step samples: texts are attacked in groups as large as this allows."""


def check_attack(spec: Subject) -> None:
    """Refuse an attack on what has no classes; to be called where one is asked for.

    Args:
        spec: The run whose model would be attacked.

    Raises:
        SpecError: When the model has no classification head, or its task asks for a number.
    """
    if spec.model.head != "classification":
        raise SpecError.at(
            FIELD,
            f"gbda attacks classifiers, and this model has a {spec.model.head} head; choose none, "
            "or a run with model.head classification",
        )
    numbers = [name for name in spec.measured_tasks if not CLASSES_BY_TASK.get(name, (name,))]
    if numbers:
        raise SpecError.at(
            FIELD,
            f"gbda looks for a wrong class, and {numbers[0]} asks for a number; choose none, or a "
            "run on a task with classes",
        )
