"""Benchmarks of lm-eval on the model in memory, through its own Python API.

Data and tasks are prepared before any model is loaded, so that a wrong name or missing data stops a
run early. A group (mmlu) gives its own score and those of its members; a tag gives its members'.
Where the standard error of a metric is bootstrapped, it rests on 1,000 resamplings. Start with
`load_benchmarks`, then `run_benchmarks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from engine.data.hub import is_unreachable
from engine.errors import BitdialError, DataError, SpecError
from engine.evaluation.benchmark_names import (
    FIELD,
    WELL_KNOWN,
    check_benchmarks,
    harness_folder,
    harness_version,
    list_benchmarks,
)
from engine.evaluation.benchmark_scores import read_scores
from engine.evaluation.harness_quiet import OTHER_SEED, fixed_seeds, quiet
from engine.events import Phase, ScoreMeasured
from engine.layers.head import SplitModel
from engine.specs import EvaluationSpec

BOOTSTRAPS = 1000


@dataclass(frozen=True)
class Benchmark:
    """A benchmark ready to be asked.

    Attributes:
        name: As it was asked for.
        loaded: What lm-eval's task manager made of it: "tasks", "groups", "group_map".
        num_questions: Questions that will be asked.
    """

    name: str
    loaded: dict[str, Any]
    num_questions: int


@dataclass(frozen=True)
class Benchmarks:
    """The benchmarks of an evaluation, in the order they were asked for."""

    benchmarks: tuple[Benchmark, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(benchmark.name for benchmark in self.benchmarks)

    @property
    def num_questions(self) -> int:
        """Questions that will be asked in all."""
        return sum(benchmark.num_questions for benchmark in self.benchmarks)


def load_benchmarks(spec: EvaluationSpec, *, mirror: Path | None, data_folder: Path) -> Benchmarks:
    """Prepare the benchmarks of a spec: tasks and data, no model.

    Args:
        spec: Which benchmarks, how many shots and questions.
        mirror: Folder of hub data sets that is consulted before the hub.
        data_folder: Where names are kept between runs.

    Raises:
        SpecError: When lm-eval knows no such benchmark, or it cannot be run here.
        DataError: When a benchmark's data is out of reach, or lm-eval is not installed.
    """
    if not spec.benchmarks:
        return Benchmarks()
    problems = check_benchmarks(spec.benchmarks, data_folder=data_folder)
    if problems:
        raise SpecError(*problems)
    if harness_folder() is None:
        raise DataError(
            "lm-eval is not installed; install bitdial[worker], or leave the benchmarks out",
            field=FIELD,
        )
    with quiet(), fixed_seeds(torch.device("cpu")):  # some tasks shuffle as they load
        return Benchmarks(
            tuple(
                _load(name, spec, mirror=mirror, data_folder=data_folder)
                for name in dict.fromkeys(spec.benchmarks)
            )
        )


def run_benchmarks(
    benchmarks: Benchmarks,
    split: SplitModel,
    *,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    spec: EvaluationSpec,
    phase: Phase,
    progress: Callable[[int, int], None],
) -> tuple[ScoreMeasured, ...]:
    """Ask a model the questions of each benchmark.

    Model, tokenizer and random states are as before afterwards; may be called again, as before and
    after training.

    Args:
        benchmarks: From `load_benchmarks`.
        split: The model as body and head.
        model: The same model, whole, for free answers.
        tokenizer: Its tokenizer.
        spec: Batch size, and the limit and shots that are noted with each score.
        phase: "before" training or "final".
        progress: Told of questions done and in all.
    """
    scores: dict[tuple[str, str], ScoreMeasured] = {}  # a tag and a member of it name it twice
    done, total = 0, benchmarks.num_questions
    was_training = model.training
    model.eval()
    try:
        for benchmark in benchmarks.benchmarks:
            count = benchmark.num_questions

            def told(part: int, whole: int, done: int = done, count: int = count) -> None:
                progress(done + count * part // max(1, whole), total)

            results = _ask(
                benchmark, split, model=model, tokenizer=tokenizer, spec=spec, progress=told
            )
            found = read_scores(
                results,
                benchmark.loaded,
                limit=spec.benchmark_limit,
                phase=phase,
                harness=f"lm-eval {harness_version()}",
            )
            for score in found:
                scores.setdefault((score.benchmark, score.metric), score)
            done += count
            progress(done, total)
    finally:
        model.train(was_training)
    return tuple(scores.values())


def _load(name: str, spec: EvaluationSpec, *, mirror: Path | None, data_folder: Path) -> Benchmark:
    from engine.evaluation.harness_data import mirrored  # noqa: PLC0415  heavy

    try:
        with mirrored(mirror, field=FIELD) as seen:
            loaded = _build(name, data_folder)
    except BitdialError:
        raise
    except Exception as error:  # lm-eval's tasks raise whatever their own code does
        raise _explain(error, name, seen.sources, seen.lacking) from error
    num_questions = 0
    for task in loaded["tasks"].values():
        _refuse_unfit(name, task)
        _set_shots(task, spec.num_fewshot, seen.lacking)
        count = len(task.eval_docs)
        num_questions += min(count, spec.benchmark_limit or count)
    return Benchmark(name, loaded, num_questions)


def _build(name: str, data_folder: Path) -> dict[str, Any]:
    """Let lm-eval build a task from its own file, or what stands for several from all files."""
    from lm_eval.tasks import TaskManager  # noqa: PLC0415  heavy

    known = WELL_KNOWN if name in WELL_KNOWN else list_benchmarks(data_folder=data_folder)
    place = known.get(name, "")
    folder = harness_folder()
    if place and folder is not None:  # one file: the other 14,000 are not read
        loaded: dict[str, Any] = TaskManager(include_defaults=False).load([str(folder / place)])
    else:
        loaded = TaskManager().load([name])
    return loaded


def _ask(
    benchmark: Benchmark,
    split: SplitModel,
    *,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    spec: EvaluationSpec,
    progress: Callable[[int, int], None],
) -> Mapping[str, Any]:
    """Return lm-eval's results."""
    with quiet() as aloud:
        from lm_eval.evaluator import evaluate  # noqa: PLC0415  heavy

        from engine.evaluation.harness_model import HarnessModel  # noqa: PLC0415

        asked = HarnessModel(
            model,
            tokenizer,
            split=split,
            batch_size=spec.per_device_eval_batch_size,
            batch_tokens=spec.per_device_eval_batch_size * spec.max_length,
            progress=aloud(progress),
        )
        for task in benchmark.loaded["tasks"].values():
            task.set_fewshot_seed(seed=OTHER_SEED)
        with fixed_seeds(model.device):
            results: Mapping[str, Any] = evaluate(
                lm=asked,
                task_dict=benchmark.loaded,
                limit=spec.benchmark_limit,
                bootstrap_iters=BOOTSTRAPS,
                log_samples=False,
            )
    return results


def _refuse_unfit(name: str, task: Any) -> None:
    if getattr(task, "UNSAFE_CODE", False):
        raise SpecError.at(FIELD, f"{name} runs code the model writes; choose another benchmark")
    if getattr(task, "MULTIMODAL", False):
        raise SpecError.at(FIELD, f"{name} needs images or sound; choose one of text alone")


def _set_shots(
    task: Any, num_fewshot: int | None, lacking: tuple[tuple[str, tuple[str, ...], Any], ...]
) -> None:
    """Set how many solved examples a task shows; one that says 0 itself keeps that, as in lm-eval.

    Raises:
        DataError: When the split solved examples come from is missing.
    """
    own = task.get_config("num_fewshot")
    shots = (0 if own is None else own) if num_fewshot is None or own == 0 else num_fewshot
    task.set_config(key="num_fewshot", value=shots)
    docs = task.fewshot_docs() if shots else None
    if docs is not None and len(docs) < shots:
        where = "; ".join(f"{source} lacks {', '.join(splits)}" for source, splits, _ in lacking)
        raise DataError(
            f"{task.task_name} shows {shots} solved examples and there are {len(docs)}"
            f"{f' (in the mirror, {where})' if where else ''}; set num_fewshot to 0 or complete "
            "the mirror",
            field="evaluation.num_fewshot",
        )


def _explain(
    error: Exception,
    name: str,
    sources: list[str],
    lacking: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...],
) -> DataError:
    """Turn what stopped a benchmark's preparation into one sentence."""
    first = (str(error).splitlines() or [""])[0][:200]
    if lacking and isinstance(error, IndexError):  # no first question
        source, missing, there = lacking[-1]
        return DataError(
            f"{name} needs the split {', '.join(missing)} of {source}; the mirror has "
            f"{', '.join(there)}",
            field=FIELD,
        )
    if is_unreachable(error) and sources:
        return DataError(
            f"the data of {name} ({sources[-1]}) is neither in the data mirror nor in the local "
            "cache, and the hub cannot be reached; put it into the mirror or leave the benchmark "
            "out",
            field=FIELD,
        )
    return DataError(
        f"lm-eval cannot prepare {name}: {type(error).__name__}: {first}; choose another benchmark",
        field=FIELD,
    )
