"""How much the width of each layer matters to a model, by one method. Start with `run_sensitivity`.

Nothing is trained. The model is put together once and stands at the start map; what can be asked of
it is told by `engine.sensitivity.checks`.
"""

from __future__ import annotations

from collections.abc import Collection

from engine.events import Listener
from engine.session import Workspace
from engine.specs import SensitivitySpec
from engine.stages.restore import ParentFiles

__all__ = ["ParentFiles", "run_sensitivity"]


def run_sensitivity(
    spec: SensitivitySpec,
    *,
    workspace: Workspace,
    listener: Listener,
    parent: ParentFiles | None = None,
    device: str = "auto",
    done: Collection[tuple[str, int]] = frozenset(),
) -> None:
    """Score units at widths, and write down what the layers look like.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of every score as `SensitivityScored`; may raise `Cancelled`.
        parent: Files of the training run; None where the model is scored as it is.
        device: "auto", "cpu", "cuda" or "cuda:1".
        done: Units with widths that were measured before; an ablation does not measure them again.

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    raise NotImplementedError
