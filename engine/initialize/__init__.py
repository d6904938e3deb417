"""Where the quantized model starts from, before any training.

Rooms: `round_to_nearest` (ranges from smallest and largest weight), `data_aware` (ranges and start
weights chosen on calibration text), `compensation` (the arithmetic of it, one layer at a time),
`catalogue` (which one a spec names). Start with `catalogue`.
"""
