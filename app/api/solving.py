"""From a sensitivity run and a budget to a layer map. What is solved is `tasks.solving`'s."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter

from app.api.access import ServicesHere
from app.api.bodies import OPENAPI_SOLVE, AskedValues
from app.api.refusals import CONFLICT, NOT_FOUND, REFUSED
from app.api.replies import Reply
from app.solved import describe_json
from engine.layer_maps.layer_map import FormatName
from engine.layer_maps.reading import write_map
from tasks.solve_requests import read_request
from tasks.solving import solve_map

router = APIRouter(tags=["maps"])


class ScoresReply(Reply):
    """The scores a map rests on; `note` says what they lack."""

    run: int
    method: str
    metric: str
    is_complete: bool
    note: str


class SpentReply(Reply):
    """A budget: of the quantized layers with scales and zero points, `model-mib` of the model."""

    amount: float
    unit: Literal["mib", "model-mib", "bits", "percent"]


class WeighedReply(Reply):
    """What the model weighs with a map, in bytes and bits per weight of its layers."""

    parts: dict[str, int]
    total: int
    original: int
    effective_bits: float
    nominal_bits: float


class ExpectedReply(Reply):
    """What a map is expected to lose against the start, with its 95 % interval.

    `sum` is that of its layers' losses, `value` the same corrected by `corrected_by` measured maps;
    the interval is null where the sum is no loss, and where measured maps can teach nothing, which
    `note` then says why. `gap` is how much less the best map of this size may lose at most,
    `next_gain` what the next MiB would save, both corrected as `value` is.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    corrected_by: int
    sum: float
    gap: float
    next_gain: float | None
    next_layers: list[str]
    note: str


class SolvedReply(Reply):
    """A layer map for a budget.

    `widths` is by layer, `counts` how many layers have a width, `missing` layers without a score,
    which keep their width, `text` the map as a file of the format that was asked for.
    """

    sensitivity: ScoresReply
    budget: SpentReply
    widths: dict[str, int]
    counts: dict[int, int]
    missing: list[str]
    stored_bytes: int
    ledger: WeighedReply
    prediction: ExpectedReply
    text: str


@router.post("/solve", responses=NOT_FOUND | REFUSED | CONFLICT, openapi_extra=OPENAPI_SOLVE)
def solve(values: AskedValues, services: ServicesHere) -> SolvedReply:
    """Choose the widths of layers that lose least within a budget; nothing is stored."""
    request = read_request(values)
    found = solve_map(services.desk, request)
    name = str(values.get("format", "bitdial"))
    text = write_map(found.layer_map, format_name=cast(FormatName, name))
    return SolvedReply.model_validate(describe_json(found) | {"text": text})
