"""Where the quantized model starts from, before any training.

Rooms: `catalogue` (which start a spec names), `data_aware` (start weights and ranges for a whole
model from calibration text), `moments` (what is collected on that text), `compensation` (the
arithmetic, one layer at a time), `loftq` (rounded weights and adapters in turn), `adapter_folder`
(pairs that PEFT has saved), `low_rank` (the nearest matrix of a rank), `error_report` (what is
left, layer by layer). Round-to-nearest ranges are what a layer is built with
(`engine.quant.ranges`). Start with `catalogue`.
"""
