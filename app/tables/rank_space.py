"""What a rank space spans, in words: ranks, groups and their configurations.

Start with `write_span`.
"""

from __future__ import annotations

from app.quantities import write_count, write_large_count
from app.text import ranks as text
from engine.errors import BitdialError
from engine.estimates.rank_space import list_groups
from engine.models.shapes import ModelShapes
from engine.specs import ElasticLoraAdapter, Subject
from engine.specs.adapter import Grouping
from tasks.prediction import load_shapes
from tasks.settings import Settings


def describe_spec(settings: Settings, spec: Subject) -> str:
    """Say what the rank space of a spec spans on its model; empty without elastic adapters."""
    if not isinstance(spec.adapter, ElasticLoraAdapter):
        return ""
    shapes = find_shapes(settings, spec)
    if shapes is None:
        return text.SPAN_UNKNOWN
    num_groups = len(list_groups(spec, shapes))
    return write_span(len(spec.adapter.rank_space), num_groups, spec.adapter.grouping)


def find_shapes(settings: Settings, spec: Subject) -> ModelShapes | None:
    """Return the sizes of a spec's model, or None where it cannot be read here."""
    try:
        return load_shapes(settings, spec)
    except BitdialError:
        return None


def write_span(num_ranks: int, num_groups: int, grouping: Grouping) -> str:
    """Say how many configurations so many ranks make in so many groups."""
    if not num_groups:
        return text.SPAN_NOTHING
    ranks = text.ONE_RANK if num_ranks == 1 else text.RANKS.format(count=num_ranks)
    groups = text.GROUPS[grouping][num_groups != 1].format(count=write_count(num_groups))
    count = num_ranks**num_groups
    configurations = text.CONFIGURATIONS[count != 1].format(count=write_large_count(count))
    return text.SPAN.format(ranks=ranks, groups=groups, configurations=configurations)
