"""Which initialization a spec names. Start with `initialize`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from engine.layers.swap import Layers
from engine.models.loading import LoadedModel
from engine.specs import DataAware, ExperimentSpec


def initialize(
    loaded: LoadedModel,
    layers: Layers,
    spec: ExperimentSpec,
    *,
    workspace_windows: Callable[[], Tensor],
) -> None:
    """Bring freshly installed layers to their start, in place.

    Round-to-nearest ranges are what a layer is built with, so there nothing is left to do.
    """
    if isinstance(spec.initialization, DataAware):
        raise NotImplementedError
