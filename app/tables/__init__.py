"""What the tables of the product say, without saying how they are shown.

Rooms: `describing.py` (a run's model, method and setting in a few words), `families.py` (runs
that differ in width alone), `cells.py` (one cell: value to sort by, text to read),
`leaderboard_columns.py` (the columns of the leaderboard), `leaderboard.py` (filter, sort and group
finished runs), `published.py` (numbers that others have published),
`writing.py` (a leaderboard as CSV or Markdown), `run_actions.py` (what may be done with
a run), `run_header.py`, `run_facts.py` and `spec_section.py` (what the Run page says),
`sections.py` (facts as the page shows them), `rank_space.py` (what a rank space spans),
`search_offer.py` (what a search may choose on), `width_offer.py` (which other widths to measure),
`map_table.py` (scores of layer maps), `candidates.py` (what a rank search evaluated),
`lineage.py` (what a run builds on, and what builds on it), `score_section.py` (its scores),
`layer_facts.py` (what is said of a layer), `sensitivity_facts.py` and `sensitivity_table.py` (what
is said of sensitivity runs), `sortable.py` (tables that can be sorted), `metrics.py` (what metrics
are called). Start with `leaderboard.py`.
"""
