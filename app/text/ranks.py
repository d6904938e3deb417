"""Words about elastic adapters: rank space, sampled and chosen ranks, searches, evaluations."""

from typing import Final

# rank space; each pair is (one, many)
ONE_RANK = "1 rank"
RANKS = "{count} ranks"
GROUPS: Final[dict[str, tuple[str, str]]] = {
    "block": ("1 block", "each of {count} blocks"),
    "kind": ("1 kind of layer", "each of {count} kinds of layer"),
    "layer": ("1 layer", "each of {count} layers"),
}
CONFIGURATIONS = ("1 configuration", "{count} configurations")
SPAN = "{ranks} in {groups}: {configurations}"
SPAN_UNKNOWN = "How many configurations this spans is known once the model is found."
SPAN_NOTHING = "No layer of this model gets an adapter."
