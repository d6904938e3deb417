"""Which text, from where. Start with `DataSpec`."""

from __future__ import annotations

from engine.specs.base import Spec, option


class DataSpec(Spec):
    """A text corpus and the part of it to use."""

    source: str = option(
        "bundled:python-docs",
        "Data",
        "A hub id (ORG/NAME), a local .txt, .jsonl or .parquet file, or a bundled corpus "
        "(bundled:python-docs).",
        min_length=1,
        max_length=500,
    )
    config: str | None = option(
        None,
        "Configuration",
        "The hub data set's configuration, such as wikitext-2-raw-v1.",
        advanced=True,
        max_length=200,
    )
    split: str = option("train", "Split", "Which part: train, validation, test.", min_length=1)
    text_field: str = option(
        "text", "Text field", "The column that holds the text.", advanced=True, min_length=1
    )
