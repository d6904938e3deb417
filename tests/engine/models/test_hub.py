"""What the hub answers, as one sentence."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engine.models.hub import hub_error

RESPONSE = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid"))


@pytest.mark.parametrize(
    ("error", "sentence", "field"),
    [
        (RepositoryNotFoundError("x", response=RESPONSE), "does not exist", "model.source"),
        (GatedRepoError("x", response=RESPONSE), "accept its terms", "model.source"),
        (RevisionNotFoundError("x", response=RESPONSE), "no revision 'v9'", "model.revision"),
        (LocalEntryNotFoundError("x"), "hub cannot be reached", "model.source"),
        (OfflineModeIsEnabled("x"), "hub cannot be reached", "model.source"),
        (HfHubHTTPError("teapot\nmore", response=RESPONSE), "teapot", "model.source"),
    ],
)
def test_sentences(error: Exception, sentence: str, field: str) -> None:
    """Each kind of refusal is one line that names the model and the field."""
    wrapped = OSError("a long text\nof many lines")
    wrapped.__cause__ = error
    found = hub_error(error if isinstance(error, HfHubHTTPError) else wrapped, "org/name", "v9")
    assert sentence in str(found)
    assert "org/name" in str(found)
    assert "\n" not in str(found)
    assert found.field == field
