"""A run's model, method and evaluation setting in a few words. Start with `describe_method`."""

from __future__ import annotations

from typing import Any

from app.text import ranks as text
from engine.specs.presets import Preset, find_preset
from tasks.store.records import RunRecord

UNQUANTIZED_BITS = 16
ADAPTERS = {"lora": "LoRA", "elastic-lora": "NLS"}
METHOD_AXES = {
    "quantizer": ("grid", "float"),
    "adapter": ("kind", "none"),
    "training": ("method", "none"),
}


def describe_model(run: RunRecord) -> str:
    """Return the model's source without the "bundled:" in front and the folders above a file."""
    source = str(_dig(run.spec, "model", "source") or "")
    source = source.removeprefix("bundled:")
    return source.rstrip("/").rsplit("/", 1)[-1] if source.startswith(("/", ".", "~")) else source


def nominal_bits(run: RunRecord) -> int:
    """Return the width of the quantized layers; 16 where nothing is quantized."""
    return int(_dig(run.spec, "quantizer", "bits") or UNQUANTIZED_BITS)


def describe_method(run: RunRecord) -> str:
    """Return the preset's title, or the four axes in a few words where there is no preset.

    A run that builds on another is named after the adapters it uses and what it does with them.
    """
    if run.is_baseline:
        return "16-bit baseline"
    if run.kind in text.KINDS:
        return _name_child(_name_adapter(run), run.kind)
    preset = find_preset(run.preset or "")
    if preset is not None and _is_still(run, preset):
        return preset.title
    words = ["NormalFloat"] if _dig(run.spec, "quantizer", "grid") == "normal-float" else []
    if _dig(run.spec, "initialization", "method") == "loftq":
        words.append("LoftQ")
    if _dig(run.spec, "training", "method") not in (None, "none"):
        words.append(str(_dig(run.spec, "training", "method")).upper())
    if _dig(run.spec, "adapter", "kind") not in (None, "none"):
        words.append(_name_adapter(run))
    if words and words != ["NormalFloat"]:
        return " + ".join(words)
    method = str(_dig(run.spec, "initialization", "method") or "untuned").replace("-", " ")
    return " + ".join([*words, method]) if words else method.capitalize()


def list_child_methods() -> tuple[str, ...]:
    """Return what runs that build on elastic adapters are called."""
    return tuple(_name_child(ADAPTERS["elastic-lora"], kind) for kind in text.KINDS)


def describe_setting(run: RunRecord) -> str:
    """Return what runs must share to be compared: model, evaluation data, windows, benchmarks."""
    data, limit = _dig(run.spec, "evaluation", "data") or {}, _dig(run.spec, "evaluation", "limit")
    source = str(data.get("source", "")).removeprefix("bundled:")
    where = " ".join(str(part) for part in (source, data.get("config"), data.get("split")) if part)
    windows = "all windows" if limit is None else f"{limit} windows"
    length = _dig(run.spec, "evaluation", "max_length")
    written = f"{describe_model(run)} on {where}, {windows} of {length} tokens"
    return written + _describe_benchmarks(run)


def _describe_benchmarks(run: RunRecord) -> str:
    names = _dig(run.spec, "evaluation", "benchmarks") or ()
    limit = _dig(run.spec, "evaluation", "benchmark_limit")
    shots = _dig(run.spec, "evaluation", "num_fewshot")
    if not names:
        return ""
    written = f"; {', '.join(map(str, names))}"
    written += "" if limit is None else f", first {limit} questions"
    return written + ("" if shots is None else f", {shots} shots")


def _name_adapter(run: RunRecord) -> str:
    kind = str(_dig(run.spec, "adapter", "kind"))
    return ADAPTERS.get(kind, kind.upper())


def _name_child(adapter: str, kind: str) -> str:
    return f"{adapter}, {text.KINDS[kind]}"


def _is_still(run: RunRecord, preset: Preset) -> bool:
    """Whether a run lies where its preset does on the axes that name a method."""
    for axis, (tag, default) in METHOD_AXES.items():
        if _dig(run.spec, axis, tag) != (_dig(preset.values, axis, tag) or default):
            return False
    placement = _dig(preset.values, "adapter", "placement") or "absorbed"
    if _dig(run.spec, "adapter", "placement") not in (None, placement):
        return False
    start = _dig(preset.values, "initialization", "method") or "round-to-nearest"
    own = _dig(run.spec, "initialization", "method")
    if own == start:
        return True
    return "loftq" not in (own, start) and _dig(run.spec, "training", "method") != "none"


def _dig(values: Any, *keys: str) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values
