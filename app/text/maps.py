"""Words about layer maps: a trained run measured at many of them, and how to ask for that."""

from typing import Final

COUNT = ("1 map", "{count} maps")
BEST_OF = "{metric} at {label}, of {maps}"
LABELS = "Maps"
ATTACK = "Attack"
ATTACKS: Final[dict[str, str]] = {"none": "none", "gbda": "GBDA, {count} texts, {steps} steps"}

# curve
CURVE = "Score against bits"
OWN = "One trained model set to each map in turn, all measured on the same text or questions."
NEWEST = (
    "One trained model set to each map in turn, by its newest evaluation: [run {id}](/run?id={id})."
)
PARTIAL = "{done} of {count} are measured so far."
PARTIAL_ENDED = "{done} of {count} were measured before the run ended."
LEFT_OUT = (
    "1 more run that was trained at one width is left out.",
    "{count} more runs that were trained at one width are left out.",
)
NOT_A_NUMBER = "not a number"
NOT_DRAWN = "Not drawn: {told}."
BEFORE_ATTACK = "Accuracy before the attack"
NUM_SAMPLES = "n = {count}"
NUM_SAMPLES_SPAN = "n = {low} to {high}"
LIMIT = "limit"
METRIC = "Score"
BITS_AXIS = "Mean bits per weight"
UNIFORM = "One width for all layers"
NAMED = "Layer map"
RANDOM = "Random at every pass"
TRAINED = "Trained at one width alone"
BASELINE_LINE = "16-bit baseline, {score}"
UNROUNDED_LINE = "Same model, weights in 16 bits, {score}"
LOWER = "lower is better"
HIGHER = "higher is better"
CURVE_LABEL = "{metric} against mean bits at {count} maps: {told}"
TRAINED_LABEL = "; {count} runs trained at one width beside them"
EMPTY_FAILED = "The run failed before its first map was measured; why is said above."
EMPTY_WAITING = "A point appears here with the first map that is measured."
EMPTY_ENDED = "The run ended before its first map was measured."
HOVER_BITS = "{bits} bits, {effective} effective"

# table
MAP = "Map"
BITS = "Bits"
EFFECTIVE_BITS = "Effective bits"
TRAINED_ROW = "{name} (run {id}, trained alone: {summary})"
BASELINE_ROW = "16-bit baseline"

# asking
OFFER = "Measure at other widths"
OFFER_NOTE = "Nothing is trained: the same model is set to each width and measured the same way."
WIDTHS = "Widths (bits)"
WIDTHS_HELP = "Measure the model at each of these; 16 leaves its weights unrounded."
NAMED_LINES = "Layer map"
NAMED_HELP = (
    "Widths of single layers, one LAYER=WIDTH per line, such as model.layers.0.*=8; "
    "layers that no line names keep the run's own width. Empty for none."
)
NAMED_NAME = "Name of the layer map"
NAMED_NAME_HELP = "How the figure calls it."
RANDOM_WIDTHS = "Random widths"
RANDOM_HELP = "Draw one of these anew for every forward pass, one per line; empty for none."
ATTACKED = "Attack it as well"
ATTACKED_HELP = "Also search at every map for texts near the right ones that it gets wrong (GBDA)."
ESTIMATE = "{maps}: about {time} ({low} to {high}), {memory} of memory at the peak. {basis}"
ESTIMATE_BASIS = "Time rests on {basis}."
NO_ESTIMATE = "No estimate: {reason}."
LAUNCH = "Measure"
PROBLEM = "This cannot be queued"
NO_OFFER = "It cannot be measured at other widths: this run {why}."
NO_OFFER_START = (
    "It cannot be measured at other widths: {start} made its weights for {bits} bits alone. Train "
    "one with the initialization round-to-nearest or minimal-error."
)
