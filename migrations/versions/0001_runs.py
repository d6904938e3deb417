"""Make runs, what they measure and write, and drafts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_runs"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
LONG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STATES = "state IN ('draft', 'queued', 'running', 'succeeded', 'failed', 'cancelled')"


def upgrade() -> None:
    _create_runs()
    _create_attempts()
    _create_measurements()
    _create_records()
    _create_drafts()


def downgrade() -> None:
    for table in (
        "drafts",
        "files",
        "log_lines",
        "scores",
        "metric_summaries",
        "metric_points",
        "stages",
        "attempts",
        "runs",
    ):
        op.drop_table(table)


def _column(name: str, kind: object, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=nullable)  # type: ignore[arg-type]


def _run_id() -> sa.Column[object]:
    return _column("run_id", sa.Integer())


def _belongs_to_run(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_run_id_runs"
    return sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=name, ondelete="CASCADE")


def _create_runs() -> None:
    op.create_table(
        "runs",
        _column("id", sa.Integer()),
        _column("name", sa.Text()),
        _column("kind", sa.String(40)),
        _column("state", sa.String(20)),
        _column("priority", sa.Integer()),
        _column("queue", sa.String(40)),
        _column("preset", sa.String(80), nullable=True),
        _column("spec", sa.JSON()),
        _column("asked", sa.JSON()),
        _column("baseline_key", sa.String(64)),
        _column("is_baseline", sa.Boolean()),
        _column("parent_id", sa.Integer(), nullable=True),
        _column("attempt", sa.Integer()),
        _column("num_lost", sa.Integer()),
        _column("microbatch_halvings", sa.Integer()),
        _column("owner", sa.String(200), nullable=True),
        _column("control", sa.String(20), nullable=True),
        _column("stage", sa.String(80), nullable=True),
        _column("progress_done", sa.Integer()),
        _column("progress_total", sa.Integer(), nullable=True),
        _column("eta_seconds", sa.Double(), nullable=True),
        _column("device", sa.Text(), nullable=True),
        _column("created_at", TIME),
        _column("queued_at", TIME, nullable=True),
        _column("started_at", TIME, nullable=True),
        _column("finished_at", TIME, nullable=True),
        _column("lease_until", TIME, nullable=True),
        _column("sent_at", TIME, nullable=True),
        _column("failure_kind", sa.String(40), nullable=True),
        _column("failure_message", sa.Text(), nullable=True),
        _column("failure_traceback", sa.Text(), nullable=True),
        _column("environment", sa.JSON()),
        _column("estimate", sa.JSON(), nullable=True),
        _column("size", sa.JSON(), nullable=True),
        _column("resources", sa.JSON(), nullable=True),
        sa.CheckConstraint(STATES, name=op.f("ck_runs_state")),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["runs.id"], name="fk_runs_parent_id_runs", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_runs_state_queue_priority_queued_at",
        "runs",
        ["state", "queue", "priority", "queued_at"],
    )
    op.create_index("ix_runs_baseline_key", "runs", ["baseline_key"])


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        _run_id(),
        _column("number", sa.Integer()),
        _column("owner", sa.String(200)),
        _column("started_at", TIME),
        _column("ended_at", TIME, nullable=True),
        _column("outcome", sa.String(40), nullable=True),
        _belongs_to_run("attempts"),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_attempts"),
    )
    op.create_table(
        "stages",
        _run_id(),
        _column("attempt", sa.Integer()),
        _column("position", sa.Integer()),
        _column("name", sa.String(80)),
        _column("started_at", TIME),
        _column("seconds", sa.Double(), nullable=True),
        _belongs_to_run("stages"),
        sa.PrimaryKeyConstraint("run_id", "attempt", "position", name="pk_stages"),
    )


def _create_measurements() -> None:
    op.create_table(
        "metric_points",
        _run_id(),
        _column("key", sa.String(120)),
        _column("step", sa.Integer()),
        _column("attempt", sa.Integer()),
        _column("value", sa.Double(), nullable=True),
        _belongs_to_run("metric_points"),
        sa.PrimaryKeyConstraint("run_id", "key", "step", name="pk_metric_points"),
    )
    op.create_table(
        "metric_summaries",
        _run_id(),
        _column("key", sa.String(120)),
        _column("num_points", sa.Integer()),
        _column("last_step", sa.Integer()),
        _column("last_value", sa.Double(), nullable=True),
        _column("min_value", sa.Double(), nullable=True),
        _column("max_value", sa.Double(), nullable=True),
        _belongs_to_run("metric_summaries"),
        sa.PrimaryKeyConstraint("run_id", "key", name="pk_metric_summaries"),
    )
    op.create_table(
        "scores",
        _run_id(),
        _column("benchmark", sa.String(300)),
        _column("metric", sa.String(80)),
        _column("attempt", sa.Integer()),
        _column("value", sa.Double(), nullable=True),
        _column("standard_error", sa.Double(), nullable=True),
        _column("num_samples", sa.Integer()),
        _column("direction", sa.String(10)),
        _column("limited", sa.Boolean()),
        _belongs_to_run("scores"),
        sa.PrimaryKeyConstraint("run_id", "benchmark", "metric", name="pk_scores"),
    )


def _create_records() -> None:
    op.create_table(
        "log_lines",
        _column("id", LONG_ID),
        _run_id(),
        _column("attempt", sa.Integer()),
        _column("at", TIME),
        _column("level", sa.String(10)),
        _column("message", sa.Text()),
        _belongs_to_run("log_lines"),
        sa.PrimaryKeyConstraint("id", name="pk_log_lines"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_lines_run_id_id", "log_lines", ["run_id", "id"])
    op.create_table(
        "files",
        _column("id", sa.Integer()),
        _run_id(),
        _column("attempt", sa.Integer()),
        _column("kind", sa.String(40)),
        _column("path", sa.Text()),
        _column("size_bytes", sa.BigInteger()),
        _column("sha256", sa.String(64)),
        _belongs_to_run("files"),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_files_run_id_path", "files", ["run_id", "path"], unique=True)


def _create_drafts() -> None:
    op.create_table(
        "drafts",
        _column("id", sa.Integer()),
        _column("revision", sa.Integer()),
        _column("values", sa.JSON()),
        _column("updated_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_drafts"),
        sqlite_autoincrement=True,
    )
