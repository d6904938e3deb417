"""One file per kind of run; each is a plain function that knows no queue and no store.

Rooms: `context.py` (what a runner is handed), `beginning.py` (what all of them do first),
`experiment.py` (an experiment's spec through the engine), `search.py` (a search for ranks),
`evaluation.py` (given ranks), `map_evaluation.py` (many layer maps), `sensitivity.py` (units at
widths), `catalogue.py` (which kind is run by which function; imports torch). Start with
`context.py`.
"""
