"""Layer maps that people edit: what one holds, what an edit makes of it, and what follows from it.

Rooms: `content` (widths, pins, limits), `ground` (the layers, which never change), `edits` (what
can be done), `reading` (edits from JSON) with `numbers` (plain values of a request), `editing`
(what an edit makes of a content, pure) with `remarks` (what was left undone, as sentences),
`changing` (edits of a stored map: the door), `opening` (where maps come from), `files` (maps as
text), `versions` (named states and their differences), `scoring` (scores laid out for the layers),
`solving` (from a budget to widths), `ledger` (bytes), `predicting` (expected loss), `checking`
(measuring a map), `quantizing` (a map as a spec's quantizer), `launching` (training from a map),
`viewing` (what a page shows).

Rows are `tasks.store.bit_maps`'. No torch here. Start with `changing`.
"""
