"""What can be asked for: presets and the schema of a spec. Start with `list_presets`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.api.refusals import REFUSED
from app.api.replies import Reply
from engine.specs import PRESETS
from engine.specs.resolve import KINDS
from tasks.store.records import RunKind

router = APIRouter(tags=["catalogue"], responses=REFUSED)
Kind = Annotated[RunKind, Query(description="Which kind of run.")]


class PresetReply(Reply):
    """A named starting point and the fields it sets."""

    name: str
    title: str
    description: str
    values: dict[str, Any]


@router.get("/presets")
def list_presets() -> list[PresetReply]:
    """List the presets."""
    return [PresetReply.model_validate(preset) for preset in PRESETS]


@router.get("/schema")
def read_schema(kind: Kind = "experiment") -> dict[str, Any]:
    """Return the JSON schema of a spec: every field with title, help, limits and default."""
    return KINDS[kind].model_json_schema()
