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

# sampled ranks
SAMPLED = "Sampled ranks"
SAMPLED_NOTE = "How many steps trained each rank, for each group of layers that shares one."
SAMPLED_LABEL = "Steps that trained each of the ranks {ranks}, for {count} groups of layers"
SAMPLED_EMPTY = "Sampled ranks appear here with the first training step."
GROUP_AXIS = "Group of layers"
STEPS_AXIS = "Steps"
GROUP = "Group"
RANK = "rank {rank}"
RANK_COLUMN = "Rank"
TABLE_TWIN = "As a table"

# rank map
MAP = "Ranks of the layers"
MAP_NOTE: Final[dict[str, str]] = {
    "experiment": "What this run's scores and the codes it saved belong to. Its adapters "
    "are saved whole, at their largest rank.",
    "search": "The selected configuration.",
    "evaluation": "The configuration this run measures.",
}
MAP_LABEL = "Rank of {count} groups of layers: {ranks}"
MAP_EMPTY = "Ranks appear here once they are chosen."
MAP_HOVER = "%{y}, block %{x}: rank %{text}"
BLOCK_AXIS = "Block"
ALL_KINDS = "all layers"
ALL_BLOCKS = "all blocks"
OUTSIDE = "outside"

# candidates
CANDIDATES = "Evaluated configurations"
METRICS: Final[dict[str, str]] = {"loss": "Loss", "accuracy": "Accuracy"}
LOWER = "lower is better"
HIGHER = "higher is better"
PARAMETERS_AXIS = "Adapter parameters (million)"
PARAMETERS = "{count} adapter parameters"
FRONT = "Pareto front"
BEST = "Best {score}"
SELECTED = "Selected"
CANDIDATES_LABEL = (
    "Score against adapter parameters: {count} configurations, {front} of them on the Pareto front"
)
CANDIDATES_EMPTY = "A point appears here with the first evaluated configuration."
ORIGINS: Final[dict[str, str]] = {
    "random": "random",
    "hill-climbing": "hill climbing",
    "evolutionary": "evolutionary",
    "maximal": "maximal",
    "median": "median",
    "minimal": "minimal",
    "most-frequent": "most frequent",
    "lowest-loss": "lowest loss",
}

# table and view of candidates; handed to the browser as they are
TABLE: Final[dict[str, str]] = {
    "caption": "Evaluated configurations, the best first",
    "choose": "Show configuration {number}",
}
CANDIDATE_COLUMNS = ("No.", "Proposed by", "Score", "Examples", "Adapter parameters")
TOO_MANY = "The best {shown} of {count} configurations; the REST API has all of them."
CANDIDATE = "Configuration {number}, {origin}"
EXAMPLES = "{count} examples"
MARKS: Final[dict[str, str]] = {"best": "best", "front": "front"}
EVALUATE_COMMAND = "bitdial evaluate {parent} --ranks {ranks}"
VIEW: Final[dict[str, str]] = {
    "evaluate": "Evaluate on the benchmarks",
    "evaluate_hint": "Queues a run that measures these ranks; nothing is trained.",
    "use": "Use in a new run",
    "use_hint": "Opens the form with the training run's values and these ranks.",
    "copy": "Copy as a command",
    "copied": "Copied",
}

# lineage; kinds of runs that build on another
KINDS: Final[dict[str, str]] = {
    "search": "rank search",
    "evaluation": "ranks evaluated",
    "map-evaluation": "maps evaluated",
    "sensitivity": "sensitivity",
}
RANK_KINDS = ("search", "evaluation")
ORIGIN_TITLE = "Builds on"
PARENT = "Training run"
PARENT_GONE = "Run {id}, which was deleted"
RANKS_TITLE = "Ranks"
STRATEGY = "Strategy"
STRATEGIES: Final[dict[str, str]] = {
    "heuristics": "named configurations alone",
    "random": "random",
    "hill-climbing": "hill climbing",
    "evolutionary": "evolutionary (NSGA-II)",
}
STRATEGY_WITH_BUDGET = "{name}, up to {count} evaluations"
CHOSEN_ON = "Chosen on"
CHOSEN_ON_WHAT = "{examples} of {task}, by {metric}; never the test split"
AT_MOST = "up to {count}"
HELD_OUT = "held-out training examples"
VALIDATION = "validation examples"
CHILDREN = "Searches and evaluations"
NO_CHILDREN = "Nothing builds on this run yet."
CHILD_COLUMNS = ("Run", "State", "Best score")
OF_CONFIGURATIONS = "{metric}, {count} configurations"

# choosing ranks on the page
CHOOSE = "Choose the ranks"
CHOOSE_NOTE = "Nothing is trained again: the trained adapters are used at other ranks."
SEARCH_TITLE = "Search the best ranks"
SEARCH_NOTE = (
    "A search compares configurations of ranks on examples that were never trained on, and "
    "measures the best one once."
)
NO_SEARCH_FIXED = (
    "There is nothing to search: this run trained one configuration of ranks only. Train with the "
    "rank policy uniform or sandwich."
)
NO_SEARCH_TEXT = (
    "There is nothing to search on: ranks are chosen on a task's examples, and this run was not "
    "trained on a task."
)
NO_SEARCH_EXAMPLES = "Nothing was held out, and {why}: train with held-out examples."
OWN_FILE = "a file of one's own has no validation split"
WITHOUT_VALIDATION = "{task} has no validation split"
REPORTED_ON_VALIDATION = "{task} is reported on its validation split"
SEARCH = "Search"
EVALUATE_TITLE = "Evaluate ranks of your own"
EVALUATE = "Evaluate"
RANKS_HELP = "One of {ranks} for each of {count} groups, {first} first."
PROBLEM = "This cannot be queued"
CHOSEN_NOTE = "Chosen on {examples}. Click a point or a number to see its ranks."
