"""Promises of rounded embeddings: rows of the rounded table, with its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.layers.quantized_embedding import QuantizedEmbedding
from engine.layers.quantized_linear import QuantizedLinear
from engine.layers.swap import LayerPlan, Layers, install
from engine.specs import NoAdapter
from tests.engine.tiny_layers import disturb, gradients_of, integer
from tests.tolerances import assert_near


class TiedPair(nn.Module):
    """An embedding and a head on one weight, with something between."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.head = nn.Linear(16, 20, bias=False)
        self.head.weight = self.embed.weight
        self.requires_grad_(requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(torch.tanh(self.embed(rows)))


def make_pair(*, symmetric: bool = False) -> tuple[TiedPair, Layers]:
    """Build the pair with its shared weight rounded."""
    model = TiedPair()
    plan = LayerPlan(integer(symmetric=symmetric, embeddings=True), NoAdapter(), 0)
    layers = install(model, plan)
    disturb(layers)
    assert isinstance(model.embed, QuantizedEmbedding)
    assert isinstance(model.head, QuantizedLinear)
    return model, layers


def test_rows_are_those_of_the_rounded_table() -> None:
    """Looking up gives rows of the effective weight, held or not, for indices of any shape."""
    model, layers = make_pair()
    rows = torch.tensor([[3, 19, 3], [0, 7, 7]])
    table = layers["embed"].effective().detach()
    assert_near(model.embed(rows), table[rows])
    layers["embed"].hold(torch.float32, trains=False)
    assert_near(model.embed(rows), table[rows])


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("num_microbatches", [1, 3])
def test_shared_ranges_get_both_gradients(symmetric: bool, num_microbatches: int) -> None:
    """Ranges of a tied weight get the gradients of look-up and head together, as by autograd."""
    model, layers = make_pair(symmetric=symmetric)
    batches = torch.randint(20, (num_microbatches, 2, 5))
    sum(model(rows).square().sum() for rows in batches).backward()
    expected = gradients_of(layers)
    held = layers["embed"].hold(torch.float32, trains=True)
    assert held is not None
    for index, rows in enumerate(batches):
        held.is_last = index == num_microbatches - 1
        model(rows).square().sum().backward()
    found = gradients_of(layers)
    assert layers["embed"].held is None
    assert sorted(found) == sorted(expected)
    assert expected
    for name, value in expected.items():
        assert_near(found[name], value)


def test_an_embedding_keeps_the_models_dtype() -> None:
    """A table kept in bfloat16 and held in float32 still gives bfloat16 rows."""
    model = TiedPair().bfloat16()
    layers = install(model, LayerPlan(integer(embeddings=True), NoAdapter(), 0))
    rows = torch.tensor([1, 2])
    assert model.embed(rows).dtype == torch.bfloat16
    layers["embed"].hold(torch.float32, trains=False)
    assert model.embed(rows).dtype == torch.bfloat16
    assert model(rows).dtype == torch.bfloat16
