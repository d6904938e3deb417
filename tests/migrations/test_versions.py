"""Each revision goes up and down on both databases, and the newest is what the tables say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from engine.specs import load_spec
from tasks.errors import SchemaOutdated
from tasks.settings import Settings
from tasks.store.bit_map_records import NewBitMap
from tasks.store.bit_maps import create_map, get_snapshot, list_maps
from tasks.store.database import Database, open_database
from tasks.store.map_scores import list_map_scores
from tasks.store.measurements import list_scores
from tasks.store.run_changes import NewRun, create_run
from tasks.store.runs import get_run
from tasks.store.schema import check_current, find_revision, get_head, migrate, upgrade
from tasks.store.sensitivity_scores import list_scores as list_sensitivity_scores
from tasks.store.tables import Base, Run
from tests.tasks.builders import make_run

INSERT_RUN = """
INSERT INTO runs (id, name, kind, state, priority, queue, spec, asked, baseline_key, is_baseline,
    attempt, num_lost, microbatch_halvings, progress_done, created_at, environment)
VALUES (1, 'old', 'experiment', 'succeeded', 0, 'cpu', '{}', '{}', 'key', false,
    1, 0, 0, 0, '2026-01-01 00:00:00', '{}')
"""
INSERT_CHILD = INSERT_RUN.replace("(id,", "(parent_id, id,").replace(
    "(1, 'old', 'experiment'", "(1, :id, 'new', :kind"
)
INSERT_SCORE = """
INSERT INTO scores (run_id, benchmark, metric, attempt, value, num_samples, direction, limited)
VALUES (1, 'text/x', 'perplexity', 1, 12.5, 100, 'lower', false)
"""
INSERT_MAP_SCORE = """
INSERT INTO map_scores (run_id, place, benchmark, metric, label, bits, effective_bits, value,
    num_samples, direction, limited)
VALUES (3, 0, 'text/x', 'perplexity', '4 bits', 4, 4.25, 12.5, 100, 'lower', false)
"""
INSERT_SENSITIVITY_SCORE = """
INSERT INTO sensitivity_scores (run_id, unit, bits, metric, value, num_samples)
VALUES (3, 'model.layers.0', 4, 'kl_divergence', 0.25, 32)
"""
TRAINED: dict[str, Any] = {"preset": "qat-lora", "quantizer": {"bits": 4}}
VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"


def make_child(database: Database, parent_id: int) -> int:
    """Queue a search that builds on a run, with the parts of its spec that were its parent's."""
    parent = get_run(database, parent_id)
    new = NewRun(
        name="child", kind="search", spec={**parent.spec, "kind": "search"}, asked={}, preset=None,
        baseline_key=parent.baseline_key, is_baseline=False, queue="cpu", parent_id=parent_id,
    )  # fmt: skip
    return create_run(database, new)[-1]


def test_the_newest_revision_equals_the_tables(settings: Settings) -> None:
    """From empty to head gives exactly the tables of the code."""
    upgrade(settings)
    database = open_database(settings)
    with database.connecting() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.dispose()


def test_revisions_go_up_and_down(settings: Settings) -> None:
    """Down to nothing and up again leaves a store that works; twice up changes nothing."""
    database = open_database(settings)
    with pytest.raises(SchemaOutdated, match="has no tables yet"):
        check_current(database)
    for _ in range(2):
        upgrade(settings)
        upgrade(settings)
        check_current(database)
        assert make_run(database) == 1
        migrate(database, "base")
        with database.reading() as session:
            assert inspect(session.connection()).get_table_names() == ["alembic_version"]
    assert find_revision(database) is None
    database.dispose()


def test_rows_survive_the_way_to_rank_search_and_back(settings: Settings) -> None:
    """Runs and scores made by 0001 are there after 0002, and after going back down."""
    database = open_database(settings)
    migrate(database, "0001_runs")
    with database.connecting() as connection:
        connection.execute(text(INSERT_RUN))
        connection.execute(text(INSERT_SCORE))
    upgrade(settings)
    (score,) = list_scores(database, 1)
    assert (score.value, score.phase, score.details) == (12.5, "final", {})
    run = get_run(database, 1)
    assert (run.name, run.rank_counts, run.chosen_ranks) == ("old", None, None)
    with database.connecting() as connection:
        before = INSERT_SCORE.replace("limited", "limited, phase, details")
        connection.execute(text(before.replace("false)", "false, 'before', '{}')")))
    migrate(database, "0001_runs")
    with database.connecting() as connection:
        assert connection.scalar(text("SELECT name FROM runs")) == "old"
        assert connection.scalars(text("SELECT value FROM scores")).all() == [12.5]
    database.dispose()


def test_going_down_leaves_only_runs_the_older_code_reads(settings: Settings) -> None:
    """Searches and evaluations go with all that is recorded about them; their parent stays."""
    database = open_database(settings)
    upgrade(settings)
    score = INSERT_SCORE.replace("limited", "limited, phase, details").replace("(1,", "(:id,")
    score = score.replace("false)", "false, 'final', '{}')")
    with database.connecting() as connection:
        connection.execute(text(INSERT_RUN))
        for run_id, kind in ((2, "search"), (3, "evaluation"), (4, "map-evaluation")):
            connection.execute(text(INSERT_CHILD), {"id": run_id, "kind": kind})
            connection.execute(text(score), {"id": run_id})
    migrate(database, "0001_runs")
    with database.connecting() as connection:
        assert connection.scalars(text("SELECT id FROM runs")).all() == [1]
        assert connection.scalars(text("SELECT run_id FROM scores")).all() == []
    upgrade(settings)
    assert get_run(database, 1).name == "old"
    database.dispose()


def test_evaluations_of_maps_go_with_their_scores(settings: Settings) -> None:
    """Down from 0003 every other run stays, searches too; up again the table is empty."""
    database = open_database(settings)
    upgrade(settings)
    with database.connecting() as connection:
        connection.execute(text(INSERT_RUN))
        for run_id, kind in ((2, "search"), (3, "map-evaluation")):
            connection.execute(text(INSERT_CHILD), {"id": run_id, "kind": kind})
        connection.execute(text(INSERT_MAP_SCORE))
    assert [score.label for score in list_map_scores(database, 3)] == ["4 bits"]
    migrate(database, "0002_rank_search")
    with database.connecting() as connection:
        assert connection.scalars(text("SELECT id FROM runs ORDER BY id")).all() == [1, 2]
        assert not inspect(connection).has_table("map_scores")
    upgrade(settings)
    assert list_map_scores(database, 3) == ()
    database.dispose()


def test_sensitivity_runs_go_with_their_scores(settings: Settings) -> None:
    """Down from 0004 every other run stays; up again the table is empty."""
    database = open_database(settings)
    migrate(database, "0004_sensitivity")
    with database.connecting() as connection:
        connection.execute(text(INSERT_RUN))
        for run_id, kind in ((2, "map-evaluation"), (3, "sensitivity")):
            connection.execute(text(INSERT_CHILD), {"id": run_id, "kind": kind})
        connection.execute(text(INSERT_SENSITIVITY_SCORE))
    assert [score.unit for score in list_sensitivity_scores(database, 3)] == ["model.layers.0"]
    migrate(database, "0003_map_scores")
    with database.connecting() as connection:
        assert connection.scalars(text("SELECT id FROM runs ORDER BY id")).all() == [1, 2]
        assert not inspect(connection).has_table("sensitivity_scores")
    migrate(database, "0004_sensitivity")
    assert list_sensitivity_scores(database, 3) == ()
    database.dispose()


def test_bit_maps_go_and_runs_stay(settings: Settings) -> None:
    """Down from 0005 no map is left and every run is; up again there is room for maps."""
    database = open_database(settings)
    upgrade(settings)
    with database.connecting() as connection:
        connection.execute(text(INSERT_RUN))
    new = NewBitMap("a", {}, "{}", {"widths": [4]}, sensitivity_run_id=1, metric="kl_divergence")
    assert get_snapshot(database, create_map(database, new).id).state.content == {"widths": [4]}
    migrate(database, "0004_sensitivity")
    with database.connecting() as connection:
        assert connection.scalars(text("SELECT id FROM runs")).all() == [1]
        tables = inspect(connection).get_table_names()
        assert [name for name in tables if name.startswith("bit_map")] == []
    upgrade(settings)
    assert list_maps(database) == ()
    database.dispose()


def test_specs_go_down_to_what_the_older_code_reads(settings: Settings) -> None:
    """Fields that came with 0003 go where they hold defaults; runs that use them go whole."""
    upgrade(settings)
    database = open_database(settings)
    plain: dict[str, Any] = {"grid": "integer", "bits": 4}
    wide = {**TRAINED, "adapter": {"kind": "lora-bank", "r": 4}}
    kept = [
        make_run(database, **TRAINED),
        make_run(database, quantizer={**plain, "cache": {"rounding": "none"}, "layer_bits": []}),
        make_run(database, preset="baseline"),
    ]
    gone = [
        make_run(database, quantizer={**plain, "layer_bits": ["*.0.*=8"]}),
        make_run(database, quantizer={**plain, "inputs": {"rounding": "fixed", "bits": 8}}),
        make_run(database, quantizer={**plain, "cache": {"rounding": "layer"}}),
        make_run(database, quantizer={**plain, "symmetry": "narrow"}),
        make_run(database, **TRAINED, training={"bit_policy": {"policy": "switchable"}}),
        make_run(database, **wide, training={"bit_policy": {"policy": "switchable"}}),
    ]
    children = [make_child(database, parent) for parent in (kept[0], gone[0])]
    new = get_run(database, kept[0]).spec
    assert {"layer_bits", "inputs", "cache"} <= new["quantizer"].keys()
    migrate(database, "0002_rank_search")
    with database.connecting() as connection:
        found = connection.execute(select(Run.id, Run.spec, Run.asked).order_by(Run.id)).all()
    assert [run.id for run in found] == [*kept, children[0]]
    for run in found:
        assert not {"layer_bits", "inputs", "cache"} & run.spec["quantizer"].keys()
        assert "bit_policy" not in run.spec["training"]
    assert found[1].asked["quantizer"] == plain
    assert found[0].spec["quantizer"]["symmetry"] == new["quantizer"]["symmetry"]
    upgrade(settings)
    assert load_spec(get_run(database, kept[0]).spec) == load_spec(new)
    database.dispose()


def test_a_newer_database_is_refused(settings: Settings) -> None:
    """A database made by a later version is left alone, with a sentence."""
    upgrade(settings)
    database = open_database(settings)
    with database.connecting() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_later'")
    with pytest.raises(SchemaOutdated, match="9999_later, made by a newer Bitdial"):
        check_current(database)
    with pytest.raises(SchemaOutdated, match="made by a newer Bitdial"):
        upgrade(settings)
    database.dispose()


def test_revisions_import_nothing_of_ours() -> None:
    """A revision still runs when our tables have moved on."""
    for path in VERSIONS.glob("0*.py"):
        source = path.read_text()
        assert "tasks" not in source.replace('"""', "")
        assert "engine" not in source


def test_the_head_is_the_last_file() -> None:
    """Revisions are named after their files, in order."""
    assert get_head() == sorted(VERSIONS.glob("0*.py"))[-1].stem
