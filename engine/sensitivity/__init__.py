"""How much the rounding of each layer moves what the model says.

Rooms: `units` (what changes its width at once; no torch), `checks` (can it be scored as asked? no
torch), `gradient` (every layer at every width from one backward pass over calibration text),
`layer_facts` (what the layers look like, as a file; no torch), `agreement` (how far two ways of
scoring agree; no torch).

Nothing here decides; `engine.allocation` makes widths of scores. A whole run is
`engine.layer_sensitivity`; start with `checks` and `gradient`.
"""
