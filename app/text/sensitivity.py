"""Words about how much each layer's width matters: runs, figures, a layer's page, the form."""

from typing import Final

# words of the runs
METHODS: Final[dict[str, str]] = {
    "gradient": "Gradient",
    "ablation": "Ablation",
    "output-error": "Output error",
    "weight-error": "Weight error",
}
METRICS: Final[dict[str, str]] = {
    "kl_divergence": "KL divergence",
    "log_perplexity": "Log perplexity",
    "weight_error": "Weight error",
    "output_error": "Output error",
}
UNITS_OF_METRIC: Final[dict[str, str]] = {
    "kl_divergence": "nats per token",
    "log_perplexity": "nats per token",
    "weight_error": "squared",
    "output_error": "squared, per token",
}
UNITS: Final[dict[str, tuple[str, str]]] = {
    "layer": ("layer", "layers"),
    "block": ("block", "blocks"),
    "kind": ("kind", "kinds"),
}
METHOD_OF = "Sensitivity, {method} by {unit}"
SCORED_BY = "{method} by {unit}"
WIDTHS = "{widths} bits"

# figure on the run page
TITLE = "Sensitivity"
LEAD = (
    "What is lost when one {unit} alone goes from {start} to {bits} bits: {metric}, less is better."
)
START_WIDTH = "{bits} bits"
START_MAP = "the start map"
PARTIAL = "{done} of {count} {units} at {bits} bits so far."
PARTIAL_ENDED = "The run ended early: {done} of {count} {units} are there at {bits} bits."
PARTIAL_FAILED = "The run failed half-way: {done} of {count} {units} are there at {bits} bits."
PARTIAL_UNCOUNTED = "{done} {units} at {bits} bits so far."
SCORE = "Score"
WIDTH = "Width"
BITS = "{bits} bits"
LOG_COLORS = "Logarithmic scale"
COMMON_SCALE = "Common scale"
EMPTY_WAITING = "Scores appear here as they are measured."
EMPTY_FAILED = "The run failed before its first score; why is said above."
EMPTY_ENDED = "The run ended before its first score."
MAP_LABEL = "{metric} of {count} {units} at {bits} bits: most in {worst}, {value}"
MAP_TITLE = "Sensitivity of every layer"
NO_SCORES_AT = "There are no scores at {bits} bits yet."
HOVER_SCORE = "{score} {unit} at {bits} bits"
HOVER_PLACE = "place {place} of {count}"
HOVER_WEIGHTS = "{count} weights from {low} to {high}"
HOVER_ERROR = "relative error {error}"
HOVER_RANK = "adapter rank {rank}"
BELOW_SCALE = "Zero and less have the lowest color."
BELOW_AXIS = "Zero and less have no bar on a logarithmic axis."
UNIT_COLUMN: Final[dict[str, str]] = {"layer": "Layer", "block": "Block", "kind": "Kind"}
BITS_COLUMN = "{bits} bits"
WEIGHTS_COLUMN = "Weights"
ERROR_NOTE = "± is one standard error over the calibration samples."

SORTABLE: Final[dict[str, str]] = {"sort": "Sort by this column"}

# agreement
AGREEMENT = "Agreement with other runs"
AGREEMENT_NOTE = (
    "Rank correlation (Spearman) of the scores with those of every run on the same model, grid, "
    "unit and start, with its 95 % interval."
)
AGREEMENT_SENTENCE = (
    "At {bits} bits, {own} agrees {value} ({low} to {high}) with {other} over {count} {units}."
)
AGREEMENT_NONE = "How far it agrees with {other} at {bits} bits cannot be told: {reason}."
AGREEMENT_POOLED = (
    "“all” takes all widths together and tends higher: by any method, lower widths lose more."
)
SHARE = "{count} of {known}"
AGREEMENT_COLUMNS = ("Run", "Width", "Correlation", "95 % interval", "Units")
AGREEMENT_EMPTY = (
    "No other run can be compared yet: measure the same model by another method to see how well "
    "the two agree."
)
COMPARED = "Compared with"
RUN_CHOICE = "{method}, {metric} (run {id})"
SCATTER_LABEL = "Scores of run {own} against those of run {other}: {count} points"
SCATTER_AXIS = "{method}, run {id} ({unit})"
SCATTER_LEFT_OUT = "{count} scores of zero or less have no place on logarithmic axes."
SCATTER_HOVER = "{unit} at {bits} bits<br>{own}<br>{other}"
ALL = "all"

# opening a bit map, measuring a run
OPENER: Final[dict[str, str]] = {
    "open": "Open as bit map",
    "hint": "Paint widths, set a budget, and launch from there.",
    "failed": "It cannot be opened as a bit map: {message}",
    "unreachable": "the server does not answer",
}
MEASURE = "Measure sensitivity"
MEASURE_NOTE = "Which layers of this run's model need their bits most."

# a layer's page
NO_LAYER = "No layer is chosen"
NO_LAYER_HINT = "The address of a layer ends in ?run=, a run's number, &name= and the layer's name."
UNKNOWN_LAYER = "Run {id} has no layer {name}"
UNKNOWN_LAYER_HINT = "A layer goes by its whole name, such as model.layers.0.mlp.up_proj."
NO_RUN_HINT = "The address of a layer names its run as ?run= and a number."
TO_RUN = "Run {id}"
HEAD: Final[dict[str, str]] = {
    "crumbs": "Where this layer stands",
    "previous": "Previous layer",
    "next": "Next layer",
    "keys": "← and → go to the layers beside it.",
    "runs": "Runs",
    "loading": "Reading the layer …",
}
PLACE = "{kind}, block {block}"
OUTSIDE = "outside the blocks"
FACTS = "Weights"
SHAPE = "Shape"
COUNT = "Weights"
RANGE = "Range"
RANGE_VALUE = "{low} to {high}"
MEAN = "Mean absolute value"
DEVIATION = "Standard deviation"
RANK = "Adapter rank"
FACTS_OF = "As run {id} read them."
NO_FACTS = "No sensitivity run of this model has looked at its weights yet."
HISTOGRAM = "Distribution of the weights"
HISTOGRAM_AXIS = "Weight"
HISTOGRAM_COUNT = "Weights per bin"
HISTOGRAM_LABEL = "Histogram of {count} weights from {low} to {high}"
HISTOGRAM_HOVER = "{low} to {high}<br>{count} weights"
BIN_COLUMN = "From"
BIN_END_COLUMN = "To"
RELATIVE = "Relative error by width"
RELATIVE_NOTE = "‖ΔW‖² / ‖W‖² when the layer is rounded to nearest."
RELATIVE_AXIS = "Relative error"
RELATIVE_LABEL = "Relative error of the weights: {told}"
WIDTH_AXIS = "Bits"
WIDTH_COLUMN = "Bits"
SCORES = "Score by width"
SCORES_NOTE = "What is lost with this layer alone at each width, as every sensitivity run found it."
SCORES_LABEL = "Scores of the layer by width in {count} runs"
RUN_COLUMN = "Run"
SCORES_EMPTY = "No sensitivity run has scored this layer yet."
LINE = "{method}, run {id}"
SCORES_IN_UNIT = "as part of {unit}"
HISTORY = "In the runs of this model"
HISTORY_COLUMNS = ("Run", "Width", "Score")
HISTORY_NOTE = "The newest {count} runs that round this model."
HISTORY_EMPTY = "No finished run has rounded this layer yet."
UNROUNDED = "16, not rounded"
MAPS = "In the bit maps"
MAPS_COLUMNS = ("Bit map", "Width", "")
MAPS_EMPTY = "No bit map of this model yet."
PINNED = "pinned"

# lineage
MAPS_OF_RUN = "Bit maps and what came of them"
MAPS_OF_RUN_COLUMNS = ("Bit map", "Measured by", "State")
MAPS_OF_RUN_EMPTY = "No bit map was made of it yet."
MAPS_UNMEASURED = "not measured yet"
SCORING_TITLE = "What is measured"
START_ALL = "all layers at {bits} bits"
START_ALL_UNROUNDED = "all layers at {bits} bits, unrounded"
START_LINES = (", except for 1 line of a layer map", ", except for {count} lines of a layer map")
METHOD = "Method"
WIDTHS_TITLE = "Widths"
START_TITLE = "Start"
CALIBRATION = "Calibration"
CALIBRATION_VALUE = "{count} windows of {length} tokens, {data}"
MODEL_ITSELF = "The model as it is"
SUBJECT = "Measures"

# form
NEW_TITLE = "Measure sensitivity"
NEW_LEAD = "Find out which layers need their bits most, before deciding where bits are spent."
NEW_ON_RUN = "Measures the layers of [run {id}, {name}](/run?id={id}) as it was trained."
NEW_RUN_MISSING = "Run {given} cannot be measured: {reason}. This form measures a model as it is."
NEW_SUBJECT = "What is measured"
NEW_HOW = "How"
LAUNCHED = "Run {run_id} is queued."
NOT_A_DRAFT = "Draft {draft_id} is of another form; this is a new one."
COMMAND = "bitdial sensitivity {file}"
NEW_NO_SUCH_RUN = "there is no such run"
NEW_DELETED = "which was deleted"
