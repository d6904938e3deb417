"""One file per kind of run; each is a plain function that knows no queue and no store.

Rooms: `context.py` (what a runner is handed), `experiment.py` (runs an experiment's spec through
the engine), `catalogue.py` (which kind is run by which function; imports torch). Start with
`context.py`.
"""
