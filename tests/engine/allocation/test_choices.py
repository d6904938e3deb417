"""What layers can choose from: merged, pinned, limited, and refused where nothing is left."""

from __future__ import annotations

import pytest

from engine.allocation.choices import LayerChoices, Limits, build_table
from engine.errors import SpecError


def layer(name: str, *widths: int, loss: float = 1.0) -> LayerChoices:
    losses = tuple(loss / width for width in widths)
    return LayerChoices(name, 100, widths, losses, tuple(100 * width for width in widths))


LAYERS = [layer("q", 2, 3, 4), layer("k", 2, 4, 8), layer("v", 3, 4), layer("o", 2)]


def test_each_layer_is_an_item() -> None:
    """Without groups there is a row for each layer, and short rows repeat their last choice."""
    table = build_table(LAYERS)
    assert table.names == (("q",), ("k",), ("v",), ("o",))
    assert table.widths.tolist() == [[2, 3, 4], [2, 4, 8], [3, 4, 4], [2, 2, 2]]
    assert table.stored_bits[3].tolist() == [200, 200, 200]
    assert (table.smallest_bits, table.largest_bits) == (900, 1800)
    assert table.num_weights == 400


def test_a_group_is_one_item() -> None:
    """A group has the widths all its layers have, and their losses and sizes in sum."""
    table = build_table(LAYERS, Limits(groups=(("v", "q"), ("o",), ())))
    assert table.names == (("q", "v"), ("k",), ("o",))
    assert table.widths[0].tolist() == [3, 4, 4]
    assert table.losses[0, :2].tolist() == pytest.approx([2 / 3, 2 / 4])
    assert table.stored_bits[0, :2].tolist() == [600, 800]
    assert table.layers == ("q", "k", "v", "o")


def test_a_pin_holds_for_its_group() -> None:
    """A pinned layer leaves its group the pinned width alone; limits cut the rest."""
    limits = Limits(pins={"q": 4}, least={"k": 3}, most={"k": 4}, groups=(("q", "v"),))
    table = build_table(LAYERS, limits)
    assert table.widths[:2].tolist() == [[4], [4]]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(pins={"x": 4}), "pins: there is no layer x; layers are named like q"),
        (Limits(least={"x": 4}), "limits: there is no layer x"),
        (Limits(groups=(("q", "x"),)), "groups: there is no layer x"),
        (
            Limits(pins={"q": 5}),
            "pins: q is pinned to 5 bits, which were not measured; pin it to 2, 3 or 4",
        ),
        (
            Limits(pins={"q": 4}, most={"q": 3}),
            "pins: q is pinned to 4 bits but limited to 2 or 3; change one",
        ),
        (
            Limits(least={"q": 5}),
            "limits: q has no width of 5 bits or more; it was measured at 2, 3 or 4",
        ),
        (Limits(most={"v": 2}), "limits: v has no width of 2 bits or fewer"),
        (Limits(least={"k": 5}, most={"k": 7}), "limits: k has no width from 5 to 7 bits"),
        (
            Limits(pins={"q": 2, "k": 4}, groups=(("q", "k"),)),
            "pins: q can have 2 bits and k 4, but they share one width; let both have the same, "
            "or take one out of the group",
        ),
        (
            Limits(pins={"k": 8}, groups=(("q", "k"),)),
            "pins: k can have 8 bits and q 2, 3 or 4, but they share one width",
        ),
        (
            Limits(groups=(("o", "v"),)),
            "groups: o can have 2 bits and v 3 or 4, but they share one width",
        ),
        (
            Limits(least={"k": 8}, groups=(("q", "k"),)),
            "groups: k can have 8 bits and q 2, 3 or 4, but they share one width",
        ),
    ],
)
def test_contradictions(limits: Limits, said: str) -> None:
    """What cannot be kept together is refused in one sentence that names the layers."""
    with pytest.raises(SpecError) as found:
        build_table(LAYERS, limits)
    assert str(found.value).startswith(said)


def test_pairwise_agreement_is_not_enough() -> None:
    """Three layers of which each two share a width, but not all three, are all named."""
    layers = [layer("d", 2, 3, 4, 8), layer("a", 2, 3, 8), layer("b", 3, 4, 8), layer("c", 2, 4)]
    with pytest.raises(SpecError) as found:
        build_table(layers, Limits(groups=(("a", "b", "c", "d"),)))
    assert str(found.value) == (
        "groups: c can have 2 or 4 bits, a 2, 3 or 8 and b 3, 4 or 8, but they share one width; "
        "let all have the same, or take one out of the group"
    )


def test_two_are_named_where_two_suffice() -> None:
    """Of a group the two that have no width in common are named, though others come before."""
    layers = [layer("a", 2, 3), layer("b", 2, 4, 8), layer("c", 3, 8), layer("d", 4, 8)]
    with pytest.raises(SpecError, match=r"^pins: d can have 8 bits and a 2 or 3, but they share"):
        build_table(layers, Limits(pins={"d": 8}, groups=(("b", "c", "d", "a"),)))


@pytest.mark.parametrize(
    "layers", [[], [layer("a")], [layer("a", 2, 4, loss=float("nan"))]], ids=["none", "no", "nan"]
)
def test_scores_that_are_none(layers: list[LayerChoices]) -> None:
    """No layer, no width or a score that is no number is refused at the sensitivity."""
    with pytest.raises(SpecError, match=r"^sensitivity: "):
        build_table(layers)
