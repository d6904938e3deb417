"""The command line as a person meets it: words in; exit code, stdout and stderr out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.cli import main


@dataclass(frozen=True)
class Answer:
    """What one call of `bitdial` gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer's stdout as JSON."""
        return json.loads(self.out)


Bitdial = Callable[..., Answer]


@pytest.fixture
def bitdial(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bitdial:
    """Return a function that calls `bitdial WORDS...` with a data folder of this test's own."""
    monkeypatch.setenv("BITDIAL_DATA_FOLDER", str(data_folder))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str, stdin: str | bytes = "") -> Answer:
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "argv", ["bitdial", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Answer(int(ended.value.code or 0), captured.out, captured.err)

    return call
