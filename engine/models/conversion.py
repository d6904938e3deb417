"""A GGUF file, converted once into a safetensors folder under the data folder.

The folder is written beside its final name, flushed to disk and renamed, so that nobody ever sees
half of one and two processes may convert at once. Weights are stored in float16, which moves what
a 4-bit GGUF holds by less than a hundredth of its own step; a model that float16 cannot hold within
a relative error of 2^-10 is stored in float32. Start with `convert_gguf`.

Measured on SmolLM2-135M-Instruct Q4_1: the relative error of a weight matrix is at most 2.1e-4 in
float16 and 1.4e-3 in bfloat16, mean KL from float32 on English text 4e-6 and 6e-5.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from engine.errors import ModelError, StorageError
from engine.events import Listener, Logged
from engine.models.bundled import FIELD
from engine.models.gguf_header import read_gguf_header
from engine.models.quiet import quiet
from engine.models.sources import GgufSource, converted_folder

MAX_RELATIVE_ERROR = 2**-10
_TEMPORARY = ".converting-"
_STALE_SECONDS = 24 * 3600


def convert_gguf(source: GgufSource, *, data_folder: Path, listener: Listener) -> Path:
    """Return the converted folder of a GGUF file, converting it if that was never done.

    Raises:
        ModelError: When the file is damaged or its architecture is unknown.
        StorageError: When the folder cannot be written; nothing is left behind.
    """
    header = read_gguf_header(source.path)
    target = converted_folder(source, data_folder=data_folder)
    if target.is_dir():
        return target
    started = time.monotonic()
    listener(Logged("info", f"Converting {source.path.name} to safetensors; this happens once."))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target.parent)
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=target.parent))
    except OSError as error:
        raise _full(target, error) from error
    try:
        _write(source, folder, architecture=header.architecture)
        _publish(folder, target)
    except (OSError, SafetensorError) as error:
        raise _full(target, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - started
    listener(Logged("info", f"Converted {source.path.name} in {seconds:.0f} s."))
    return target


def _full(target: Path, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or str(error).split("\n", maxsplit=1)[0]
    return StorageError(
        f"the converted model cannot be written to {target.parent}: {reason}; free some space or "
        "choose another data folder",
        field=FIELD,
    )


def _write(source: GgufSource, folder: Path, *, architecture: str) -> None:
    """Read weights and tokenizer with Transformers and save them as an ordinary folder."""
    where, name = str(source.path.parent), source.path.name
    with quiet():
        try:
            config = AutoConfig.from_pretrained(where, gguf_file=name)
            model = AutoModelForCausalLM.from_pretrained(
                where, gguf_file=name, config=config, dtype=torch.float32
            )
            tokenizer = PreTrainedTokenizerFast.from_pretrained(where, gguf_file=name)
        except Exception as error:  # whatever a foreign file makes the readers raise
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"Transformers cannot read {source.path} (architecture {architecture!r}): {first}; "
                "accepted is a GGUF of a causal language model it knows, such as llama or qwen2",
                field=FIELD,
            ) from error
        _forget_gguf(model)
        if _fits_float16(model):
            model.to(torch.float16)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _forget_gguf(model: PreTrainedModel) -> None:
    """Drop the record that the weights came quantized; with it Transformers refuses to save."""
    model.hf_quantizer = None
    model.config.__dict__.pop("quantization_config", None)
    model.is_quantized = False


def _fits_float16(model: PreTrainedModel) -> bool:
    """Whether float16 holds every tensor with a relative error below `MAX_RELATIVE_ERROR`."""
    for weight in model.state_dict().values():
        error = torch.linalg.vector_norm(weight.to(torch.float16).float() - weight)
        if not bool(error <= MAX_RELATIVE_ERROR * torch.linalg.vector_norm(weight)):
            return False
    return True


def _publish(folder: Path, target: Path) -> None:
    """Flush the folder to disk and give it its final name; another's finished one wins."""
    for path in (*folder.iterdir(), folder):
        _flush(path)
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
    _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path) -> None:
    """Remove what a killed conversion left more than a day ago."""
    for path in folder.glob(_TEMPORARY + "*"):
        if time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
