"""Interactive pieces that Gradio has not, each a `gr.HTML` with its own JavaScript file.

Rooms: `script.py` (reads a piece's JavaScript), `chart.py` + `chart.js` (a Plotly figure with robust
clicks and polling), `header.py` + `header.js` (product name, navigation, dark mode). Templates are
static; data reaches the page through `value` and is set with `textContent`.
"""
