"""The revisions, oldest first.

`0001_runs.py` makes runs and all that hangs on them, `0002_rank_search.py` makes room for ranks:
sampled, tried, chosen, `0003_map_scores.py` room for the scores of a model at many layer maps.
"""
