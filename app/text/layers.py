"""Words of the bit map page: the grid, its budget, what it weighs, and what is done with it."""

from typing import Final

TITLE = "Layers"
LEAD = "How many bits each layer gets: paint them, or drag a budget and let the scores decide."

LIST: Final[dict[str, str]] = {
    "loading": "Loading the maps…",
    "offline": "The server does not answer. Retrying.",
    "empty": "No bit map yet",
    "empty_hint": (
        "Measure first which layers can bear few bits. A bit map made from that measurement "
        "solves itself for any budget, and you correct what you know better."
    ),
    "measure": "Measure sensitivity",
    "maps": "Bit maps",
    "map": "Map",
    "model": "Model",
    "bits": "Effective bits",
    "changed": "Changed",
    "actions": "Actions",
    "remove": "Delete {name}",
    "remove_ask": "Delete the bit map “{name}” with its versions? Runs started from it stay.",
    "remove_yes": "Delete",
    "remove_no": "Keep",
    "new": "New map",
    "from": "Start from",
    "from_sensitivity": "a sensitivity run",
    "from_run": "a finished run",
    "from_model": "a model",
    "run_sensitivity": "Sensitivity run",
    "run_any": "Run",
    "run_option": "#{id} {name} · {model}",
    "no_sensitivity": "No sensitivity run has scores yet.",
    "no_run": "No run has finished yet.",
    "model_field": "Model",
    "model_hint": "A hub id, a folder, or bundled:smollm2-135m.",
    "bits_field": "Bits to begin with",
    "group_field": "Group size",
    "name_field": "Name",
    "name_hint": "Optional.",
    "create": "Create the map",
    "no_scores": (
        "A map from a model or a run without scores can be painted and launched; "
        "a budget needs a sensitivity run."
    ),
    "back": "All maps",
}

# grid
GRID: Final[dict[str, str]] = {
    "loading": "Loading the map…",
    "missing": "There is no bit map {id}.",
    "missing_hint": "It may have been deleted.",
    "see_all": "See all maps",
    "label": "Bits of every layer: rows are blocks, columns are kinds of layers",
    "block": "Block",
    "block_name": "block {block}",
    "outside": "outside",
    "outside_name": "outside blocks",
    "no_layer": "no layer here",
    "undo": "Undo",
    "redo": "Redo",
    "undo_title": "Undo (Ctrl+Z)",
    "redo_title": "Redo (Ctrl+Shift+Z)",
    "color_by": "Color by",
    "by_bits": "Bits",
    "by_score": "Sensitivity",
    "score_at": "Sensitivity at",
    "at_present": "the present width",
    "at_bits": "{bits} bits",
    "pattern": "Set by name",
    "pattern_example": "*.mlp.*=4",
    "pattern_hint": "Names with * and =, then a width: *.mlp.*=4",
    "pattern_count": "{count} layers match",
    "pattern_count_one": "1 layer matches",
    "pattern_none": "no layer matches",
    "pattern_bad": "write a pattern, = and a width of 2 to 8 or 16",
    "set": "Set",
    "help": "Keys and mouse",
    "help_lines": (
        "Click: next width · Alt+click: previous width\n"
        "Drag: paint that width over other layers\n"
        "Shift+click or P: pin, so that a solve leaves it alone\n"
        "Ctrl+click or Shift+arrows: select several\n"
        "2 to 8: set the width · 0 or F: 16 bits · + and −: one width up or down\n"
        "A row's or column's header: set all of it\n"
        "Ctrl+Z, Ctrl+Shift+Z: undo, redo · Escape: select nothing"
    ),
    "saved": "Saved",
    "saving": "Saving…",
    "unsaved": "Not saved yet: the server does not answer. Trying again.",
    "unsaved_count": "{count} changes wait.",
    "unsaved_count_one": "1 change waits.",
    "retry": "Try now",
    "other_one": "Another tab or person changed 1 layer: {names}.",
    "other_many": "Another tab or person changed {count} layers: {names}.",
    "other_more": "{names} and {count} more",
    "other_rest": "Another tab or person changed this map.",
    "cell": "{place}: {bits} bits",
    "cell_16": "{place}: 16 bits, not rounded",
    "cell_pinned": ", pinned",
    "cell_score": ", sensitivity {score}",
    "cell_no_score": ", no score",
    "cell_limited": ", limited to {limits}",
    "cell_change": ", was {before} bits",
    "cell_place": "block {block} {kind}",
    "said_set": "{place}: {bits} bits, {size}",
    "said_many": "{count} layers: {bits} bits, {size}",
    "said_pinned": "{place} pinned",
    "said_unpinned": "{place} not pinned",
    "said_pinned_many": "{count} layers pinned",
    "said_unpinned_many": "{count} layers not pinned",
    "said_undone": "Undone. {size}",
    "said_redone": "Done again. {size}",
    "said_solved": "Solved: {bits} effective bits, {size}",
    "said_done": "Done. {size}",
    "said_selected": "{count} layers selected",
    "said_cleared": "Nothing selected",
    "said_no_width": "{digit} is not a width; use 2 to 8, or 0 for 16 bits",
    "menu_row": "Set all of {place}",
    "menu_column": "Set all {kind}",
    "menu_all": "Set all layers",
    "menu_pin": "Pin",
    "menu_unpin": "Unpin",
    "pinned_legend": "pinned",
    "limited_legend": "limited",
    "fused_legend": "share a width",
    "less": "least",
    "more": "most",
    "no_scores_legend": "No sensitivity run belongs to this map.",
    "selected": "{count} selected",
}

# what stands beside the grid
DETAIL: Final[dict[str, str]] = {
    "title": "Layer",
    "hint": "Point at a layer, or move to it with the arrow keys.",
    "weights": "{count} weights",
    "present": "now {bits} bits",
    "pinned": "pinned",
    "limits": "{least} to {most} bits",
    "least": "at least {least} bits",
    "most": "at most {most} bits",
    "group": "Shares its width with {names}.",
    "no_scores": "No score was measured for this layer.",
    "open": "Open this layer",
    "bits": "Bits",
    "score": "Sensitivity",
}

BUDGET: Final[dict[str, str]] = {
    "title": "Budget",
    "amount": "Budget",
    "unit": "Unit of the budget",
    "slider": "Budget, dragging solves as it goes",
    "bits": "effective bits",
    "mib": "MiB of the layers",
    "model-mib": "MiB of the whole model",
    "percent": "% of 16-bit",
    "bits_short": "bits",
    "mib_short": "MiB",
    "model-mib_short": "MiB",
    "percent_short": "%",
    "smallest": "smallest {value}",
    "largest": "largest {value}",
    "no_scores": (
        "A budget is solved from scores, and this map has none. Measure the sensitivity of the "
        "model, then make a map from that run."
    ),
    "measure": "Measure sensitivity",
    "predicted": "Predicted loss ({metric})",
    "between": "{low} to {high} (95 %)",
    "not_verified": "not yet verified",
    "corrected_one": "corrected by 1 measurement",
    "corrected": "corrected by {count} measurements",
    "gap": "At most {gap} above the best possible of this size.",
    "gap_none": "The best possible of this size.",
    "next": "The next MiB buys {gain}, best spent on {layers}.",
    "next_none": "No more bits would help.",
    "curve": "Predicted loss against effective bits",
    "curve_label": (
        "Predicted loss against effective bits of the solved maps; this map has {bits} bits and a "
        "predicted loss of {loss}"
    ),
    "curve_here": "this map",
    "curve_measured": "measured",
    "curve_axis": "effective bits",
    "log": "logarithmic",
}

LEDGER: Final[dict[str, str]] = {
    "title": "Size",
    "part": "Part",
    "size": "Size",
    "share": "Share",
    "weights": "Weights",
    "scales": "Scales",
    "zero_points": "Zero points",
    "embeddings": "Embeddings",
    "head": "Output head",
    "adapters": "Adapters",
    "other": "Norms and biases",
    "total": "Whole model",
    "original": "In 16 bits",
    "against": "{share} of {original} in 16 bits",
    "bits": "Bits per weight of the quantized layers",
    "effective": "effective, with scales and zero points",
    "nominal": "nominal, the grids' widths",
    "bar": "{total} in all: {parts}",
}

CHECKS: Final[dict[str, str]] = {
    "title": "Checks",
    "lead": "A prediction adds up scores of single layers; verifying measures the whole map.",
    "verify": "Verify",
    "none": "Nothing measured yet.",
    "run": "Run",
    "bits": "Effective bits",
    "predicted": "Predicted",
    "measured": "Measured",
    "perplexity": "Perplexity",
    "inside": "as predicted",
    "outside": "outside the interval",
    "present": "this map",
    "queued": "Queued as run {id}.",
}

LAUNCH: Final[dict[str, str]] = {
    "title": "Train from this map",
    "preset": "Preset",
    "go": "Set up the experiment",
}

VERSIONS: Final[dict[str, str]] = {
    "title": "Versions",
    "name": "Name of the version",
    "placeholder": "before the long run",
    "save": "Save version",
    "none": "No version saved yet.",
    "version": "Version",
    "bits": "Effective bits",
    "saved": "Saved",
    "restore": "Restore",
    "restore_label": "Restore {name}",
    "compare": "Compare",
    "compare_from": "from",
    "compare_to": "to",
    "now": "now",
    "stop": "Stop comparing",
    "same": "They are the same.",
    "differ_one": "1 layer differs; {size}.",
    "differ": "{count} layers differ; {size}.",
    "layer": "Layer",
    "before": "Before",
    "after": "After",
    "same_size": "no change of size",
}

RULES: Final[dict[str, str]] = {
    "title": "Limits and sharing",
    "fuse": "Layers that are stored together share a width (q, k and v; gate and up)",
    "lead": "A solve keeps every layer within its limits.",
    "pattern": "Layers by name; empty for the selected ones",
    "pattern_example": "*.down_proj",
    "least": "At least",
    "most": "At most",
    "any": "any",
    "apply": "Limit",
    "nothing": "Select layers in the grid, or name them.",
    "none": "No limits.",
    "set": "Limits: {told}.",
    "more": "{told} and {count} more",
    "blocks": "{kind} of {count} blocks",
    "clear": "Lift all limits",
    "clear_pins": "Unpin all",
    "pins": "{count} layers pinned.",
    "pins_one": "1 layer pinned.",
}

FILES: Final[dict[str, str]] = {
    "title": "Import and export",
    "export": "Save as",
    "bitdial": "Bitdial (YAML)",
    "qalof": "QaLoF (JSON)",
    "llama-cpp": "llama.cpp tensor types",
    "compressed-tensors": "compressed-tensors",
    "import": "Import a layer map",
    "paste": "Paste it here, in any of these formats",
    "choose": "Choose a file",
    "apply": "Import",
    "nothing": "Paste a layer map or choose a file first.",
}

HEADING: Final[dict[str, str]] = {
    "rename": "Rename this map",
    "all": "All maps",
    "scores": "Scores: {method}, {metric}, {run}",
    "run": "run {id}",
    "no_scores": "No scores",
    "partial": "scores are incomplete",
    "duplicate": "Name",
}

# What a score of a metric is called, and its unit: losses against the start of the measurement.
METRICS: Final[dict[str, tuple[str, str]]] = {
    "kl_divergence": ("KL divergence", "nats"),
    "log_perplexity": ("log perplexity", "nats"),
    "weight_error": ("weight error", ""),
    "output_error": ("output error", ""),
}

OFFLINE = "The server does not answer."

WORDS: Final[dict[str, object]] = {
    **GRID,
    "detail": DETAIL,
    "budget": BUDGET,
    "ledger": LEDGER,
    "checks": CHECKS,
    "launch": LAUNCH,
    "versions": VERSIONS,
    "rules": RULES,
    "files": FILES,
    "heading": HEADING,
    "metrics": {key: list(words) for key, words in METRICS.items()},
    "offline": OFFLINE,
}
