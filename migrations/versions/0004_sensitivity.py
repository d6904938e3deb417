"""Room for what each unit of a model loses at each width.

Going up keeps every row. Going down deletes what the older tables have no place for and the older
code cannot read: runs of kind "sensitivity" with everything recorded about them (their files stay
in the data folder), and their scores. Other runs and drafts stay as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_sensitivity"
down_revision = "0003_map_scores"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sensitivity_scores",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("unit", sa.String(300), nullable=False),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(80), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("num_samples", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name="fk_sensitivity_scores_run_id_runs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "unit", "bits", "metric", name="pk_sensitivity_scores"),
    )


def downgrade() -> None:
    op.drop_table("sensitivity_scores")
    op.execute("DELETE FROM runs WHERE kind = 'sensitivity'")
