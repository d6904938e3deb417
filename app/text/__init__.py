"""Every sentence a user sees, one module of constants per page; field help stands in the specs.

Rooms: `shell.py` (header, server, health), `new_experiment.py`, `runs.py`, `run.py`, `ranks.py`,
`maps.py`, `sensitivity.py`, `starts.py`, `leaderboard.py`, `layers.py`, `layer_list.py`.
"""
