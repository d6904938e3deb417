"""One page per file, each with `build(services)` called inside its route by `app.build`.

Rooms: `leaderboard.py` (`/`), `new_experiment.py` (`/new?draft=|clone=|preset=`) with its handlers
in `new_experiment_events.py`, `runs.py` (`/runs`), `run.py` (`/run?id=`) with its parts about
ranks: `run_ranks.py` (sampled and chosen), `run_candidates.py` (what a search evaluated) and
`run_choosing.py` (asking for a search or an evaluation), about the start: `run_start.py`, and
about layer maps: `run_maps.py` (what they scored) and `run_widths.py` (asking for more), and about
sensitivity: `run_sensitivity.py` with `run_sensitivity_reading.py` (what it reads);
`run_finding.py` reads its address. `new_sensitivity.py` (`/sensitivity?run=|model=|draft=`) with
its handlers in `new_sensitivity_events.py` asks for sensitivity runs, `layer.py`
(`/layer?run=&name=`) with `layer_reading.py` shows one layer, and `layers.py`
(`/layers?map=`) is where bit maps are painted. Layout and wiring are built by `build`; handlers are
module-level functions that a test calls without a browser. What a page knows is in its address and
the store.
"""
