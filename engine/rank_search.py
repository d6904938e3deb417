"""Choosing the ranks of a trained elastic adapter, and measuring given ones.

Neither trains: the adapters and ranges of the training run are put into the same layers again. A
search compares configurations on examples that were never trained on, keeps the best, and only then
measures what its spec asks for, once. Start with `run_rank_search`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from engine.data.tasks import Example, load_examples
from engine.data.windows import spread
from engine.errors import Diverged, SpecError
from engine.evaluation.choices import mean_over_examples, score_examples
from engine.events import CandidateEvaluated, FileWritten, Listener, Logged, Progressed, RanksChosen
from engine.experiment import RESULT_FILE
from engine.initialize.catalogue import Installed
from engine.layers.layer_map import apply_map
from engine.layers.rank_groups import RankGroups
from engine.measured_size import measure_size
from engine.result import save_extracted
from engine.search.heuristics import list_starts
from engine.search.objective import check_objective, check_searchable
from engine.search.ordering import find_cost, order_best_first
from engine.search.rank_history import RankHistory, load_history
from engine.search.spaces import Ranks
from engine.search.strategies import count_evaluations, run_strategy
from engine.session import Session, Workspace, open_session
from engine.specs import QatTraining, RankEvaluationSpec, RankSearchSpec, Subject, TaskData
from engine.stages.load import Loaded
from engine.stages.measure import measure
from engine.stages.restore import ParentFiles, restore
from engine.stages.teach import EvaluationText

__all__ = ["ParentFiles", "run_rank_evaluation", "run_rank_search"]

STAGE = "search"


@dataclass(frozen=True)
class _Bench:
    """A trained model at hand, its ranks still to be chosen."""

    loaded: Loaded
    installed: Installed
    groups: RankGroups
    text: EvaluationText


def run_rank_search(
    spec: RankSearchSpec,
    *,
    workspace: Workspace,
    listener: Listener,
    parent: ParentFiles,
    known: Mapping[Ranks, CandidateEvaluated],
    device: str = "auto",
) -> None:
    """Search the best ranks, then measure them.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of every configuration; may raise `Cancelled`.
        parent: Files of the training run.
        known: Configurations that were evaluated before on the same examples; they are not again.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    check_searchable(spec)
    with open_session(spec, workspace, listener, device=device) as session:
        history = None if parent.history is None else load_history(parent.history)
        examples = _load_objective(session, spec)
        bench = _prepare(session, parent)
        examples = examples or bench.loaded.held_out
        chosen = _choose(session, spec, bench, history=history, examples=examples, known=known)
        _finish(session, bench, chosen)


def run_rank_evaluation(
    spec: RankEvaluationSpec,
    *,
    workspace: Workspace,
    listener: Listener,
    parent: ParentFiles,
    device: str = "auto",
) -> None:
    """Measure a trained elastic adapter at given ranks; arguments as for `run_rank_search`.

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    with open_session(spec, workspace, listener, device=device) as session:
        bench = _prepare(session, parent)
        bench.groups.space.check(spec.ranks)
        _finish(session, bench, spec.ranks)


def _load_objective(session: Session, spec: RankSearchSpec) -> tuple[Example, ...]:
    """Return the validation examples; empty where the held-out ones are asked for.

    Raises:
        SpecError: When the training run has none to choose on.
    """
    data = spec.training.data if isinstance(spec.training, QatTraining) else None
    if not isinstance(data, TaskData):
        raise SpecError.at(
            "parent", "was not trained on a task; ranks are chosen on a task's examples"
        )
    check_objective(data, spec.objective)
    if spec.objective.split == "held-out":
        return ()
    return load_examples(
        data,
        split="validation",
        field="training.data",
        data_folder=session.workspace.data_folder,
        mirror=session.workspace.mirror,
    )


def _prepare(session: Session, parent: ParentFiles) -> _Bench:
    """Put the trained model together, with the groups of layers whose ranks are chosen."""
    check_searchable(session.spec)
    found = restore(session, parent)
    if found.groups is None:
        raise SpecError.at("parent", "has no elastic adapter; train one with adapter elastic-lora")
    return _Bench(found.loaded, found.installed, found.groups, found.text)


def _choose(
    session: Session,
    spec: RankSearchSpec,
    bench: _Bench,
    *,
    history: RankHistory | None,
    examples: tuple[Example, ...],
    known: Mapping[Ranks, CandidateEvaluated],
) -> Ranks:
    """Carry out the search and return its best: of equals the one with the fewest parameters."""
    space = bench.groups.space
    places = spread(torch.arange(len(examples)), spec.objective.limit)
    used = tuple(examples[place] for place in places.tolist())
    judge = _Judge(session, spec, bench, examples=used, known=known)
    starts = list_starts(space, history)
    total = min(count_evaluations(spec.search, starts=len(starts)), space.num_configurations)
    with session.stage(STAGE, total):
        judge.total = total
        run_strategy(spec.search, space, starts=starts, evaluate=judge, seed=spec.seed)
    for layer in bench.installed.layers.values():
        layer.release()
    return judge.find_best()


class _Judge:
    """Evaluates configurations on the search's examples; remembers and announces each.

    Attributes:
        total: How many evaluations there will be at most, for the progress.
    """

    def __init__(
        self,
        session: Session,
        spec: RankSearchSpec,
        bench: _Bench,
        *,
        examples: tuple[Example, ...],
        known: Mapping[Ranks, CandidateEvaluated],
    ) -> None:
        self.total = 0
        self._session = session
        self._objective = spec.objective
        self._bench = bench
        self._examples = examples
        self._known = known
        self._found: dict[Ranks, CandidateEvaluated] = {}

    def __call__(self, ranks: Ranks, origin: str) -> float:
        """Return the cost of a configuration: its loss, or its share of wrong answers."""
        found = self._known.get(ranks) or self._evaluate(ranks, origin)
        self._found[ranks] = found
        self._session.listener(found)
        self._session.listener(Progressed(STAGE, len(self._found), self.total))
        return find_cost(found)

    def find_best(self) -> Ranks:
        """Return the configuration with the lowest cost.

        Raises:
            Diverged: When none has a finite one.
        """
        best = order_best_first(self._found.values())[0]
        if math.isinf(find_cost(best)):
            raise Diverged(
                f"none of {len(self._found)} configurations has a finite {best.metric}; train "
                "again with a lower training.learning_rate"
            )
        self._session.listener(
            Logged(
                "info",
                f"best of {len(self._found)}: {best.metric} {best.value:.5g} ({best.origin}), "
                f"{best.adapter_parameters:,} adapter parameters",
            )
        )
        return best.ranks

    def _pulse(self, done: int, total: int) -> None:
        """Let the listener look up between batches: a search can be cancelled at any of them."""
        del done, total
        self._session.listener(Progressed(STAGE, len(self._found), self.total))

    def _evaluate(self, ranks: Ranks, origin: str) -> CandidateEvaluated:
        began = time.perf_counter()
        _apply(self._bench, ranks)
        scores = score_examples(
            self._bench.installed.language,
            self._bench.loaded.model.tokenizer,
            self._examples,
            batch_size=self._objective.batch_size,
            progress=self._pulse,
        )
        is_loss = self._objective.metric == "loss"
        mean = mean_over_examples(scores.loss if is_loss else scores.correct)
        return CandidateEvaluated(
            ranks=ranks,
            adapter_parameters=self._bench.groups.space.count_parameters(ranks),
            metric=self._objective.metric,
            value=mean.value,
            standard_error=mean.standard_error,
            num_samples=mean.num_samples,
            direction="lower" if is_loss else "higher",
            origin=origin,
            seconds=time.perf_counter() - began,
        )


def _apply(bench: _Bench, ranks: Ranks) -> None:
    """Bring the layers to a configuration; only those whose rank changes are rounded again."""
    layers = bench.installed.layers
    wanted = bench.groups.layer_map(layers, ranks)
    changed = {
        name: setting
        for name, setting in wanted.items()
        if layers[name].active_rank != setting.rank
    }
    apply_map(layers, changed)
    dtype = bench.installed.split.head_weight.dtype
    for layer in layers.values():
        if layer.held is None:
            layer.hold(dtype, trains=False)


def _finish(session: Session, bench: _Bench, ranks: Ranks) -> None:
    """Announce, save and measure the chosen configuration."""
    spec: Subject = session.spec
    layers = bench.installed.layers
    apply_map(layers, bench.groups.layer_map(layers, ranks))
    session.listener(RanksChosen(bench.groups.space.groups, ranks))
    session.listener(measure_size(bench.loaded.model.model, layers, spec.quantizer))
    save_extracted(session.workspace.folder / RESULT_FILE, layers)
    session.listener(FileWritten("result", RESULT_FILE))
    measure(session, bench.loaded, bench.installed, bench.text)
