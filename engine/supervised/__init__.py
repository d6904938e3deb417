"""What heads other than causal-lm learn and are measured on.

`family` is the interface: rows to train on, and scores of a model.
"""
