"""Figures as plain dictionaries: for each, what it shows as data, then how it is drawn.

Rooms: `training_curves.py` (loss, learning rates, throughput of a run), `quality_against_bits.py`
(a score against effective bits) with `quality_points.py` (what it shows), `sampled_ranks.py` (how
often training used each rank), `rank_map.py` (the rank of every layer), `initialization_error.py`
(what the start left of every layer), `layer_widths.py` (how many bits every layer has),
`layer_map.py` (where layers stand in such maps), `candidates.py` (what a rank search evaluated),
`map_curve.py` (a score of one model against the bits of its layer maps) with `map_points.py` (what
it shows), `sensitivity_scores.py` (what a sensitivity run scored) with `sensitivity_map.py` (every
layer), `sensitivity_bars.py` (every block or kind) and `sensitivity_agreement.py` (two runs),
`layer_figures.py` (one layer).
Plotly is not imported: the browser draws. Colors come from `app.theme`, sentences from `app.text`,
the points no other beats from `engine.search.pareto`.
"""
