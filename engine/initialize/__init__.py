"""Where the quantized model starts from, before any training.

Rooms: `catalogue` (which start a spec names); for whole models `data_aware` (start weights, ranges
and parallel adapters from calibration text), `loftq` (rounded weights and adapters in turn),
`minimal_error` (searched ranges), `adapter_folder` (pairs that PEFT has saved); for one layer
`decomposition` (rounding and fitting in turn), `compensation` (errors made up for by what follows),
`range_search` (ranges of least error), `moments`, `moment_size` and `hessian` (what calibration
text tells of a layer), `low_rank` (the nearest matrix of a rank); `error_report` (what is left,
layer by layer). Round-to-nearest ranges are what a layer is built with (`engine.quant.ranges`).
Start with `catalogue`.
"""
