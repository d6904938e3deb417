"""Promises of weights with several widths: what each has, and switching between them."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.layers.bit_maps import mean_bits, named_map, own_map, uniform_map
from engine.layers.codebook_scales import build_ranges
from engine.layers.layer_map import LayerSetting, apply_map, held, keeping, read_map
from engine.layers.swap import LayerPlan, Layers, install
from engine.layers.width_bank import add_widths
from engine.quant.grouping import split
from engine.specs import (
    AdapterSpec,
    ElasticLoraAdapter,
    ExperimentSpec,
    FixedCache,
    FixedInputs,
    IntegerQuantizer,
    LayerInputs,
    LoraAdapter,
    LoraBankAdapter,
    NoAdapter,
)
from tests.engine.tiny_layers import SEED, integer, some_tokens
from tests.tiny_models import make_llama

WIDTHS = (8, 6, 4)
LAYER = "model.layers.0.mlp.up_proj"


def put_in(
    adapter: AdapterSpec | None = None,
    *,
    widths: tuple[int, ...] = WIDTHS,
    quantizer: IntegerQuantizer | None = None,
) -> tuple[torch.nn.Module, Layers]:
    """Return a tiny Llama with layers of several widths; adapters are given something to add."""
    model = make_llama()
    model.requires_grad_(requires_grad=False)
    plan = LayerPlan(quantizer or integer(bits=4), adapter or NoAdapter(), SEED, widths=widths)
    layers = install(model, plan)
    generator = torch.Generator().manual_seed(3)
    for layer in layers.values():
        for pair in layer.list_adapters().values():
            pair.b.data.normal_(0, 0.05, generator=generator)
    return model, layers


def logits(model: torch.nn.Module) -> torch.Tensor:
    """Return what the model says of some tokens."""
    with torch.no_grad():
        return model(some_tokens(2, 12)).logits


def bank(*, placement: str = "parallel", fallback: str = "refuse") -> LoraBankAdapter:
    """Return a bank of small pairs."""
    return LoraBankAdapter(r=4, placement=placement, fallback=fallback)


@pytest.mark.parametrize("placement", ["parallel", "absorbed"])
@pytest.mark.parametrize("bits", WIDTHS)
def test_a_switched_model_is_the_model_of_that_width(placement: str, bits: int) -> None:
    """Without adapters' training, a bank set to a width equals a model put in at that width."""
    model, layers = put_in(LoraAdapter(r=4, placement=placement))
    apply_map(layers, uniform_map(layers, bits, integer(bits=4)))
    alone, _ = put_in(
        LoraAdapter(r=4, placement=placement), widths=(), quantizer=integer(bits=bits)
    )
    assert torch.equal(logits(model), logits(alone))


@pytest.mark.parametrize("fallback", ["refuse", "none", "nearest"])
@pytest.mark.parametrize("placement", ["absorbed", "parallel"])
@pytest.mark.parametrize("line", ["*.mlp.*=16", "*=16"])
def test_a_bank_has_an_adapter_where_a_layer_is_not_rounded(
    line: str, placement: str, fallback: str
) -> None:
    """Of one width a bank is a plain adapter, at layers that stay at 16 bits as well."""
    quantizer = IntegerQuantizer(bits=4, group_size=16, layer_bits=(line,))
    plain = LoraAdapter(r=4, placement=placement)
    given = bank(placement=placement, fallback=fallback)
    model, layers = put_in(given, widths=(), quantizer=quantizer)
    alone, others = put_in(plain, widths=(), quantizer=quantizer)
    assert torch.equal(logits(model), logits(alone))
    assert all(layer.adapter is not None and layer.active_rank == 4 for layer in layers.values())
    assert [list(layer.list_adapters()) for layer in layers.values()] == [["adapter"]] * len(others)


@pytest.mark.parametrize("inputs", [FixedInputs(bits=4), LayerInputs()], ids=["fixed", "layer"])
def test_a_layer_at_16_bits_keeps_its_inputs_unless_its_line_rounds_them(
    inputs: FixedInputs | LayerInputs,
) -> None:
    """A layer left out is left out; the cache is not its weights, and follows the quantizer."""
    lines = ("*.q_proj=16", "*.k_proj=16", "*.v_proj=W16A8", "*.mlp.*=W4A16", "*.up_proj=W16A2KV3")
    quantizer = IntegerQuantizer(
        bits=4, group_size=16, layer_bits=lines, inputs=inputs, cache=FixedCache(bits=3)
    )
    model, layers = put_in(widths=(), quantizer=quantizer)
    found = {name.rpartition(".")[2]: setting[:3:2] for name, setting in read_map(layers).items()}
    assert found == {
        "q_proj": (16, 16),
        "k_proj": (16, 16),
        "v_proj": (16, 8),
        "o_proj": (4, 4),
        "gate_proj": (4, 16),
        "down_proj": (4, 16),
        "up_proj": (16, 2),
    }
    assert {setting.cache for setting in read_map(layers).values()} == {3}
    said = logits(model)
    for part, bits in (("q_proj", 4), ("v_proj", 16)):
        layers[f"model.layers.0.self_attn.{part}"].set_inputs(bits)
        assert not torch.equal(logits(model), said)
        said = logits(model)
    unrounded = uniform_map(layers, 16, quantizer).values()
    assert {(each.inputs, each.cache) for each in unrounded} == {(16, 16)}


def test_sixteen_bits_everywhere_is_the_float_model() -> None:
    """At 16 bits weights, inputs and cache are the original's; a bank adds nothing of its own."""
    quantizer = IntegerQuantizer(
        bits=4, group_size=16, inputs=LayerInputs(), cache=FixedCache(bits=4)
    )
    model, layers = put_in(bank(), quantizer=quantizer)
    assert not torch.allclose(logits(model), logits(make_llama()))
    apply_map(layers, uniform_map(layers, 16, quantizer))
    assert torch.equal(logits(model), logits(make_llama()))


def test_a_bank_has_a_pair_and_ranges_for_each_width() -> None:
    """Every width trains parts of its own; a shared adapter appears once."""
    _, layers = put_in(bank())
    layer = layers[LAYER]
    assert list(layer.list_adapters()) == ["adapter.8", "adapter.6", "adapter.4"]
    assert list(layer.list_ranges()) == ["ranges.8", "ranges.6", "ranges.4"]
    starts = [pair.a for pair in layer.list_adapters().values()]
    assert not torch.equal(starts[0], starts[1])
    shared = put_in(LoraAdapter(r=4))[1][LAYER]
    assert list(shared.list_adapters()) == ["adapter"]
    assert list(shared.list_ranges()) == ["ranges.8", "ranges.6", "ranges.4"]


def test_a_bank_with_one_width_is_a_plain_adapter() -> None:
    """The same seed gives the same pair, and the model says the same."""
    model, layers = put_in(bank(), widths=(4,))
    plain, others = put_in(LoraAdapter(r=4, placement="parallel"), widths=())
    assert list(layers[LAYER].list_adapters()) == ["adapter"]
    assert torch.equal(layers[LAYER].adapter.a, others[LAYER].adapter.a)
    assert torch.equal(logits(model), logits(plain))


def test_switching_brings_the_adapter_of_the_width_and_back() -> None:
    """The pair follows the bits at its full rank; at 16 bits there is none."""
    _, layers = put_in(bank())
    layer = layers[LAYER]
    pairs = layer.list_adapters()
    for bits in (6, 8, 4, 16, 4):
        layer.set_bits(bits)
        assert layer.adapter is pairs.get(f"adapter.{bits}")
        assert layer.active_rank == (0 if bits == 16 else 4)


def test_switching_copies_no_weight() -> None:
    """Going through all widths leaves every tensor where it is."""
    model, layers = put_in(bank())
    before = {name: value.data_ptr() for name, value in model.named_parameters()}
    weights = {name: layer.weight.clone() for name, layer in layers.items()}
    for bits in (8, 6, 16, 4):
        apply_map(layers, uniform_map(layers, bits, integer(bits=4)))
    assert {name: value.data_ptr() for name, value in model.named_parameters()} == before
    assert all(torch.equal(layer.weight, weights[name]) for name, layer in layers.items())


def test_kept_weights_are_computed_once_for_each_width() -> None:
    """While they are kept, the second hold at a width gives the very same tensor."""
    _, layers = put_in()
    layer = layers[LAYER]
    with keeping(layers):
        seen = []
        for bits in (8, 4, 8):
            layer.set_bits(bits)
            seen.append(layer.hold(torch.float32, trains=False).weight)
        assert seen[0] is seen[2]
        assert not torch.equal(seen[0], seen[1])
    assert layer.hold(torch.float32, trains=False).weight is not seen[2]


def test_a_weight_that_trains_is_never_kept() -> None:
    """Ranges that train make a new weight each time."""
    _, layers = put_in()
    layer = layers[LAYER]
    with keeping(layers):
        first = layer.hold(torch.float32, trains=True).weight
        assert layer.hold(torch.float32, trains=True).weight is not first


@pytest.mark.parametrize("placement", ["parallel", "absorbed"])
def test_a_width_that_was_not_trained_uses_the_nearest_pair(placement: str) -> None:
    """Of two equally near pairs the higher width's counts; ranges span what is rounded."""
    spec = ExperimentSpec(
        quantizer=integer(bits=4), adapter=bank(placement=placement, fallback="nearest")
    )
    model, layers = put_in(spec.adapter)
    add_widths(layers, (3, 5, 7), spec)
    layer = layers[LAYER]
    pairs = layer.list_adapters()
    for bits, nearest in ((3, 4), (5, 6), (7, 8)):
        layer.set_bits(bits)
        assert layer.adapter is pairs[f"adapter.{nearest}"]
        whole = layer.unrounded().detach()
        error = (layer.effective().detach() - whole).abs().max()
        assert error < (whole.amax() - whole.amin()) / (2**bits - 1)
    assert logits(model).isfinite().all()


@pytest.mark.parametrize("rank", [4, 1])
def test_a_new_width_fits_the_weight_at_its_rank(rank: int) -> None:
    """Ranges of an elastic adapter's new width span the weight with what of the pair is active."""
    elastic = ElasticLoraAdapter(rank_space=(4, 1), placement="absorbed")
    spec = ExperimentSpec(quantizer=integer(bits=4), adapter=elastic)
    _, layers = put_in(elastic, widths=())
    apply_map(layers, {name: LayerSetting(rank=rank) for name in layers})
    add_widths(layers, (6,), spec)
    layer = layers[LAYER]
    pair = layer.adapter
    assert pair is not None
    whole = (layer.weight + pair.product(rank)).detach()
    expected = build_ranges(split(whole, layer.num_groups), integer(bits=4), 6)
    layer.set_bits(6)
    assert layer.ranges is not None
    found = layer.ranges.state_dict()
    assert found.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(found[name], value)


def test_a_width_without_adapter_is_refused_unless_allowed() -> None:
    """A bank that refuses says which widths there are; one that does not runs without a pair."""
    spec = ExperimentSpec(quantizer=integer(bits=4), adapter=bank())
    _, layers = put_in(spec.adapter)
    with pytest.raises(SpecError, match="5 bits have no adapter of their own, 8, 6, 4 have") as got:
        add_widths(layers, (8, 5), spec)
    assert got.value.problems[0].field == "adapter.fallback"
    assert 5 not in layers[LAYER].known_widths
    spec = ExperimentSpec(quantizer=integer(bits=4), adapter=bank(fallback="none"))
    _, layers = put_in(spec.adapter)
    add_widths(layers, (5,), spec)
    layers[LAYER].set_bits(5)
    assert layers[LAYER].adapter is None


def test_a_layer_map_gives_layers_their_own_widths() -> None:
    """The last line that matches counts; inputs and cache follow the quantizer where left out."""
    quantizer = IntegerQuantizer(
        bits=4,
        group_size=16,
        layer_bits=("*.mlp.*=8", "*.mlp.up_proj=W6A5KV3", "*.o_proj=16"),
        inputs=LayerInputs(),
        cache=FixedCache(bits=7),
    )
    model, layers = put_in(quantizer=quantizer, widths=())
    found = read_map(layers)
    assert found[LAYER] == LayerSetting(6, 0, 5, 3)
    assert found["model.layers.1.mlp.down_proj"] == LayerSetting(8, 0, 8, 7)
    assert found["model.layers.1.self_attn.k_proj"] == LayerSetting(4, 0, 4, 7)
    assert found["model.layers.1.self_attn.o_proj"] == LayerSetting(16, 0, 16, 7)
    assert layers["model.layers.1.self_attn.o_proj"].ranges is None
    assert 4 < mean_bits(layers) < 16
    assert logits(model).isfinite().all()
    apply_map(layers, uniform_map(layers, 16, quantizer))
    apply_map(layers, own_map(layers, quantizer))
    assert read_map(layers) == found


def test_a_map_with_an_unknown_layer_suggests_the_nearest() -> None:
    """A misspelt name is refused at the field it was asked at, and nothing is set."""
    _, layers = put_in()
    with pytest.raises(SpecError, match=f"did you mean {LAYER}") as got:
        named_map(layers, ("model.layers.0.mlp.up_prj=4",), integer(bits=4), field="maps")
    assert got.value.problems[0].field == "maps"
    with pytest.raises(SpecError, match=r"quantizer\.layer_bits"):
        put_in(quantizer=IntegerQuantizer(group_size=16, layer_bits=("nowhere=4",)), widths=())


def test_layers_that_no_line_names_keep_their_own_width() -> None:
    """A named map changes what it names, the rest goes back to the run's width."""
    _, layers = put_in()
    apply_map(layers, uniform_map(layers, 8, integer(bits=4)))
    apply_map(layers, named_map(layers, (f"{LAYER}=6",), integer(bits=4), field="maps"))
    assert {name for name, layer in layers.items() if layer.active_bits == 6} == {LAYER}
    assert {layer.active_bits for layer in layers.values()} == {6, 4}


def test_inputs_are_rounded_at_the_width_of_the_layer() -> None:
    """With inputs as wide as the weights the map moves both; a parallel adapter sees them whole."""
    quantizer = IntegerQuantizer(bits=4, group_size=16, inputs=LayerInputs())
    model, layers = put_in(quantizer=quantizer)
    plain, _ = put_in()
    assert layers[LAYER].active_inputs == 4
    assert not torch.allclose(logits(model), logits(plain))
    apply_map(layers, {name: LayerSetting(inputs=16) for name in layers})
    assert torch.equal(logits(model), logits(plain))
    with held(layers, torch.float32):
        assert torch.allclose(logits(model), logits(plain), atol=1e-5)
