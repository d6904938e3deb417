"""Room for layer maps that people edit: their states, versions and measurements.

Going up keeps every row. Going down drops every bit map; the runs that were started from one stay.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_bit_maps"
down_revision = "0004_sensitivity"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bit_maps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("shapes", sa.Text(), nullable=False),
        sa.Column("sensitivity_run_id", sa.Integer(), nullable=True),
        sa.Column("metric", sa.String(80), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("top", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["sensitivity_run_id"],
            ["runs.id"],
            name="fk_bit_maps_sensitivity_run_id_runs",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_bit_maps"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bit_maps_sensitivity_run_id", "bit_maps", ["sensitivity_run_id"])
    op.create_table(
        "bit_map_states",
        sa.Column("map_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("is_step", sa.Boolean(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _on_map("bit_map_states"),
        sa.PrimaryKeyConstraint("map_id", "revision", name="pk_bit_map_states"),
    )
    op.create_index("ix_bit_map_states_map_id_position", "bit_map_states", ["map_id", "position"])
    op.create_table(
        "bit_map_versions",
        sa.Column("map_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _on_map("bit_map_versions"),
        sa.PrimaryKeyConstraint("map_id", "number", name="pk_bit_map_versions"),
    )
    _create_checks()


def downgrade() -> None:
    for table in ("bit_map_checks", "bit_map_versions", "bit_map_states", "bit_maps"):
        op.drop_table(table)


def _create_checks() -> None:
    op.create_table(
        "bit_map_checks",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("map_id", sa.Integer(), nullable=True),
        sa.Column("sensitivity_run_id", sa.Integer(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("effective_bits", sa.Double(), nullable=False),
        sa.Column("metric", sa.String(80), nullable=True),
        sa.Column("predicted", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("scored_on", sa.Text(), nullable=True),
        sa.Column("obstacle", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name="fk_bit_map_checks_run_id_runs", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["map_id"],
            ["bit_maps.id"],
            name="fk_bit_map_checks_map_id_bit_maps",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["sensitivity_run_id"],
            ["runs.id"],
            name="fk_bit_map_checks_sensitivity_run_id_runs",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("run_id", name="pk_bit_map_checks"),
    )
    op.create_index("ix_bit_map_checks_map_id", "bit_map_checks", ["map_id"])
    op.create_index(
        "ix_bit_map_checks_sensitivity_run_id", "bit_map_checks", ["sensitivity_run_id"]
    )


def _on_map(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["map_id"], ["bit_maps.id"], name=f"fk_{table}_map_id_bit_maps", ondelete="CASCADE"
    )
