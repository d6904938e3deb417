"""Training of adapters and ranges through the rounding.

Rooms: `objectives` (task loss and distillation through the vocabulary in pieces),
`parameter_groups` (what trains at which rate), `batches` (what is trained on, in which order),
`rank_policy` (which ranks a step trains), `step` (one optimizer step: round once, many
microbatches, one projection), `checkpoints` (save and resume exactly), `loop` (the stage as a run
sees it). Start with `loop`.
"""
