"""The commands behind `bitdial`: one file per verb. What they do is done by `tasks`, not here.

Verbs: `up.py` (everything on this machine), `demo.py` with `demo_specs.py` (the six runs to begin
with), `run.py` (carry out one spec here, or go on with a run), `submit.py`, `search.py` (the best
ranks of a trained run), `evaluate.py` (other widths of a trained run, or given ranks),
`sensitivity.py` (how much each layer's width matters), `solve.py` (a budget into a layer map),
`export.py` (a run for other programs), `layer_map.py` (its layers' widths as a file), `runs.py`
(list, show, cancel, retry, delete), `leaderboard.py`, `doctor.py` with `checks.py` (is this machine
fit?),
`parts.py` (db upgrade, worker, web: one piece at a time).
Between them: `request.py` (SPEC, --preset, --layer-map and KEY=VALUE → values), `run_numbers.py` (a
run's number as a word), `map_words.py` (layer maps as words), `grouped.py` (a command's options in
groups), `opening.py` (settings and store), `foreground.py` (a queued run carried out here),
`serving.py` (everything up while a block runs), `following.py` (progress of runs), `showing.py`
(tables and JSON), `showing_ranks.py` (ranks that were tried and chosen), `showing_maps.py` (scores
at layer maps), `showing_sensitivity.py` (scores of layers), `showing_solved.py` (a solved map).

A command imports what is heavy inside its function, so that `bitdial --help` answers at once.
"""
