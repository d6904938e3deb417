"""What the parts of a block put out: handed back where it is the same, and only there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engine.sensitivity import prefix
from engine.sensitivity.inside import Inside
from engine.sensitivity.prefix import Prefix
from tests.engine.sensitivity.scored_tiny import scored

BATCHES = (torch.ones(2, 4), -torch.ones(2, 4))


class Pair(nn.Module):
    """Hands on a tuple, as attentions do."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to itself and its square."""
        return x, x * x


class Block(nn.Module):
    """Three layers and a part of two outputs, run the way it is told to."""

    def __init__(self, way: Callable[[Block, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(4, 4) for _ in range(3))
        self.pair = Pair()
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        """Run it."""
        return self.way(self, x)


def in_order(block: Block, x: Tensor) -> Tensor:
    """Run all parts."""
    kept, squared = block.pair(block.first(x))
    found: Tensor = block.third(block.second(kept) + squared)
    return found


def sometimes(block: Block, x: Tensor) -> Tensor:
    """Leave the first layer out of some batches."""
    found: Tensor = block.third(block.second(block.first(x) if x.sum() > 0 else x))
    return found


def other_way_round(block: Block, x: Tensor) -> Tensor:
    """Run the first two layers in another order in some batches."""
    parts = (block.first, block.second) if x.sum() > 0 else (block.second, block.first)
    found: Tensor = block.third(parts[1](parts[0](x)))
    return found


def twice(block: Block, x: Tensor) -> Tensor:
    """Run the second layer before and after the first."""
    found: Tensor = block.third(block.second(block.first(block.second(x))))
    return found


Way = Callable[[Block, Tensor], Tensor]


def look(way: Way) -> tuple[Block, Inside]:
    """Return a block and what its parts put out for both batches."""
    torch.manual_seed(0)
    block = Block(way)
    found = Inside(block, [block.first, block.second, block.third])
    for batch in BATCHES:
        with found.recorded():
            block(batch)
    return block, found


def list_names(block: Block, found: Inside, switched: str, batch: int) -> list[str]:
    """Return what is handed back where one layer is switched."""
    called = {module: name for name, module in block.named_modules()}
    kept = found.list_kept([block.get_submodule(switched)], batch)
    return [called[part] for part, _ in kept]


EXPECTED: dict[Way, dict[str, tuple[list[str], list[str]]]] = {
    in_order: {
        "first": ([], []),
        "second": (["first", "pair"], ["first", "pair"]),
        "third": (["first", "pair", "second"], ["first", "pair", "second"]),
    },
    sometimes: {
        "first": ([], []),
        "second": (["first"], []),
        "third": (["first", "second"], ["second"]),
    },
    other_way_round: {
        "first": ([], ["second"]),
        "second": (["first"], []),
        "third": (["first", "second"], ["second", "first"]),
    },
    twice: {name: ([], []) for name in ("first", "second", "third")},
}


@pytest.mark.parametrize("way", EXPECTED)
def test_what_ended_before_a_switch_is_handed_back(way: Way) -> None:
    """Each batch hands back what came before the switched layer in it; nothing that runs twice."""
    block, found = look(way)
    for switched, expected in EXPECTED[way].items():
        for batch in range(2):
            assert list_names(block, found, switched, batch) == expected[batch]
    assert found.list_kept([block.third], 2) == []
    assert found.list_kept([], 0) == []


@pytest.mark.parametrize("way", EXPECTED)
def test_a_switched_block_gives_the_same(way: Way) -> None:
    """With a layer changed, the block gives with what is handed back what it gives without."""
    block, found = look(way)
    for layer in (block.first, block.second, block.third):
        layer.weight.data.neg_()
        for batch, inputs in enumerate(BATCHES):
            expected = block(inputs)
            kept = found.list_kept([layer], batch)
            for part, forward in kept:
                vars(part)["forward"] = forward
            assert torch.equal(block(inputs), expected)
            for part, _ in kept:
                del vars(part)["forward"]
        layer.weight.data.neg_()


def test_several_switched_layers_keep_what_came_before_the_first() -> None:
    """Of two switched layers the earlier one decides."""
    block, found = look(in_order)
    kept = found.list_kept([block.third, block.second], 0)
    assert [part for part, _ in kept] == [block.first, block.pair]


def test_what_is_handed_on_counts_once() -> None:
    """Memory is that of the tensors: a part that hands on what it was given adds nothing."""
    _, found = look(in_order)
    of_batch = BATCHES[0].numel() * BATCHES[0].element_size()
    assert found.num_bytes() == 2 * 4 * of_batch  # of three layers, and the square


@pytest.mark.parametrize(("share", "runs"), [(prefix.FREE_SHARE, 0), (0.0, 3)])
def test_what_does_not_fit_is_not_kept(
    share: float, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the outputs of a block's parts take too much memory none of them is handed back."""
    model, text, _ = scored()
    monkeypatch.setattr(prefix, "FREE_SHARE", share)
    body = Prefix(model.root, model.split, model.start.layers)
    batches = text.list_tokens(torch.device("cpu"))
    body.look_inside(batches)
    early = model.root.get_submodule("model.layers.0.self_attn.q_proj")
    last = model.root.get_submodule("model.layers.0.mlp.down_proj")
    ran: list[int] = []
    compute = early._rounded_output  # type: ignore[operator]

    def count(inputs: Tensor) -> Tensor:
        ran.append(1)
        found: Tensor = compute(inputs)
        return found

    early._rounded_output = count  # type: ignore[assignment]
    with torch.no_grad():
        for batch, tokens in enumerate(batches):
            body.hidden(tokens, batch, switched=[last])
    assert len(ran) == runs
