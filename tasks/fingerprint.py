"""Size and SHA-256 of a run's files; a folder counts as one file. Start with `fingerprint`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks.store.recording import RecordedFile

CHUNK_BYTES = 1 << 20


def fingerprint(kind: str, path: Path, *, data_folder: Path) -> RecordedFile:
    """Size and hash a file, or a folder by the hashes and relative names of its files in order."""
    digest, size = _hash_file(path) if path.is_file() else _hash_folder(path)
    return RecordedFile(kind, str(path.relative_to(data_folder)), size, digest)


def _hash_file(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _hash_folder(folder: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for path in sorted(found for found in folder.rglob("*") if found.is_file()):
        each, bytes_ = _hash_file(path)
        digest.update(f"{each}  {path.relative_to(folder).as_posix()}\n".encode())
        size += bytes_
    return digest.hexdigest(), size
