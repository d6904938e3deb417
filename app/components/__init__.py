"""Interactive pieces that Gradio has not, each a `gr.HTML` with its own JavaScript file.

Rooms: `script.py` (reads a piece's JavaScript; `dom.js` is in each), `chart.py` (a Plotly figure
with robust clicks and polling), `header.py` (product name, navigation, dark mode),
`problem_list.py` (what is wrong with a form), `estimate_panel.py` (what a run will cost),
`spec_panel.py` (YAML with the origin of each line), `draft_keeper.py` (which draft a form is).
Templates are static; data reaches the page through `value` and is set with `textContent`.
"""
