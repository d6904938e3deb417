"""The ground every spec stands on: frozen pydantic models that refuse unknown keys.

A field says everything about itself once: title, help sentence, limits, unit, and for which choices
it matters. Form, command line, API and docs read it from here. Start with `Spec` and `option`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

FRACTION = "fraction"
"""In `shown_when`: every value of a number that is not whole."""


class Spec(BaseModel):
    """A part of a request: immutable, complete, with no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*")
    @classmethod
    def _refuse_control_characters(cls, value: Any) -> Any:
        """Names, paths and patterns are one line each; some databases cannot store a NUL."""
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and any(unicodedata.category(c) == "Cc" for c in text):
                raise PydanticCustomError(
                    "control_character", "must be one line without control characters"
                )
        return value


def option(
    default: Any,
    title: str,
    description: str,
    *,
    unit: str | None = None,
    shown_when: Mapping[str, Sequence[str | bool]] | None = None,
    advanced: bool = False,
    **limits: Any,
) -> Any:
    """Describe one field of a spec, once, for every place that shows or reads it.

    Args:
        default: The default value; `...` where a value must be given.
        title: The label on the page.
        description: The help sentence, in the user's words.
        unit: "tokens", "steps", "bits" and so on; None where there is none.
        shown_when: Sibling field to the values for which this field matters (`FRACTION` stands for
            all that are not whole); None for always.
        advanced: True for what the page folds away.
        limits: pydantic's own (`ge`, `le`, `gt`, `lt`, `min_length`, `max_length`, `pattern`).
    """
    extra: dict[str, Any] = {"unit": unit, "shown_when": shown_when, "advanced": advanced}
    return Field(
        default,
        title=title,
        description=description,
        json_schema_extra={key: value for key, value in extra.items() if value},
        **limits,
    )
