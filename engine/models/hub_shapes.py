"""The headers of a hub model: from the local cache where it is, else by a few small requests.

Start with `read_hub_headers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import get_safetensors_metadata, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from engine.models.hub import hub_error
from engine.models.safetensors_header import Shapes, read_json, read_tensor_shapes
from engine.models.sources import CONFIG_FILE, has_weights


def read_hub_headers(repo_id: str, revision: str | None) -> tuple[dict[str, Any], Shapes]:
    """Return a hub model's config.json and the shapes of its tensors.

    Raises:
        ModelError: When the hub has no such model, cannot be reached, or there is no safetensors.
    """
    try:
        cached = _find_cached(repo_id, revision)
        if cached is not None:
            return read_json(cached / CONFIG_FILE), read_tensor_shapes(cached)
        config = read_json(Path(hf_hub_download(repo_id, CONFIG_FILE, revision=revision)))
        metadata = get_safetensors_metadata(repo_id, revision=revision)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise hub_error(error, repo_id, revision) from error
    tensors = {
        name: tuple(tensor.shape)
        for file in metadata.files_metadata.values()
        for name, tensor in file.tensors.items()
    }
    return config, tensors


def _find_cached(repo_id: str, revision: str | None) -> Path | None:
    """Return the folder of a model that was downloaded whole, or None."""
    try:
        folder = Path(snapshot_download(repo_id, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if has_weights(folder) else None
