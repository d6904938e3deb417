"""What cannot be attacked is refused in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import SpecError
from engine.robustness.attackable import check_attack
from engine.robustness.classifier import Classifier
from engine.specs import EvaluationSpec, ExperimentSpec
from tests.engine.robustness.tiny import make_victim
from tests.engine.supervised.tiny import make_spec
from tests.tiny_heads import make_kind, make_pair_tokenizer


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (ExperimentSpec(), "causal-lm head"),
        (make_spec("squad", "squad"), "span-qa head"),
        (make_spec("xsum", "xsum"), "seq2seq head"),
        (make_spec("stsb", "stsb"), "stsb asks for a number"),
    ],
)
def test_what_has_no_classes_is_refused(spec: Any, why: str) -> None:
    """An attack needs a classification head and a task with classes; the sentence says so."""
    with pytest.raises(SpecError, match=why) as refused:
        check_attack(spec)
    (problem,) = refused.value.problems
    assert problem.field == "attack.attack"
    assert "choose none, or a run" in problem.message


def test_a_classifier_is_not_refused() -> None:
    """A run that tells classes can be attacked, measured or trained."""
    check_attack(make_spec("sst2", "sst2"))
    check_attack(make_spec("mnli", data={}))


def test_an_encoder_decoder_is_refused() -> None:
    """A model that reads a text twice is refused before anything is computed."""
    with pytest.raises(SpecError, match="encoder-decoder") as refused:
        Classifier(make_kind("bart", "classification"), make_pair_tokenizer(), EvaluationSpec())
    assert refused.value.problems[0].field == "attack.attack"


def test_a_tokenizer_that_does_not_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer that cannot say which text a token is of is refused."""
    victim = make_victim("bert")
    monkeypatch.setattr(type(victim.tokenizer), "is_fast", False)
    with pytest.raises(SpecError, match=r"tokenizer\.json"):
        Classifier(victim.model, victim.tokenizer, victim.evaluation)
