"""Promises of the named points in the space of specs."""

from __future__ import annotations

from engine.specs import PRESETS, find_preset


def test_names_are_unique_and_found() -> None:
    """Every preset is found by its own name."""
    assert [find_preset(preset.name) for preset in PRESETS] == list(PRESETS)


def test_unknown_name_finds_nothing() -> None:
    """A name that no preset has gives None."""
    assert find_preset("qat") is None


def test_presets_are_described() -> None:
    """Each preset has a label and a sentence for the person choosing."""
    assert all(preset.title and preset.description.endswith(".") for preset in PRESETS)
