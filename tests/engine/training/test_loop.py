"""Promises of a training: it learns, and an interrupted one ends where it would have ended."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from engine.errors import Cancelled, Diverged
from engine.events import Event, FileWritten, MetricPoint, Progressed
from engine.specs import NoAdapter
from engine.training.batches import batch_size, count_steps, used_windows
from tests.engine.tiny_layers import integer, named_ranges, some_tokens
from tests.engine.training.tiny_training import Tiny, curve, make_spec, make_training

STEPS = 5


@pytest.mark.parametrize("objective", ["distillation", "task", "both"])
def test_the_loss_of_a_text_seen_again_and_again_falls(tmp_path: Path, objective: str) -> None:
    """Forty steps on two windows take the loss well below its start."""
    tiny = make_training(tmp_path, steps=40, quantizer=integer(bits=2, embeddings=True))
    tiny.data = tiny.data.__class__(
        tiny.data.windows[:2],
        tiny.data.targets.__class__(*(part[:2] for part in tiny.data.targets)),
        40,
        seed=3,
    )
    losses = curve(tiny.train(make_spec(objective=objective), tmp_path), "train/loss")
    assert list(losses) == list(range(1, 41))
    assert losses[40] < 0.7 * losses[1]


def test_only_adapters_and_ranges_are_trained(tmp_path: Path) -> None:
    """Base weights, norms, embeddings and head are bit for bit what they were."""
    tiny = make_training(tmp_path, steps=STEPS)
    before = tiny.state()
    tiny.train(make_spec(), tmp_path)
    moved = {name for name, value in tiny.state().items() if not torch.equal(value, before[name])}
    kept = set(before) - moved
    assert all(".adapter." in name or ".ranges." in name for name in moved)
    assert not any(".adapter." in name for name in kept)
    assert any(".ranges." in name for name in moved)


def test_a_range_rate_of_zero_keeps_every_range(tmp_path: Path) -> None:
    """Frozen ranges are bit for bit the start's while adapters train."""
    tiny = make_training(tmp_path, steps=STEPS)
    before = tiny.state()
    tiny.train(make_spec(range_learning_rate=0), tmp_path)
    after = tiny.state()
    assert all(torch.equal(after[name], before[name]) for name in after if ".ranges." in name)
    assert all(not torch.equal(after[name], before[name]) for name in after if ".b" in name[-2:])
    assert not any(value.requires_grad for layer in tiny.layers.values()
                   for value in named_ranges(layer).values())  # fmt: skip


def test_ranges_alone_can_learn(tmp_path: Path) -> None:
    """Without an adapter, training the ranges alone lowers the divergence from the teacher."""
    tiny = make_training(tmp_path, steps=30, quantizer=integer(bits=2), adapter=NoAdapter())
    spec = make_spec(objective="distillation", range_learning_rate=1e-3, logging_steps=1)
    losses = [*curve(tiny.train(spec, tmp_path), "train/loss").values()]
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])  # three steps see every window once


def whole(tiny: Tiny, folder: Path) -> dict[str, dict[int, float]]:
    """Train to the end without an interruption; return the curves."""
    events = tiny.train(make_spec(save_steps=1), folder)
    return {key: curve(events, key) for key in ("train/loss", "train/grad_norm")}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, dict]:
    """Return a training that ran to its end, and its curves."""
    folder = tmp_path_factory.mktemp("whole")
    tiny = make_training(folder, steps=STEPS)
    return tiny, whole(tiny, folder)


@pytest.mark.parametrize("stop", range(1, STEPS))
def test_an_interrupted_training_ends_where_the_uninterrupted_one_does(
    tmp_path: Path, uninterrupted: tuple[Tiny, dict], stop: int
) -> None:
    """Killed after any step and resumed in a fresh process's state: same weights, same curves."""
    whole_tiny, whole_curves = uninterrupted

    def interrupt(event: Event) -> None:
        if isinstance(event, Progressed) and event.done == stop:
            raise Cancelled

    first = make_training(tmp_path, steps=STEPS)
    with pytest.raises(Cancelled):
        first.train(make_spec(save_steps=1), tmp_path, listener=interrupt)
    torch.manual_seed(999)  # a fresh process knows nothing of the old random state
    second = make_training(tmp_path, steps=STEPS)
    file = tmp_path / f"checkpoint-{stop:08d}.safetensors"
    events = second.train(make_spec(save_steps=1), tmp_path, resume_from=file)
    for name, value in whole_tiny.state().items():
        assert torch.equal(second.state()[name], value), name
    for key, points in whole_curves.items():
        assert curve(events, key) == {step: points[step] for step in range(stop + 1, STEPS + 1)}


def test_checkpoints_are_announced_when_they_are_there(tmp_path: Path) -> None:
    """Each announced checkpoint exists at that moment; the last step needs none."""
    tiny = make_training(tmp_path, steps=STEPS)
    seen = []

    def listen(event: Event) -> None:
        if isinstance(event, FileWritten):
            assert (tmp_path / event.path).is_file()
            seen.append((event.kind, event.path))

    tiny.train(make_spec(save_steps=2), tmp_path, listener=listen)
    names = [f"checkpoint-{step:08d}.safetensors" for step in (2, 4)]
    assert seen == [("checkpoint", name) for name in names]


def test_curves_have_the_names_of_transformers(tmp_path: Path) -> None:
    """Every logged step has loss, rates, gradient norm and speed; the last step always has."""
    events = make_training(tmp_path, steps=STEPS).train(make_spec(logging_steps=2), tmp_path)
    points = [event for event in events if isinstance(event, MetricPoint)]
    keys = {"loss", "learning_rate", "range_learning_rate", "grad_norm", "tokens_per_second"}
    assert {event.key for event in points} == {f"train/{key}" for key in keys}
    assert list(curve(events, "train/loss")) == [2, 4, 5]
    progress = [event.done for event in events if isinstance(event, Progressed)]
    assert progress == list(range(1, STEPS + 1))


def test_the_rates_on_the_curve_are_those_of_the_step(tmp_path: Path) -> None:
    """The curve of the learning rate begins at the warm-up's zero and peaks at the spec's."""
    events = make_training(tmp_path, steps=STEPS).train(make_spec(), tmp_path)
    rates = curve(events, "train/learning_rate")
    assert rates[1] == 0.0
    assert max(rates.values()) == rates[2] == 1e-2
    assert curve(events, "train/range_learning_rate")[2] == 1e-3


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    """The same seed gives the same losses to the bit, another seed others."""
    losses = []
    for seed in (3, 3, 4):
        tiny = make_training(tmp_path, steps=STEPS)
        data = tiny.data
        tiny.data = data.__class__(data.windows, data.targets, STEPS, seed)
        losses.append(curve(tiny.train(make_spec(), tmp_path), "train/loss"))
    assert losses[0] == losses[1] != losses[2]


def test_rates_too_high_end_in_a_sentence(tmp_path: Path) -> None:
    """A training whose loss stops being a number says so instead of going on."""
    tiny = make_training(tmp_path, steps=STEPS)

    def spoil(event: Event) -> None:
        if isinstance(event, Progressed):
            tiny.model.model.norm.weight.data.fill_(math.inf)

    with pytest.raises(Diverged, match="the loss became"):
        tiny.train(make_spec(), tmp_path, listener=spoil)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"max_steps": 9}, 9),
        ({"num_train_epochs": 1.0}, 13),
        ({"num_train_epochs": 2.5}, 32),
        ({"num_train_epochs": 0.01}, 1),
        ({"num_train_epochs": 1.0, "gradient_accumulation_steps": 3}, 5),
    ],
)
def test_steps_are_counted_from_windows_and_epochs(values: dict, expected: int) -> None:
    """Steps given count as given; epochs over 25 windows in twos are rounded up."""
    assert count_steps(make_spec(**values), 25) == expected


def test_only_windows_that_will_be_seen_are_taught() -> None:
    """With fewer steps than text, exactly the windows of those steps are kept, in text order."""
    spec, windows = make_spec(gradient_accumulation_steps=2), some_tokens(40, 8)
    used = used_windows(spec, windows, total_steps=3, seed=1)
    assert batch_size(spec) == 4
    assert used.shape == (12, 8)
    places = [int((windows == row).all(dim=1).nonzero()) for row in used]
    assert places == sorted(places)
    assert torch.equal(used_windows(spec, windows, total_steps=10, seed=1), windows)
    assert not torch.equal(used_windows(spec, windows, total_steps=3, seed=2), used)
