"""What the 16-bit model says, computed once before anything is rounded, and shared by every run.

Rooms: `cache` (tensors on disk by what they depend on), `fingerprint` (what a model's weights are
known by), `targets` (its most likely tokens with a tail bucket, for training), `hidden_states` (its
last hidden states, for exact divergences). Start with `targets`.
"""
