"""From a click or a slider step to its paint: `python -m tests.benchmarks.bit_map --json`.

A model of 64 blocks of 7 layers (a config and empty weights; its scores are made up) is served by
the real web process and painted in a real Chromium. A click is timed by the browser, from the
moment it happened to the frame after which the cell shows its new width; a slider step to the frame
after which grid and ledger show what the server solved for it; `click_to_saved` runs until the
server has answered. Beside them stands `frame`: what the same browser needs from a click on nothing
to its next frame. Start with `main`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, sync_playwright

from tests.benchmarks.report import CannotMeasure, Report, describe_environment
from tests.bit_map_samples import KINDS, add_bit_map
from tests.browser import serve_samples

NUM_BLOCKS = 64
TARGETS = {
    "click_to_paint_milliseconds": "<=150",
    "slider_step_to_paint_milliseconds": "<=150",
}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
WATCH = """() => {
  const root = document.querySelector('.bit-map');
  const taken = window.taken = { click: [], saved: [], step: [], frame: [] };
  // A task after the frame's callback runs once the frame is painted.
  const painted = (then) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => then(performance.now());
    channel.port2.postMessage(0);
  });
  const changed = (node, ready, then) => {
    const watcher = new MutationObserver(() => {
      if (!ready()) return;
      watcher.disconnect();
      then();
    });
    watcher.observe(node,
      { attributes: true, childList: true, characterData: true, subtree: true });
  };
  window.addEventListener('pointerdown', (event) => {
    const began = event.timeStamp;
    const cell = event.target.closest('td[data-index]');
    if (!cell) { painted((now) => taken.frame.push(now - began)); return; }
    const before = cell.textContent;
    changed(cell, () => cell.textContent !== before,
      () => painted((now) => taken.click.push(now - began)));
    const known = root.dataset.revision;
    changed(root, () => root.dataset.revision !== known,
      () => taken.saved.push(performance.now() - began));
  }, true);
  document.querySelector('.slider').addEventListener('input', (event) => {
    const began = event.timeStamp;
    const wanted = String(Number(Number(event.target.value).toFixed(4)));
    changed(root, () => root.dataset.preview === wanted,
      () => painted((now) => taken.step.push(now - began)));
  }, true);
}"""
HAS_TAKEN = "([kind, count]) => window.taken[kind].length >= count"
STEP = """(place) => {
  const node = document.querySelector('.slider');
  const share = 0.02 + 0.5 * ((place * 0.618) % 1);
  node.value = String(Number(node.min) + share * (Number(node.max) - Number(node.min)));
  node.dispatchEvent(new Event('input'));
}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code: 0, or 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description="From a click or a slider step to its paint.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=40, help="clicks and steps (40)")
    asked = parser.parse_args(arguments)
    if asked.rounds < 1:
        parser.error("--rounds is a whole number from 1")
    try:
        # the server's messages must not spoil the output
        with redirect_stdout(sys.stderr):
            report = run(rounds=asked.rounds)
    except CannotMeasure as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write((report.to_json() if asked.json else report.to_text()) + "\n")
    return 0


def run(*, rounds: int, num_blocks: int = NUM_BLOCKS) -> Report:
    """Serve a map of so many blocks and measure it in Chromium.

    Raises:
        CannotMeasure: Where there is no Chromium.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise CannotMeasure("this needs Chromium; install Debian's package chromium")
    add = partial(add_bit_map, num_blocks=num_blocks)
    with TemporaryDirectory() as folder, serve_samples(Path(folder), add) as (address, samples, _):
        map_id = make_map(address, samples.sensitivity)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{address}/layers?map={map_id}")
            figures = measure(page, rounds=rounds, num_blocks=num_blocks)
            version = browser.version
            browser.close()
    figures["layers"] = float(num_blocks * len(KINDS))
    environment = describe_environment(
        ("gradio", "playwright"), rounds=rounds, chromium=version, window="1440 x 900"
    )
    return Report("bit_map", figures, TARGETS, environment)


def make_map(address: str, sensitivity: int) -> int:
    """Make a bit map over REST; return its number."""
    request = urllib.request.Request(
        f"{address}/api/v1/bit-maps",
        data=json.dumps({"sensitivity": sensitivity}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return int(json.load(reply)["id"])


def measure(page: Page, *, rounds: int, num_blocks: int) -> dict[str, float]:
    """Click on cells and step the slider, each once the one before is through."""
    page.set_default_timeout(120_000)
    page.wait_for_selector(".bit-map[data-ready=true]")
    page.wait_for_selector(".curve path.front")
    page.evaluate(WATCH)
    visible = min(num_blocks, 20)
    for place in range(rounds):
        row, column = place % visible, (3 * place) % len(KINDS)
        page.locator(f".bit-map [data-row='{row}'][data-column='{column}']").click()
        page.wait_for_function(HAS_TAKEN, arg=["click", place + 1])
        page.wait_for_function(HAS_TAKEN, arg=["saved", place + 1])
        page.locator(".map-heading p").first.click()
        page.wait_for_function(HAS_TAKEN, arg=["frame", place + 1])
    for place in range(rounds):
        page.evaluate(STEP, place)
        page.wait_for_function(HAS_TAKEN, arg=["step", place + 1])
    taken = page.evaluate("window.taken")
    names = {
        "click": "click_to_paint",
        "step": "slider_step_to_paint",
        "saved": "click_to_saved",
        "frame": "frame",
    }
    found: dict[str, float] = {}
    for kind, name in names.items():
        found[f"{name}_milliseconds"] = statistics.median(taken[kind])
        found[f"{name}_milliseconds_most"] = max(taken[kind])
    return found


if __name__ == "__main__":
    sys.exit(main())
