"""A folder that is there whole or not at all. No torch. Start with `new_folder`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import SpecError, StorageError

FIELD = "folder"


def check_new(folder: Path) -> None:
    """Make sure that nothing would be overwritten, and that the folder can be put in one step.

    Raises:
        SpecError: When the folder holds something, is a file, a link or a place of its own.
    """
    if folder.is_symlink():
        raise SpecError.at(FIELD, f"{folder} is a link; name a new or an empty folder")
    if folder.resolve() == Path.cwd() or folder.is_mount():
        raise SpecError.at(
            FIELD, f"{folder} cannot be replaced in one step; name a new folder inside it"
        )
    if folder.is_dir():
        if any(folder.iterdir()):
            raise SpecError.at(FIELD, f"{folder} is not empty; name a new or an empty folder")
    elif folder.exists():
        raise SpecError.at(FIELD, f"{folder} is a file; name a new or an empty folder")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to write into that gets its name when the block ends well, else vanishes.

    It lies beside its final name, so that the name is given in one step. What a killed process left
    is found by its number: `sweep`.

    Raises:
        SpecError: When the folder holds something.
        StorageError: When it cannot be written; nothing is left behind.
    """
    check_new(folder)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=_prefix(os.getpid()), dir=folder.absolute().parent))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    written = beside / folder.absolute().name  # mkdtemp's own rights are for nobody else
    try:
        written.mkdir()
        yield written
        _share(written)
        check_new(folder)
        written.rename(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(folder: Path, process: int) -> None:
    """Remove what a process that is no more left unfinished beside a folder."""
    for left in folder.absolute().parent.glob(f"{_prefix(process)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _prefix(process: int) -> str:
    return f".exporting-{process}-"


def _share(folder: Path) -> None:
    """Let files be read by whoever may read the folder; some libraries write for us alone."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(folder.stat().st_mode & 0o666)


def _cannot_write(folder: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error).split("\n", maxsplit=1)[0]
    return StorageError(
        f"{folder} cannot be written: {reason}; free some space or name another", field=FIELD
    )
