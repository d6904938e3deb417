"""The revisions, oldest first: `0001_runs.py` makes runs and all that hangs on them."""
