"""Every text attacked, and what is left of a classifier's accuracy. Start with `attack_classifier`.

An attack must survive being written out: a text drawn from the distribution found is made into
words, read again like any other text, and counts when the class is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from engine.data.supervised_rows import Labelled
from engine.evaluation.statistics import Mean, mean_of
from engine.robustness.attackable import SAMPLE_BYTES
from engine.robustness.change_rate import change_rate
from engine.robustness.classifier import Classifier
from engine.robustness.editable_texts import Editable, build_group, decode, list_editable
from engine.robustness.gradient_search import search
from engine.robustness.reference import Reference
from engine.robustness.terms import rarities
from engine.specs.attack import GradientAttack
from engine.supervised.family import Progress

_SEED_STRIDE = 1_000_003


@dataclass(frozen=True)
class AttackedText:
    """What an attack made of a text.

    Attributes:
        text: The text, as it was given.
        companion: The second text of a pair, which is left alone; None for a single text.
        label: The right class, as a place among the model's outputs.
        clean_right: Whether the text was read right before the attack.
        adversarial: The changed text that is misread; None where the text survived or was misread
            already.
        token_change_rate: Changed words over words; None without a changed text. Both texts are
            taken as the tokenizer writes them, so that spaces and capitals it drops do not count.
    """

    text: str
    companion: str | None
    label: int
    clean_right: bool
    adversarial: str | None = None
    token_change_rate: float | None = None

    @property
    def survived(self) -> bool:
        """Whether the text is still read right."""
        return self.clean_right and self.adversarial is None


@dataclass(frozen=True)
class AttackScores:
    """How robust a classifier is.

    Attributes:
        clean_accuracy: Of the texts as they are.
        adversarial_accuracy: Texts still read right after the attack.
        token_change_rate: Over successful attacks; None where there is none.
        texts: One by one, in order.
    """

    clean_accuracy: Mean
    adversarial_accuracy: Mean
    token_change_rate: Mean | None
    texts: tuple[AttackedText, ...]


def attack_classifier(
    victim: Classifier,
    texts: Sequence[Labelled],
    *,
    spec: GradientAttack,
    reference: Reference,
    seed: int,
    progress: Progress,
) -> AttackScores:
    """Attack every text that is read right.

    Texts are attacked in groups of like length; a text's random numbers are its own. Hold the
    rounded weights before (`layer_map.held`), or let them be remembered. Where widths are drawn for
    every forward pass of the model, they are for the steps and for the tries alike: each try of a
    text is one pass, which the group's other texts share, and one misreading is enough, as Fu et
    al. (2021, Double-Win Quant) evaluate. A draw that leaves a text unchanged is never a success,
    however it is read.

    Args:
        victim: The model with its tokenizer; left in the mode it was in.
        texts: At least one; labels are places among the model's outputs.
        spec: How to attack.
        reference: The 16-bit model that judges similarity and fluency.
        seed: Of everything random.
        progress: Told of gradient steps done and in all, each counted once for every text that is
            in it; texts that are misread already need none.
    """
    with _frozen(victim.model):
        classes = victim.read([example.texts for example in texts])
        found = {
            place: _untouched(example, clean_right=classes[place] == int(example.label))
            for place, example in enumerate(texts)
        }
        editable = list_editable(victim, texts)
        rarity = rarities([each.tokens for each in editable])
        open_ = [each for each in editable if found[each.place].clean_right and each.columns]
        steps = _Steps(progress, len(open_) * spec.num_steps)
        for members in _iter_groups(victim, open_, spec):
            group = build_group(victim, members, rarity)
            generators = [_generator(victim, seed, member.place) for member in members]
            theta = search(
                victim, group, spec=spec, reference=reference, generators=generators,
                stepped=partial(steps.add, len(members)),
            )  # fmt: skip
            parts = torch.split(theta, [len(member.columns) for member in members])
            draws = [
                _draw(part, spec.num_tries, generator)
                for part, generator in zip(parts, generators, strict=True)
            ]
            for member, adversarial in _try(victim, members, draws).items():
                found[member.place] = _succeed(victim, found[member.place], member, adversarial)
    return score([found[place] for place in range(len(texts))])


class _Steps:
    """Counts the steps of all texts, and tells of them."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total
        progress(0, total)

    def add(self, num_texts: int) -> None:
        """Count a step of so many texts."""
        self._done += num_texts
        self._progress(self._done, self._total)


def score(texts: Sequence[AttackedText]) -> AttackScores:
    """Return the accuracies and the change rate of attacked texts, at least one."""
    rates = [each.token_change_rate for each in texts if each.token_change_rate is not None]
    return AttackScores(
        clean_accuracy=_mean([each.clean_right for each in texts]),
        adversarial_accuracy=_mean([each.survived for each in texts]),
        token_change_rate=_mean(rates) if rates else None,
        texts=tuple(texts),
    )


def _mean(values: Sequence[float]) -> Mean:
    return mean_of(torch.tensor(values, dtype=torch.float64).unsqueeze(1))


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode with gradients; it is left in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        model.train(was_training)


def _untouched(example: Labelled, *, clean_right: bool) -> AttackedText:
    text, *others = example.texts
    return AttackedText(text, others[0] if others else None, int(example.label), clean_right)


def _generator(victim: Classifier, seed: int, place: int) -> torch.Generator:
    return torch.Generator(victim.device).manual_seed(seed * _SEED_STRIDE + place)


def _iter_groups(
    victim: Classifier, texts: Sequence[Editable], spec: GradientAttack
) -> Iterator[list[Editable]]:
    """Yield texts of like length, the longest first, as many as are asked at once and memory bears.

    One that is too long by itself goes alone.
    """
    words = victim.model.get_input_embeddings().weight.shape[0]
    token_bytes = 4 * words * spec.num_gradient_samples
    group: list[Editable] = []
    for text in sorted(texts, key=lambda each: len(each.columns), reverse=True):
        tokens = sum(len(each.columns) for each in [*group, text])
        is_full = len(group) == victim.evaluation.per_device_eval_batch_size
        if group and (is_full or tokens * token_bytes > SAMPLE_BYTES):
            yield group
            group = []
        group.append(text)
    if group:
        yield group


def _draw(theta: Tensor, count: int, generator: torch.Generator) -> list[list[int]]:
    """Draw hard texts from softmax(Θ), each a list of P tokens."""
    drawn = torch.multinomial(
        theta.softmax(dim=-1), count, replacement=True, generator=generator
    )  # (P, K)
    tokens: list[list[int]] = drawn.t().tolist()
    return tokens


def _try(
    victim: Classifier, members: Sequence[Editable], draws: Sequence[list[list[int]]]
) -> dict[Editable, str]:
    """Return the first changed text of each member that is misread, where there is one."""
    found: dict[Editable, str] = {}
    unchanged = {member: decode(victim.tokenizer, member.tokens) for member in members}
    for attempts in zip(*draws, strict=True):
        changed = {
            member: text
            for member, tokens in zip(members, attempts, strict=True)
            if member not in found
            and (text := decode(victim.tokenizer, tokens)) != unchanged[member]
        }
        if not changed:
            continue
        classes = victim.read([(text, *member.texts[1:]) for member, text in changed.items()])
        found |= {
            member: text
            for (member, text), read in zip(changed.items(), classes, strict=True)
            if read != member.label
        }
    return found


def _succeed(
    victim: Classifier, text: AttackedText, member: Editable, adversarial: str
) -> AttackedText:
    before = decode(victim.tokenizer, member.tokens)
    rate = change_rate(before, adversarial)
    return replace(text, adversarial=adversarial, token_change_rate=rate)
