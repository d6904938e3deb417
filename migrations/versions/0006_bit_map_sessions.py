"""Room for the numbers of edits that a page of a bit map has sent, so that none is done twice.

Going up and down keeps every map; only what pages sent twice is no longer told apart.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_bit_map_sessions"
down_revision = "0005_bit_maps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bit_map_sessions",
        sa.Column("map_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["map_id"],
            ["bit_maps.id"],
            name="fk_bit_map_sessions_map_id_bit_maps",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("map_id", "name", name="pk_bit_map_sessions"),
    )


def downgrade() -> None:
    op.drop_table("bit_map_sessions")
