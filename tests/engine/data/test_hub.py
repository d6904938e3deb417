"""The hub out of reach: nobody waits, the cache is still asked, and settings come back."""

from __future__ import annotations

import datasets
import pytest
from huggingface_hub import constants

from engine.data import hub
from engine.data.hub import hub_in_reach, load_hub_rows
from engine.errors import DataError
from engine.specs import DataSpec

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries believe that there is a network, with nobody at the hub's address."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", NOBODY)


def test_offline_while_it_is_silent(online: None) -> None:
    """While the hub does not answer, its libraries are offline; afterwards they are as before."""
    with hub_in_reach() as is_there:
        assert not is_there
        assert datasets.config.HF_HUB_OFFLINE
        assert constants.HF_HUB_OFFLINE
    assert not datasets.config.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_online_while_it_answers(online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the hub answers, nothing is offline."""
    monkeypatch.setattr(hub, "_answers", lambda endpoint: endpoint == NOBODY)
    with hub_in_reach() as is_there:
        assert is_there
        assert not datasets.config.HF_HUB_OFFLINE


def test_settings_come_back_after_an_error(online: None) -> None:
    """An error inside leaves no setting behind."""
    with pytest.raises(InterruptedError), hub_in_reach():
        raise InterruptedError
    assert not datasets.config.HF_HUB_OFFLINE


def test_sentence(online: None) -> None:
    """A data set that is nowhere is one sentence with what would be accepted instead."""
    with pytest.raises(DataError, match="hub cannot be reached; put it into the data mirror, or "
                       "give a poem") as caught:  # fmt: skip
        load_hub_rows(DataSpec(source="no-such/data"), field="training.data", instead="a poem")
    assert caught.value.field == "training.data.source"
