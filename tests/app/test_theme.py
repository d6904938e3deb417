"""Promises of the colors: legible, and apart for everybody."""

from __future__ import annotations

import itertools
import re

import pytest

from app.theme import (
    BITS_COLORS,
    BITS_SYMBOLS,
    HEAT_RAMP,
    build_theme,
    color_of_bits,
    color_of_heat,
    color_of_rank,
    load_css,
    symbol_of_bits,
)

# Viénot, Brettel and Mollon (1999): linear RGB as protanopes and deuteranopes see it.
BLINDNESS = {
    "none": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protan": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deutan": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}
TEXTS = ("text", "soft", "accent", "danger", "good", "warn")


def linear(color: str) -> tuple[float, float, float]:
    """Read "#rrggbb" as linear light."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(  # type: ignore[return-value]
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""
    lights = []
    for color in (one, other):
        red, green, blue = linear(color)
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


def tokens(mode: str) -> dict[str, str]:
    """Read the color tokens of one mode from the style sheet."""
    selector = r":root" if mode == "light" else r'html\[data-mode="dark"\], \.dark'
    match = re.search(selector + r" \{(.*?)\}", load_css(), re.DOTALL)
    assert match is not None
    return dict(re.findall(r"--bd-([a-z-]+): (#[0-9a-f]{6});", match[1]))


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_is_legible(mode: str, name: str) -> None:
    """Every color of text has a contrast of 4.5 on page, card, field and its own soft ground."""
    colors = tokens(mode)
    grounds = [colors["page"], colors["card"], colors["field"]]
    grounds += [colors[f"{name}-soft"]] if f"{name}-soft" in colors else []
    assert min(contrast(colors[name], ground) for ground in grounds) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_main_button_is_legible(mode: str) -> None:
    """White on the accent has a contrast of 4.5, hovered or not."""
    colors = tokens(mode)
    assert contrast("#ffffff", colors["accent-fill"]) >= 4.5
    assert contrast("#ffffff", colors["accent-fill-hover"]) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("bits", BITS_COLORS)
def test_marks_stand_out_from_the_page(mode: str, bits: int) -> None:
    """A mark in a figure has a contrast of at least 3 on a card, and a symbol of its own."""
    assert contrast(BITS_COLORS[bits], tokens(mode)["card"]) >= 3
    assert len(set(BITS_SYMBOLS.values())) == len(BITS_SYMBOLS)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_widths_are_told_apart_by_everybody(blindness: str) -> None:
    """No two widths look the same to a color-blind person; symbols tell them apart besides."""
    seen = {
        bits: tuple(
            sum(weight * part for weight, part in zip(row, linear(color), strict=True))
            for row in BLINDNESS[blindness]
        )
        for bits, color in BITS_COLORS.items()
    }
    for one, other in itertools.combinations(seen, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        assert distance > 0.1, (one, other, distance)


@pytest.mark.parametrize(("effective", "width"), [(4.31, 4), (3.3, 3), (2.0, 2), (16.0, 16)])
def test_effective_bits_take_the_nearest_width(effective: float, width: int) -> None:
    """A run at 4.31 effective bits looks like the other 4-bit runs."""
    assert color_of_bits(effective) == BITS_COLORS[width]
    assert symbol_of_bits(effective) == BITS_SYMBOLS[width]


def test_both_modes_take_our_colors() -> None:
    """Gradio's own parts are painted with our tokens in light and in dark."""
    theme = build_theme()
    assert theme.body_background_fill == theme.body_background_fill_dark == "var(--bd-page)"
    assert theme.input_border_color_focus_dark == "var(--bd-accent)"


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_ranks_are_told_apart_by_lightness(count: int) -> None:
    """A larger rank is lighter than a smaller one, whatever colors a person sees."""
    lights = []
    for place in range(count):
        red, green, blue = linear(color_of_rank(place, count))
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert lights == sorted(lights)
    assert len(set(lights)) == count


@pytest.mark.parametrize("place", range(5))
def test_numbers_on_ranks_are_legible(place: int) -> None:
    """Black or white on the color of a rank has a contrast of 4.5."""
    color = color_of_rank(place, 5)
    assert max(contrast(color, "#ffffff"), contrast(color, "#000000")) >= 4.5


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_what_hurts_more_is_lighter_for_everybody(blindness: str) -> None:
    """Along the scale of heat lightness rises step by step, also for color-blind people."""
    lights = []
    for place in range(11):
        seen = linear(color_of_heat(place / 10))
        red, green, blue = (
            sum(weight * part for weight, part in zip(row, seen, strict=True))
            for row in BLINDNESS[blindness]
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert all(later > earlier + 0.01 for earlier, later in itertools.pairwise(lights))


def test_heat_beyond_its_scale_keeps_the_last_color() -> None:
    """What lies outside the scale has the color of its nearer end."""
    assert color_of_heat(-1) == HEAT_RAMP[0]
    assert color_of_heat(7) == HEAT_RAMP[-1]
