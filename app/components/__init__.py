"""Interactive pieces that Gradio has not, each a `gr.HTML` with its own JavaScript file.

Rooms: `script.py` and `assembling.py` (a piece's JavaScript and styles; `dom.js` is in most),
`chart.py` (a Plotly figure with robust clicks and polling), `header.py` (product name, navigation,
dark mode), `heading.py` (title of a page), `page_load.py` (what is called when a page opens),
`problem_list.py` (what is wrong with a form), `field_note.py` (a sentence under a field),
`number_dial.py` (a number with the whole ones one click away), `estimate_panel.py` (what a run will
cost),
`spec_panel.py` (YAML with the origin of each line), `draft_keeper.py` (which draft a form is),
`run_table.py` (queue and history), `leaderboard_table.py` (finished runs), `run_header.py` (state
and stages of a run), `facts.py` (sections of facts), `log_view.py` (a run's log),
`table_twin.py` (a figure's numbers), `sortable_table.py` (numbers sorted by any column),
`layer_header.py` (a layer and those beside it), `map_opener.py` (makes a bit map of a run),
`candidate_table.py` and `candidate_view.py` (what a rank search evaluated, and one configuration of
it), `bit_map.py` (the grid of a bit map and all beside it) and `bit_map_list.py` (which bit maps
there are, and new ones).
Templates are static; data reaches the page through `value` and is set with `textContent`.
"""
