"""Texts of a data set on the Hugging Face hub, through the `datasets` library.

Only data is read, never a loading script; the library reads the HF_* variables itself. Start with
`load_hub_documents`.
"""

from __future__ import annotations

from typing import Any

from engine.data.text_files import take_text
from engine.errors import DataError
from engine.specs import DataSpec

_OFFLINE = (
    "is not in the local cache and the hub cannot be reached; put it into the data mirror, or give "
    "a local file or bundled:python-docs"
)


def load_hub_documents(spec: DataSpec, *, field: str) -> tuple[str, ...]:
    """Load the documents of a hub data set.

    Raises:
        DataError: When the data set, configuration, split or column is missing, or it is empty.
    """
    import datasets  # noqa: PLC0415  heavy, and only hub data needs it

    had_bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(spec.source, spec.config, split=spec.split)
    except (OSError, ValueError, RuntimeError) as error:
        raise _explain(error, spec, field) from error
    finally:
        if not had_bars:
            datasets.enable_progress_bars()
    where = f"{spec.source} ({spec.split})"
    _check_column(rows, spec, field)
    texts = (take_text(row, spec.text_field, where=where, field=field) for row in rows)
    found = tuple(text for text in texts if text.strip())
    if not found:
        raise DataError(f"{where} holds no text", field=f"{field}.source")
    return found


def _check_column(rows: Any, spec: DataSpec, field: str) -> None:
    if spec.text_field not in rows.column_names:
        raise DataError(
            f"{spec.source} has no column {spec.text_field!r}; its columns are "
            f"{', '.join(rows.column_names)}",
            field=f"{field}.text_field",
        )


def _explain(error: Exception, spec: DataSpec, field: str) -> DataError:
    """Turn an error of `datasets` into one sentence at the field it concerns."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    name = type(error).__name__
    if isinstance(error, ConnectionError) or "offline" in first.lower() or "reach" in first:
        return DataError(f"the data set {spec.source} {_OFFLINE}", field=f"{field}.source")
    if name == "DatasetNotFoundError":
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
