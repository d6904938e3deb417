"""Widths that do not go together are refused, each with what would be accepted."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from engine.specs import resolve

POLICY = ("training.method=qat", "training.bit_policy.policy=switchable")
HEAD = (
    "model.head=classification",
    "training.data.kind=task",
    "training.data.task=sst2",
    "training.objective=task",
    "evaluation.divergence=false",
)


def problems_of(*overrides: str) -> dict[str, str]:
    with pytest.raises(SpecError) as refused:
        resolve({"preset": "rtn"}, overrides)
    return {each.field: each.message for each in refused.value.problems}


def test_16_bit_models() -> None:
    """A 16-bit model has neither widths to switch nor a bank of adapters."""
    found = problems_of("quantizer.grid=float", *POLICY, "adapter.kind=lora-bank")
    assert "no widths to choose from; use fixed" in found["training.bit_policy.policy"]
    assert "use lora, or quantizer.grid integer" in found["adapter.kind"]


def test_fractions() -> None:
    """A fraction of bits and a layer map both choose widths."""
    found = problems_of("quantizer.bits=2.5", "quantizer.layer_bits=['*=4']")
    assert found["quantizer.layer_bits"].startswith("gives layers widths of their own")


def test_policies() -> None:
    """The reported width is a trained one; neither a map nor a start for one width goes along."""
    found = problems_of(
        *POLICY,
        "quantizer.bits=5",
        "quantizer.layer_bits=['*=4']",
        "initialization.method=loftq",
        "adapter.kind=lora-bank",
        "adapter.placement=parallel",
    )
    assert found["quantizer.bits"].startswith("5 is not among the trained widths 8, 6, 4; give")
    assert "leave it empty, or use training.bit_policy.policy" in found["quantizer.layer_bits"]
    assert found["initialization.method"].startswith("loftq starts a model at one width, and 8, 6")


BY_TURNS = (
    ("random",),
    ("curriculum",),
    ("switchable", "training.bit_policy.order=one-after-another"),
)


@pytest.mark.parametrize("policy", BY_TURNS, ids=lambda policy: policy[0])
def test_a_turn_of_16_bits_needs_something_to_train(policy: tuple[str, ...]) -> None:
    """Without an adapter 16 bits has no step of its own; it may be followed, or have a head."""
    widths = ("training.method=qat", "training.bit_policy.widths=[16,8,4]", "adapter.kind=none")
    asked = (*widths, f"training.bit_policy.policy={policy[0]}", *policy[1:])
    found = problems_of(*asked)
    assert found["training.bit_policy.widths"].startswith("nothing trains at 16 bits without an")
    taught = (*POLICY, "training.bit_policy.order=sandwich", widths[1])
    for other in (("adapter.kind=lora",), HEAD, taught):
        spec = resolve({"preset": "rtn"}, (*asked, *other)).spec
        assert spec.trained_widths == (16, 8, 4)


@pytest.mark.parametrize("policy", ["switchable", "random", "curriculum"])
def test_one_width_may_have_any_start(policy: str) -> None:
    """A policy of one width starts as a fixed width does."""
    overrides = (
        "training.method=qat",
        f"training.bit_policy.policy={policy}",
        "training.bit_policy.widths=[4]",
        "initialization.method=loftq",
        "adapter.kind=lora",
        "adapter.placement=parallel",
    )
    assert resolve({"preset": "rtn"}, overrides).spec.trained_widths == (4,)


def test_two_stacks() -> None:
    """An encoder-decoder's caches stay as they are, whoever asks."""
    head = "model.head=seq2seq"
    found = problems_of(head, "quantizer.cache.rounding=layer")
    assert found["quantizer.cache.rounding"].endswith("does not round; use none")
    found = problems_of(head, "quantizer.layer_bits=['*=W4KV8']")
    assert found["quantizer.layer_bits"].endswith("does not round; leave the KV parts out")
    assert "quantizer.layer_bits" not in problems_of(head, "quantizer.layer_bits=['*=W4KV16']")


@pytest.mark.parametrize(
    ("policy", "field", "message"),
    [
        (("cyclic", "num_cycles=6"), "num_cycles", "6 cycles need at least as many steps, and"),
        (("curriculum", "widths=[8,7,6,5,4,3]"), "widths", "6 widths one after another need at"),
        (
            ("switchable", "widths=[8,7,6,5,4,3]", "order=one-after-another"),
            "widths",
            "6 widths one after another need at",
        ),
    ],
)
def test_too_few_steps(policy: tuple[str, ...], field: str, message: str) -> None:
    """A given number of steps must hold all cycles or widths in turn; epochs are not counted."""
    kind, *values = (f"training.bit_policy.{each}" for each in (f"policy={policy[0]}", *policy[1:]))
    asked = ("training.method=qat", kind, *values)
    found = problems_of(*asked, "training.max_steps=5")
    assert list(found) == [f"training.bit_policy.{field}"]
    assert found[f"training.bit_policy.{field}"].startswith(message)
    assert resolve({"preset": "rtn"}, (*asked, "training.max_steps=6")).spec
    assert resolve({"preset": "rtn"}, asked).spec


def test_a_bank_with_fixed_widths() -> None:
    """A bank, rounded inputs and a rounded cache go with fixed widths and a layer map."""
    spec = resolve(
        {"preset": "qat-lora"},
        (
            "adapter.kind=lora-bank",
            "quantizer.layer_bits=['*.mlp.*=W8A8']",
            "quantizer.cache.rounding=layer",
            "quantizer.inputs.rounding=layer",
        ),
    ).spec
    assert spec.trained_widths == ()
