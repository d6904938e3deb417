"""Promises of `bitdial doctor`."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from app.commands import checks
from tasks.settings import Settings
from tests.app.commands.conftest import Bitdial


def test_doctor_looks_at_everything(bitdial: Bitdial) -> None:
    """Each subject has a line; those in want of something say what to do."""
    answer = bitdial("doctor", "--json")
    found = {check["name"]: check for check in answer.json}
    expected = {"python", "torch", "data folder", "disk", "database", "broker", "data mirror"}
    assert expected <= set(found)
    assert all(check["remedy"] for check in found.values() if check["status"] != "ok")
    assert found["database"]["remedy"] == "bitdial db upgrade"


def test_doctor_is_well_after_upgrade(bitdial: Bitdial) -> None:
    """Once the tables are there the database is fine, and the exit code 0."""
    bitdial("db", "upgrade")
    answer = bitdial("doctor")
    assert answer.code == 0
    assert "SQLite at revision" in answer.out


def test_broken_setting_is_reported_not_raised(
    bitdial: Bitdial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong variable is a line of the report and exit code 1."""
    monkeypatch.setenv("BITDIAL_PORT", "-1")
    answer = bitdial("doctor")
    assert answer.code == 1
    assert "BITDIAL_PORT" in answer.out


def test_mirror_that_is_no_folder_fails(data_folder: Path) -> None:
    """A mirror that is set but missing is a failure with its layout as the remedy."""
    settings = Settings(data_folder=data_folder, data_mirror=data_folder / "none")
    check = checks.check_mirror(settings)
    assert (check.status, "ORG/NAME" in check.remedy) == ("fail", True)


def test_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    """A data folder below a file is a failure."""
    (tmp_path / "file").write_text("")
    assert checks.check_folder(Settings(data_folder=tmp_path / "file" / "x")).status == "fail"


def test_little_room_is_a_warning(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nearly full disk is told before a run meets it."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage(10, 9, 1))
    assert checks.check_disk(Settings(data_folder=data_folder / "new")).status == "warn"


def test_configured_broker_that_is_silent_fails(data_folder: Path) -> None:
    """A configured Redis that does not answer is a failure."""
    settings = Settings(data_folder=data_folder, broker_url="redis://127.0.0.1:1/0")
    assert checks.check_broker(settings).status == "fail"
