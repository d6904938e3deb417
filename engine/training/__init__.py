"""Training of adapters, ranges and heads through the rounding.

Rooms: `objectives` (task loss and distillation through the vocabulary in pieces),
`parameter_groups` (what trains at which rate), `batches` (what is trained on, in which order),
`learner` (what is learned, and how a language model learns it), `labeled` (the same for other
heads),
`rank_policy` (which ranks a step trains), `step` (one optimizer step: round once, many
microbatches, one projection), `checkpoints` (save and resume exactly), `loop` (the stage as a run
sees it). Start with `loop`.
"""
