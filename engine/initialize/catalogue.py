"""Which initialization a spec names. Start with `initialize`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from engine.initialize.adapter_folder import start_adapter_folder
from engine.initialize.data_aware import start_data_aware
from engine.initialize.error_report import Errors
from engine.initialize.loftq import start_loftq
from engine.initialize.minimal_error import start_minimal_error
from engine.layers.head import SplitModel
from engine.layers.headed import AnyModel
from engine.layers.swap import Layers
from engine.specs import AdapterFolder, DataAware, InitializationSpec, LoftQ, MinimalError


@dataclass(frozen=True)
class Installed:
    """A model with its layers in place.

    Attributes:
        root: The module the layers' names start from.
        split: The same model, looked into as its head allows.
        layers: What was installed, by name.
    """

    root: nn.Module
    split: AnyModel
    layers: Layers

    @property
    def language(self) -> SplitModel:
        """The causal language model as body and head.

        Raises:
            TypeError: When it is a model with another head.
        """
        if not isinstance(self.split, SplitModel):
            raise TypeError("this model has no language head")
        return self.split


def initialize(
    installed: Installed,
    spec: InitializationSpec,
    *,
    seed: int,
    load_windows: Callable[[DataAware], Tensor],
    progress: Callable[[int, int], None],
) -> Errors:
    """Bring freshly installed layers to their start, in place.

    Round-to-nearest ranges are what a layer is built with, so there nothing is left to do.

    Args:
        installed: The model.
        spec: The initialization asked for.
        seed: Of whatever is random.
        load_windows: Gives (N, T) calibration text; called only where it is needed.
        progress: Told of work done and in all.

    Returns:
        Relative error by layer and iteration, of an initialization that goes in iterations.
    """
    if isinstance(spec, AdapterFolder):
        start_adapter_folder(installed.root, installed.layers, spec)
    if isinstance(spec, LoftQ):
        head = installed.split.head_weight
        return start_loftq(installed.layers, spec, head=head, seed=seed, progress=progress)
    if isinstance(spec, MinimalError):
        start_minimal_error(installed.layers, progress=progress)
    if isinstance(spec, DataAware):
        return start_data_aware(
            installed.split,
            installed.root,
            installed.layers,
            load_windows(spec),
            spec=spec,
            seed=seed,
            progress=progress,
        )
    return {}
