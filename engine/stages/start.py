"""Quantized layers in place of the model's own, at their start. Start with `start`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.data.windows import spread
from engine.events import FileWritten, Logged, MetricPoint
from engine.initialize.catalogue import Installed, initialize
from engine.initialize.error_report import ERROR_FILE, Errors, Measure, mean_errors, write_errors
from engine.layers.bit_maps import rounds_cache
from engine.layers.head import SplitModel
from engine.layers.headed import HeadedModel
from engine.layers.kv_cache import install_cache
from engine.layers.layer_map import apply_map
from engine.layers.rank_groups import RankGroups, group_adapters
from engine.layers.swap import LayerPlan, install
from engine.measured_size import measure_size
from engine.models.loading import LoadedModel
from engine.session import Session, load_windows
from engine.specs import (
    DataAware,
    ElasticLoraAdapter,
    FixedCache,
    FloatQuantizer,
    LayerCache,
    QuantizerSpec,
)
from engine.specs.states import CacheGranularity
from engine.stages.load import Loaded, LoadedHead
from engine.stages.widths import choose_widths


def start(
    session: Session,
    loaded: Loaded | LoadedHead,
    *,
    widths: Mapping[str, int] | None = None,
    lines: tuple[str, ...] = (),
) -> tuple[Installed, RankGroups | None]:
    """Install the layers the spec asks for and bring them to their start.

    Args:
        session: The run.
        loaded: What it works on; its model is changed in place.
        widths: Width of each layer where that is known already; chosen where None.
        lines: Of layer maps that will be applied later; a cache they round is made ready.

    Returns:
        The model with its layers, at the ranks it reports, and the groups of an elastic adapter.

    Raises:
        SpecError: When what is asked does not fit the layers.
    """
    spec, model = session.spec, loaded.model.model
    if widths is None:
        widths = choose_widths(session, loaded)
    with session.stage("initialize"):
        trained = spec.trained_widths
        plan = LayerPlan(spec.quantizer, spec.adapter, spec.seed, widths, trained)
        layers = install(model, plan)
        if rounds_cache(spec.quantizer, lines):
            install_cache(model, layers, _cache_granularity(spec.quantizer))
        groups = None
        if isinstance(spec.adapter, ElasticLoraAdapter):
            groups = group_adapters(layers, spec.adapter)
            ranks = spec.adapter.reported_ranks(len(groups.members))
            apply_map(layers, groups.layer_map(layers, ranks, field="adapter.ranks"))
        kind = SplitModel if isinstance(loaded, Loaded) else HeadedModel
        installed = Installed(model, kind(model), layers)
        errors = initialize(
            installed,
            spec.initialization,
            seed=spec.seed,
            load_windows=_CalibrationText(session, loaded.model),
            progress=session.progress("initialize"),
        )
        if errors:
            _announce_errors(session, errors)
        also = f", trained at {', '.join(map(str, trained))}" if trained else ""
        session.listener(Logged("info", f"{len(layers)} layers at {spec.bits:g} bits{also}"))
        session.listener(measure_size(model, layers, spec.quantizer))
    return installed, groups


def _cache_granularity(quantizer: QuantizerSpec) -> CacheGranularity:
    spec = None if isinstance(quantizer, FloatQuantizer) else quantizer.cache
    return spec.granularity if isinstance(spec, FixedCache | LayerCache) else "token"


def _announce_errors(session: Session, errors: Errors) -> None:
    """Announce the mean error of each iteration and write that of every layer."""
    means = mean_errors(errors)
    for iteration, mean in enumerate(means, start=1):
        session.listener(MetricPoint("initialize/relative_error", iteration, mean))
    listed = ", ".join(f"{mean:.4%}" for mean in means)
    session.listener(
        Logged("info", f"relative error of {len(errors)} layers at the largest rank: {listed}")
    )
    measure: Measure = (
        "outputs" if isinstance(session.spec.initialization, DataAware) else "weights"
    )
    write_errors(session.workspace.folder / ERROR_FILE, errors, measure=measure)
    session.listener(FileWritten("report", ERROR_FILE))


@dataclass(frozen=True)
class _CalibrationText:
    """Loads calibration windows when an initialization asks for them."""

    session: Session
    loaded: LoadedModel

    def __call__(self, spec: DataAware) -> Tensor:
        # a window that the model cannot read whole would break it, and tells nothing of its inputs
        longest = min(spec.max_length, self.loaded.tokenizer.model_max_length)
        if longest < spec.max_length:
            self.session.listener(
                Logged("warning", f"calibration windows are {longest} tokens, the model's longest")
            )
        windows = load_windows(
            self.session,
            spec.data,
            self.loaded,
            field="initialization.data",
            max_length=longest,
        )
        return spread(windows, spec.num_samples)
