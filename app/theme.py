"""How Bitdial looks: colors shared by pages and figures, Gradio's theme, dark mode.

Sizes and shapes stand in `theme.css`; what a page holds is not decided here. Start with
`BITS_COLORS` for figures, `build_theme` for the server.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

# One color per width, warm for few bits and cool for many, a quiet one for the 16-bit baseline.
# Legible on both backgrounds and apart for color-blind people; symbols say the same again.
BITS_COLORS: dict[int, str] = {
    2: "#c21f6c",
    3: "#b54d04",
    4: "#dd7300",
    5: "#4d9e44",
    6: "#31a07c",
    7: "#0d70c9",
    8: "#6f75f8",
    16: "#8a70a9",
}
BITS_SYMBOLS: dict[int, str] = {
    2: "circle",
    3: "square",
    4: "diamond",
    5: "cross",
    6: "x",
    7: "triangle-up",
    8: "star",
    16: "hexagon",
}
# Curves that are not a width (after Okabe and Ito, 2008), in the order in which they are used.
SERIES_COLORS: tuple[str, ...] = (
    "#2f77d0",
    "#d9601a",
    "#11936d",
    "#c26aa0",
    "#3fa3d6",
    "#c98a00",
    "#8a63d2",
    "#7b8190",
)
# Ranks from the smallest to the largest, by rising lightness, so that everybody sees their order
# (after Viridis of van der Walt and Smith, without its ends, which vanish on a dark or white page).
RANK_RAMP: tuple[str, ...] = ("#6a5acd", "#3f7cc4", "#2a9297", "#2fa36f", "#7db83a", "#c9c62b")
# How much something hurts, least to most: from blue to yellow by rising lightness (after Cividis
# of Nuñez, Anderton and Renslow, 2018, without its darkest end, which vanishes on a dark page).
HEAT_RAMP: tuple[str, ...] = ("#30518f", "#5a6b8b", "#80868c", "#a8a07d", "#cfba60", "#f0d63e")
STATE_COLORS: dict[str, str] = {
    "draft": "#7b8190",
    "queued": "#7b8190",
    "running": "#2f77d0",
    "succeeded": "#11936d",
    "failed": "#c6283d",
    "cancelled": "#c98a00",
}

# Gradio's tokens, the same in both modes: the colors behind `--bd-*` change, not the names.
_TOKENS: dict[str, str] = {
    "body_background_fill": "var(--bd-page)",
    "body_text_color": "var(--bd-text)",
    "body_text_color_subdued": "var(--bd-soft)",
    "background_fill_primary": "var(--bd-card)",
    "background_fill_secondary": "var(--bd-page)",
    "border_color_primary": "var(--bd-line)",
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_label_text_color": "var(--bd-soft)",
    "block_title_text_color": "var(--bd-text)",
    "block_info_text_color": "var(--bd-soft)",
    "input_background_fill": "var(--bd-field)",
    "input_border_color": "var(--bd-line-strong)",
    "input_border_color_focus": "var(--bd-accent)",
    "input_shadow": "none",
    "button_primary_background_fill": "var(--bd-accent-fill)",
    "button_primary_background_fill_hover": "var(--bd-accent-fill-hover)",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": "var(--bd-card)",
    "button_secondary_background_fill_hover": "var(--bd-hover)",
    "button_secondary_border_color": "var(--bd-line-strong)",
    "button_secondary_text_color": "var(--bd-text)",
    "link_text_color": "var(--bd-accent)",
    "link_text_color_hover": "var(--bd-accent)",
    "link_text_color_visited": "var(--bd-accent)",
}

# Runs before the page is drawn, so that a dark page never flashes white, and once more after
# Gradio has set its own idea of the mode.
HEAD = """
<meta name="color-scheme" content="light dark">
<script>
(function () {
  const apply = () => {
    const kept = localStorage.getItem('bitdial-theme');
    const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    const mode = kept || system;
    document.documentElement.dataset.mode = mode;
    if (document.body) document.body.classList.toggle('dark', mode === 'dark');
  };
  window.bitdialApplyMode = apply;
  apply();
  document.addEventListener('DOMContentLoaded', apply);
})();
</script>
"""
ON_LOAD = "() => { window.bitdialApplyMode(); }"


def color_of_bits(bits: float) -> str:
    """Return the color of the width nearest to `bits`, as "#rrggbb"."""
    return BITS_COLORS[_nearest_width(bits)]


def color_of_rank(place: int, count: int) -> str:
    """Return the color of a rank as "#rrggbb": its place from the smallest (0) among so many."""
    return _mix(RANK_RAMP, place / (count - 1) if count > 1 else 1.0)


def color_of_heat(share: float) -> str:
    """Return the color of a place on the scale from least (0) to most (1), as "#rrggbb"."""
    return _mix(HEAT_RAMP, min(max(share, 0.0), 1.0))


def symbol_of_bits(bits: float) -> str:
    """Return Plotly's name of the marker symbol of the width nearest to `bits`."""
    return BITS_SYMBOLS[_nearest_width(bits)]


def _nearest_width(bits: float) -> int:
    return min(BITS_COLORS, key=lambda width: abs(width - bits))


def _mix(ramp: tuple[str, ...], share: float) -> str:
    """Return the color at a share of a ramp's way."""
    at = (len(ramp) - 1) * share
    low = min(int(at), len(ramp) - 2)
    parts = zip(_channels(ramp[low]), _channels(ramp[low + 1]), strict=True)
    return "#" + "".join(f"{round(one + (at - low) * (two - one)):02x}" for one, two in parts)


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[start : start + 2], 16) for start in (1, 3, 5))


def load_css() -> str:
    """Return the style sheet of every page: the shell's and the form's."""
    folder = Path(__file__).parent
    sheets = (folder / "theme.css", folder / "forms" / "form.css")
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


def build_theme() -> gr.themes.Base:
    """Build Gradio's theme from system fonts; nothing is fetched from elsewhere."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )
    both = {f"{name}{mode}": value for name, value in _TOKENS.items() for mode in ("", "_dark")}
    return theme.set(block_padding="0", **both)
