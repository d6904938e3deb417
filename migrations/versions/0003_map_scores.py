"""Room for the scores of one trained model at many layer maps.

Going up keeps every row. Going down drops what the older tables have no place for and the older
code cannot read: runs of kind "map-evaluation" with everything recorded about them (their files
stay in the data folder), and the scores at layer maps. Every other run stays with the spec it was
asked with.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_map_scores"
down_revision = "0002_rank_search"
branch_labels = None
depends_on = None


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
