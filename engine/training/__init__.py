"""Training of adapters, ranges and heads through the rounding.

Rooms: `objectives` (task loss and distillation through the vocabulary in pieces), `distances` (how
far a lower width is from a higher), `parameter_groups` (what trains at which rate), `batches` (what
is trained on, in which order), `learner` (what is learned, and how a language model learns it),
`labeled` (the same for other heads),
`configuration` (what a step trains at once), `bit_policy` and `rank_policy` (which widths and ranks
that are), `widths_and_ranks` (both together), `cascade` (lower widths that follow the higher),
`step` (one optimizer step: round once, many microbatches, one projection),
`checkpoints` (save and resume exactly), `curves` (what is plotted), `sampled_ranks` (what a rank
search starts from), `range_test` and `range_report` (which width cycles begin at), `loop` (the
stage as a run sees it). Start with `loop`.
"""
