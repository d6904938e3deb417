"""The bundled corpus: its parts share nothing."""

from __future__ import annotations

from pydoc_data.topics import topics

from engine.data.python_docs import SPLITS, iter_paragraphs, load_python_docs, split_topics


def test_every_topic_once() -> None:
    """Each topic stands in exactly one part."""
    parts = split_topics(topics)
    names = [name for part in parts.values() for name in part]
    assert sorted(names) == sorted(topics)
    assert tuple(parts) == SPLITS


def test_no_shared_paragraph() -> None:
    """No paragraph of 60 or more characters stands in two parts."""
    paragraphs = [
        {words for text in load_python_docs(split) for words in iter_paragraphs(text)}
        for split in SPLITS
    ]
    assert all(paragraphs)
    assert not paragraphs[0] & paragraphs[1]
    assert not paragraphs[0] & paragraphs[2]
    assert not paragraphs[1] & paragraphs[2]


def test_about_eight_one_one() -> None:
    """Test and validation hold between 8 and 10 percent of all characters each."""
    total = sum(map(len, topics.values()))
    for split in ("validation", "test"):
        assert 0.08 * total <= sum(map(len, load_python_docs(split))) <= 0.1 * total


def test_same_for_any_order() -> None:
    """The split depends on the topics alone, not on the order they come in."""
    backwards = dict(reversed(list(topics.items())))
    assert split_topics(backwards) == split_topics(topics)


def test_families_stay_together() -> None:
    """Topics that share a long paragraph, directly or through a third, are never divided."""
    shared, other = "a" * 80, "b" * 80
    found = split_topics(
        {
            "one": shared,
            "two": f"{shared}\n\n{other}",
            "three": other,
            **{f"alone{index}": f"{index}" * 100 for index in range(40)},
        }
    )
    assert [part for part in found.values() if {"one", "two", "three"} <= set(part)]
