"""The bundled corpus: the language reference that every CPython carries, split by topic.

`pydoc_data.topics` of the running interpreter holds 79 topics (about 465,000 characters in Python
3.11). Some topics repeat others whole ("compound" contains "if", "for" and "with"), so topics that
share a paragraph of 60 or more characters form a family, and a family is never divided. Families
in the order of their first topic's SHA-256 fill the test part as long as it stays within a tenth
of all characters, then the validation part likewise; the rest, about eight tenths, is for training.
Nothing depends on chance, and no long paragraph stands in two parts. Start with `load_python_docs`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

SPLITS = ("train", "validation", "test")
HELD_OUT_RATIO = 0.1
MIN_SHARED_CHARACTERS = 60


def load_python_docs(split: str) -> tuple[str, ...]:
    """Return the topics of a part in alphabetical order, one document each."""
    from pydoc_data.topics import topics  # noqa: PLC0415  half a megabyte nobody else needs

    return tuple(topics[name] for name in split_topics(topics)[split])


def split_topics(topics: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the topic names of each part, as the module describes."""
    room = HELD_OUT_RATIO * sum(map(len, topics.values()))
    families = sorted(
        _families(topics), key=lambda family: hashlib.sha256(family[0].encode()).digest()
    )
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    used = dict.fromkeys(SPLITS, 0)
    for family in families:
        size = sum(len(topics[name]) for name in family)
        held_out = (split for split in ("test", "validation") if used[split] + size <= room)
        split = next(held_out, "train")
        parts[split] += family
        used[split] += size
    return {split: tuple(sorted(names)) for split, names in parts.items()}


def iter_paragraphs(text: str) -> Iterable[str]:
    """Yield the long paragraphs of a text with their white space made uniform."""
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        if len(words) >= MIN_SHARED_CHARACTERS:
            yield words


def _families(topics: Mapping[str, str]) -> list[list[str]]:
    """Group topics that share a long paragraph, directly or through others; names sorted."""
    family_of = {name: [name] for name in topics}
    holders: dict[str, list[str]] = defaultdict(list)
    for name, text in topics.items():
        for paragraph in iter_paragraphs(text):
            holders[paragraph].append(name)
    for names in holders.values():
        for name in names[1:]:
            kept, joined = family_of[names[0]], family_of[name]
            if joined is not kept:
                kept += joined
                family_of.update(dict.fromkeys(joined, kept))
    unique = {id(family): family for family in family_of.values()}
    return [sorted(family) for family in unique.values()]
