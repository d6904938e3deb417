"""Measuring a model: numbers with their standard errors and sample counts.

Rooms: `language_modeling` (perplexity, divergence from the 16-bit model and agreement with it),
`statistics` (means with standard errors over windows), `likelihood` (how likely given continuations
are; contexts shared through `token_trees`), `choices` (a task's examples, answered), `benchmarks`
(tasks of lm-eval; `benchmark_names` knows which there are, `benchmark_scores` reads its results,
`harness_data` gives it the mirror, `harness_model` the model, `harness_quiet` silence and seeds),
`random_precision` (widths drawn anew for every pass while a model is measured).
Start with `language_modeling` for text, with `benchmarks` for tasks.
"""
