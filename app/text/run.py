"""Words of the Run page and its figure."""

from typing import Final

TITLE = "Run"

# no such run
NO_ID = "No run is chosen"
NO_ID_HINT = "The address of a run ends in ?id= and its number."
BAD_ID = "“{given}” is not the number of a run"
UNKNOWN = "There is no run {given}"
UNKNOWN_HINT = "It may have been deleted."
TO_RUNS = "See all runs"
HEADER: Final[dict[str, str]] = {
    "timer": "Time",
    "eta": "about {time} left",
    "traceback": "Traceback",
    "stages": "Stages",
    "progress": "Progress of {stage}",
    "waiting_behind_one": "1 run goes before it",
    "waiting_behind": "{count} runs go before it",
    "waiting_next": "Next in the queue; a worker takes it when one is free.",
    "stopping": "Asked to stop; ends within a step.",
    "back": "Runs",
    "attempt": "attempt {number}",
    "yaml": "YAML",
    "measured_at": "measured at {width}",
}
FAILURES: Final[dict[str, str]] = {
    "spec": "The request cannot be carried out",
    "data": "The model or data cannot be used",
    "out_of_memory": "The device has too little memory",
    "diverged": "Training diverged",
    "lost": "The worker was lost",
    "bug": "An unexpected error",
}
STAGES: Final[dict[str, str]] = {
    "load": "Load",
    "teach": "Teach",
    "sensitivity": "Sensitivity",
    "initialize": "Initialize",
    "facts": "Facts",
    "range-test": "Range test",
    "train": "Train",
    "search": "Search",
    "evaluate": "Evaluate",
    "benchmarks": "Benchmarks",
    "maps": "Maps",
}

# curves
CURVES = "Training"
LOG_SCALE = "Logarithmic axes"
LOSS_AXIS = "Loss"
RATE_AXIS = "Learning rate"
THROUGHPUT_AXIS = "tok/s"
STEP_AXIS = "Step"
CURVE_NAMES: Final[dict[str, str]] = {
    "train/loss": "Loss",
    "train/learning_rate": "Learning rate, adapters",
    "train/range_learning_rate": "Learning rate, ranges",
    "train/tokens_per_second": "Throughput",
}
CURVE_OF_WIDTH: Final[dict[str, str]] = {
    "train/loss": "Loss at {bits} bits",
    "range_test/loss": "Trial at {bits} bits",
}
BITS_CURVE = "Bits (right)"
BITS_AXIS = "Bits"
TRIAL_AXIS = "Trial loss"
TRIAL_STEP_AXIS = "Step of the range test"
TRIAL_FOUND = "The cycles begin at {bits} bits, which the range test chose."
CURVES_LABEL = "Curves against training steps: {names}"
THINNED = "{shown} of {total} points shown, peaks kept"
NO_TRAINING = "This run trains nothing; it is measured as initialized."
NO_CURVES_YET = "Curves appear here with the first training step."
NO_CURVES_ENDED = "The run ended before its first training step."

# log
LOG: Final[dict[str, str]] = {
    "title": "Log",
    "level": "Least level",
    "search": "Search the log",
    "follow": "Follow",
    "empty": "Nothing is logged yet.",
    "no_match": "No line matches.",
    "truncated": "Only the newest {count} lines are kept on this page.",
    "lines": "Log lines",
    "attempt": "attempt {number}",
}

# facts
RESULTS = "Scores"
NO_RESULTS = "Scores appear when the run has been evaluated."
NO_RESULTS_ENDED = "The run ended before it was evaluated."
SCORE_COLUMNS = ("Metric", "This run", "Baseline", "Difference")
SCORE_COLUMNS_BEFORE = ("Metric", "This run", "Before training", "Baseline", "Difference")
SHOTS = "{count} shots"
ONE_SHOT = "1 shot"
FILTER = "filter {name}"
SPLIT = "{name} split"
HARNESS = "Benchmarks by {names}."
LIMIT = "limit"
LIMIT_HINT = "Measured on a part of the data only."
BASELINE_NOTE = "The baseline is the untuned 16-bit model, run {id}."
ESTIMATES = "Estimated and measured"
ESTIMATE_COLUMNS = ("Quantity", "Estimated", "Measured", "Off by")
SIZE = "Size"
EFFECTIVE_BITS = "Effective bits"
MEMORY = "Peak memory"
TIME = "Time"
NO_ESTIMATE = "Nothing was estimated for this run."
BASIS = "Time rests on {basis}."
FILES = "Files"
FILE_COLUMNS = ("File", "Size", "SHA-256", "")
NO_FILES = "No files."
DOWNLOAD = "Download"
COPY_HASH = "Copy the SHA-256 of {name}"
EXPORT = "Export"
EXPORT_NOTE = "Write the model and its adapter for Transformers and PEFT."
EXPORT_COMMAND = "bitdial export {id} FOLDER"
COPY_EXPORT = "Copy the command"
MAP_COMMAND = "bitdial map {id} -o FILE"
MAP_NOTE = "The width of every layer, as a file that evaluations and further runs take."
COPY_MAP = "Copy the command for the layer map"
ENVIRONMENT = "Environment"
NO_ENVIRONMENT = "Recorded when a worker starts the run."
ATTEMPTS = "Attempts"
ATTEMPT_COLUMNS = ("No.", "Worker", "Took", "Outcome")
NO_ATTEMPTS = "No worker has taken this run yet."
STILL_RUNNING = "running"

# spec
SPEC = "Spec"
SPEC_COLUMNS = ("Field", "Value", "From")
SPEC_NOTE = "Every value this run used, and where it came from."
ORIGINS: Final[dict[str, str]] = {
    "set": "set",
    "preset": "preset",
    "parent": "training run",
    "default": "default",
}
ORIGIN_HINTS: Final[dict[str, str]] = {
    "set": "Written by the person who asked.",
    "preset": "From the preset {preset}.",
    "parent": "As in the training run.",
    "default": "Nobody chose; this is the default.",
}
DOWNLOAD_YAML = "Download YAML"
COPY_YAML = "Copy YAML"
COPIED = "Copied"
EMPTY_VALUE = "none"
FOLD: Final[dict[str, str]] = {"more": "Show {count} defaults", "less": "Hide {count} defaults"}
