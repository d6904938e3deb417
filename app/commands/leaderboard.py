"""`bitdial leaderboard`: finished runs, the baseline first."""

from __future__ import annotations

from app.commands.submit import AsJson


def leaderboard(*, as_json: AsJson = False) -> None:
    """Show the finished runs with size and scores, the 16-bit baseline first."""
    from app.commands.opening import open_desk_here
    from app.commands.showing import print_leaderboard, write_json
    from tasks.store.leaderboard import list_rows

    with open_desk_here() as desk:
        rows = list_rows(desk.database)
    if as_json:
        write_json(
            [
                {
                    "run_id": row.run.id,
                    "name": row.run.name,
                    "preset": row.run.preset,
                    "is_baseline": row.run.is_baseline,
                    "baseline_run_id": row.baseline_run_id,
                    "tuned": row.tuned,
                    "size": row.run.size,
                    "scores": list(row.scores.values()),
                }
                for row in rows
            ]
        )
    else:
        print_leaderboard(rows)
