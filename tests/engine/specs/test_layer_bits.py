"""Promises of lines that name layers: as the slow way finds them, and found once."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from unittest.mock import patch

import pytest

from engine.errors import SpecError
from engine.specs import layer_bits
from engine.specs.layer_bits import (
    LayerBits,
    check_named,
    find_bits,
    is_named,
    list_named,
    read_layer_bits,
)

NAMES = tuple(
    f"model.layers.{block}.{part}" for block in range(12) for part in ("mlp.up_proj", "q", "a[0]")
)
LETTERS = ("*", "*", "?", "[", "]", "!", "1", "0", "ab", ".", "model", "layers", "mlp", "q", "-")


def slow_bits(lines: tuple[str, ...], name: str) -> LayerBits | None:
    """Return the same by asking every line."""
    found = None
    for line in lines:
        pattern, _, bits = line.rpartition("=")
        if name == pattern or fnmatchcase(name, pattern):
            found = read_layer_bits(bits)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_last_line_that_matches_counts(seed: int) -> None:
    """Whatever lines there are, names and patterns mixed, widths are those of the slow way."""
    draws = random.Random(seed)
    patterns = [
        "".join(draws.choices(LETTERS, k=draws.randint(1, 5))) for _ in range(60)
    ] + draws.choices(NAMES, k=20)
    patterns += [name.replace(draws.choice(name), "*") for name in draws.choices(NAMES, k=20)]
    draws.shuffle(patterns)
    lines = tuple(f"{pattern}={draws.randint(2, 8)}" for pattern in patterns)
    names = (*NAMES, *patterns, "", "ab")
    assert [find_bits(lines, name) for name in names] == [slow_bits(lines, name) for name in names]
    for pattern in patterns:
        expected = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        assert [name for name in names if is_named(name, pattern)] == expected
        assert list(list_named(names, pattern)) == expected


def test_lines_are_matched_once_for_a_layer() -> None:
    """Asked again, by equal lines, nothing is matched; names that are spelled out never are."""
    lines = (*(f"*.{number}.mlp.*=4" for number in range(500)), f"{NAMES[1]}=8")
    with patch.object(layer_bits, "matches", wraps=layer_bits.matches) as asked:
        first = [find_bits(lines, name) for name in NAMES]
        count = asked.call_count
        again = tuple(line[:1] + line[1:] for line in lines)
        assert [find_bits(again, name) for name in NAMES] == first
        assert asked.call_count == count
    assert 0 < count <= len(NAMES) * 2
    assert first[1] == LayerBits(8)


def test_a_line_that_names_nothing_is_refused_among_thousands() -> None:
    """The one wrong line is told with the nearest name."""
    lines = [f"*{number % 10}.mlp.*=4" for number in range(3000)]
    check_named(lines, NAMES, field="quantizer.layer_bits")
    with pytest.raises(SpecError, match=r"no quantized layer model\.layers\.3\.p; did you mean"):
        check_named([*lines, "model.layers.3.p=4"], NAMES, field="quantizer.layer_bits")
