"""Words of the Runs page."""

from typing import Final

TITLE = "Runs"
LEAD = "The queue and everything that was ever run, newest first."

# Handed to the browser as they are; names in braces are filled in there.
TABLE: Final[dict[str, str]] = {
    "caption": "Runs, newest first",
    "search": "Search by name, model or number",
    "filter": "State",
    "all": "All",
    "column_state": "State",
    "column_name": "Run",
    "column_method": "Method",
    "column_bits": "Bits",
    "column_progress": "Progress",
    "column_device": "Device",
    "column_started": "Started",
    "column_duration": "Duration",
    "column_actions": "Actions",
    "more": "Show older runs",
    "loading": "Reading runs …",
    "empty": "Nothing has been run yet.",
    "empty_action": "Set up the first experiment",
    "no_match": "No run matches.",
    "clear": "Clear search and filter",
    "new": "New experiment",
    "offline": "The server does not answer; trying again …",
    "ended_in": "ended in {stage}",
    "waiting": "waiting for a worker",
}
ACTIONS: Final[dict[str, str]] = {
    "cancel": "Cancel",
    "retry": "Retry",
    "clone": "Clone",
    "delete": "Delete",
    "cancel_label": "Cancel run {id}",
    "retry_label": "Retry run {id}",
    "clone_label": "Clone run {id} into a new experiment",
    "delete_label": "Delete run {id}",
    "confirm": "Delete run {id} with its curves, log and files?",
    "keep": "Keep",
    "failed": "That did not work: {message}",
    "unreachable": "the server does not answer",
    "stopping": "stopping",
}
STATES: Final[dict[str, str]] = {
    "draft": "Draft",
    "queued": "Queued",
    "running": "Running",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
