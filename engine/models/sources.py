"""What `model.source` means: a bundled model, a GGUF file, a folder or a hub id.

Only looks at names and files; nothing is read or downloaded here, and there is no torch.
Start with `parse_source`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError
from engine.models.bundled import FIELD, PREFIX, BundledModel, get_bundled, locate_bundled

ACCEPTED = (
    "accepted are a hub id (ORG/NAME), a folder with config.json and safetensors, "
    "a .gguf file, or bundled:NAME"
)
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_SAMPLE_BYTES, _NUM_SAMPLES = 65536, 64
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class GgufSource:
    """A GGUF file on this machine; `name` is what its converted folder is called after."""

    name: str
    path: Path
    bundled: BundledModel | None = None


@dataclass(frozen=True)
class FolderSource:
    """A folder that holds config.json and safetensors."""

    path: Path


@dataclass(frozen=True)
class HubSource:
    """A model of the Hugging Face hub."""

    repo_id: str


ModelSource = GgufSource | FolderSource | HubSource


def parse_source(source: str) -> ModelSource:
    """Tell what kind of source this is; files and folders must exist.

    Raises:
        ModelError: At `model.source`, with what is missing and what would be accepted.
    """
    text = source.strip()
    if text.startswith(PREFIX):
        model = get_bundled(text.removeprefix(PREFIX))
        path = locate_bundled(model)
        return FolderSource(path) if path.is_dir() else GgufSource(model.name, path, model)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return _folder(path)
    if text.lower().endswith(".gguf"):
        return _gguf(path)
    if path.is_file():
        raise ModelError(f"{path.name} is not a model; {ACCEPTED}", field=FIELD)
    if _HUB_ID.fullmatch(text) and not text.startswith("."):
        return HubSource(text)
    if not text:
        raise ModelError(f"no model is named; {ACCEPTED}", field=FIELD)
    raise ModelError(f"there is no folder {text}; {ACCEPTED}", field=FIELD)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a config and safetensors, whole or sharded."""
    weights = (folder / WEIGHTS_FILE, folder / INDEX_FILE)
    return (folder / CONFIG_FILE).is_file() and any(path.is_file() for path in weights)


def converted_folder(source: GgufSource, *, data_folder: Path) -> Path:
    """Return where a converted GGUF lies or will lie; says nothing of whether it does.

    The name holds a hash of the file's size, time of change, head and 64 samples, so that a
    file that changed is converted again without reading all of it at every start.
    """
    found = source.path.stat()
    digest = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode())
    with source.path.open("rb") as file:
        for index in range(_NUM_SAMPLES):
            file.seek(found.st_size * index // _NUM_SAMPLES)
            digest.update(file.read(_SAMPLE_BYTES))
    return data_folder / "models" / f"{source.name}-{digest.hexdigest()[:12]}"


def _gguf(path: Path) -> GgufSource:
    if not path.is_file():
        raise ModelError(f"there is no file {path}; {ACCEPTED}", field=FIELD)
    return GgufSource(re.sub(r"[^\w.-]+", "-", path.stem).lower(), path)


def _folder(path: Path) -> FolderSource:
    if not any(path.iterdir()):
        raise ModelError(f"the folder {path} is empty; {ACCEPTED}", field=FIELD)
    if not (path / CONFIG_FILE).is_file():
        raise ModelError(f"the folder {path} holds no {CONFIG_FILE}; {ACCEPTED}", field=FIELD)
    if not has_weights(path):
        raise ModelError(
            f"the folder {path} holds no {WEIGHTS_FILE} (or {INDEX_FILE} with its parts); other "
            "weight formats are not read, save the model with safetensors first",
            field=FIELD,
        )
    return FolderSource(path)
