"""Room for the scores of one trained model at many layer maps.

Going up keeps every row. Going down drops what the older tables have no place for and the older
code cannot read: runs of kind "map-evaluation", runs that use what came with this revision (layer
maps, rounded inputs or caches, a narrow grid, bit policies, banks of adapters) and the runs that
build on those, with everything recorded about them (their files stay in the data folder), and the
scores at layer maps. The specs of all others lose the fields that the older code does not know;
they hold their defaults. Drafts stay as they are.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003_map_scores"
down_revision = "0002_rank_search"
branch_labels = None
depends_on = None

RUNS = sa.table(
    "runs",
    sa.column("id", sa.Integer),
    sa.column("parent_id", sa.Integer),
    sa.column("spec", sa.JSON),
    sa.column("asked", sa.JSON),
)
NEW_FIELDS = (
    ("quantizer", "layer_bits", None),
    ("quantizer", "inputs", {"rounding": "none"}),
    ("quantizer", "cache", {"rounding": "none"}),
    ("training", "bit_policy", {"policy": "fixed"}),
)
"""Axis, name and default; layer maps and None: none at all."""
NEW_CHOICES = (("quantizer", "symmetry", "narrow"), ("adapter", "kind", "lora-bank"))


def upgrade() -> None:
    op.create_table(
        "map_scores",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("benchmark", sa.String(300), nullable=False),
        sa.Column("metric", sa.String(80), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("bits", sa.Double(), nullable=False),
        sa.Column("effective_bits", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("num_samples", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String(10), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name="fk_map_scores_run_id_runs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "place", "benchmark", "metric", name="pk_map_scores"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM runs WHERE kind = 'map-evaluation'")
    op.drop_table("map_scores")
    _downgrade_specs()


def _downgrade_specs() -> None:
    """Take the newer fields out of what is stored, and delete the runs that need them."""
    connection = op.get_bind()
    newer: set[int] = set()
    for run in connection.execute(sa.select(RUNS).order_by(RUNS.c.id)).all():
        is_here = RUNS.c.id == run.id
        if run.parent_id in newer or any(map(_is_newer, (run.spec, run.asked))):
            newer.add(run.id)
            connection.execute(sa.delete(RUNS).where(is_here))
        else:
            values = {"spec": _strip(run.spec), "asked": _strip(run.asked)}
            connection.execute(sa.update(RUNS).where(is_here).values(values))


def _is_newer(spec: dict[str, Any]) -> bool:
    """Whether a spec asks for what the older code does not know."""
    if any(_find(spec, axis).get(name) == value for axis, name, value in NEW_CHOICES):
        return True
    given = ((_find(spec, axis).get(name), default) for axis, name, default in NEW_FIELDS)
    return any(value and value != default for value, default in given)


def _strip(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a spec without the fields that the older code does not know."""
    new = {(axis, name) for axis, name, _ in NEW_FIELDS}
    return {
        axis: {name: each for name, each in value.items() if (axis, name) not in new}
        if isinstance(value, dict)
        else value
        for axis, value in spec.items()
    }


def _find(spec: dict[str, Any], axis: str) -> dict[str, Any]:
    found = spec.get(axis)
    return found if isinstance(found, dict) else {}
