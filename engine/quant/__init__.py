"""Arithmetic of quantization: pure functions on tensors, without modules or state.

Rooms: `grouping` (split rows into groups and back), `ranges` (from weights to ranges, and from
ranges to step and zero point), `uniform` (rounding to the grid, the slow differentiable reference),
`projection` (the fast forward and hand-written backward of FQ(W + s·B·A)), `normal_float` and
`even_levels` (codebooks), `packing` (codes in bytes, without gaps), `dynamic` (inputs and caches,
by their own extremes). Shape letters: O out-features, I in-features, G groups per row, g weights
per group, R rank. Start with `uniform`.
"""
