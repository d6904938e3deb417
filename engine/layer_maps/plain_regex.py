r"""Regular expressions as shell wildcards, as far as files of widths use them.

Understood are letters and digits, \. and ., \d and [0-9], (a|b) and (?:a|b), ?, and * or + after
something that stands for any character. Nothing that a stranger's file says is ever run as a
regular expression, whose search may take forever; and how many names are written down while a file
is read is limited, however its expressions are nested. Start with `spell_all`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from engine.layer_maps.layer_map import MAX_NAME

MAX_SPELLINGS = 1000
MAX_IN_ALL = 10_000
MAX_STEPS = 1_000_000
_DIGITS = "0123456789"
_PLAIN = frozenset("_-/ ")
_MAX_DEPTH = 8


class Spellings(NamedTuple):
    """What an expression stands for.

    Attributes:
        patterns: Shell wildcards, * and ? alone; one of them matches where the expression does.
        at_start: Whether a name must begin with it.
        at_end: Whether a name must end with it.
    """

    patterns: tuple[str, ...]
    at_start: bool
    at_end: bool


def spell_all(expressions: Iterable[str]) -> list[Spellings]:
    r"""Return everything each of a file's expressions can match, as shell wildcards.

    \d+ and [0-9]+ become *, which stands for more than digits.

    Raises:
        ValueError: When one uses something else or is longer than a layer's name can be, naming it,
            or all together stand for too much.
    """
    found, count, steps = list[Spellings](), 0, _Steps()
    for expression in expressions:
        found.append(_spell_out(expression, steps))
        count += len(found[-1].patterns)
        if count > MAX_IN_ALL:
            raise ValueError(f"has expressions that stand for more than {MAX_IN_ALL:,} names")
    return found


class _Steps:
    """How many parts of names were written down for a file."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, count: int) -> None:
        """Take some more.

        Raises:
            ValueError: When these are too many.
        """
        self.count += count
        if self.count > MAX_STEPS:
            raise ValueError(
                f"has expressions that take more than {MAX_STEPS:,} steps to spell out; use fewer "
                "(a|b) and [0-9]"
            )


def _spell_out(expression: str, steps: _Steps) -> Spellings:
    if len(expression) > MAX_NAME:
        raise ValueError(
            f"has an expression of {len(expression):,} characters, {expression[:60]!r}...; 1 to "
            f"{MAX_NAME} are accepted"
        )
    at_start = expression.startswith("^")
    at_end = expression.endswith("$") and not expression.endswith("\\$")
    inner = expression[at_start : len(expression) - at_end]
    reader = _Reader(inner, expression, steps)
    patterns = reader.read_alternatives(0)
    if reader.place < len(inner):
        raise reader.refuse()
    if (at_start or at_end) and "|" in _without_groups(inner):
        raise reader.refuse()
    return Spellings(tuple(dict.fromkeys(patterns)), at_start, at_end)


def _without_groups(text: str) -> str:
    """Return what stands outside all brackets."""
    depth, found = 0, []
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if not depth:
            found.append(letter)
    return "".join(found)


class _Reader:
    """Reads an expression from left to right; every method returns all spellings of its part."""

    def __init__(self, text: str, whole: str, steps: _Steps) -> None:
        self.text, self.whole, self.steps, self.place = text, whole, steps, 0

    def refuse(self) -> ValueError:
        return ValueError(
            f"has the expression {self.whole[:60]!r}; understood are names, \\., \\d, [0-9], "
            "(a|b), .* and ?"
        )

    def read_alternatives(self, depth: int) -> list[str]:
        if depth > _MAX_DEPTH:
            raise self.refuse()
        found = self._read_sequence(depth)
        while self._peek() == "|":
            self.place += 1
            found = self._limit(found + self._read_sequence(depth))
        return found

    def _read_sequence(self, depth: int) -> list[str]:
        found, tail = [""], ""  # letters in a row are put behind all spellings at once
        while self._peek() not in ("", "|", ")"):
            atom = self._repeat(self._read_atom(depth))
            if len(atom) == 1:
                tail += atom[0]
            else:
                found, tail = self._join(self._join(found, [tail]), atom), ""
        return self._join(found, [tail])

    def _read_atom(self, depth: int) -> list[str]:
        """Read one letter, class or group."""
        letter = self._take()
        if letter == "(":
            if self.text.startswith("?:", self.place):
                self.place += 2
            found = self.read_alternatives(depth + 1)
            if self._take() != ")":
                raise self.refuse()
            return found
        if letter == "[":
            return self._read_class()
        if letter == "\\":
            return self._read_escape()
        if letter == ".":
            return ["?"]
        if not letter.isalnum() and letter not in _PLAIN:
            raise self.refuse()
        return [letter]

    def _read_escape(self) -> list[str]:
        letter = self._take()
        if letter == "d":
            return list(_DIGITS)
        if letter == "" or letter.isalnum() or letter in "*?[]":
            raise self.refuse()
        return [letter]

    def _read_class(self) -> list[str]:
        """Read "[0-9]" or "[qkv]"."""
        end = self.text.find("]", self.place)
        inner = self.text[self.place : end]
        self.place = end + 1
        if end < 0 or not inner or not set(inner) <= set("abcdefghijklmnopqrstuvwxyz_-" + _DIGITS):
            raise self.refuse()
        found, place = list[str](), 0
        while place < len(inner):
            if inner[place + 1 : place + 2] == "-" and place + 2 < len(inner):
                found += map(chr, range(ord(inner[place]), ord(inner[place + 2]) + 1))
                place += 3
            else:
                found.append(inner[place])
                place += 1
        return found

    def _repeat(self, atom: list[str]) -> list[str]:
        """Apply the sign behind an atom, if there is one."""
        sign = self._peek()
        if sign == "?":
            self.place += 1
            return ["", *atom]
        if sign not in ("*", "+", "{"):
            return atom
        self.place += 1
        if sign == "{" or not (atom == ["?"] or set(_DIGITS) <= set(atom)):
            raise self.refuse()
        return ["*"] if sign == "*" or atom != ["?"] else ["?*"]

    def _join(self, left: list[str], right: list[str]) -> list[str]:
        if len(left) * len(right) > MAX_SPELLINGS:
            raise self.refuse()
        self.steps.take(len(left) * len(right))
        return [one + other for one in left for other in right]

    def _limit(self, found: list[str]) -> list[str]:
        self.steps.take(len(found))
        if len(found) > MAX_SPELLINGS:
            raise self.refuse()
        return found

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self) -> str:
        letter = self._peek()
        self.place += 1
        return letter
