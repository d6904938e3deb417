"""What was asked, what is running and what came out: the rows, on SQLite or Postgres.

Rooms: `database.py` (connections and transactions), `clock.py` (the database's time), `tables.py`
(SQLAlchemy classes), `records.py` (the frozen rows handed out), `schema.py` (migrations);
then one subject each: `runs.py` (reading runs), `run_changes.py` (create, cancel, retry, delete),
`recording.py` (what an attempt writes, fenced), `metric_points.py` (its curves), `upsert.py`
(insert or replace, on both databases), `measurements.py` (reading curves and scores),
`candidates.py` (ranks that searches evaluated), `map_scores.py` (models at many layer maps),
`sensitivity_scores.py` (units at widths), `logs.py`, `files.py`, `leaderboard.py`, `history.py`
(what past runs took), `drafts.py` (unfinished forms), `bit_maps.py` (layer maps that people edit,
with `bit_map_tables.py`, `bit_map_records.py`, `bit_map_versions.py`, `bit_map_checks.py`,
`bit_map_sessions.py` and `bit_map_news.py`).

Every function takes the database first and is one short transaction. Claims and leases are in
`tasks.lease`, not here. Start with `tables.py`.
"""
