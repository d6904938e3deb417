"""The model in memory as lm-eval asks it: likelihoods our way, writing its own. See `HarnessModel`.

Questions of several answers are computed once (`likelihood`); free answers are written by
Transformers through lm-eval's own class.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lm_eval.models.huggingface import HFLM
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from engine.evaluation.likelihood import context_limit, score_continuations
from engine.layers.head import SplitModel

Asked = list[tuple[tuple[str, str] | None, list[int], list[int]]]


class HarnessModel(HFLM):
    """A loaded model for lm-eval; neither the model nor its tokenizer is changed by it."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        split: SplitModel,
        batch_size: int,
        batch_tokens: int,
        progress: Callable[[int, int], None],
    ) -> None:
        """Wrap a model.

        Args:
            model: The Transformers model.
            tokenizer: Its tokenizer; a copy gets the padding lm-eval wants.
            split: The same model as body and head.
            batch_size: Free answers written at once.
            batch_tokens: About how many tokens are computed at once for likelihoods.
            progress: Told of requests done and in all, for each kind of request anew.
        """
        super().__init__(
            pretrained=_Untied(model),
            tokenizer=copy.deepcopy(tokenizer),
            max_length=context_limit(split),
            batch_size=batch_size,
        )
        self._split = split
        self._batch_tokens = batch_tokens
        self._progress = progress
        self._written = (0, 0)

    @property
    def max_gen_toks(self) -> int:
        """Tokens of a free answer: lm-eval's own number, or half of what a short model reads."""
        return min(int(super().max_gen_toks), context_limit(self._split) // 2)

    def _loglikelihood_tokens(
        self,
        requests: Asked,
        disable_tqdm: bool = False,  # noqa: ARG002, FBT001, FBT002  lm-eval's signature
        override_bs: int | None = None,  # noqa: ARG002
    ) -> list[tuple[float, bool]]:
        """Return (log-probability, whether greedy) of each continuation."""
        pairs = [(context, continuation) for _, context, continuation in requests]
        found = score_continuations(
            self._split, pairs, batch_tokens=self._batch_tokens, progress=self._progress
        )
        return [(likelihood.log_prob, likelihood.is_greedy) for likelihood in found]

    def generate_until(
        self,
        requests: list[Any],
        disable_tqdm: bool = False,  # noqa: FBT001, FBT002  lm-eval's signature
    ) -> list[str]:
        """Write the answers, as lm-eval does."""
        self._written = (0, len(requests))
        answers: list[str] = super().generate_until(requests, disable_tqdm=disable_tqdm)
        return answers

    def _model_generate(self, context: Tensor, *args: Any, **given: Any) -> Tensor:
        written: Tensor = super()._model_generate(context, *args, **given)
        done, total = self._written
        self._written = (done + len(context), total)
        self._progress(*self._written)
        return written


class _Untied:
    """The model, but no Module: lm-eval ties the weights of those again, which undoes a swap."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
