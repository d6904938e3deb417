"""lm-eval without its bars, prints and log lines, and without a trace afterwards. See `quiet`."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy
import torch

Given = ParamSpec("Given")
Result = TypeVar("Result")
LOGGERS = ("lm_eval", "datasets", "huggingface_hub", "transformers")
PYTHON_SEED, OTHER_SEED = 0, 1234  # lm-eval's own


@contextlib.contextmanager
def quiet() -> Iterator[Callable[[Callable[Given, Result]], Callable[Given, Result]]]:
    """Silence lm-eval inside the block; yields what lets a function of ours be heard again."""
    streams = (sys.stdout, sys.stderr)

    def aloud(function: Callable[Given, Result]) -> Callable[Given, Result]:
        def heard(*args: Given.args, **given: Given.kwargs) -> Result:
            out, err = streams
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return function(*args, **given)

        return heard

    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for name in LOGGERS:
            stack.enter_context(_muted(logging.getLogger(name)))
        stack.enter_context(_without_bars())
        yield aloud


@contextlib.contextmanager
def fixed_seeds(device: torch.device) -> Iterator[None]:
    """Start from lm-eval's seeds inside the block; training goes on as if nothing was drawn."""
    kept: tuple[Any, Any] = (random.getstate(), numpy.random.get_state())
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        random.seed(PYTHON_SEED)
        numpy.random.seed(OTHER_SEED)
        torch.manual_seed(OTHER_SEED)
        try:
            yield
        finally:
            random.setstate(kept[0])
            numpy.random.set_state(kept[1])


@contextlib.contextmanager
def _muted(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    import datasets  # noqa: PLC0415  heavy

    had_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if had_bars:
            datasets.enable_progress_bars()
