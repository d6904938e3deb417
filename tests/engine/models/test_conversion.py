"""GGUF to safetensors: equal, once, whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from engine.errors import ModelError, StorageError
from engine.events import Event, Logged
from engine.models import conversion
from engine.models.conversion import convert_gguf
from engine.models.loading import load_model
from engine.models.sources import GgufSource, parse_source
from engine.specs import ModelSpec
from tests.tiny_models import make_llama, make_tokenizer, save_llama_gguf

CPU = torch.device("cpu")
TOKENS = torch.arange(24).view(2, 12)


@pytest.fixture
def source(tmp_path: Path) -> GgufSource:
    found = parse_source(str(save_llama_gguf(tmp_path / "Tiny Model.gguf")))
    assert isinstance(found, GgufSource)
    return found


def convert(source: GgufSource, data_folder: Path) -> tuple[Path, list[Event]]:
    events: list[Event] = []
    return convert_gguf(source, data_folder=data_folder, listener=events.append), events


@pytest.mark.parametrize("tied", [False, True])
def test_same_model(tmp_path: Path, data_folder: Path, tied: bool) -> None:
    """A converted GGUF computes what the original model computes, to float16 rounding."""
    path = save_llama_gguf(tmp_path / "tiny.gguf", tied=tied)
    spec = ModelSpec(source=str(path))
    loaded = load_model(spec, data_folder=data_folder, device=CPU, listener=lambda _: None)
    original = make_llama(tied=tied)
    for name, weight in original.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], weight, rtol=2**-10, atol=1e-6)
    text = make_tokenizer()("for x in range(3): print(x)")["input_ids"]
    assert loaded.tokenizer("for x in range(3): print(x)")["input_ids"] == text


def test_converted_once(source: GgufSource, data_folder: Path) -> None:
    """The second conversion finds the first one's folder and says nothing."""
    folder, events = convert(source, data_folder)
    assert folder.parent == data_folder / "models"
    assert folder.name.startswith("tiny-model-")
    assert [type(event) for event in events] == [Logged, Logged]
    assert convert(source, data_folder) == (folder, [])


def test_stored_in_float16(source: GgufSource, data_folder: Path) -> None:
    """Ordinary weights are stored in 16 bits and keep a relative error below 2^-10."""
    folder, _ = convert(source, data_folder)
    weights = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}


def test_wide_weights_stay_float32(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose weights float16 cannot hold is stored in float32."""
    original = make_llama()
    with torch.no_grad():
        original.model.norm.weight.mul_(1e6)
    monkeypatch.setattr("tests.tiny_models.make_llama", lambda **_: original)
    source = parse_source(str(save_llama_gguf(tmp_path / "wide.gguf")))
    assert isinstance(source, GgufSource)
    weights = load_file(convert(source, data_folder)[0] / "model.safetensors")
    assert torch.equal(weights["model.norm.weight"], original.model.norm.weight)


def test_changed_file_is_converted_again(source: GgufSource, data_folder: Path) -> None:
    """Another model under the same file name gets a folder of its own."""
    first, _ = convert(source, data_folder)
    save_llama_gguf(source.path, seed=1)
    second, _ = convert(source, data_folder)
    assert first != second


def test_full_disk(source: GgufSource, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one sentence and leaves nothing behind."""

    def fail(self: PreTrainedModel, folder: Path) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fail)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        convert(source, data_folder)
    assert list((data_folder / "models").iterdir()) == []


def test_data_folder_is_a_file(source: GgufSource, tmp_path: Path) -> None:
    """A data folder that cannot be made is a storage error, not a crash."""
    path = tmp_path / "taken"
    path.write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        convert(source, path)


def test_two_at_once(
    source: GgufSource, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two conversions that meet both succeed and leave one whole folder."""
    meeting = threading.Barrier(2)
    publish = conversion._publish

    def publish_together(folder: Path, target: Path) -> None:
        meeting.wait(timeout=60)
        publish(folder, target)

    monkeypatch.setattr(conversion, "_publish", publish_together)
    command = (
        "import sys; from pathlib import Path; from engine.models.conversion import convert_gguf; "
        "from engine.models.sources import parse_source; print(convert_gguf("
        "parse_source(sys.argv[1]), data_folder=Path(sys.argv[2]), listener=lambda _: None))"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", command, str(source.path), str(data_folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    released = threading.Thread(target=lambda: (other.wait(timeout=120), meeting.wait(timeout=60)))
    released.start()
    folder, _ = convert(source, data_folder)
    released.join()
    assert other.communicate()[0].strip() == str(folder)
    assert list((data_folder / "models").iterdir()) == [folder]
    assert "lm_head.weight" in load_file(folder / "model.safetensors")


def test_killed_conversion_is_not_seen(source: GgufSource, data_folder: Path) -> None:
    """What a killed conversion left is neither used nor kept for more than a day."""
    old = data_folder / "models" / ".converting-old"
    young = data_folder / "models" / ".converting-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{")
    os.utime(old, (0, 0))
    folder, _ = convert(source, data_folder)
    assert set((data_folder / "models").iterdir()) == {young, folder}


def test_unknown_architecture(source: GgufSource, data_folder: Path) -> None:
    """A GGUF of an architecture Transformers does not read is refused by name."""
    content = source.path.read_bytes().replace(b"llama", b"lamma")
    source.path.write_bytes(content)
    with pytest.raises(ModelError, match=r"architecture 'lamma'.*accepted is a GGUF of a causal"):
        convert(source, data_folder)
    assert list((data_folder / "models").iterdir()) == []


@pytest.mark.slow
def test_bundled_model(data_folder: Path) -> None:
    """The bundled model converts, predicts English, and reloads equal bit for bit."""
    spec = ModelSpec()
    first = load_model(spec, data_folder=data_folder, device=CPU, listener=lambda _: None)
    again = load_model(spec, data_folder=data_folder, device=CPU, listener=lambda _: None)
    assert first.source == again.source
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])
    tokens = first.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        likely = int(first.model(tokens).logits[0, -1].argmax())
    assert first.tokenizer.decode([likely]) == " Paris"
