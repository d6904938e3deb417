"""A run's model, method and evaluation setting in a few words. Start with `describe_method`."""

from __future__ import annotations

from typing import Any

from app.text import maps as maps_text
from app.text import ranks as text
from app.text import sensitivity as scoring_text
from engine.specs.presets import Preset, find_preset
from tasks.naming import write_policy, write_widths
from tasks.store.records import RunRecord

UNQUANTIZED_BITS = 16
SENSITIVITY = "sensitivity"
SCORED_APART = frozenset({"map-evaluation", SENSITIVITY})
"""Kinds of runs whose scores stand at their maps or units, each with its own width."""
ADAPTERS = {"lora": "LoRA", "lora-bank": "LoRA bank", "elastic-lora": "NLS"}
GRIDS = {
    "float": "16-bit",
    "integer": "integer",
    "normal-float": "NormalFloat",
    "loftq-uniform": "LoftQ-uniform",
}
STARTS = {
    "round-to-nearest": "round to nearest",
    "minimal-error": "minimal error",
    "data-aware": "data-aware",
    "loftq": "LoftQ",
    "adapter-folder": "adapter folder",
}
HEADS = {
    "classification": "classification head",
    "span-qa": "span head",
    "seq2seq": "sequence-to-sequence head",
}
METHOD_AXES = {
    "model": ("head", "causal-lm"),
    "quantizer": ("grid", "float"),
    "adapter": ("kind", "none"),
    "training": ("method", "none"),
}


def describe_model(run: RunRecord) -> str:
    """Return the model's source without the "bundled:" in front and the folders above a file."""
    source = str(_dig(run.spec, "model", "source") or "")
    source = source.removeprefix("bundled:")
    return source.rstrip("/").rsplit("/", 1)[-1] if source.startswith(("/", ".", "~")) else source


def nominal_bits(run: RunRecord) -> float:
    """Return the width of the quantized layers, on the mean; 16 where nothing is quantized."""
    return float(_dig(run.spec, "quantizer", "bits") or UNQUANTIZED_BITS)


def count_maps(run: RunRecord) -> str:
    """Return how many layer maps a run measures: "6 maps"."""
    count = len(_dig(run.spec, "maps") or ())
    return maps_text.COUNT[count != 1].format(count=count)


def describe_scored_widths(run: RunRecord) -> str:
    """Return the widths a sensitivity run scores: "8·6·4 bits"."""
    widths = "·".join(map(str, _dig(run.spec, "widths") or ()))
    return scoring_text.WIDTHS.format(widths=widths)


def describe_grid(run: RunRecord) -> str:
    """Return what weights are rounded to."""
    grid = str(_dig(run.spec, "quantizer", "grid") or "float")
    symmetry = _dig(run.spec, "quantizer", "symmetry") or "asymmetric"
    return GRIDS.get(grid, grid) + ("" if symmetry == "asymmetric" else f", {symmetry}")


def describe_width(run: RunRecord) -> str:
    """Return the widths a run's own scores belong to: "4 bits", "W4A8KV4"."""
    written = write_widths(_dig(run.spec, "quantizer") or {})
    return written.replace("-bit", " bits")


def describe_policy(run: RunRecord) -> str:
    """Return how widths change in its training: "switchable 8·6·4"; empty where they do not."""
    return write_policy(_dig(run.spec, "training") or {})


def describe_layer_map(run: RunRecord) -> str:
    """Return how many layers have widths of their own; empty where none has."""
    lines = _dig(run.spec, "quantizer", "layer_bits") or ()
    if not lines:
        return ""
    named = (
        "lines" if any(set("*?[") & set(line.rpartition("=")[0]) for line in lines) else "layers"
    )
    return f"layer map, {len(lines)} {named if len(lines) != 1 else named[:-1]}"


def describe_start(run: RunRecord) -> str:
    """Return where a quantized model started from; empty where nothing is quantized."""
    if (_dig(run.spec, "quantizer", "grid") or "float") == "float":
        return ""
    start = str(_dig(run.spec, "initialization", "method") or "round-to-nearest")
    is_first = _dig(run.spec, "initialization", "variant") == "svd-first"
    return STARTS.get(start, start) + (", SVD first" if is_first else "")


def describe_head(run: RunRecord) -> str:
    """Return what a model puts out; empty for the next token, as most do."""
    return HEADS.get(str(_dig(run.spec, "model", "head")), "")


def lacks_baseline(run: RunRecord) -> bool:
    """Whether the untuned model is never measured, because its head would only guess."""
    return _dig(run.spec, "model", "head") in ("classification", "span-qa")


def describe_method(run: RunRecord) -> str:
    """Return the preset's title, or the four axes in a few words where there is no preset.

    A run that builds on another is named after the adapters it uses and what it does with them.
    """
    if run.is_baseline:
        return "16-bit baseline"
    if run.kind == SENSITIVITY:
        return _name_scoring(run)
    if run.kind in text.KINDS:
        return _name_child(_name_adapter(run), run.kind)
    policy = describe_policy(run)
    preset = find_preset(run.preset or "")
    if preset is not None and _is_still(run, preset):
        return preset.title
    grid = _dig(run.spec, "quantizer", "grid")
    grids = [GRIDS[grid]] if grid in ("normal-float", "loftq-uniform") else []
    words = _name_start(run)
    if _dig(run.spec, "training", "method") not in (None, "none"):
        words.append(f"{str(_dig(run.spec, 'training', 'method')).upper()} {policy}".rstrip())
    if _dig(run.spec, "adapter", "kind") not in (None, "none"):
        words.append(_name_adapter(run))
    if words:
        return " + ".join([*grids, *words])
    method = str(_dig(run.spec, "initialization", "method") or "untuned").replace("-", " ")
    return " + ".join([*grids, method]) if grids else method.capitalize()


def describe_family(run: RunRecord) -> str:
    """Return what is said of a family before its values: grid, start, training, adapter."""
    words = [", ".join(filter(None, (describe_grid(run), describe_start(run))))]
    if _dig(run.spec, "training", "method") not in (None, "none"):
        method = str(_dig(run.spec, "training", "method")).upper()
        words.append(f"{method} {describe_policy(run)}".rstrip())
    if _dig(run.spec, "adapter", "kind") not in (None, "none"):
        rank = _dig(run.spec, "adapter", "r")
        words.append(f"{_name_adapter(run)} {rank}" if rank else _name_adapter(run))
    if run.kind in text.KINDS:
        words.append(text.KINDS[run.kind])
    return " + ".join(words)


def list_child_methods() -> tuple[str, ...]:
    """Return what runs that build on elastic adapters are called."""
    return tuple(_name_child(ADAPTERS["elastic-lora"], kind) for kind in text.RANK_KINDS)


def describe_setting(run: RunRecord) -> str:
    """Return what runs must share to be compared: model, evaluation data, windows, benchmarks.

    Another head reads rows of the benchmarks instead of windows, and may write summaries.
    """
    head = describe_head(run)
    if head:
        parts = (f"{describe_model(run)}, {head}", *_describe_rows(run))
        return ", ".join(parts) + _describe_benchmarks(run)
    data, limit = _dig(run.spec, "evaluation", "data") or {}, _dig(run.spec, "evaluation", "limit")
    source = str(data.get("source", "")).removeprefix("bundled:")
    where = " ".join(str(part) for part in (source, data.get("config"), data.get("split")) if part)
    windows = "all windows" if limit is None else f"{limit} windows"
    length = _dig(run.spec, "evaluation", "max_length")
    written = f"{describe_model(run)} on {where}, {windows} of {length} tokens"
    return written + _describe_benchmarks(run)


def _describe_rows(run: RunRecord) -> list[str]:
    """Say how long rows are and how summaries are written; nothing old specs do not know."""
    asked = _dig(run.spec, "evaluation") or {}
    length, longest, beams = map(asked.get, ("max_length", "max_new_tokens", "num_beams"))
    parts = [f"rows of {length} tokens"] if length else []
    if _dig(run.spec, "model", "head") == "seq2seq" and longest and beams:
        parts.append(f"summaries of {longest} tokens by {beams} beam{'' if beams == 1 else 's'}")
    return parts


def list_benchmarks(run: RunRecord) -> tuple[str, ...]:
    """Return what is measured besides text; with another head at least the trained task."""
    names = tuple(map(str, _dig(run.spec, "evaluation", "benchmarks") or ()))
    task = _dig(run.spec, "training", "data", "task")
    return names if names or not task or not describe_head(run) else (str(task),)


def _describe_benchmarks(run: RunRecord) -> str:
    names = list_benchmarks(run)
    limit = _dig(run.spec, "evaluation", "benchmark_limit")
    shots = _dig(run.spec, "evaluation", "num_fewshot")
    if not names:
        return ""
    written = f"; {', '.join(names)}"
    written += "" if limit is None else f", first {limit} questions"
    return written + ("" if shots is None else f", {shots} shots")


def _name_adapter(run: RunRecord) -> str:
    kind = str(_dig(run.spec, "adapter", "kind") or "none")
    return "" if kind == "none" else ADAPTERS.get(kind, kind.upper())


def _name_start(run: RunRecord) -> list[str]:
    """Return the start where it fills adapters; other starts only choose ranges."""
    start = _dig(run.spec, "initialization", "method")
    is_beside = _dig(run.spec, "adapter", "placement") == "parallel"
    fills = start in ("loftq", "adapter-folder") or (start == "data-aware" and is_beside)
    return [STARTS[start]] if fills else []


def _name_scoring(run: RunRecord) -> str:
    method = str(_dig(run.spec, "method", "method") or "")
    unit = scoring_text.UNITS.get(str(_dig(run.spec, "unit")), ("", ""))[0]
    named = scoring_text.METHODS.get(method, method).lower()
    return scoring_text.METHOD_OF.format(method=named, unit=unit)


def _name_child(adapter: str, kind: str) -> str:
    words = f"{adapter}, {text.KINDS[kind]}" if adapter else text.KINDS[kind]
    return words[:1].upper() + words[1:]


def _is_still(run: RunRecord, preset: Preset) -> bool:
    """Whether a run lies where its preset does on the axes that name a method."""
    for axis, (tag, default) in METHOD_AXES.items():
        own, known = (_dig(each, axis, tag) or default for each in (run.spec, preset.values))
        if own != known:
            return False
    policies = (
        _dig(each, "training", "bit_policy", "policy") for each in (run.spec, preset.values)
    )
    if len({each or "fixed" for each in policies}) > 1:
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
