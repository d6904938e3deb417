"""What the Hugging Face hub answers when it cannot deliver, as one sentence.

Downloads themselves are huggingface_hub's; it reads the HF_* variables. No torch here.
Start with `hub_error`.
"""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    NotASafetensorsRepoError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engine.errors import ModelError
from engine.models.bundled import FIELD

_OTHERWISE = "download it on a connected machine, or give a local folder or a bundled: model"


def hub_error(error: BaseException, repo_id: str, revision: str | None) -> ModelError:
    """Turn an error of huggingface_hub or Transformers into one sentence about the model."""
    for cause in _iter_causes(error):
        match cause:
            case GatedRepoError():
                why = "is gated; accept its terms on the hub and set HF_TOKEN"
            case RevisionNotFoundError():
                return ModelError(
                    f"the model {repo_id} has no revision {revision!r}; leave it empty for the "
                    "newest",
                    field="model.revision",
                )
            case RepositoryNotFoundError():
                why = "does not exist on the hub or is private; check the id, or set HF_TOKEN"
            case HFValidationError():
                why = "is not a hub id; a hub id is ORG/NAME"
            case NotASafetensorsRepoError():
                why = "has no safetensors weights; other formats are not read"
            case LocalEntryNotFoundError() | OfflineModeIsEnabled() | ConnectionError():
                why = f"is not in the local cache and the hub cannot be reached; {_OTHERWISE}"
            case EntryNotFoundError():
                why = "has no config.json or no safetensors weights; other formats are not read"
            case _:
                continue
        return ModelError(f"the model {repo_id} {why}", field=FIELD)
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(f"the model {repo_id} cannot be loaded: {first}", field=FIELD)


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
