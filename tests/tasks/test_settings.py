"""Settings come from the environment, once, and bad ones are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import StorageError
from tasks.errors import SettingsError
from tasks.settings import Settings, load_settings
from tasks.store.database import Database, open_database


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every variable has its place; what is empty counts as unset."""
    monkeypatch.setenv("BITDIAL_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/d")
    monkeypatch.setenv("CELERY_BROKER_URL", "")
    monkeypatch.setenv("BITDIAL_DATA_MIRROR", "~/mirror")
    monkeypatch.setenv("BITDIAL_LEASE_SECONDS", "6")
    settings = load_settings()
    assert settings.data_folder == tmp_path
    assert settings.database_address == "postgres://u:p@h/d"
    assert settings.broker_url is None
    assert settings.data_mirror == Path("~/mirror").expanduser()
    assert settings.heartbeat_seconds == 1


def test_a_child_process_gets_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a process was given, its children read again, whatever their own environment."""
    given = Settings(data_folder=tmp_path, database_url="", broker_url=None, lease_seconds=7.5)
    for name, value in given.build_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_without_an_environment_there_are_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare machine gets a SQLite file in the user's data folder."""
    for name in ("BITDIAL_DATA_FOLDER", "DATABASE_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings()
    assert settings.data_folder == Path("~/.local/share/bitdial").expanduser()
    assert settings.database_address.startswith("sqlite:///")
    assert settings.database_address.endswith("/bitdial.sqlite")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BITDIAL_PORT", "abc"),
        ("BITDIAL_PORT", "70000"),
        ("BITDIAL_LEASE_SECONDS", "0"),
        ("BITDIAL_QUEUE", "a b"),
        ("BITDIAL_MAX_ATTEMPTS", "none"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The sentence names the variable and what it holds."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} is '{value}': "):
        load_settings()


@pytest.mark.parametrize("address", ["nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_another_database_is_refused(address: str) -> None:
    """Only SQLite files and Postgres are accepted, and the sentence shows both forms."""
    with pytest.raises(SettingsError, match=r"use sqlite:////folder/file.sqlite or postgresql://"):
        Database(address)


def test_a_refusal_hides_the_password() -> None:
    """A password in an address never reaches a message."""
    with pytest.raises(SettingsError) as caught:
        Database("mysql://u:secret@h/d")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_all_names_of_postgres_are_accepted(scheme: str) -> None:
    """Hosting services write the address in different ways."""
    database = Database(f"{scheme}://u@h/d")
    assert database.url.drivername == "postgresql+psycopg"
    database.dispose()


def test_a_data_folder_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file in the way of the data folder is told in a sentence."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BITDIAL_DATA_FOLDER", str(tmp_path / "file" / "data"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(StorageError, match="cannot be made: Not a directory"):
        open_database(load_settings())
