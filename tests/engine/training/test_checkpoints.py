"""Promises of checkpoints: everything comes back, and what does not belong is refused whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import CheckpointError
from engine.events import Event
from engine.training.checkpoints import Checkpoint
from engine.training.parameter_groups import (
    build_optimizer,
    build_scheduler,
    learning_rates,
    named_trainables,
)
from tests.engine.tiny_layers import integer, lora
from tests.engine.training.tiny_training import Tiny, make_spec, make_training

NAME = "checkpoint-00000002.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a training after its second step."""
    folder = tmp_path_factory.mktemp("saved")
    make_training(folder, steps=4).train(make_spec(save_steps=2), folder)
    return folder / NAME


def make_checkpoint(tiny: Tiny, identity: str = "this") -> Checkpoint:
    """Return the checkpoint of a training that has not begun."""
    optimizer = build_optimizer(tiny.layers, make_spec())
    scheduler = build_scheduler(optimizer, make_spec(), 4)
    return Checkpoint(named_trainables(tiny.layers), optimizer, scheduler, identity)


def test_a_checkpoint_saved_again_is_the_same_file(tmp_path: Path, saved: Path) -> None:
    """Loading puts back parameters, moments, random state and rates: saving gives equal tensors."""
    checkpoint = make_checkpoint(make_training(tmp_path, steps=4))
    torch.manual_seed(123)
    loaded = checkpoint.load(saved)
    assert loaded.step == 2
    assert len(loaded.extra["losses"]) == 2
    checkpoint.save(tmp_path / "again.safetensors", step=2, extra=loaded.extra)
    first, second = load_file(saved), load_file(tmp_path / "again.safetensors")
    assert sorted(first) == sorted(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    kinds = {name.split("/")[0] for name in first}
    assert kinds == {"extra", "parameter", "random", "exp_avg", "exp_avg_sq", "step"}
    assert learning_rates(checkpoint.optimizer)["adapters"] == pytest.approx(
        1e-2 * checkpoint.scheduler.lr_lambdas[0](2)
    )


def test_frozen_weights_are_not_in_a_checkpoint(saved: Path) -> None:
    """A checkpoint is small: adapters and ranges, never the base model."""
    names = [name for name in load_file(saved) if name.startswith("parameter/")]
    assert len(names) == 14 * 4
    assert all("/adapter." in name or "/ranges." in name for name in names)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _half_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def _missing(path: Path) -> None:
    path.unlink()


def _other_format(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"bitdial-checkpoint-1", b"bitdial-checkpoint-0"))


@pytest.mark.parametrize("damage", [_cut, _half_header, _missing, _other_format])
def test_a_damaged_checkpoint_is_refused_and_nothing_changes(
    tmp_path: Path, saved: Path, damage: Callable[[Path], None]
) -> None:
    """Cut, missing or of another version: one sentence with the file's name, nothing loaded."""
    path = tmp_path / NAME
    path.write_bytes(saved.read_bytes())
    damage(path)
    assert_refused(make_training(tmp_path, steps=4), path)


@pytest.mark.parametrize("other", ["identity", "rank", "layers"])
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, saved: Path, other: str
) -> None:
    """Another identity, rank or set of layers: one sentence, nothing loaded."""
    values = {
        "identity": {},
        "rank": {"adapter": lora(r=2)},
        "layers": {"quantizer": integer(embeddings=True)},
    }
    tiny = make_training(tmp_path, steps=4, **values[other])
    assert_refused(tiny, saved, identity="another" if other == "identity" else "this")


def assert_refused(tiny: Tiny, path: Path, identity: str = "this") -> None:
    """Fail unless the file is refused in one line and neither weights nor moments changed."""
    checkpoint = make_checkpoint(tiny, identity)
    before, random_state = tiny.state(), torch.get_rng_state()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in tiny.state().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not checkpoint.optimizer.state
    assert checkpoint.scheduler.last_epoch == 0


def test_a_refused_checkpoint_stops_the_training(tmp_path: Path, saved: Path) -> None:
    """A training asked to go on from another's checkpoint ends before its first step."""
    events: list[Event] = []
    with pytest.raises(CheckpointError, match="belongs to another training"):
        make_training(tmp_path, steps=4).train(
            make_spec(), tmp_path, resume_from=saved, identity="other", listener=events.append
        )
    assert events == []
