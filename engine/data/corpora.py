"""Texts by the name a spec gives them: bundled, a local file, the mirror, or the hub.

A name is looked up in that order. What comes out are plain documents; cutting them into windows is
`windows`. Start with `load_documents`.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.data.hub import load_hub_documents
from engine.data.mirror import find_in_mirror
from engine.data.python_docs import SPLITS, load_python_docs
from engine.data.text_files import SUFFIXES, read_documents
from engine.errors import DataError
from engine.specs import DataSpec

BUNDLED_CORPORA = ("bundled:python-docs",)
ACCEPTED = (
    f"accepted are a hub id (ORG/NAME), a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, or "
    f"{BUNDLED_CORPORA[0]}"
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def load_documents(
    spec: DataSpec, *, field: str, data_folder: Path, mirror: Path | None
) -> tuple[str, ...]:
    """Load the documents of a data set's split, in order; never an empty tuple.

    Args:
        spec: Which data set, and which part of it.
        field: The spec field that holds `spec` ("training.data"); errors are reported below it.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When it cannot be read or holds nothing, with what would be accepted.
    """
    if spec.source.startswith("bundled:"):
        return _load_bundled(spec, field)
    path = find_file(spec.source, data_folder)
    if path is not None:
        return read_documents(path, text_field=spec.text_field, field=field)
    if not _HUB_ID.fullmatch(spec.source) or spec.source.lower().endswith(SUFFIXES):
        raise DataError(f"there is no file {spec.source}; {ACCEPTED}", field=f"{field}.source")
    mirrored = find_in_mirror(spec, field=field, mirror=mirror) if mirror else None
    if mirrored is not None:
        return read_documents(mirrored, text_field=spec.text_field, field=field)
    return load_hub_documents(spec, field=field)


def _load_bundled(spec: DataSpec, field: str) -> tuple[str, ...]:
    if spec.source not in BUNDLED_CORPORA:
        known = ", ".join(BUNDLED_CORPORA)
        raise DataError(
            f"there is no bundled corpus {spec.source}; choose {known}", field=f"{field}.source"
        )
    if spec.split not in SPLITS:
        raise DataError(
            f"{spec.source} has no split {spec.split!r}; choose {', '.join(SPLITS)}",
            field=f"{field}.split",
        )
    return load_python_docs(spec.split)


def find_file(source: str, data_folder: Path) -> Path | None:
    """Return the local file of that name, absolute or below the data folder, or None."""
    path = Path(source).expanduser()
    candidates = (path, data_folder / path)
    return next((candidate for candidate in candidates if candidate.is_file()), None)
