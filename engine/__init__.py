"""The engine: everything PyTorch, and nothing of stores, queues or pages.

Rooms: `specs/` (what can be asked; no torch), `errors.py` and `events.py` (what can go wrong, what
a run announces), `experiment.py` (one whole experiment), `rank_search.py` (choosing the ranks of a
trained one), `map_evaluation.py` (measuring one at many layer maps), `layer_sensitivity.py` (how
much the width of each layer matters), `stages/` (what all of them go
through), `session.py` (what stages share), `result.py` (the file of what was trained) and
`result_codes.py` (its codes as weights), `tensor_file.py` (such files read), `text_file.py`
(reports, whole or not at all), `measured_size.py` (what it weighs), `device.py` (where it
computes), `layer_patterns.py` (layers chosen by wildcards),
`layer_fit.py` (does a spec fit the model's layers?), `line_fit.py` (do layer maps and caches?),
`adapter_fit.py` (does a saved adapter?), `map_fit.py` (can a trained run be measured at these
maps?), `estimates/` (size, memory and time before launch; no torch), `models/` (loading, shapes,
names), `data/` (text as windows of tokens), `export/` (results in other programs' formats),
`quant/` (tensor arithmetic), `layers/` (what stands in for a linear layer), `initialize/` (where
training starts from), `teacher/` (the 16-bit model's targets), `training/` (the loop),
`evaluation/` (what is measured), `supervised/` (what other heads learn and are measured on),
`robustness/` (attacks on a classifier), `search/` (choosing ranks; no torch), `sensitivity/` (how
much the rounding of a layer matters), `allocation/` (which layer gets how many bits; no torch),
`layer_maps/` (files of widths, ours and others'; no torch), `spec_map.py` (the layer map a spec
comes to; no torch).

The package itself imports nothing. Start with `experiment.py`.
"""
