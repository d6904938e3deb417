"""What the API answers about bit maps, as pydantic models.

`BitMapReply` is the whole view, with facts that no edit changes (layers, scores, presets);
`StateReply` is what every edit answers, with none of these, and with a word that tells when the
scores are others. Layers go by their index in
`BitMapReply.layers`. Sizes are bytes. They are filled in
`bit_map_views`. Start with `StateReply`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from app.api.replies import Reply
from tasks.store.records import RunState

Unit = Literal["mib", "model-mib", "bits", "percent"]


class BudgetReply(Reply):
    """A budget: of the quantized layers with scales and zero points, `model-mib` of the model."""

    amount: float
    unit: Unit


class LedgerReply(Reply):
    """What the model weighs at these widths, in bytes.

    `smallest` and `largest` are the totals that the pins and limits of the map leave possible;
    `quantized` is what of `total` the quantized layers take, with scales and zero points.
    """

    parts: dict[str, int]
    total: int
    original: int
    quantized: int
    effective_bits: float
    nominal_bits: float
    smallest: int
    largest: int


class MapPredictionReply(Reply):
    """What the map is expected to lose, with its 95 % interval.

    `gap` is how much more that is than the best map of this size, as far as scores can tell;
    `next_gain` what the next MiB would save, spent on `next_layers`; both null where unknown,
    and corrected as `value` is.
    `corrected_by` counts the measurements the prediction has learned from.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    corrected_by: int
    gap: float | None
    next_gain: float | None
    next_layers: list[str]
    note: str


class CheckReply(Reply):
    """A measurement of the map as it was at `revision`: predicted beside measured.

    `measured` is null until the run has its score, and where the two cannot be compared; `note`
    then says why. `scored_on` and `measured_on` are the texts of prediction and measurement.
    """

    run: int
    state: RunState
    revision: int
    effective_bits: float
    predicted: float | None
    low: float | None
    high: float | None
    measured: float | None
    measured_error: float | None
    perplexity: float | None
    scored_on: str | None
    measured_on: str
    note: str


class VersionReply(Reply):
    """A state that was given a name."""

    number: int
    name: str
    created_at: datetime
    effective_bits: float


class StateReply(Reply):
    """What is edited, and what follows from it.

    `bits` has a width for each layer; `pinned`, `least` and `most` name layers by index. `note`
    says what of the last edit was refused, left to another tab's change, or merged with it.
    `budget` is what these widths were solved for, null where they were set otherwise. `scores` is
    another word whenever the map's scores are others, such as while they are still coming in; empty
    where there are none. Ask for the whole view then.
    """

    revision: int
    name: str
    bits: list[int]
    pinned: list[int]
    least: dict[int, int]
    most: dict[int, int]
    fused: bool
    budget: BudgetReply | None
    can_undo: bool
    can_redo: bool
    ledger: LedgerReply
    prediction: MapPredictionReply | None
    checks: list[CheckReply]
    versions: list[VersionReply]
    scores: str
    note: str


class BitMapLayerReply(Reply):
    """A layer: `row` and `column` are its cell in the grid of `blocks` by `kinds`.

    Layers outside blocks have block "" and a row of their own at the end. `group` counts the groups
    of layers that share a width while the map is fused. `scores` have value and standard error (or
    null) by width; the width that scores count from has 0.
    """

    name: str
    block: str
    kind: str
    row: int
    column: int
    num_weights: int
    group: int | None
    scores: dict[int, tuple[float, float | None]]


class SensitivitySourceReply(Reply):
    """Where the scores are from; `note` says what they lack."""

    run: int
    method: str
    metric: str
    unit_word: str
    is_complete: bool
    note: str


class PresetReply(Reply):
    """A preset that training can start with from this map."""

    name: str
    title: str


class BitMapReply(Reply):
    """The whole view of a map."""

    id: int
    name: str
    model: str
    quantizer_words: str
    sensitivity: SensitivitySourceReply | None
    widths: list[int]
    blocks: list[str]
    kinds: list[str]
    layers: list[BitMapLayerReply]
    presets: list[PresetReply]
    state: StateReply


class BitMapItemReply(Reply):
    """A map as it stands in a list."""

    id: int
    name: str
    model: str
    revision: int
    sensitivity_run: int | None
    created_at: datetime
    updated_at: datetime


class BitMapListReply(Reply):
    """One page of maps, the one changed last first; ask for the next with `before_id`."""

    maps: list[BitMapItemReply]
    next_before_id: int | None


class SolutionReply(Reply):
    """The best map of a budget as far as scores can tell; nothing is stored."""

    bits: list[int]
    ledger: LedgerReply
    prediction: MapPredictionReply | None


class FrontierReply(Reply):
    """Every size worth having and its predicted loss, from small to large."""

    effective_bits: list[float]
    mib: list[float]
    loss: list[float]


class ChangedLayerReply(Reply):
    """A layer whose width differs; `index` is its place among the map's layers."""

    name: str
    index: int
    before: int
    after: int


class DifferenceReply(Reply):
    """What differs from one version to another; `ledger` has later minus earlier bytes by part."""

    layers: list[ChangedLayerReply]
    ledger: dict[str, int]


class VerifyReply(Reply):
    """The run that measures the map."""

    run: int


class DraftReply(Reply):
    """The form that trains from this map; `note` says what of it the preset has no place for."""

    draft: int
    url: str
    note: str
