"""Attacks on a classifier, to measure how robust it is. Start with `GradientAttack`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.specs.base import Spec, option

ATTACKED = "{benchmark} attack"
"""How the scores of a benchmark's attacked texts are called."""


class NoAttack(Spec):
    """No attack."""

    attack: Literal["none"] = option("none", "Attack", "Measure clean scores alone.")


class GradientAttack(Spec):
    """The gradient-based distributional attack on text (GBDA).

    Source: Guo et al. 2021, arXiv:2104.13733.
    """

    attack: Literal["gbda"] = option(
        "gbda",
        "Attack",
        "Search for a distribution of texts near each one that the classifier gets wrong (GBDA).",
    )
    num_samples: int = option(
        100,
        "Attacked texts",
        "How many texts of the benchmark are attacked, spread evenly.",
        unit="texts",
        ge=1,
        le=100_000,
    )
    num_steps: int = option(
        100, "Attack steps", "Adam steps per text.", unit="steps", ge=1, le=10_000
    )
    learning_rate: float = option(
        0.3, "Attack rate", "Adam's learning rate.", advanced=True, gt=0, le=10
    )
    num_gradient_samples: int = option(
        10,
        "Gradient samples",
        "Gumbel-softmax samples per step.",
        unit="samples",
        advanced=True,
        ge=1,
        le=1000,
    )
    num_tries: int = option(
        100,
        "Tries",
        "Texts drawn from the distribution at the end; the first that is misread counts.",
        unit="texts",
        advanced=True,
        ge=1,
        le=10_000,
    )
    initial_coefficient: float = option(
        15.0,
        "Start",
        "How strongly the distribution begins at the text itself.",
        advanced=True,
        gt=0,
        le=1000,
    )
    margin: float = option(
        5.0,
        "Margin",
        "By how much a wrong class should win.",
        advanced=True,
        ge=0,
        le=1000,
    )
    fluency_weight: float = option(
        1.0,
        "Fluency",
        "Weight of how little a causal language model expects each token, the mean over those that "
        "may change; a decoder's alone, whose own 16-bit model is asked.",
        advanced=True,
        ge=0,
        le=1000,
    )
    similarity_weight: float = option(
        1.0,
        "Similarity",
        "Weight of how close the text's 16-bit hidden states stay to the original's (BERTScore).",
        advanced=True,
        ge=0,
        le=1000,
    )


AttackSpec = Annotated[NoAttack | GradientAttack, Field(discriminator="attack")]
