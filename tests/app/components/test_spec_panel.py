"""Promises of the YAML that is shown with its origins."""

from __future__ import annotations

import pytest

from app.components.spec_panel import describe_spec, file_name
from engine.specs import PRESETS, Preset, parse_yaml, resolve, to_yaml


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_lines_are_the_yaml(preset: Preset) -> None:
    """The lines together are the file that is copied, and resolve to the same spec."""
    resolved = resolve({"preset": preset.name, "quantizer": {"exclude": []}}
                       if preset.name != "baseline" else {"preset": preset.name})  # fmt: skip
    shown = describe_spec(resolved)
    assert "\n".join(line["text"] for line in shown["lines"]) + "\n" == to_yaml(resolved.spec)
    assert resolve(parse_yaml(shown["yaml"])).spec == resolved.spec


def test_each_line_tells_its_origin() -> None:
    """Set, preset and default are marked on every line of a value, lists included."""
    exclude = ["lm_head", "a rather long pattern " * 8]
    shown = describe_spec(resolve({"preset": "rtn", "quantizer": {"exclude": exclude}}))
    origins: dict[str, list[str]] = {}
    for line in shown["lines"]:
        origins.setdefault(line["origin"], []).append(line["text"].strip())
    assert origins["set"][:2] == ["exclude:", "- lm_head"]
    assert all("pattern" in line or "rather" in line for line in origins["set"][2:])
    assert origins["preset"] == ["grid: integer", "bits: 4"]
    assert "quantizer:" in origins[""]
    assert "seed: 42" in origins["default"]


@pytest.mark.parametrize(
    ("title", "name"),
    [("My run #3", "my-run-3.yaml"), ("../../etc", "etc.yaml"), ("日本", "experiment.yaml")],
)
def test_file_names_are_plain(title: str, name: str) -> None:
    """A run's name becomes a file name that no shell or folder misreads."""
    assert file_name(title) == name
