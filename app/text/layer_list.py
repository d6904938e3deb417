"""Words of the list of bit maps and of the form that makes one."""

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
    "more": "Show more maps",
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
    "run_scored": "#{id} {name} · {model} · {method}",
    "run_going": "{told} · {state}",
    "run_share": "{state}, {share} %",
    "run_scores": "Scores",
    "run_without": "none",
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
}
