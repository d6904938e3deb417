"""The stages a run goes through, each a function of its session.

Rooms: `load` (benchmarks and examples first, then the model), `teach` (the 16-bit model's answers,
before anything is rounded), `widths` (how wide each layer is where bits are a fraction), `start`
(quantized layers in place and at their start), `train` (whatever is learned), `measure` (scores of
the model as it stands), `supervise` (a run of a model with another head than causal-lm), `restore`
(a finished training run's model again), `scored` (a model whose layers are to be scored), `attack`
(a classifier under attack). `engine.experiment`, `engine.rank_search`, `engine.map_evaluation` and
`engine.layer_sensitivity` put them in order.
"""
