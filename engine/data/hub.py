"""Data sets on the Hugging Face hub, through the `datasets` library.

Only data is read, never a loading script; the library reads the HF_* variables itself. Where the
hub does not answer, the local cache is asked alone, so that nobody waits for retries. Start with
`load_hub_documents`; `load_hub_rows` gives whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engine.data.row_files import missing_column
from engine.data.text_files import take_text
from engine.errors import DataError
from engine.specs import DataSpec

ANSWER_SECONDS = 5.0


def load_hub_documents(spec: DataSpec, *, field: str) -> tuple[str, ...]:
    """Load the documents of a hub data set.

    Raises:
        DataError: When the data set, configuration, split or column is missing, or it is empty.
    """
    rows = load_hub_rows(spec, field=field, instead="a local file or bundled:python-docs")
    where = f"{spec.source} ({spec.split})"
    if spec.text_field not in rows.column_names:
        raise missing_column(spec.source, spec.text_field, rows.column_names, f"{field}.text_field")
    texts = (take_text(row, spec.text_field, where=where, field=field) for row in rows)
    found = tuple(text for text in texts if text.strip())
    if not found:
        raise DataError(f"{where} holds no text", field=f"{field}.source")
    return found


def load_hub_rows(spec: DataSpec, *, field: str, instead: str) -> Any:
    """Load the rows of a hub data set's split, as a `datasets.Dataset`.

    Args:
        spec: Which data set, configuration and split; the text field is not looked at.
        field: The spec field errors are reported below.
        instead: What else would be accepted where the hub cannot be reached.

    Raises:
        DataError: When the data set, configuration or split is missing.
    """
    import datasets  # noqa: PLC0415  heavy, and only hub data needs it

    with hub_in_reach():
        try:
            return datasets.load_dataset(spec.source, spec.config, split=spec.split)
        except (OSError, ValueError, RuntimeError) as error:
            raise _explain(error, spec, field, instead) from error


@contextmanager
def hub_in_reach() -> Iterator[bool]:
    """Say whether the hub answers; while it does not, `datasets` uses its cache and waits for none.

    Progress bars of `datasets` are off inside. Everything is as before afterwards.
    """
    import datasets  # noqa: PLC0415
    from huggingface_hub import constants  # noqa: PLC0415

    is_there = not datasets.config.HF_HUB_OFFLINE and _answers(constants.ENDPOINT)
    had_bars = not datasets.are_progress_bars_disabled()
    settings = (datasets.config, constants)
    before = [setting.HF_HUB_OFFLINE for setting in settings]
    datasets.disable_progress_bars()
    try:
        for setting, was_offline in zip(settings, before, strict=True):
            setting.HF_HUB_OFFLINE = was_offline or not is_there
        yield is_there
    finally:
        for setting, was_offline in zip(settings, before, strict=True):
            setting.HF_HUB_OFFLINE = was_offline
        if had_bars:
            datasets.enable_progress_bars()


def is_unreachable(error: BaseException) -> bool:
    """Whether an error of `datasets` means that the hub could not be asked."""
    first = _first_line(error).lower()
    return isinstance(error, ConnectionError) or "offline" in first or "reach" in first


def _answers(endpoint: str) -> bool:
    """Whether anything at all comes back from the hub's address, proxies and all."""
    from huggingface_hub import get_session  # noqa: PLC0415

    try:
        get_session().head(endpoint, timeout=ANSWER_SECONDS)
    except Exception:  # noqa: BLE001  whatever the reason, nothing came back
        return False
    return True


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _explain(error: Exception, spec: DataSpec, field: str, instead: str) -> DataError:
    """Turn an error of `datasets` into one sentence at the field it concerns."""
    first = _first_line(error)
    if is_unreachable(error):
        return DataError(
            f"the data set {spec.source} is not in the local cache and the hub cannot be reached; "
            f"put it into the data mirror, or give {instead}",
            field=f"{field}.source",
        )
    if type(error).__name__ == "DatasetNotFoundError":
        return DataError(
            f"the data set {spec.source} does not exist on the hub or is private",
            field=f"{field}.source",
        )
    if "split" in first.lower():
        return DataError(f"{spec.source}: {first}", field=f"{field}.split")
    if "config" in first.lower() or "BuilderConfig" in first:
        return DataError(f"{spec.source}: {first}", field=f"{field}.config")
    return DataError(
        f"the data set {spec.source} cannot be loaded: {first}", field=f"{field}.source"
    )
