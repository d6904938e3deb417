"""Measuring a model: numbers with their standard errors and sample counts.

Rooms: `language_modeling` (perplexity, divergence from the 16-bit model and agreement with it),
`statistics` (means with standard errors over windows). Start with `language_modeling`.
"""
