"""Words of the Leaderboard page and its figure."""

from typing import Final

TITLE = "Leaderboard"
LEAD = "Every finished run beside the 16-bit baseline of its own setting."

NO_BASELINE = "The 16-bit baseline of this setting is not measured yet."
NO_BASELINE_OF_HEAD = (
    "No untuned baseline is measured: checkpoints rarely hold this head, and one that starts at "
    "random only guesses."
)

# table; handed to the browser as it is
TABLE: Final[dict[str, str]] = {
    "search": "Search by name, model or method",
    "bits": "Effective bits",
    "min_bits": "Least effective bits",
    "max_bits": "Most effective bits",
    "to": "to",
    "columns": "Columns",
    "reset_columns": "Reset",
    "csv": "CSV",
    "markdown": "Markdown",
    "copy": "Copy",
    "copied": "Copied",
    "copy_label": "Copy the tables as Markdown",
    "loading": "Reading finished runs …",
    "empty": "No finished run yet",
    "empty_hint": "Set up an experiment; its row appears here as soon as it is measured. The "
    "16-bit baseline is queued with it.",
    "empty_action": "New experiment",
    "see_runs": "See what is running",
    "hidden": "{count} runs are hidden by the filter.",
    "hidden_one": "1 run is hidden by the filter.",
    "clear": "Clear filter",
    "offline": "The server does not answer; trying again …",
    "sort_label": "Sort by {title}",
}

# figure
FIGURE = "Quality against bits"
METRIC = "Score"
SETTING = "Model and setting"
BITS_AXIS = "Effective bits per weight"
LOWER = "lower is better"
HIGHER = "higher is better"
FRONT = "Pareto front"
BASELINE_LINE = "16-bit baseline {score}"
ON_A_LIMIT = ", on a limit"
FIGURE_LABEL = "{metric} against effective bits: {count} runs, {front} of them on the Pareto front"
FIGURE_EMPTY = "The figure appears with the first compressed run."
