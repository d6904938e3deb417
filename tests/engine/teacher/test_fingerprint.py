"""Promises of what a model is known by: every layer counts, and so does the dtype."""

from __future__ import annotations

import torch

from engine.teacher.fingerprint import fingerprint
from tests.tiny_models import make_llama


def test_the_same_weights_have_the_same_fingerprint() -> None:
    """A model built twice from one seed is one model."""
    assert fingerprint(make_llama()) == fingerprint(make_llama())
    assert fingerprint(make_llama()) != fingerprint(make_llama(seed=1))


def test_a_change_of_any_layer_shows() -> None:
    """Fine-tuning any single parameter, even by little, gives another fingerprint."""
    model = make_llama()
    seen = {fingerprint(model)}
    parameters = dict(model.named_parameters())
    for value in parameters.values():
        with torch.no_grad():
            value.mul_(1.001)
        seen.add(fingerprint(model))
    assert len(seen) == len(parameters) + 1


def test_another_dtype_is_another_model() -> None:
    """Targets of a bfloat16 teacher are not shared with a float32 one."""
    model = make_llama()
    before = fingerprint(model)
    assert fingerprint(model.bfloat16()) != before
    assert fingerprint(model.float()) != before  # what rounding lost is lost
