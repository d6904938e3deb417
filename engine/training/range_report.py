"""The lowest width a range test found, as a file anyone can read. Start with `RangeReport`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from engine.text_file import write_text

REPORT_FILE = "range-test.json"
FORMAT: Final = "bitdial-range-test-1"


class RangeReport(BaseModel):
    """Which width cycles begin at, and why.

    Attributes:
        key: Fingerprint of the training it was found for; others have no use for it.
        lowest: The width.
        threshold: The share of its first loss that a width had to lose.
        drops: The share each tried width lost; None where its loss stopped being a number.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["bitdial-range-test-1"] = FORMAT
    key: str
    lowest: int
    threshold: FiniteFloat
    drops: dict[int, FiniteFloat | None]

    @property
    def has_learned(self) -> bool:
        """Whether the width was chosen because it learns, and not because none did."""
        drop = self.drops.get(self.lowest)
        return drop is not None and drop > self.threshold


def write_report(path: Path, report: RangeReport) -> None:
    """Write a report as JSON; the file appears complete or not at all.

    Raises:
        StorageError: When it cannot be written.
    """
    write_text(path, report.model_dump_json())


def find_report(path: Path, *, key: str) -> RangeReport | None:
    """Return the report of a file; None where it is missing, damaged, or of something else."""
    try:
        found = RangeReport.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
    return found if found.key == key else None
