"""Promises of widths drawn for every forward pass: seeded, once a pass, and gone afterwards."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.evaluation.random_precision import list_chances, random_precision
from engine.layers.bit_maps import uniform_map
from engine.layers.kv_cache import install_cache
from engine.layers.layer_map import apply_map, held, read_map
from engine.layers.swap import LayerPlan, Layers, install
from engine.models.naming import group_of
from engine.specs import (
    IntegerQuantizer,
    LayerCache,
    LayerInputs,
    LoraAdapter,
    NoAdapter,
    RandomMap,
)
from tests.engine.tiny_layers import SEED, disturb, some_tokens
from tests.tiny_heads import make_kind
from tests.tiny_models import make_llama
from tests.tolerances import assert_near

WIDTHS = (8, 4, 2)
QUANTIZER = IntegerQuantizer(bits=4, group_size=16, inputs=LayerInputs())


def make_model(model: PreTrainedModel | None = None) -> tuple[PreTrainedModel, Layers]:
    """Return a model whose layers know three widths."""
    model = model or make_llama()
    model.requires_grad_(requires_grad=False)
    layers = install(model, LayerPlan(QUANTIZER, LoraAdapter(r=4), SEED, widths=WIDTHS))
    disturb(layers)
    apply_map(layers, uniform_map(layers, 4, QUANTIZER))
    return model, layers


def drawing(model: PreTrainedModel, layers: Layers, *, seed: int = 3, **values: Any) -> Any:
    """Draw the three widths on a model."""
    wanted = RandomMap(**{"widths": WIDTHS, **values})
    return random_precision(model, layers, wanted, QUANTIZER, seed=seed, dtype=torch.float32)


@torch.no_grad()
def ask(model: PreTrainedModel) -> Tensor:
    """Return the logits of the same few tokens."""
    return model(input_ids=some_tokens(2, 5)).logits


def watch(model: PreTrainedModel, layers: Layers, passes: int) -> list[dict[str, int]]:
    """Return the widths of the layers after each of so many passes."""
    seen = []
    for _ in range(passes):
        ask(model)
        seen.append({name: layer.active_bits for name, layer in layers.items()})
    return seen


def test_the_same_seed_draws_the_same_widths() -> None:
    """Pass by pass, whoever asks; another seed draws others."""
    model, layers = make_model()

    def run(seed: int) -> list[dict[str, int]]:
        with drawing(model, layers, seed=seed, scope="layer"):
            return watch(model, layers, 4)

    assert run(3) == run(3)
    assert run(3) != run(4)


@pytest.mark.parametrize("scope", ["model", "block", "layer"])
def test_a_draw_is_shared_by_its_scope(scope: Any) -> None:
    """One width for all layers, for those of a block, or for each; every width comes up."""
    model, layers = make_model()
    with drawing(model, layers, scope=scope):
        seen = watch(model, layers, 12)
    for widths in seen:
        by_group: dict[str, set[int]] = {}
        for name, bits in widths.items():
            group = "" if scope == "model" else group_of(name, scope)
            by_group.setdefault(group, set()).add(bits)
        assert all(len(found) == 1 for found in by_group.values())
    most = {"model": 1, "block": 2, "layer": 3}[scope]
    assert max(len(set(widths.values())) for widths in seen) == most
    assert {bits for widths in seen for bits in widths.values()} == set(WIDTHS)


def test_each_pass_computes_at_the_width_that_was_drawn() -> None:
    """Weights and inputs are those of the uniform map of that width, to the last bit."""
    model, layers = make_model()
    expected = {}
    for width in WIDTHS:
        apply_map(layers, uniform_map(layers, width, QUANTIZER))
        with held(layers, torch.float32):
            expected[width] = ask(model)
    with drawing(model, layers):
        for _ in range(6):
            logits = ask(model)
            (width,) = {layer.active_bits for layer in layers.values()}
            assert {layer.active_inputs for layer in layers.values()} == {width}
            assert torch.equal(logits, expected[width])


def test_a_call_inside_a_pass_belongs_to_it() -> None:
    """A model that calls its body draws once; the body called alone draws as well."""
    model, layers = make_model()
    with drawing(model, layers, scope="layer"):
        whole = watch(model, layers, 3)
    bodies = []
    with drawing(model, layers, scope="layer"):
        for _ in range(3):
            model.base_model(input_ids=some_tokens(1, 3))
            bodies.append({name: layer.active_bits for name, layer in layers.items()})
    assert bodies == whole


@pytest.mark.parametrize("entry", ["model", "body"])
def test_the_cache_is_rounded_to_the_width_of_its_own_pass(entry: str) -> None:
    """However a pass begins, keys and values are those of its draw and not of the one before."""
    quantizer = IntegerQuantizer(bits=3, group_size=16, cache=LayerCache())
    widths = (16, 3)
    model = make_llama()
    model.requires_grad_(requires_grad=False)
    layers = install(model, LayerPlan(quantizer, NoAdapter(), SEED, widths=widths))
    install_cache(model, layers, "token")
    module = model if entry == "model" else model.base_model

    @torch.no_grad()
    def outputs() -> Tensor:
        return module(input_ids=some_tokens(2, 12), use_cache=False)[0]

    expected = {}
    for width in widths:
        apply_map(layers, uniform_map(layers, width, quantizer))
        expected[width] = outputs()
    for layer in layers.values():
        layer.set_cache(16)
    assert not torch.allclose(outputs(), expected[3], atol=1e-4)
    seen = []
    wanted = RandomMap(widths=widths)
    with random_precision(model, layers, wanted, quantizer, seed=1, dtype=torch.float32):
        for _ in range(12):
            found = outputs()
            seen.append(next(iter(layers.values())).active_bits)
            assert_near(found, expected[seen[-1]])
    assert {(16, 3), (3, 16)} <= set(pairwise(seen))


def test_a_pass_that_fails_ends_as_well() -> None:
    """The next pass draws again."""
    model, layers = make_model()
    with drawing(model, layers, scope="layer"):
        whole = watch(model, layers, 2)
    with drawing(model, layers, scope="layer"):
        with pytest.raises(IndexError):
            model(input_ids=torch.tensor([[10**6]]))
        assert watch(model, layers, 1) == whole[1:]


def test_the_map_before_comes_back() -> None:
    """After the context, also one left by an error, nothing draws and the layers are as before."""
    model, layers = make_model()
    before, map_before = ask(model), read_map(layers)

    def stop() -> None:
        with drawing(model, layers):
            watch(model, layers, 3)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop()
    assert read_map(layers) == map_before
    assert torch.equal(ask(model), before)
    assert all(layer.held is None and layer.kept is None for layer in layers.values())


def test_gradients_flow_to_the_inputs_after_answering_without_any() -> None:
    """Weights rounded in inference mode serve passes that are followed backwards."""
    model, layers = make_model()
    table = model.get_input_embeddings()
    with drawing(model, layers, widths=(4,)):
        with torch.inference_mode():
            model(input_ids=some_tokens(1, 4))
        inputs = table(some_tokens(1, 4)).detach().requires_grad_()
        model(inputs_embeds=inputs).logits.sum().backward()
    apply_map(layers, uniform_map(layers, 4, QUANTIZER))
    plain = inputs.detach().clone().requires_grad_()
    with held(layers, torch.float32):
        model(inputs_embeds=plain).logits.sum().backward()
    assert inputs.grad is not None
    assert plain.grad is not None
    assert torch.equal(inputs.grad, plain.grad)
    assert float(inputs.grad.abs().sum()) > 0


def test_what_writes_draws_for_every_token() -> None:
    """The encoder of an encoder-decoder is a pass, and so is each token of its decoder."""
    model, layers = make_model(make_kind("t5", "seq2seq", num_decoder_layers=2))
    seen: list[tuple[str, int]] = []
    parts = {"encoder": model.get_encoder(), "decoder": model.get_decoder()}
    for part, module in parts.items():
        first = next(iter(layers.values()))
        module.register_forward_hook(
            lambda *_, part=part, first=first: seen.append((part, first.active_bits))
        )
    tokens = some_tokens(1, 6)
    with drawing(model, layers, widths=(8, 4)):
        model.generate(input_ids=tokens, min_new_tokens=8, max_new_tokens=8, num_beams=1)
    assert [part for part, _ in seen] == ["encoder", *["decoder"] * 8]
    assert {bits for _, bits in seen} == {8, 4}


def test_chances_sum_to_one() -> None:
    """Weights in any unit become shares; without any, all widths are alike."""
    assert list_chances(RandomMap(widths=(8, 4), weights=(3.0, 1.0))) == {8: 0.75, 4: 0.25}
    assert list_chances(RandomMap(widths=(8, 6, 4, 2))) == dict.fromkeys((8, 6, 4, 2), 0.25)


def test_widths_come_up_as_often_as_their_chances_say() -> None:
    """Of 14 layers over 60 passes, within four standard deviations."""
    model, layers = make_model()
    with drawing(model, layers, weights=(2.0, 1.0, 1.0), scope="layer"):
        seen = Counter(bits for widths in watch(model, layers, 60) for bits in widths.values())
    count = 60 * len(layers)
    for width, chance in {8: 0.5, 4: 0.25, 2: 0.25}.items():
        spread = (chance * (1 - chance) * count) ** 0.5
        assert abs(seen[width] - chance * count) < 4 * spread
