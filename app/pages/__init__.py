"""One page per file, each with `build(services)` called inside its route by `app.build`.

Rooms: `leaderboard.py` (`/`), `new_experiment.py` (`/new?draft=|clone=|preset=`) with its handlers
in `new_experiment_events.py`, `runs.py` (`/runs`), `run.py` (`/run?id=`). Layout and wiring are
built by `build`; handlers are module-level functions that a test calls without a browser. What a
page knows is in its address and the store.
"""
