"""Words about where a run started from: the error its initialization left, the widths of layers."""

from typing import Final

# error of the initialization
ERROR = "Relative error of each layer"
ERRORS: Final[dict[str, str]] = {
    "weights": "Error of the start in the weights",
    "outputs": "Error of the start in the outputs",
}
ERROR_NOTES: Final[dict[str, str]] = {
    "weights": (
        "Relative error of each layer's weight, ‖W − Q − s·B·A‖ / ‖W‖, after so many iterations: "
        "the best until then, which is what the run starts from."
    ),
    "outputs": (
        "Relative error of each layer's outputs on the calibration text X, "
        "‖(W − Q − s·B·A)·X‖ / ‖W·X‖, the moments of X damped by a hundredth, after so many "
        "iterations: the best until then, which is what the run starts from."
    ),
}
ITERATION = "Iterations"
ERROR_MEAN = "Mean over layers"
ERROR_LABEL = "Relative error of {count} layers after {iteration} of {total} iterations: {mean} on "
ERROR_LABEL += "the mean, {worst} at most, in {layer}"
ERROR_MEAN_LABEL = "Mean relative error after each of {total} iterations: {first} to {last}"
ERROR_HOVER = "%{customdata}<br>%{text}"
ERROR_AXIS = "Mean error (%)"
ITERATION_AXIS = "Iteration"
ERROR_WAITING = "The error of each layer appears here once the start is found."
ERROR_MISSING = "This run recorded no error of its start."
LAYER = "Layer"
BEST = "Best"
AFTER = "{iteration}."
MEAN = "mean of the best so far"

# widths
WIDTHS = "Widths of the layers"
WIDTHS_NOTE: Final[dict[str, str]] = {
    "first-layers": "The first blocks have the higher width: {average} bits on the mean.",
    "sensitivity": "Layers whose rounding hurts most have more bits: {average} on the mean.",
}
WIDTHS_LABEL = "Width of {count} layers in bits: {widths}"
WIDTHS_HOVER = "%{customdata}<br>%{text} bits"
WIDTHS_WAITING = "Widths appear here once they are chosen."
WIDTHS_MISSING = "This run recorded no widths."
WIDTH_COLUMN = "Bits"
SCORE_COLUMN = "Sensitivity (nats per token)"
LAYERS_OF = "{count} with {bits} bits"
HIDDEN = "; without a cell of their own: {count}, which the table lists"

# reports
NO_REPORT = "run {run_id} has recorded no {name}; it is written by {writers}"
GONE = "the file {name} of run {run_id} is recorded, but no longer in the data folder"
DAMAGED = "the file {name} of run {run_id} cannot be read: {reason}"
WRITERS: Final[dict[str, str]] = {
    "loftq-error.json": "runs that start from LoftQ or a data-aware parallel adapter",
    "layer-widths.json": "runs with a fraction of bits",
    "layer-facts.json": "sensitivity runs",
}
