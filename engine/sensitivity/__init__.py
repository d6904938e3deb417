"""How much the rounding of each layer moves what the model says.

Rooms: `units` (what changes its width at once; no torch), `checks` (can it be scored as asked? no
torch), `scored_model` (a model and the units whose scores are announced), `start_map` (where it
stands before anything changes), `ablation` (one unit after another, measured on text) with
`text_losses` (what a window of text loses), `vocabulary` (one pass through the head), `prefix` (a
body run from a block on) and `inside` (from a layer on), `task_ablation` (the same on tasks),
`fisher` (squared gradients), `gradient` (every layer at every width from one backward pass) and
`gradient_run` (that as a run), `output_error` (errors of outputs, from one forward pass),
`weight_error` (errors of the weights alone), `rounding` (what rounding changes of a weight),
`layer_facts` (what the layers look like, as a file; no torch), `agreement` (how far two ways of
scoring agree; no torch).

Nothing here decides; `engine.allocation` makes widths of scores. A whole run is
`engine.layer_sensitivity`; start with `checks` and `ablation`.
"""
