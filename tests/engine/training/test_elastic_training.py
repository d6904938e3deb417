"""Promises of training elastic adapters: full rank is LoRA, rest is rest, resumed is the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import Cancelled
from engine.events import Event, FileWritten, MetricPoint, Progressed, RanksSampled
from engine.layers.rank_groups import group_adapters
from engine.search.heuristics import lowest_loss
from engine.search.rank_history import load_history
from engine.specs import ElasticLoraAdapter
from engine.specs.bit_policy import RandomBits, SwitchableBits
from engine.training.batches import Microbatch, iter_steps
from engine.training.configuration import Configuration
from engine.training.parameter_groups import build_optimizer, build_scheduler
from engine.training.rank_policy import RankPolicy
from engine.training.step import StepRunner
from tests.engine.tiny_layers import integer, lora
from tests.engine.training.tiny_training import Tiny, make_spec, make_training

SPACE = (4, 3, 1)
STEPS = 6


def elastic(**values: Any) -> ElasticLoraAdapter:
    """Return an elastic adapter whose largest rank and factor are those of `lora()`."""
    return ElasticLoraAdapter(rank_space=SPACE, lora_alpha=6.0, **values)


def make(folder: Path, **values: Any) -> tuple[Tiny, RankPolicy]:
    """Return the tiny training with elastic adapters, and its policy."""
    spec = elastic(**values)
    tiny = make_training(folder, steps=STEPS, adapter=spec)
    return tiny, RankPolicy(group_adapters(tiny.layers, spec), spec, seed=3)


def adapters(tiny: Tiny) -> dict[str, Tensor]:
    """Return the model's adapters and ranges."""
    return {
        name: value
        for name, value in tiny.state().items()
        if ".adapter." in name or ".ranges." in name
    }


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
def test_at_full_rank_it_is_lora_bit_for_bit(tmp_path: Path, placement: str) -> None:
    """Fixed at the largest rank, with decay and clipping at work, every bit is a LoRA's."""
    spec = make_spec(weight_decay=0.1, max_grad_norm=0.01)
    plain = make_training(
        tmp_path / "plain",
        steps=STEPS,
        adapter=lora().model_copy(update={"placement": placement}),
    )
    plain.train(spec, tmp_path / "plain")
    tiny, policy = make(tmp_path / "elastic", rank_policy="fixed", placement=placement)
    tiny.train(spec, tmp_path / "elastic", policy=policy)
    expected, found = adapters(plain), adapters(tiny)
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert any(value.abs().sum() > 0 for name, value in found.items() if name.endswith(".b"))


def make_runner(tiny: Tiny) -> StepRunner[Microbatch]:
    """Build a runner with decay, whose rate does not change."""
    spec = make_spec(weight_decay=0.1, warmup_ratio=0.0, lr_scheduler_type="constant")
    optimizer = build_optimizer(tiny.layers, spec)
    return StepRunner(
        tiny.learner(spec),
        tiny.layers,
        optimizer,
        scheduler=build_scheduler(optimizer, spec, STEPS),
        max_grad_norm=1.0,
    )


@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
def test_what_a_step_does_not_use_it_does_not_move(tmp_path: Path, placement: str) -> None:
    """After steps at full rank, one at rank 1 moves only the first row and column.

    Neither decay nor momentum touches the rest, and its moments and step counts stay.
    """
    tiny, policy = make(tmp_path, rank_policy="fixed", placement=placement)
    runner = make_runner(tiny)
    steps = iter_steps(make_spec(), tiny.data, 0, torch.device("cpu"))
    full, small = (
        policy.groups.layer_map(tiny.layers, policy.groups.space.everywhere(rank))
        for rank in (4, 1)
    )
    for _ in range(3):
        runner.run(next(steps), (Configuration(full),))
    before = adapters(tiny)
    states = {id(key): value["exp_avg"].clone() for key, value in runner.optimizer.state.items()}
    runner.run(next(steps), (Configuration(small),))
    after = adapters(tiny)
    for name, value in after.items():
        if name.endswith(".a"):
            assert torch.equal(value[1:], before[name][1:])
            assert not torch.equal(value[:1], before[name][:1])
        if name.endswith(".b"):
            assert torch.equal(value[:, 1:], before[name][:, 1:])
            assert not torch.equal(value[:, :1], before[name][:, :1])
    for layer in tiny.layers.values():
        assert layer.adapter is not None
        for name, part in layer.adapter.named_parts().items():
            moment = runner.optimizer.state[part]["exp_avg"]
            assert torch.equal(moment, states[id(part)]) == ("[0:" not in name)
            assert int(runner.optimizer.state[part]["step"]) == (4 if "[0:" in name else 3)


def test_sandwich_averages_the_gradients_of_its_configurations(tmp_path: Path) -> None:
    """A step's gradient is the mean of those of largest, smallest and drawn configuration."""
    tiny, policy = make(tmp_path, rank_policy="sandwich")
    runner = make_runner(tiny)
    microbatches = next(iter_steps(make_spec(), tiny.data, 0, torch.device("cpu")))
    runner.run(
        microbatches, tuple(map(Configuration, policy.layer_maps(tiny.layers, 1)))
    )  # B away from zero
    expected: dict[str, Tensor] = {}
    losses = []
    for settings in policy.layer_maps(tiny.layers, 2):
        for name, setting in settings.items():
            tiny.layers[name].set_rank(setting.rank)
        losses.append(runner.backward(microbatches, share=1 / 3))
    for name, layer in tiny.layers.items():
        assert layer.adapter is not None
        assert layer.adapter.b.grad is not None
        expected[name] = layer.adapter.b.grad.clone()
        layer.adapter.clear_gradients()
    runner.optimizer.zero_grad()
    seen: dict[str, Tensor] = {}
    step = runner.optimizer.step

    def watch() -> None:
        for name, layer in tiny.layers.items():
            assert layer.adapter is not None
            assert layer.adapter.b.grad is not None
            seen[name] = layer.adapter.b.grad.clone()
        step()

    runner.optimizer.step = watch  # type: ignore[assignment, method-assign]
    result = runner.run(microbatches, tuple(map(Configuration, policy.layer_maps(tiny.layers, 2))))
    assert result.losses == pytest.approx(losses)
    scale = min(1.0, 1.0 / result.grad_norm)
    for name, value in expected.items():
        assert torch.allclose(seen[name], value * scale, rtol=1e-4, atol=1e-7)


def curves(events: list[Event]) -> dict[tuple[str, int], float]:
    """Return every point of every curve but the speed."""
    return {
        (event.key, event.step): event.value
        for event in events
        if isinstance(event, MetricPoint) and "per_second" not in event.key
    }


@pytest.mark.parametrize("policy_name", ["uniform", "sandwich"])
@pytest.mark.parametrize("stopped_at", range(1, STEPS))
def test_interrupted_and_resumed_is_uninterrupted(
    tmp_path: Path, policy_name: str, stopped_at: int
) -> None:
    """Stopped after any step and resumed, weights, curves and the history of ranks are the same."""
    spec = make_spec(save_steps=1, weight_decay=0.1)
    tiny, policy = make(tmp_path / "whole", rank_policy=policy_name)
    whole = tiny.train(spec, tmp_path / "whole", policy=policy)
    broken, policy = make(tmp_path / "broken", rank_policy=policy_name)

    def stop(event: Event) -> None:
        if isinstance(event, Progressed) and event.done == stopped_at:
            raise Cancelled

    with pytest.raises(Cancelled):
        broken.train(spec, tmp_path / "broken", policy=policy, listener=stop)
    again, policy = make(tmp_path / "again", rank_policy=policy_name)
    checkpoint = tmp_path / "broken" / f"checkpoint-{stopped_at:08d}.safetensors"
    events = again.train(spec, tmp_path / "again", policy=policy, resume_from=checkpoint)
    for name, value in adapters(tiny).items():
        assert torch.equal(adapters(again)[name], value), name
    expected = curves(whole)
    assert curves(events) == {key: expected[key] for key in expected if key[1] > stopped_at}
    histories = [load_history(tmp_path / name / "rank-history.json") for name in ("whole", "again")]
    assert histories[0] == histories[1]


def test_a_sandwich_step_counts_once_for_a_rank(tmp_path: Path) -> None:
    """Largest and smallest are trained in every step, no rank more often than there are steps."""
    tiny, policy = make(tmp_path, rank_policy="sandwich")
    events = tiny.train(make_spec(), tmp_path, policy=policy)
    (*_, last) = (event for event in events if isinstance(event, RanksSampled))
    assert all(row[0] == row[-1] == STEPS for row in last.counts)
    assert all(row[1] <= STEPS for row in last.counts)


def test_the_history_tells_what_was_sampled(tmp_path: Path) -> None:
    """The file written at the end and the counts announced on the way are what the policy drew."""
    tiny, policy = make(tmp_path)
    events = tiny.train(make_spec(), tmp_path, policy=policy)
    assert FileWritten("ranks", "rank-history.json") in events
    history = load_history(tmp_path / "rank-history.json")
    assert history.groups == ("block 0", "block 1")
    assert history.ranks == tuple(policy.configurations(step)[0] for step in range(1, STEPS + 1))
    points = {
        e.step: e.value for e in events if isinstance(e, MetricPoint) and e.key == "train/loss"
    }
    assert history.losses == tuple(points[step] for step in range(1, STEPS + 1))
    sampled = [event for event in events if isinstance(event, RanksSampled)]
    assert len(sampled) == STEPS
    assert sampled[-1].counts == history.count_ranks()
    assert all(sum(row) == STEPS for row in sampled[-1].counts)


@pytest.mark.parametrize("order", ["high-to-low", "low-to-high"])
@pytest.mark.parametrize("rank_policy", ["uniform", "sandwich"])
def test_the_history_of_several_widths_is_the_own_width_s(
    tmp_path: Path, order: Any, rank_policy: Any
) -> None:
    """Whichever width comes last, the losses are those of the drawn ranks at the reported width."""
    histories = []
    for widths in ((8, 3), (3,)):
        folder, spec = tmp_path / str(widths), elastic(rank_policy=rank_policy)
        tiny = make_training(
            folder, steps=1, adapter=spec, quantizer=integer(bits=3), widths=widths
        )
        bits = SwitchableBits(widths=widths, order=order, cascade_weight=0)
        policy = RankPolicy(group_adapters(tiny.layers, spec), spec, seed=3)
        tiny.train(make_spec(bit_policy=bits), folder, policy=policy)
        histories.append(load_history(folder / "rank-history.json"))
    assert histories[0] == histories[1]


def test_ranks_are_compared_at_the_own_width_alone(tmp_path: Path) -> None:
    """Steps at other widths have no loss in the history, and none of them has the lowest."""
    spec = elastic(rank_policy="uniform", grouping="layer")
    tiny = make_training(
        tmp_path, steps=STEPS, adapter=spec, quantizer=integer(bits=2), widths=(8, 2)
    )
    training = make_spec(bit_policy=RandomBits(widths=(8, 2)))
    policy = RankPolicy(group_adapters(tiny.layers, spec), spec, seed=3)
    tiny.train(training, tmp_path, policy=policy)
    bits = tiny.bit_policy(training)
    assert bits is not None
    at_own = [bits.mean_bits(step) == 2 for step in range(1, STEPS + 1)]
    history = load_history(tmp_path / "rank-history.json")
    assert 0 < sum(at_own) < STEPS
    assert [math.isfinite(loss) for loss in history.losses] == at_own
    own = {ranks for ranks, counts in zip(history.ranks, at_own, strict=True) if counts}
    assert set(lowest_loss(history)) == own
