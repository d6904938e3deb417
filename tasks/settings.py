"""Where things are and how patient to be: the only reader of the environment.

`BITDIAL_*`, `DATABASE_URL` and `CELERY_BROKER_URL`; Hugging Face's own variables are left to its
libraries. Start with `load_settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.errors import SettingsError

DEFAULT_DATA_FOLDER = Path("~/.local/share/bitdial")


class Settings(BaseSettings):
    """Everything that is decided outside a run; frozen.

    Attributes:
        data_folder: Where the database, broker, models and runs' files live.
        database_url: SQLite or Postgres; a file in the data folder by default.
        broker_url: Redis or Valkey; None for the embedded one.
        data_mirror: A folder of data sets consulted before the hub.
        trusted_network: Whether all who can reach the port may use it; only then may the host be
            more than this machine, as in a container whose port is published on 127.0.0.1.
        queue: Class of machine this process submits to and serves ("cpu", "gpu").
        lease_seconds: How long a worker may be silent before its run is given to another.
        patrol_seconds: How often workers look for lost runs and forgotten hints.
        hint_seconds: How long a queued run may wait before its hint is sent again.
        cancel_grace_seconds: How long a cancelled run may take to stop before it is terminated,
            and again before it is killed.
        max_attempts: How often a run may be lost before it counts as failed.
    """

    model_config = SettingsConfigDict(env_prefix="BITDIAL_", frozen=True, populate_by_name=True)

    data_folder: Path = Field(DEFAULT_DATA_FOLDER, validate_default=True)
    database_url: str = Field("", validation_alias=AliasChoices("database_url", "DATABASE_URL"))
    broker_url: str | None = Field(
        None, validation_alias=AliasChoices("broker_url", "CELERY_BROKER_URL")
    )
    data_mirror: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535)
    trusted_network: bool = False
    queue: str = Field("cpu", pattern=r"^[a-z0-9_.-]{1,40}$")
    lease_seconds: float = Field(60.0, ge=1)
    patrol_seconds: float = Field(5.0, gt=0)
    hint_seconds: float = Field(15.0, gt=0)
    cancel_grace_seconds: float = Field(15.0, gt=0)
    max_attempts: int = Field(3, ge=1)

    @field_validator("data_folder", "data_mirror", mode="after")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @field_validator("broker_url", "data_mirror", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @property
    def database_address(self) -> str:
        """The database's URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_folder / 'bitdial.sqlite'}"

    @property
    def heartbeat_seconds(self) -> float:
        """How often a lease is renewed: six times in its length."""
        return self.lease_seconds / 6

    @property
    def runs_folder(self) -> Path:
        """Where each run has its folder."""
        return self.data_folder / "runs"

    def attempt_folder(self, run_id: int, attempt: int) -> Path:
        """Where an attempt keeps its files."""
        return self.runs_folder / str(run_id) / f"attempt-{attempt}"

    def build_environment(self) -> dict[str, str]:
        """Return this process's environment with these settings in it, for a child process."""
        names = {"database_url": "DATABASE_URL", "broker_url": "CELERY_BROKER_URL"}
        values = {
            names.get(name, f"BITDIAL_{name.upper()}"): "" if value is None else str(value)
            for name, value in self.model_dump().items()
        }
        return {**os.environ, **values}


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: When a value cannot be used; names the variable and what would be accepted.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(item) for item in error.errors())) from None


def _sentence(item: Mapping[str, Any]) -> str:
    name = str(item["loc"][0])
    variable = name if name.isupper() else f"BITDIAL_{name.upper()}"
    message = str(item["msg"])
    return f"{variable} is {item.get('input')!r}: {message[:1].lower()}{message[1:]}"
