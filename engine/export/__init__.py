"""Results in formats that other programs read, each verified by reading it again.

Rooms: `peft_folder` (a base model with a PEFT adapter beside it: the whole), `rebuilding` (a run's
own model from its spec and result), `plain_model` (Transformers' own layers in place of ours),
`peft_adapter` (the two files of an adapter), `families` (what a model's head means for them),
`verifying` (the written folder against the run's own answers), `new_folder` (all or nothing; no
torch). This file imports nothing. Start with `peft_folder`.
"""
