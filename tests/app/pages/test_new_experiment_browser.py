"""A person sets up an experiment in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tasks.store import runs
from tasks.store.database import open_database
from tests.browser import Served, browser, page, served
from tests.tiny_models import save_llama

__all__ = ["browser", "page", "served"]
pytestmark = pytest.mark.browser
PATIENCE_MILLISECONDS = 30_000
GROUP_SIZE = "#field-quantizer-integer-group_size"


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model of two blocks."""
    return save_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def _patience() -> None:
    """Wait long enough for a busy machine."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)


def open_form(page: Page, served: Served, model: Path) -> None:
    """Open the page and choose a model that is there, with groups that fit it."""
    page.goto(f"{served.address}/new")
    expect(page.locator("#spec .bd-code")).to_be_visible()
    page.locator("#field-model-source input").fill(str(model))
    page.locator(f"{GROUP_SIZE} input").fill("32")
    expect(page.locator("#spec .bd-code")).to_contain_text("group_size: 32")


def test_from_a_mistake_to_a_launched_run(page: Page, served: Served, tiny_model: Path) -> None:
    """A wrong number is said at its field; made right, Ctrl+Enter queues the run and opens it."""
    open_form(page, served, tiny_model)
    page.locator("#field-name input").fill("<img src=x onerror=alert(1)>")
    page.locator(f"{GROUP_SIZE} input").fill("7")
    note = page.locator(f"{GROUP_SIZE} .bd-field-problem")
    expect(note).to_contain_text("8")
    expect(page.locator(f"{GROUP_SIZE} input")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#launch")).to_be_disabled()
    page.locator("#problems a").click()
    expect(page.locator(f"{GROUP_SIZE} input")).to_be_focused()
    page.locator(f"{GROUP_SIZE} input").fill("32")
    expect(note).to_have_count(0)
    expect(page.locator("#launch")).to_be_enabled()
    expect(page.locator("#spec .bd-code")).to_contain_text("<img src=x onerror=alert(1)>")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/run?id=*", timeout=PATIENCE_MILLISECONDS)
    database = open_database(served.settings)
    try:
        run = runs.get_run(database, int(page.url.rpartition("=")[2]))
    finally:
        database.dispose()
    assert run.spec["model"]["source"] == str(tiny_model)
    assert run.name == "<img src=x onerror=alert(1)>"


def test_a_draft_survives_reload_and_a_preset_shows_its_fields(
    page: Page, served: Served, tiny_model: Path
) -> None:
    """What was typed is there after a reload; a preset brings its own fields."""
    open_form(page, served, tiny_model)
    page.get_by_label("QAT with absorbable LoRA").check(force=True)
    expect(page.locator("#field-adapter-lora-r input")).to_be_visible()
    page.locator("#field-adapter-lora-r input").fill("4")
    expect(page.locator("#spec .bd-line[data-origin=set]", has_text="r: 4")).to_be_visible()
    assert "?draft=" in page.url
    page.reload()
    expect(page.locator("#field-adapter-lora-r input")).to_have_value("4")
    expect(page.locator("#field-model-source input")).to_have_value(str(tiny_model))


def test_a_file_fills_the_form_and_comes_back_out(
    page: Page, served: Served, tmp_path: Path
) -> None:
    """An uploaded YAML fills the widgets, says what it left out, and downloads again."""
    page.goto(f"{served.address}/new")
    expect(page.locator("#spec .bd-code")).to_be_visible()
    file = tmp_path / "mine.yaml"
    file.write_text("preset: rtn\nname: from a file\nquantizer: {bits: 2, bit: 3}\n")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(file)
    expect(page.locator("#field-name input")).to_have_value("from a file")
    expect(page.locator("#draft")).to_contain_text("did you mean bits?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "from-a-file.yaml"
    assert "bits: 2" in Path(download.value.path()).read_text()


def test_dark_mode_is_kept(page: Page, served: Served) -> None:
    """The choice holds on the next page and after a reload."""
    page.goto(f"{served.address}/new")
    page.locator(".bd-mode").click()
    expect(page.locator("body")).to_have_class("dark")
    page.goto(f"{served.address}/runs")
    expect(page.locator("body")).to_have_class("dark")


def test_bits_are_dialed_or_typed(page: Page, served: Served) -> None:
    """A whole number is one click, a fraction is typed and brings the rule that mixes widths."""
    page.goto(f"{served.address}/new")
    expect(page.locator("#spec .bd-code")).to_be_visible()
    dial = page.locator("#field-quantizer-integer-bits")
    box = dial.get_by_label("Bits", exact=True).first
    dial.locator("label", has_text="3").click()
    expect(page.locator("#spec .bd-line[data-origin=set]", has_text="bits: 3")).to_be_visible()
    expect(box).to_have_value("3")
    box.fill("2.5")
    expect(page.locator("#spec .bd-line[data-origin=set]", has_text="bits: 2.5")).to_be_visible()
    expect(page.locator("#field-quantizer-integer-mixing-rule")).to_be_visible()
    expect(dial.locator("input[type=radio]:checked")).to_have_count(0)
    box.fill("9")
    expect(dial.locator(".bd-field-problem")).to_contain_text("8")
    expect(box).to_have_attribute("aria-invalid", "true")
    name = "field-quantizer-integer-bits"
    expect(box).to_have_attribute("aria-describedby", f"{name}-value-help {name}-problem")
    page.reload()
    expect(box).to_have_value("9")
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("3")
    expect(box).not_to_have_attribute("aria-invalid", "true")
    expect(box).to_have_attribute("aria-describedby", f"{name}-value-help")


def test_inner_choices_show_their_own_fields(page: Page, served: Served, tiny_model: Path) -> None:
    """A preset of many widths shows its policy; another policy and another rounding show theirs."""
    open_form(page, served, tiny_model)
    page.get_by_label("Cyclic precision (CPT)").check(force=True)
    policy = "#field-training-qat-bit_policy"
    expect(page.locator(f"{policy}-cyclic-num_cycles input")).to_have_value("8")
    expect(page.locator("#field-quantizer-integer-inputs-fixed-bits input").first).to_be_visible()
    page.locator(f"{policy}-policy").get_by_label("random", exact=True).check(force=True)
    expect(page.locator(f"{policy}-cyclic-num_cycles")).to_be_hidden()
    page.locator(f"{policy}-random-weights textarea").fill("1\n2")
    expect(page.locator(f"{policy}-random-weights .bd-field-problem")).to_contain_text("3 numbers")
    page.locator(f"{policy}-random-weights textarea").fill("1\n2\n0.5")
    expect(page.locator("#spec .bd-code")).to_contain_text("- 0.5")
    page.locator("#field-quantizer-integer-cache-rounding").get_by_label("fixed").check(force=True)
    dial = page.locator("#field-quantizer-integer-cache-fixed-bits")
    dial.get_by_label("4", exact=True).check(force=True)
    expect(page.locator("#spec .bd-line[data-origin=set]", has_text="bits: 4")).to_be_visible()
    page.reload()
    expect(page.locator(f"{policy}-random-weights textarea")).to_have_value("1\n2\n0.5")
