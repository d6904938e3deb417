"""Room for rank searches: sampled and chosen ranks, candidates, and scores before training.

Going up keeps every row. Going down drops what the older tables have no place for and the older
code cannot read: runs of kind "search" and "evaluation" with everything recorded about them (their
files stay in the data folder), candidates, sampled and chosen ranks, scores of the phase "before",
and how a score was asked for (`details`). Experiments stay with the spec they were asked with.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_rank_search"
down_revision = "0001_runs"
branch_labels = None
depends_on = None

RANK_COLUMNS = ("rank_counts", "chosen_ranks")
SCORE_KEY = ["run_id", "benchmark", "metric"]


def upgrade() -> None:
    for name in RANK_COLUMNS:
        op.add_column("runs", sa.Column(name, sa.JSON(), nullable=True))
    _create_candidates()
    with op.batch_alter_table("scores") as scores:
        scores.add_column(sa.Column("phase", sa.String(10), nullable=False, server_default="final"))
        scores.add_column(
            sa.Column("details", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
        )
        _key_scores(scores, [*SCORE_KEY, "phase"])
    with op.batch_alter_table("scores") as scores:  # the defaults were for the rows already there
        scores.alter_column("phase", existing_type=sa.String(10), server_default=None)
        scores.alter_column("details", existing_type=sa.JSON(), server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM runs WHERE kind IN ('search', 'evaluation')")
    op.execute("DELETE FROM scores WHERE phase <> 'final'")
    with op.batch_alter_table("scores") as scores:
        _key_scores(scores, SCORE_KEY)
        scores.drop_column("details")
        scores.drop_column("phase")
    op.drop_table("candidates")
    for (
        name
    ) in RANK_COLUMNS:  # copying this table, as a batch does, would empty those that hang on it
        op.drop_column("runs", name)


def _key_scores(scores: object, columns: list[str]) -> None:
    scores.drop_constraint("pk_scores", type_="primary")  # type: ignore[attr-defined]
    scores.create_primary_key("pk_scores", columns)  # type: ignore[attr-defined]


def _create_candidates() -> None:
    op.create_table(
        "candidates",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("ranks", sa.JSON(), nullable=False),
        sa.Column("adapter_parameters", sa.BigInteger(), nullable=False),
        sa.Column("metric", sa.String(80), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("standard_error", sa.Double(), nullable=True),
        sa.Column("num_samples", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String(10), nullable=False),
        sa.Column("origin", sa.String(80), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name="fk_candidates_run_id_runs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_candidates"),
    )
