"""What can be asked for: presets and the schema of a spec. Start with `list_presets`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.replies import Reply
from engine.specs import PRESETS, ExperimentSpec

router = APIRouter(tags=["catalogue"])


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
def read_schema() -> dict[str, Any]:
    """Return the JSON schema of a spec: every field with title, help, limits and default."""
    return ExperimentSpec.model_json_schema()
