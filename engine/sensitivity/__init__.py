"""How much the rounding of each layer moves what the model says.

Rooms: `gradient` (every layer at every width from one backward pass over calibration text).

Nothing here decides; `engine.allocation` makes widths of scores. Start with `gradient`.
"""
