"""Measuring a model: numbers with their standard errors and sample counts.

Rooms: `language_modeling` (perplexity, divergence from the 16-bit model and agreement with it),
`statistics` (means with standard errors over windows), `likelihood` (how likely given continuations
are; contexts shared through `token_trees`), `choices` (a task's examples, answered). Start with
`language_modeling` for text, with `choices` for tasks.
"""
