"""What the tables of the product say, without saying how they are shown.

Rooms: `describing.py` (a run's model, method and setting in a few words), `cells.py` (one cell:
value to sort by, text to read), `leaderboard_columns.py` (the columns of the leaderboard),
`leaderboard.py` (filter, sort and group finished runs), `writing.py` (a leaderboard as CSV or
Markdown), `run_actions.py` (what may be done with a run), `run_header.py`, `run_facts.py` and
`spec_section.py` (what the Run page says), `sections.py` (facts as the page shows them),
`rank_space.py` (what a rank space spans). Start with `leaderboard.py`.
"""
