"""Promises of tensors on disk: computed once, whole or not there, a full disk leaves nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import StorageError
from engine.teacher import cache
from engine.teacher.cache import Tensors, digest, load_or_compute, make_key, write_tensors

VALUES = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


class Counted:
    """A computation that knows how often it ran."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Tensors:
        self.count += 1
        return {name: value.clone() for name, value in VALUES.items()}


def assert_whole(tensors: Tensors) -> None:
    """Fail unless the tensors are the computed ones."""
    assert sorted(tensors) == sorted(VALUES)
    assert all(torch.equal(tensors[name], VALUES[name]) for name in VALUES)


def test_what_was_computed_is_not_computed_again(tmp_path: Path) -> None:
    """The second asker reads the file, into a folder that was made on the way."""
    compute = Counted()
    folder = tmp_path / "deep" / "cache"
    assert_whole(load_or_compute(folder, "key", compute))
    assert_whole(load_or_compute(folder, "key", compute))
    assert compute.count == 1
    assert [path.name for path in folder.iterdir()] == ["key.safetensors"]
    assert_whole(load_or_compute(folder, "other", compute))
    assert compute.count == 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    path.write_bytes(b"\xff" * 200)


@pytest.mark.parametrize("damage", [_cut, _empty, _scribble])
def test_a_damaged_file_is_computed_again_and_repaired(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """A file that was cut, emptied or overwritten is noticed, computed again and replaced."""
    compute = Counted()
    load_or_compute(tmp_path, "key", compute)
    damage(tmp_path / "key.safetensors")
    assert_whole(load_or_compute(tmp_path, "key", compute))
    assert compute.count == 2
    assert_whole(load_or_compute(tmp_path, "key", compute))
    assert compute.count == 2


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up half-way, the error names file and reason and no piece is left."""

    def save_half(_tensors: Tensors, filename: str, _metadata: object) -> None:
        Path(filename).write_bytes(b"half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "save_file", save_half)
    with pytest.raises(StorageError) as caught:
        load_or_compute(tmp_path, "key", Counted())
    assert str(caught.value) == (
        f"key.safetensors could not be written in {tmp_path}: No space left on device"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_file_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that cannot be replaced stays as it was."""
    path = tmp_path / "file.safetensors"
    write_tensors(path, VALUES)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "save_file", refuse)
    with pytest.raises(StorageError):
        write_tensors(path, {"c": torch.zeros(3)})
    assert_whole(load_file(path))
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """Where a file stands in the way of the folder, the error is ours."""
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match=r"key\.safetensors could not be written"):
        load_or_compute(tmp_path / "taken" / "cache", "key", Counted())


def test_an_error_of_the_computation_leaves_nothing(tmp_path: Path) -> None:
    """A computation that fails, or is cancelled, is not kept."""

    def fail() -> Tensors:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        load_or_compute(tmp_path, "key", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_view_is_written_as_what_it_shows(tmp_path: Path) -> None:
    """Transposed and sliced tensors come back with their values."""
    whole = torch.arange(12.0).view(3, 4)
    path = tmp_path / "views.safetensors"
    write_tensors(path, {"t": whole.t(), "s": whole[:, 1]})
    found = load_file(path)
    assert torch.equal(found["t"], whole.t())
    assert torch.equal(found["s"], whole[:, 1])


def test_a_key_changes_with_every_part() -> None:
    """Keys depend on each part and on nothing else, not even on the order of the parts."""
    parts = {"kind": "targets", "model": "m", "temperature": 1.0}
    keys = {make_key(parts | {name: "changed"}) for name in parts} | {make_key(parts)}
    assert len(keys) == 4
    assert make_key(dict(reversed(parts.items()))) == make_key(parts)


def test_a_digest_knows_shape_and_dtype() -> None:
    """The same text cut into windows of another length is not the same windows."""
    tokens = torch.arange(24)
    digests = {
        digest(tokens.view(2, 12)),
        digest(tokens.view(4, 6)),
        digest(tokens.view(2, 12).to(torch.int32)),
        digest(tokens.view(2, 12).flip(0)),
    }
    assert len(digests) == 4
    assert digest(tokens.view(2, 12)) in digests
    assert digest(torch.arange(24).view(12, 2).t().contiguous().t()) == digest(tokens.view(12, 2))
