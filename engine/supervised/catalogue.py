"""Which family a head is of. Start with `load_family`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from engine.errors import SpecError
from engine.specs import Subject
from engine.supervised.classification import load_classification
from engine.supervised.family import Family
from engine.supervised.span_qa import load_span_qa
from engine.supervised.summarization import load_summarization

FAMILIES: Mapping[str, Callable[..., Family]] = MappingProxyType(
    {
        "classification": load_classification,
        "span-qa": load_span_qa,
        "seq2seq": load_summarization,
    }
)


def load_family(spec: Subject, *, data_folder: Path, mirror: Path | None) -> Family:
    """Read what a spec's head learns and is measured on; no model is needed.

    Training rows are read only where the spec trains on a task.

    Args:
        spec: What to train on and measure.
        data_folder: Local files may be named relative to it.
        mirror: Folder of hub data sets that is consulted before the hub.

    Raises:
        DataError: When a split cannot be read or its rows make no sense.
        SpecError: When the head is causal-lm, or its tasks do not go together.
    """
    head = spec.model.head
    if head not in FAMILIES:
        raise SpecError.at(
            "model.head", f"{head} learns text; accepted here are {', '.join(FAMILIES)}"
        )
    return FAMILIES[head](spec, data_folder=data_folder, mirror=mirror)
