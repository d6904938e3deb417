"""Modules that stand in for a model's linear layers, and the controller that sets them.

Rooms: `weight_ranges` (trainable ranges of one width), `codebook_scales` (scales of a codebook, and
the choice of ranges for every grid), `adapters` (low-rank pairs),
`rounded_weight` (a frozen weight with its ranges, adapters, current bits and rank), `width_bank`
(what it has at each width), `held_weight` (a rounded weight computed once and used many times, with
its gradient), `input_rounding` (activations), `quantized_linear` and `quantized_embedding` (the
modules), `swap` (putting them into a model), `layer_map` (setting a whole model at once),
`bit_maps` (from widths to such maps), `kv_cache` (keys and values, wherever attention reads them),
`rounding_cache` (Transformers' caches with rounding in them), `rank_groups` (layers that share a
rank), `head` (from hidden states to logits), `headed` (the body under any other head). Start with
`rounded_weight`.
"""
