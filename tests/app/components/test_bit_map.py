"""Promises of the bit map's colors, words and queue of changes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from app.components import bit_map
from app.components.assembling import read_scripts
from app.components.bit_map import NUM_STEPS, list_colors
from app.quantities import MIB, write_bytes, write_number
from app.text import layer_list
from app.text import layers as text
from engine.specs.wildcards import matches
from tests.app.test_theme import contrast
from tests.browser import browser, page

__all__ = ["browser", "page"]

COLORS = list_colors()
PATTERNS = ("*.mlp.*", "model.layers.?.*", "*[05].*q*", "*[!0]*", "a.b", "*", "*.q_proj", "[]a]")
NAMES = (
    "model.layers.0.self_attn.q_proj",
    "model.layers.15.mlp.up_proj",
    "model.layers.5.mlp.down_proj",
    "a.b",
    "axb",
    "[",
    "]",
    "lm_head",
)


@pytest.mark.parametrize("scale", ["bits", "steps"])
def test_numbers_on_cells_are_legible(scale: str) -> None:
    """On every width's color and every step of sensitivity, text has a contrast of 4.5."""
    assert min(contrast(ground, ink) for ground, ink in COLORS[scale].values()) >= 4.5


def test_every_width_and_step_has_its_style() -> None:
    """The style sheet has a rule for each width and each step that colors are given for."""
    sheet = (Path(bit_map.__file__).parent / "bit_map.css").read_text()
    for letter, scale in (("w", "bits"), ("s", "steps")):
        for name in COLORS[scale]:
            assert f".{letter}{name} {{ background: var(--{letter}{name})" in sheet
    assert len(COLORS["steps"]) == NUM_STEPS


def run_script(page: Page, program: str) -> Any:
    """Run the page's own code in a browser; the program returns its result."""
    prelude = "const props = {words: {}, colors: {steps: {}}}; const words = props.words;"
    scripts = read_scripts("dom.js", "bit_map_figures.js", "bit_map_edits.js")
    return page.evaluate("async () => {" + prelude + scripts + program + "}")


@pytest.mark.browser
def test_patterns_match_as_the_server_has_it(page: Page) -> None:
    """What the page counts for a pattern is what the server sets by it."""
    asked = json.dumps([PATTERNS, NAMES])
    found = run_script(
        page,
        f"const [patterns, names] = {asked};return patterns.map((p) => names.map(readPattern(p)));",
    )
    assert found == [[matches(pattern, name) for name in NAMES] for pattern in PATTERNS]


@pytest.mark.browser
def test_numbers_are_written_as_elsewhere(page: Page) -> None:
    """Sizes and losses look in the browser as the server writes them."""
    losses = [0.0, 0.0123456, 1.5, 123.4, 98765.0, -0.5, 3.2e-7, 4.5e9]
    sizes = [512, 84.2 * MIB, 1.5 * MIB, 300 * MIB, 3000 * MIB]
    found = run_script(
        page,
        f"return [{json.dumps(losses)}.map(writeFigure), {json.dumps(sizes)}.map(writeBytes)];",
    )
    assert found == [[write_number(each) for each in losses], [write_bytes(each) for each in sizes]]


@pytest.mark.browser
def test_edits_change_what_they_name(page: Page) -> None:
    """A set goes to all that share a width, keeps to limits, and a pin changes no width."""
    view = {"layers": [{"name": name, "group": group} for name, group in
                       (("a.q", 0), ("a.k", 0), ("a.o", None), ("b.q", 1))]}  # fmt: skip
    state = {"bits": [4, 4, 4, 4], "pinned": [], "least": {}, "most": {"2": 6}, "fused": True}
    edits = [
        {"edit": "set", "layers": ["a.q"], "bits": 8},
        {"edit": "set", "pattern": "*.o", "bits": 8},
        {"edit": "pin", "layers": ["b.q"]},
        {"edit": "undo"},
    ]
    found = run_script(
        page,
        f"const view = {json.dumps(view)};"
        "view.places = new Map(view.layers.map((layer, index) => [layer.name, index]));"
        f"const state = applyRequest(view, {json.dumps(state)}, {{edits: {json.dumps(edits)}}});"
        "return [state.bits, state.pinned];",
    )
    assert found == [[8, 8, 4, 4], [3]]


QUEUE = """
Object.defineProperty(globalThis, 'sessionStorage', { value: {
  getItem: () => null, removeItem() {}, setItem() {} } });
const sent = [];
const answers = [];
globalThis.fetch = (address, options) => new Promise((resolve, reject) => {
  sent.push(JSON.parse(options.body));
  answers.push({ resolve, reject });
});
const view = { layers: [{ name: 'a', group: null }, { name: 'b', group: null }],
  state: { revision: 1, bits: [4, 4], pinned: [], least: {}, most: {}, fused: false } };
view.places = new Map([['a', 0], ['b', 1]]);
const queue = openQueue(view, '/m', { changed() {}, answered() {}, refused() {}, others() {} });
const set = (layer, bits) => queue.add([{ edit: 'set', layers: [layer], bits }]);
const settle = () => new Promise((resolve) => setTimeout(resolve));
async function answer(state) {
  answers.shift().resolve({ ok: true, status: 200, json: async () => state });
  await settle();
}
"""


@pytest.mark.browser
def test_one_request_at_a_time_and_the_rest_in_order(page: Page) -> None:
    """While one change is on its way others wait; of one cell only the newest width is sent."""
    found = run_script(
        page,
        QUEUE
        + """
  set('a', 6); set('b', 8); set('b', 2); set('a', 3);
  const early = [sent.length, queue.shown().bits];
  await answer({ ...view.state, revision: 2, bits: [6, 4] });
  await answer({ ...view.state, revision: 3, bits: [6, 2] });
  await answer({ ...view.state, revision: 4, bits: [3, 2] });
  return [early, sent.map((each) => each.edits[0]), queue.numWaiting()];
""",
    )
    assert found[0] == [1, [3, 2]]
    assert [(each["layers"], each["bits"]) for each in found[1]] == [
        (["a"], 6),
        (["b"], 2),
        (["a"], 3),
    ]
    assert found[2] == 0


@pytest.mark.browser
def test_a_change_tells_which_revision_was_seen_when_it_was_made(page: Page) -> None:
    """A change that waited does not claim to have seen what was answered in between."""
    found = run_script(
        page,
        QUEUE
        + """
  set('a', 6); set('b', 8);
  await answer({ ...view.state, revision: 9, bits: [6, 3] });
  await answer({ ...view.state, revision: 10, bits: [6, 3] });
  return [sent.map((each) => each.revision), queue.shown().bits];
""",
    )
    assert found == [[1, 1], [6, 3]]


@pytest.mark.browser
def test_what_is_left_when_the_page_goes_is_sent_at_once(page: Page) -> None:
    """Leaving the page hands what is not answered to the browser in one request, and keeps it."""
    found = run_script(
        page,
        QUEUE
        + """
set('a', 6); set('b', 8); set('a', 3);
queue.flush();
return [sent.map((each) => each.edits.length), queue.numWaiting()];""",
    )
    assert found == [[1, 3], 3]


def test_every_word_the_page_asks_for_is_there() -> None:
    """No script names a word that the texts have not."""
    folder = Path(bit_map.__file__).parent
    for path in folder.glob("bit_map*.js"):
        is_list = path.name == "bit_map_list.js"
        known = {*layer_list.LIST, "title", "lead"} if is_list else set(text.WORDS)
        script = path.read_text()
        asked = set(re.findall(r"\bwords\.(\w+)", script))
        assert {word for word in asked if word not in known} == set(), path.name
        for part in re.finditer(r"function \w+\(.*?(?=\nfunction |\Z)", script, re.DOTALL):
            room = re.search(r"const told = words\.(\w+);", part[0])
            if room is not None:
                told = set(re.findall(r"\btold\.(\w+)", part[0]))
                assert told <= set(text.WORDS[room[1]]), path.name  # type: ignore[call-overload]
