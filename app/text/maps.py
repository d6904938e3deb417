"""Words about layer maps: a trained run measured at many of them, and how to ask for that."""

from typing import Final

COUNT = ("1 map", "{count} maps")
LABELS = "Maps"
ATTACK = "Attack"
ATTACKS: Final[dict[str, str]] = {"none": "none", "gbda": "GBDA, {count} texts, {steps} steps"}

# curve
CURVE = "Score against bits"
LEAD = "One trained model, measured at other widths."
OWN = "Measured at each map by this run; nothing was trained for it."
NEWEST = "By the newest finished evaluation, [run {id}](/run?id={id})."
RUNNING = "Run {id} is measuring now; its scores appear as they come."
METRIC = "Score"
BITS_AXIS = "Mean bits per weight"
UNIFORM = "One width for all layers"
NAMED = "Layer map"
RANDOM = "Random at every pass"
TRAINED = "Trained at one width alone"
BASELINE_LINE = "16-bit baseline {score}"
LOWER = "lower is better"
HIGHER = "higher is better"
CURVE_LABEL = "{metric} against mean bits at {count} maps: {told}"
TRAINED_LABEL = "; {count} runs trained at one width beside them"
ON_A_LIMIT = ", on a limit"
EMPTY_WAITING = "A point appears here with the first map that is measured."
EMPTY_ENDED = "The run ended before its first map was measured."
EMPTY_PARTIAL = "{done} of {count} maps are measured."
HOVER_BITS = "{bits} bits, {effective} effective"

# table
MAP = "Map"
BITS = "Bits"
EFFECTIVE_BITS = "Effective bits"
SAMPLES = "n"
TRAINED_ROW = "{name} (run {id}, trained alone)"
BASELINE_ROW = "16-bit baseline"

# asking
OFFER = "Measure at other widths"
OFFER_NOTE = "Nothing is trained: the same model is set to each width and measured the same way."
WIDTHS = "Widths"
WIDTHS_HELP = "Measure the model at each of these; 16 leaves the weights unrounded."
RANDOM_WIDTHS = "Random widths"
RANDOM_HELP = "Draw one of these for every forward pass, such as 8, 6, 4; empty for none."
SCOPE = "Drawn for"
LAUNCH = "Measure"
PROBLEM = "This cannot be queued"
NO_MAPS = "choose at least one width"
