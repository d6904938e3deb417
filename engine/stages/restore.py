"""A finished training run's model again: loaded, its layers in place, what was trained in them.

Nothing is trained here. The model stands at the widths and ranks that the training run's own scores
belong to. Start with `restore`; `restore_with_head` is the same for models that classify, mark
spans or summarize, `put_back` for a model that is loaded already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from engine.errors import CheckpointError
from engine.initialize.catalogue import Installed
from engine.layers.rank_groups import RankGroups
from engine.models.heads import list_trained, load_head
from engine.result import check_codes, load_result, restore_start
from engine.session import Session
from engine.specs import Subject
from engine.specs.initialization import replaces_weights
from engine.stages.load import Loaded, LoadedHead, load, load_with_head
from engine.stages.start import start
from engine.stages.teach import EvaluationText, teach
from engine.stages.widths import take_widths


@dataclass(frozen=True)
class ParentFiles:
    """What a training run left behind.

    Attributes:
        result: Its adapters and ranges.
        history: What its training sampled of ranks; None where it is gone or there was none.
        head: The head it trained whole; None where there is none.
    """

    result: Path
    history: Path | None
    head: Path | None = None


@dataclass(frozen=True)
class Restored:
    """A trained causal language model.

    Attributes:
        groups: Those of an elastic adapter; None without one.
        text: What it is measured on, and what the 16-bit model makes of it.
    """

    loaded: Loaded
    installed: Installed
    groups: RankGroups | None
    text: EvaluationText


@dataclass(frozen=True)
class RestoredHead:
    """A trained model with another head."""

    loaded: LoadedHead
    installed: Installed


def restore(session: Session, parent: ParentFiles, *, lines: tuple[str, ...] = ()) -> Restored:
    """Load the model, install its layers and put the trained adapters and ranges back.

    Args:
        session: The run that builds on a training run, whose spec it holds.
        parent: Files of that.
        lines: Of layer maps that will be applied; a cache they round is made ready.

    Raises:
        CheckpointError: When the result is gone, damaged or of another model.
        BitdialError: As `load`, `teach` and `start` do.
    """
    _check_there(parent.result)
    loaded = load(session)
    taught = teach(session, loaded, None)
    installed, groups = put_back(session, loaded, parent, lines=lines)
    return Restored(loaded, installed, groups, taught.text)


def restore_with_head(
    session: Session, parent: ParentFiles, *, lines: tuple[str, ...] = ()
) -> RestoredHead:
    """Do the same for a model with another head than causal-lm, its trained head included.

    Raises:
        CheckpointError: When the result or the head is gone, damaged or of another model.
        BitdialError: As `load_with_head` and `start` do.
    """
    _check_there(parent.result)
    loaded = load_with_head(session)
    installed, _ = put_back(session, loaded, parent, lines=lines)
    model = loaded.model
    _fill_head(parent.head, list_trained(model.model, session.spec.model.head, model.fresh))
    return RestoredHead(loaded, installed)


def put_back(
    session: Session,
    loaded: Loaded | LoadedHead,
    parent: ParentFiles,
    *,
    lines: tuple[str, ...] = (),
) -> tuple[Installed, RankGroups | None]:
    """Install the layers of a loaded model and fill them with what was trained.

    Args:
        session: The run that builds on a training run.
        loaded: The model as it was read; changed in place.
        parent: Files of the training run.
        lines: Of layer maps that will be applied.

    Raises:
        CheckpointError: When the result is gone, damaged or of another model.
        BitdialError: As `start` does.
    """
    _check_there(parent.result)
    widths = take_widths(session, loaded, parent.result)
    installed, groups = start(session, loaded, widths=widths, lines=lines)
    _fill(session.spec, parent, installed)
    return installed, groups


def _check_there(result: Path) -> None:
    if not result.is_file():
        raise CheckpointError("the result of the training run is gone; train it again")


def _fill(spec: Subject, parent: ParentFiles, installed: Installed) -> None:
    load_result(parent.result, installed.layers)
    if replaces_weights(spec.initialization):
        restore_start(parent.result, installed.layers)
    check_codes(parent.result, installed.layers)


def _fill_head(path: Path | None, trained: Mapping[str, nn.Parameter]) -> None:
    if not trained:
        return
    if path is None or not path.is_file():
        raise CheckpointError("the trained head of the training run is gone; train it again")
    load_head(path, trained)
