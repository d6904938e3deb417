"""Which layer gets how many bits; no torch, milliseconds.

From scores to a map: `choices` (what each layer can choose from, with pins, limits and groups),
`stored` (what a layer takes at a width), `budgets` (MiB, bits or percent as a number of bits),
`frontier` (every size worth having, and the map for a budget) over `hull` (its corners) and `core`
(what lies between two of them), `exact` (the best map there is, and scipy's MILP), `knapsack` (the
search behind it), `fusion` (layers that share a width). Of a map: `ledger` (where its bytes go) and
`correction` (what its loss will really be, learned from maps that were measured).

The widths a run chooses for itself: `fractions` (the published rule: the first blocks get the
higher of two widths), `mean_budget` (the widths with the smallest summed scores that a mean number
of bits allows), `width_file` (the widths a run chose, as a file).

Where scores come from is `engine.sensitivity`. Start with `choices` and `frontier`.
"""
