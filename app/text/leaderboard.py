"""Words of the Leaderboard page and its figure."""

from typing import Final

TITLE = "Leaderboard"
LEAD = "Every finished run beside the 16-bit baseline of its own setting."

NO_BASELINE = "The 16-bit baseline of this setting is not measured yet."
NO_BASELINE_OF_HEAD = (
    "No untuned baseline is measured: checkpoints rarely hold this head, and one that starts at "
    "random only guesses."
)

# numbers of others
PUBLISHED_HINT = "Published, of another model: {table}. {source}. {caution}"
PUBLISHED_CAUTION = (
    "What stands behind ± is the authors' own spread, and they took the answers of GSM8K from the "
    "text in their own way."
)
PUBLISHED_SOURCE = "Published rows: {source}. {caution}"
PUBLISHED_NAME = "{name} (published, another model)"

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
    "published": "Published numbers",
    "published_hint": "Show under the runs and in the figure what others published of other models",
    "published_badge": "published",
    "published_note": "another model; not compared with the runs",
    "sort_label": "Sort by {title}",
}

# figure
FIGURE = "Quality against bits"
METRIC = "Score"
SETTING = "Model and setting"
LOOK = "Figure"
LOOKS: Final[dict[str, str]] = {
    "families": "Lines by family",
    "adapters": "Adapters counted as bits",
}
BITS_AXIS = "Effective bits per weight"
BITS_AXIS_ADAPTERS = "Effective bits per weight, adapters counted"
LOWER = "lower is better"
HIGHER = "higher is better"
FRONT = "Pareto front"
BASELINE_LINE = "16-bit baseline {score}"
TUNED_LINE = "trained in 16 bits {score}"
ON_A_LIMIT = ", on a limit"
FIGURE_LABEL = "{metric} against effective bits: {count} runs, {front} of them on the Pareto front"
FAMILIES_LABEL = "{metric} against effective bits: {count} runs in {groups} families"
PUBLISHED_LABEL = "; {count} published numbers of other models"
PUBLISHED_BITS = "{bits} nominal bits"
FIGURE_EMPTY = "The figure appears with the first compressed run."
