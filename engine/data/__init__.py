"""Data: from the name of a data set to rows of tokens.

`corpora` is the door to running text: documents by name. Behind it `python_docs` (the bundled
corpus and its split), `text_files` (.txt, .jsonl, .parquet), `row_files` (rows of the latter two),
`mirror` (hub data sets in a folder), `hub` (through the `datasets` library).
`tasks` is the door to causal-lm's downstream tasks: examples with their possible answers, which
`task_rows` reads out of a row; `supervised_tasks` is the door to those of the other heads, which
`supervised_rows` reads. Both get their rows from `task_sources`. `task_check` tells before launch
what of either cannot be read, `row_counting` how many rows there are.
`windows` cuts documents into windows and orders them for training; `example_windows` pads examples
and groups them by length. This file imports nothing. Letters in shapes: N windows or examples, T
tokens of each, B of them per batch.
"""
