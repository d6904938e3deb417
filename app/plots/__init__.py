"""Figures as plain dictionaries: for each, what it shows as data, then how it is drawn.

Rooms: `training_curves.py` (loss, learning rates, throughput of a run), `quality_against_bits.py`
(a score against effective bits), `pareto.py` (the points no other beats). Plotly is not imported:
the browser draws. Colors come from `app.theme`, sentences from `app.text`.
"""
