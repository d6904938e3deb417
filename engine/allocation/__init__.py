"""Which layer gets how many bits; no torch, milliseconds.

Rooms: `fractions` (the published rule: the first blocks get the higher of two widths), `budget`
(the widths with the smallest summed scores that a mean number of bits allows), `knapsack` (the
exact search behind it), `width_file` (the widths a run chose, as a file).

Where scores come from is `engine.sensitivity`. Start with `fractions` and `budget`.
"""
