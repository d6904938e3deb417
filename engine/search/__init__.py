"""Choosing the ranks of a trained elastic adapter: spaces, named choices and strategies.

Rooms: `spaces` (which configurations there are), `rank_history` (what training sampled and how well
it did), `heuristics` (named choices), `trials` (what one search has evaluated, and its budget),
`random_search`, `hill_climbing` and `evolutionary` (one way to propose each), `strategies` (the
door: a strategy's spec carried out), `objective` (on which examples a search may choose), `pareto`
(which of them no other beats), `ordering` (which of them come first).

Nothing here knows a model: a configuration is handed to a function and a cost comes back. No torch;
Optuna is imported when an evolutionary search runs. Start with `strategies`.
"""
