"""Texts by name: each source, and what is said where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from engine.data.corpora import load_documents
from engine.data.python_docs import load_python_docs
from engine.errors import DataError
from engine.specs import DataSpec

FIELD = "training.data"


def load(data_folder: Path, *, mirror: Path | None = None, **values: str) -> tuple[str, ...]:
    spec = DataSpec.model_validate(values)
    return load_documents(spec, field=FIELD, data_folder=data_folder, mirror=mirror)


def refuse(data_folder: Path, *, mirror: Path | None = None, **values: str) -> tuple[str, str]:
    with pytest.raises(DataError) as caught:
        load(data_folder, mirror=mirror, **values)
    assert "\n" not in str(caught.value)
    return caught.value.field, str(caught.value)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    config = folder / "org" / "name" / "plain"
    config.mkdir(parents=True)
    (config / "train.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n{"text": " "}\n')
    parquet.write_table(pyarrow.table({"text": ["three"]}), config / "test.parquet")
    return folder


def test_bundled(data_folder: Path) -> None:
    """The bundled corpus gives the split that was asked for."""
    found = load(data_folder, source="bundled:python-docs", split="test")
    assert found == load_python_docs("test")


def test_txt(tmp_path: Path, data_folder: Path) -> None:
    """A text file is one document per block between blank lines, nothing lost."""
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffone\r\n two\n\n \t\nthree ä\n\n".encode())
    assert load(data_folder, source=str(path)) == ("one\n two\n", "three ä\n")


def test_below_data_folder(data_folder: Path) -> None:
    """A file may be named relative to the data folder."""
    (data_folder / "mine.txt").write_text("text")
    assert load(data_folder, source="mine.txt") == ("text",)


def test_mirror(mirror: Path, data_folder: Path) -> None:
    """The mirror is read before the hub, with the only configuration where none is named."""
    assert load(data_folder, mirror=mirror, source="org/name") == ("one", "two")
    named = load(data_folder, mirror=mirror, source="org/name", config="plain", split="test")
    assert named == ("three",)


def test_real_mirror(data_mirror: Path, data_folder: Path) -> None:
    """WikiText-2 is found in the real mirror."""
    found = load(
        data_folder, mirror=data_mirror, source="Salesforce/wikitext", config="wikitext-2-raw-v1"
    )
    assert len(found) > 1000


def test_mirror_lists_what_there_is(mirror: Path, data_folder: Path) -> None:
    """A missing split or configuration is refused with those that exist."""
    field, text = refuse(data_folder, mirror=mirror, source="org/name", split="dev")
    assert (field, "it has test, train" in text) == ("training.data.split", True)
    field, text = refuse(data_folder, mirror=mirror, source="org/name", config="fancy")
    assert (field, "choose one of plain" in text) == ("training.data.config", True)
    (mirror / "org" / "name" / "other").mkdir()
    field, text = refuse(data_folder, mirror=mirror, source="org/name")
    assert (field, "choose one of other, plain" in text) == ("training.data.config", True)


@pytest.mark.parametrize("source", ["../secret/x", "..", "org/.."])
def test_mirror_keeps_inside(mirror: Path, data_folder: Path, source: str) -> None:
    """No name leads out of the mirror."""
    (mirror.parent / "secret" / "x").mkdir(parents=True)
    field, _ = refuse(data_folder, mirror=mirror, source=source)
    assert field == "training.data.source"


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"source": "bundled:x"}, "source", "choose bundled:python-docs"),
        (
            {"source": "bundled:python-docs", "split": "dev"},
            "split",
            "no split 'dev'; choose train, validation, test",
        ),
        ({"source": "/no/such.txt"}, "source", "there is no file /no/such.txt; accepted are"),
        ({"source": "no/such.jsonl"}, "source", "there is no file"),
        ({"source": "no-such/data"}, "source", "hub cannot be reached; put it into the data mir"),
    ],
)
def test_refused(data_folder: Path, values: dict[str, str], field: str, sentence: str) -> None:
    """What is not there is one sentence at its field, with what would be accepted."""
    found, text = refuse(data_folder, **values)
    assert found == f"{FIELD}.{field}"
    assert sentence in text


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"", ("source", "holds no text")),
        ("a.txt", b" \n\n", ("source", "holds no text")),
        ("a.txt", b"caf\xe9", ("source", "is not UTF-8 text (byte 3)")),
        ("a.jsonl", b"", ("source", "holds no text")),
        ("a.jsonl", b'{"text": "x"}\n{', ("source", "line 2 of a.jsonl is not JSON")),
        ("a.jsonl", b"[1]", ("source", "line 1 of a.jsonl is not a JSON object")),
        ("a.jsonl", b'{"body": "x"}', ("text_field", "no column 'text'; its columns are body")),
        ("a.jsonl", b'{"text": 1, "b": "x"}', ("text_field", "columns with text: b")),
        ("a.jsonl", b'{"text": ""}', ("source", "holds no text")),
        ("a.jsonl", b'{"text": "\xff"}', ("source", "is not UTF-8")),
        ("a.parquet", b"PAR1", ("source", "is not a whole parquet file")),
        ("a.csv", b"x", ("source", "accepted are .txt, .jsonl, .parquet")),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, expected: tuple[str, str]) -> None:
    """A file that cannot be used is one sentence that says where and what is accepted."""
    path = tmp_path / name
    path.write_bytes(content)
    found, text = refuse(tmp_path, source=str(path))
    assert found == f"{FIELD}.{expected[0]}"
    assert expected[1] in text


def test_parquet_columns(tmp_path: Path, data_folder: Path) -> None:
    """A parquet file without the column lists its columns."""
    parquet.write_table(pyarrow.table({"body": ["x"], "n": [1]}), tmp_path / "a.parquet")
    field, text = refuse(data_folder, source=str(tmp_path / "a.parquet"))
    assert (field, "its columns are body, n" in text) == ("training.data.text_field", True)
    assert load(data_folder, source=str(tmp_path / "a.parquet"), text_field="body") == ("x",)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read any file")
def test_unreadable(tmp_path: Path, data_folder: Path) -> None:
    """A file without permission is one sentence."""
    path = tmp_path / "a.txt"
    path.write_text("x")
    path.chmod(0)
    assert "cannot be read" in refuse(data_folder, source=str(path))[1]


def test_hub_library(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set outside the mirror goes through the datasets library, errors at their field."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [{"text": "one"}, {"text": ""}, {"text": "two"}]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    assert load(data_folder, source="set") == ("one", "two")
    field, text = refuse(data_folder, source="set", split="dev")
    assert (field, "dev" in text) == ("training.data.split", True)
    field, text = refuse(data_folder, source="set", text_field="body")
    assert (field, "its columns are text" in text) == ("training.data.text_field", True)


def test_light_until_needed() -> None:
    """Naming corpora loads no heavy library."""
    code = "import sys, engine.data.corpora; print('datasets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
