"""Specs as forms: the fields, limits and help sentences all come from `engine.specs`.

Rooms: `fields.py` (specs to form fields), `kinds.py` (what widget a field asks for), `values.py`
(widget values to and from nested values), `problems.py` (problems to fields), `drafts.py`
(unfinished forms in the store), `widgets.py` (form fields to Gradio components),
`experiment_form.py` (the sections of an experiment on a page), `asked_maps.py` (at which layer maps
a run is measured), `sensitivity_form.py` (what a sensitivity run asks). Start with `fields.py`.
"""
