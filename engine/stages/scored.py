"""A model whose layers are to be scored: put together, at its start map, with its text.

Start with `put_together`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.data.windows import spread
from engine.errors import SpecError
from engine.events import Logged
from engine.initialize.catalogue import Installed
from engine.layers.swap import Layers
from engine.layers.width_bank import add_widths
from engine.sensitivity.checks import check_sensitivity, iter_layer_problems, list_needed
from engine.sensitivity.scored_model import ScoredModel
from engine.sensitivity.start_map import StartMap, build_start
from engine.sensitivity.units import Units, list_units
from engine.session import Session, load_windows
from engine.specs import SensitivitySpec
from engine.specs.sensitivity import Ablation
from engine.stages.load import Loaded, LoadedHead, load
from engine.stages.restore import ParentFiles, put_back, restore_with_head
from engine.stages.start import start
from engine.teacher.hidden_states import teacher_hidden


@dataclass(frozen=True)
class Scored:
    """What is scored, whichever head it has.

    Attributes:
        loaded: The model as it was read.
        installed: The same with its layers.
        start: Where these begin.
        units: Layers of each unit.
        windows: (N, T) calibration text on the CPU; None where none is needed.
        hidden: (N, T, D) what the 16-bit model makes of it; None where nobody asks.
    """

    loaded: Loaded | LoadedHead
    installed: Installed
    start: StartMap
    units: Units
    windows: Tensor | None = None
    hidden: Tensor | None = None

    @property
    def model(self) -> ScoredModel:
        """The causal language model.

        Raises:
            TypeError: When it has another head.
        """
        return ScoredModel(self.installed.root, self.installed.language, self.start, self.units)


def put_together(session: Session, spec: SensitivitySpec, parent: ParentFiles | None) -> Scored:
    """Load the model and its text, install its layers, and set them to the start map.

    Args:
        session: The run.
        spec: The same spec as the session's.
        parent: Files of the training run whose layers are scored; None for the model as it is.

    Raises:
        SpecError: When what is asked does not fit the model.
        BitdialError: As `load`, `start` and `restore_with_head` do.
    """
    quantizer = check_sensitivity(spec)
    if spec.model.head == "causal-lm":
        found = _load_language(session, spec, parent)
    else:
        found = _load_head(session, spec, parent)
    installed = found.installed
    units = _give_widths(session, spec, installed.layers)
    dtype = installed.split.head_weight.dtype
    begun = build_start(installed.layers, spec, quantizer, dtype=dtype)
    installed.root.requires_grad_(requires_grad=False)
    return Scored(found.loaded, installed, begun, units, found.windows, found.hidden)


@dataclass(frozen=True)
class _Found:
    """A model with its layers at the widths they were put in with, and its text."""

    loaded: Loaded | LoadedHead
    installed: Installed
    windows: Tensor | None = None
    hidden: Tensor | None = None


def _load_language(session: Session, spec: SensitivitySpec, parent: ParentFiles | None) -> _Found:
    loaded = load(session)
    windows, hidden = _load_text(session, spec, loaded), None
    if windows is not None and isinstance(spec.method, Ablation):
        # before anything is rounded: some starts make weights of their own
        hidden = _ask_original(session, spec, loaded, windows)
    if parent is None:
        installed, _ = start(session, loaded, widths={}, lines=spec.start_map)
    else:
        installed, _ = put_back(session, loaded, parent, lines=spec.start_map)
    return _Found(loaded, installed, windows, hidden)


def _load_head(session: Session, spec: SensitivitySpec, parent: ParentFiles | None) -> _Found:
    if parent is None:
        raise SpecError.at("parent", "is missing; give the run that trained this head")
    found = restore_with_head(session, parent, lines=spec.start_map)
    return _Found(found.loaded, found.installed)


def _give_widths(session: Session, spec: SensitivitySpec, layers: Layers) -> Units:
    """Let every layer know the widths it takes; return the units.

    Raises:
        SpecError: When one cannot, or a line names no layer.
    """
    names = [name for name, layer in layers.items() if layer.ranges is not None]
    problems = tuple(iter_layer_problems(spec, names))
    if problems:
        raise SpecError(*problems)
    if len(names) < len(layers):
        told = f"{len(layers) - len(names)} layers stay at 16 bits and are not scored"
        session.listener(Logged("info", told))
    for name in names:
        add_widths({name: layers[name]}, list_needed(spec, name), spec)
    return list_units(names, spec.unit)


def _load_text(session: Session, spec: SensitivitySpec, loaded: Loaded) -> Tensor | None:
    """Read the calibration windows; None where the method needs none."""
    method, asked = spec.method, spec.calibration
    if method.method == "weight-error":
        return None
    if isinstance(method, Ablation) and method.measured_on == "tasks":
        return None
    longest = min(asked.max_length, loaded.model.tokenizer.model_max_length)
    if longest < asked.max_length:
        told = f"calibration windows are {longest} tokens, the model's longest"
        session.listener(Logged("warning", told))
    windows = load_windows(
        session, asked.data, loaded.model, field="calibration.data", max_length=longest
    )
    chosen = spread(windows, asked.num_samples)
    if len(chosen) < asked.num_samples:
        told = f"the calibration text has {len(chosen)} windows, fewer than asked for"
        session.listener(Logged("warning", told))
    return chosen


def _ask_original(
    session: Session, spec: SensitivitySpec, loaded: Loaded, windows: Tensor
) -> Tensor:
    """Return what the 16-bit model makes of the windows."""
    with session.stage("teach"):
        return teacher_hidden(
            loaded.split,
            windows,
            batch_size=spec.evaluation.per_device_eval_batch_size,
            model_key=loaded.key,
            folder=session.teacher_folder,
            progress=session.progress("teach"),
        )
