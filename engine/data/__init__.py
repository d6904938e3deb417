"""Text: from the name of a data set to windows of tokens.

`corpora` is the door: documents by name. Behind it `python_docs` (the bundled corpus and its
split), `text_files` (.txt, .jsonl, .parquet), `mirror` (hub data sets in a folder), `hub` (through
the `datasets` library). `windows` cuts documents into windows and orders them for training. This
file imports nothing. Letters in shapes: N windows, T tokens per window, B windows per batch.
"""
