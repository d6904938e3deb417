"""Benchmarks beside a peer: `python -m tests.benchmarks.NAME --json`, not part of the test run.

Each measures Bitdial and a peer in the same run, on the same inputs and threads, and prints one
JSON object with ratios, the targets they are held to and the environment. It exits 0 when it could
measure, also where a target is missed, and 2 with one sentence where it could not.

Rooms: `report.py` (the JSON object, targets and how they are met), `train_step.py` (one QAT + LoRA
optimizer step beside NNCF's: the command), `setting.py` (the work both sides do), `own_step.py`
(our side), `nncf_reference.py` (NNCF's side), `step_memory.py` (peak memory of one side in a
process of its own), `rank_search.py` with `rank_table.json` (searches for ranks against random
search, on recorded evaluations), `loftq_init.py` with `peft_reference.py` (LoftQ beside PEFT's),
`initialization.py` with `layer_mixes.py` (starts beside each other, untrained), `classifier.py` (an
encoder trained at few bits), `allocation.py` (scores to a layer map, beside scipy's MILP),
`solved_maps.py` (solved maps beside the published rule's and random ones of their size),
`bit_map.py` (from a click to its paint in a browser), `web_import.py` (how long the web process
takes to import). Start with `train_step.py`.
"""
