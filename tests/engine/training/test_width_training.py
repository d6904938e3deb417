"""Promises of trainings whose widths change: one width is a LoRA, resumed is the same, curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from engine.events import Event, FileWritten, MetricPoint, Progressed
from engine.layers.layer_map import apply_map
from engine.layers.rank_groups import group_adapters
from engine.layers.weight_ranges import UniformRanges
from engine.specs import ElasticLoraAdapter, LoraBankAdapter, NoAdapter
from engine.specs.bit_policy import CurriculumBits, CyclicBits, RandomBits, SwitchableBits
from engine.training.rank_policy import RankPolicy
from engine.training.widths_and_ranks import choose_configurations
from tests.engine.tiny_layers import integer, lora, some_tokens
from tests.engine.training.tiny_training import Tiny, curve, make_spec, make_training

STEPS = 6
POLICIES = {
    "high-to-low": SwitchableBits(widths=(5, 4, 3)),
    "low-to-high": SwitchableBits(widths=(5, 3), order="low-to-high", cascade_on="both"),
    "sandwich": SwitchableBits(widths=(6, 5, 4, 3), order="sandwich"),
    "one-after-another": SwitchableBits(widths=(5, 4, 3), order="one-after-another"),
    "cyclic": CyclicBits(lowest=3, highest=5, num_cycles=2),
    "random": RandomBits(widths=(5, 4, 3), scope="block", weights=(3, 2, 1)),
    "curriculum": CurriculumBits(widths=(5, 4, 3)),
}


def bank(placement: str = "absorbed") -> LoraBankAdapter:
    """Return a bank whose pairs are those of `lora()`."""
    return LoraBankAdapter(r=4, lora_alpha=6.0, placement=placement)


def make(folder: Path, policy: Any, **values: Any) -> Tiny:
    """Return a training with all widths of a policy, its own the lowest."""
    widths = policy.list_widths()
    given = {"quantizer": integer(bits=widths[-1]), "adapter": bank()} | values
    return make_training(folder, steps=STEPS, widths=widths, **given)


def points(events: list[Event]) -> dict[tuple[str, int], float]:
    """Return every point of every curve but the speed."""
    return {
        (event.key, event.step): event.value
        for event in events
        if isinstance(event, MetricPoint) and "per_second" not in event.key
    }


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether the same tensors have the same bits."""
    return found.keys() == expected.keys() and all(
        torch.equal(value, expected[name]) for name, value in found.items()
    )


@pytest.mark.parametrize("order", ["high-to-low", "low-to-high", "sandwich"])
def test_without_adapters_16_bits_teaches_the_others(tmp_path: Path, order: str) -> None:
    """Ranges of the lower widths learn from the float model, which itself has no loss."""
    policy = SwitchableBits(widths=(16, 5, 3), order=order)
    tiny = make(tmp_path, policy, adapter=NoAdapter())
    before = tiny.trained()
    found = tiny.train(make_spec(bit_policy=policy, objective="task"), tmp_path / "run")
    keys = {event.key for event in found if isinstance(event, MetricPoint)}
    assert {"train/loss_5bit", "train/loss_3bit"} <= keys
    assert "train/loss_16bit" not in keys
    assert all(not torch.equal(value, before[name]) for name, value in tiny.trained().items())
    alone = make(tmp_path, policy, adapter=NoAdapter())
    apart = policy.model_copy(update={"cascade_weight": 0.0})
    alone.train(make_spec(bit_policy=apart, objective="task"), tmp_path / "alone")
    assert not same(alone.trained(), tiny.trained())


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
def test_a_bank_of_one_width_is_a_plain_adapter(tmp_path: Path, placement: str) -> None:
    """Switchable with one width and a bank trains as a LoRA at a fixed width, bit for bit."""
    values = {"weight_decay": 0.1, "max_grad_norm": 0.1}
    plain = make_training(
        tmp_path, steps=STEPS, adapter=lora().model_copy(update={"placement": placement})
    )
    expected = points(plain.train(make_spec(**values), tmp_path / "plain"))
    policy = SwitchableBits(widths=(3,))
    tiny = make(tmp_path, policy, adapter=bank(placement))
    found = points(tiny.train(make_spec(bit_policy=policy, **values), tmp_path / "bank"))
    assert same(tiny.trained(), plain.trained())
    assert {key: found[key] for key in expected} == expected
    assert {key for key, _ in found} - {key for key, _ in expected} == {
        "train/bits",
        "train/loss_3bit",
    }


@pytest.mark.parametrize("name", POLICIES)
def test_interrupted_and_resumed_is_uninterrupted(tmp_path: Path, name: str) -> None:
    """From the checkpoint in the middle, parameters of all widths and all curves are the same."""
    policy = POLICIES[name]
    spec = make_spec(bit_policy=policy, save_steps=4, weight_decay=0.1)
    whole = make(tmp_path, policy)
    before = whole.trained()
    expected = points(whole.train(spec, tmp_path))
    torch.manual_seed(999)
    again = make(tmp_path, policy)
    assert same(again.trained(), before)
    file = tmp_path / "checkpoint-00000004.safetensors"
    found = points(again.train(spec, tmp_path, resume_from=file))
    assert same(again.trained(), whole.trained())
    assert found == {key: value for key, value in expected.items() if key[1] > 4}
    assert not same(again.trained(), before)


def test_every_width_that_comes_up_is_trained(tmp_path: Path) -> None:
    """After a cycle each width's own adapter has moved, and one that never came up has not."""
    policy = CyclicBits(lowest=3, highest=6, num_cycles=2)  # three steps a cycle: 3, 4, 5
    tiny = make(tmp_path, policy)
    before = tiny.trained()
    events = tiny.train(make_spec(bit_policy=policy, warmup_ratio=0.0), tmp_path)
    assert list(curve(events, "train/bits").values()) == [3, 4, 5] * 2
    moved = {
        name.split(".adapter.")[0].rpartition("/adapter.")[2][:1]
        for name, value in tiny.trained().items()
        if "/adapter." in name and not torch.equal(value, before[name])
    }
    assert moved == {"3", "4", "5"}


def logits_at(tiny: Tiny, width: int) -> Tensor:
    """Return what the model says at a width."""
    policy = tiny.bit_policy(make_spec(bit_policy=SwitchableBits(widths=(width,))))
    assert policy is not None
    apply_map(tiny.layers, policy.maps[width])
    with torch.no_grad():
        return tiny.model(some_tokens(2, 9)).logits


def test_a_finished_width_stays_as_it_is(tmp_path: Path) -> None:
    """One after another, the first width says bit for bit what it said when it was finished.

    Decay and momentum of later stages do not reach it.
    """
    policy = SwitchableBits(widths=(5, 4, 3), order="one-after-another")
    tiny, spec = make(tmp_path, policy), make_spec(bit_policy=policy, weight_decay=0.1)
    seen: dict[int, Tensor] = {}

    def listen(event: Event) -> None:
        if isinstance(event, Progressed):
            seen[event.done] = logits_at(tiny, 5)

    tiny.train(spec, tmp_path, listener=listen)
    assert not torch.equal(seen[1], seen[2])
    assert all(torch.equal(seen[step], seen[2]) for step in (3, 4, 5, 6))
    assert not torch.equal(logits_at(tiny, 3), seen[2])


@pytest.mark.parametrize("warmup_ratio", [0.0, 0.34])
def test_widths_in_turn_each_have_a_whole_schedule(tmp_path: Path, warmup_ratio: float) -> None:
    """One after another, the rate rises and falls for every width as for a training of its own."""
    policy = SwitchableBits(widths=(5, 4), order="one-after-another")
    values = {"lr_scheduler_type": "linear", "warmup_ratio": warmup_ratio}
    events = make(tmp_path, policy).train(make_spec(bit_policy=policy, **values), tmp_path)
    alone = make_training(tmp_path, steps=STEPS // 2).train(make_spec(**values), tmp_path)
    rates = list(curve(alone, "train/learning_rate").values())
    assert len(set(rates)) == 3
    assert list(curve(events, "train/learning_rate").values()) == rates * 2


def test_curves_show_each_width_of_a_switchable_step(tmp_path: Path) -> None:
    """The loss is the mean of the widths' losses, which have curves of their own."""
    policy = POLICIES["high-to-low"]
    events = make(tmp_path, policy).train(make_spec(bit_policy=policy, logging_steps=2), tmp_path)
    widths = [curve(events, f"train/loss_{width}bit") for width in (5, 4, 3)]
    for step, loss in curve(events, "train/loss").items():
        assert loss == pytest.approx(sum(each[step] for each in widths) / 3)
    assert curve(events, "train/bits") == {1: 4.0, 2: 4.0, 4: 4.0, 6: 4.0}


def test_every_change_of_the_width_is_a_point_however_seldom_is_logged(tmp_path: Path) -> None:
    """Of a cycle no width is left out where the loss is logged every third step only."""
    policy = CyclicBits(lowest=3, highest=6, num_cycles=2)  # three steps a cycle: 3, 4, 5
    spec = make_spec(bit_policy=policy, logging_steps=3)
    events = make(tmp_path, policy).train(spec, tmp_path)
    assert list(curve(events, "train/loss")) == [3, 6]
    assert curve(events, "train/bits") == {1: 3, 2: 4, 3: 5, 4: 3, 5: 4, 6: 5}


def test_other_policies_have_the_mean_width_alone(tmp_path: Path) -> None:
    """Where one width is drawn for each block, the curve is the mean and no width has a loss."""
    policy = POLICIES["random"]
    events = make(tmp_path, policy).train(make_spec(bit_policy=policy), tmp_path)
    keys = {event.key for event in events if isinstance(event, MetricPoint)}
    assert "train/bits" in keys
    assert not any("bit" in key and key != "train/bits" for key in keys)
    assert all(3 <= value <= 5 for value in curve(events, "train/bits").values())


def test_widths_and_ranks_are_trained_together(tmp_path: Path) -> None:
    """A step trains each width at each rank, widths first, and follows widths at the same rank."""
    policy = SwitchableBits(widths=(5, 3))
    adapter = ElasticLoraAdapter(rank_space=(4, 3, 1), lora_alpha=6.0, rank_policy="sandwich")
    tiny = make(tmp_path, policy, adapter=adapter)
    spec = make_spec(bit_policy=policy, save_steps=4)
    ranks = RankPolicy(group_adapters(tiny.layers, adapter), adapter, seed=3)
    found = choose_configurations(tiny.layers, 1, ranks=ranks, bits=tiny.bit_policy(spec))
    assert [each.width for each in found] == [5, 5, 5, 3, 3, 3]
    assert [len(each.follows) for each in found] == [0, 0, 0, 1, 1, 1]
    for high, low in zip(found[:3], found[3:], strict=True):
        assert low.follows == (high.settings,)
        assert [s.rank for s in low.settings.values()] == [s.rank for s in high.settings.values()]
    expected = points(tiny.train(spec, tmp_path, policy=ranks))
    again = make(tmp_path, policy, adapter=adapter)
    again.train(
        spec, tmp_path, policy=RankPolicy(group_adapters(again.layers, adapter), adapter, seed=3),
        resume_from=tmp_path / "checkpoint-00000004.safetensors",
    )  # fmt: skip
    assert same(again.trained(), tiny.trained())
    assert {"train/loss_5bit", "train/loss_3bit", "train/bits"} <= {key for key, _ in expected}


@pytest.mark.parametrize(
    ("placement", "rate", "times"), [("parallel", 0.0, 1), ("parallel", 1e-3, STEPS),
                                     ("absorbed", 0.0, STEPS)],
)  # fmt: skip
def test_what_does_not_train_is_rounded_once(
    tmp_path: Path, placement: str, rate: float, times: int
) -> None:
    """Each width of each layer is rounded once in a training that moves nothing that is rounded."""
    policy = SwitchableBits(widths=(5, 3))
    tiny = make(tmp_path, policy, adapter=bank(placement))
    with patch.object(UniformRanges, "absorb", autospec=True, side_effect=UniformRanges.absorb) as (
        absorb
    ):
        tiny.train(make_spec(bit_policy=policy, range_learning_rate=rate), tmp_path)
    assert absorb.call_count == times * 2 * len(tiny.layers)
    assert all(layer.kept is None for layer in tiny.layers.values())


def test_checkpoints_hold_every_width(tmp_path: Path) -> None:
    """What a checkpoint is made of names adapter and ranges of every trained width."""
    policy = POLICIES["high-to-low"]
    spec = make_spec(bit_policy=policy, save_steps=4)
    tiny = make(tmp_path, policy)
    events = tiny.train(spec, tmp_path)
    assert [e.path for e in events if isinstance(e, FileWritten)] == [
        "checkpoint-00000004.safetensors"
    ]
    names = set(tiny.trained())
    assert {f"model.layers.0.mlp.up_proj/adapter.{width}.a" for width in (5, 4, 3)} <= names
    assert {f"model.layers.0.mlp.up_proj/ranges.{width}.low" for width in (5, 4, 3)} <= names
