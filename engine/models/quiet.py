"""Transformers without progress bars and chatter while a model is read. Start with `quiet`.

Only its log lines and bars are silenced; errors and Python warnings pass. What those lines would
say (weights that are missing or left over) the loader checks itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from transformers import modeling_gguf_pytorch_utils as gguf_reader
from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Transformers inside the block and give it back its voice afterwards."""
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    bar = gguf_reader.tqdm
    gguf_reader.tqdm = partial(bar, disable=True)  # this one bar asks nobody whether it may show
    try:
        yield
    finally:
        gguf_reader.tqdm = bar
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
