"""What a run wrote about its own start, read from its files and checked before anything is drawn.

A file that is not there or damaged is no failure of the page: it becomes one sentence. Start with
`read_errors`, `read_widths` and `read_facts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from app.services import Services
from app.text import starts as text
from engine.allocation.width_file import WIDTHS_FILE, WidthFile
from engine.initialize.error_report import ERROR_FILE, Measure
from engine.sensitivity.layer_facts import FACTS_FILE, LayerFacts
from tasks.store.files import list_files
from tasks.store.records import FileRecord

MOST_BYTES = 32 * 2**20
# More than this much of a layer is no error of a start, but damage.
_MOST_ERROR = 1e6
Errors = Annotated[list[Annotated[FiniteFloat, Field(ge=0, le=_MOST_ERROR)]], Field(min_length=1)]
Report = TypeVar("Report", bound=BaseModel)


class ErrorReport(BaseModel):
    """What `engine.initialize.error_report` writes.

    Attributes:
        measure: What the errors are of; weights where an older file does not say.
        mean: Mean over layers of the best relative error up to each iteration.
        layers: Relative error of every iteration made, by layer, in the model's order.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["bitdial-initialization-error-1"]
    measure: Measure = "weights"
    mean: Errors
    layers: Annotated[dict[str, Errors], Field(min_length=1)]


@dataclass(frozen=True)
class Lacking:
    """Why there is no report; `is_recorded` where there should be one."""

    sentence: str
    is_recorded: bool


def read_errors(services: Services, run_id: int) -> ErrorReport | Lacking:
    """Return the relative errors a run's initialization left, or why there are none."""
    return _read(services, run_id, ERROR_FILE, ErrorReport)


def read_widths(services: Services, run_id: int) -> WidthFile | Lacking:
    """Return the widths a run chose for its layers, or why there are none."""
    return _read(services, run_id, WIDTHS_FILE, WidthFile)


def read_facts(services: Services, run_id: int) -> LayerFacts | Lacking:
    """Return what a sensitivity run saw of each layer's weights, or why there is nothing."""
    return _read(services, run_id, FACTS_FILE, LayerFacts)


def list_reports(services: Services, run_id: int) -> tuple[FileRecord, ...]:
    """Return the reports a run has recorded, oldest first."""
    found = list_files(services.database, run_id)
    return tuple(record for record in found if record.kind == "report")


def find_inside(folder: Path, path: str) -> Path | None:
    """Return the file at `path` under the folder; None where it is missing or lies outside."""
    ground = folder.resolve()
    found = (ground / path).resolve()
    return found if found.is_relative_to(ground) and found.is_file() else None


def _read(services: Services, run_id: int, name: str, kind: type[Report]) -> Report | Lacking:
    record = next(
        (each for each in reversed(list_reports(services, run_id)) if Path(each.path).name == name),
        None,
    )
    if record is None:
        writers = text.WRITERS[name]
        return Lacking(
            text.NO_REPORT.format(run_id=run_id, name=name, writers=writers), is_recorded=False
        )
    path = find_inside(services.settings.data_folder, record.path)
    if path is None:
        return Lacking(text.GONE.format(run_id=run_id, name=name), is_recorded=True)
    try:
        return kind.model_validate_json(_read_bytes(path))
    except (OSError, ValueError) as error:
        sentence = text.DAMAGED.format(run_id=run_id, name=name, reason=_explain(error))
        return Lacking(sentence, is_recorded=True)


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES)


def _explain(error: Exception) -> str:
    """Return what is wrong with a file in a few words, and where in it."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = str(first["msg"])
    message = message[:1].lower() + message[1:]
    return f"{where}: {message}" if where else message
