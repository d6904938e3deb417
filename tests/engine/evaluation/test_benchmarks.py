"""Benchmarks through lm-eval: its own numbers, from the mirror, with no network, in silence."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from lm_eval.models.huggingface import HFLM

from engine.errors import DataError, SpecError
from engine.evaluation.benchmarks import Benchmarks, load_benchmarks, run_benchmarks
from engine.evaluation.harness_model import HarnessModel
from engine.events import ScoreMeasured
from engine.layers.head import SplitModel
from engine.specs import EvaluationSpec
from tests.tiny_models import make_llama, make_tokenizer

QUESTION = {
    "question_stem": "Cold is",
    "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
    "answerKey": "A",
}
OPENBOOKQA = Path("allenai") / "openbookqa" / "main"


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))


def load(data_folder: Path, mirror: Path | None, *names: str, **values: Any) -> Benchmarks:
    spec = EvaluationSpec(benchmarks=names, **values)
    return load_benchmarks(spec, mirror=mirror, data_folder=data_folder)


def run(
    data_folder: Path, mirror: Path, *names: str, told: list[tuple[int, int]] | None = None,
    **values: Any,
) -> tuple[ScoreMeasured, ...]:  # fmt: skip
    spec = EvaluationSpec(benchmarks=names, **values)
    loaded = load_benchmarks(spec, mirror=mirror, data_folder=data_folder)
    model = make_llama()
    return run_benchmarks(
        loaded,
        SplitModel(model),
        model=model,
        tokenizer=make_tokenizer(),
        spec=spec,
        phase="final",
        progress=lambda done, total: told.append((done, total)) if told is not None else None,
    )


@pytest.mark.parametrize("name", ["openbookqa", "arc_easy", "winogrande"])
def test_likelihoods_are_the_harness_own(data_mirror: Path, data_folder: Path, name: str) -> None:
    """For the questions lm-eval asks, our likelihoods are those of its own model class."""
    (benchmark,) = load(data_folder, data_mirror, name, num_fewshot=1).benchmarks
    task = benchmark.loaded["tasks"][name]
    task.set_fewshot_seed(seed=1)
    task.build_all_requests(limit=8)
    model = make_llama()
    theirs = HFLM(pretrained=model, tokenizer=make_tokenizer(), max_length=256)
    ours = HarnessModel(
        model, make_tokenizer(), split=SplitModel(model), batch_size=4, batch_tokens=512,
        progress=lambda _done, _total: None,
    )  # fmt: skip
    found = ours.loglikelihood(task.instances, disable_tqdm=True)
    expected = theirs.loglikelihood(task.instances, disable_tqdm=True)
    for (log_prob, is_greedy), (their_log_prob, their_greedy) in zip(found, expected, strict=True):
        assert log_prob == pytest.approx(their_log_prob, abs=1e-4)
        assert is_greedy == their_greedy


def test_choices(data_mirror: Path, data_folder: Path) -> None:
    """A multiple-choice benchmark gives each metric with count, error and how it was asked."""
    told: list[tuple[int, int]] = []
    scores = run(data_folder, data_mirror, "openbookqa", told=told, benchmark_limit=10)
    assert [score.metric for score in scores] == ["acc", "acc_norm"]
    for score in scores:
        share = score.value
        assert score.benchmark == "openbookqa"
        assert (score.num_samples, score.limited, score.direction) == (10, True, "higher")
        assert score.standard_error == pytest.approx(math.sqrt(share * (1 - share) / 9))
        assert score.details == {
            "harness": "lm-eval 0.4.13", "task_version": "1.0", "split": "test",
            "filter": "none", "num_fewshot": 0, "limit": 10,
        }  # fmt: skip
    assert told[-1] == (10, 10)
    assert told == sorted(told)


def test_written_answers(data_mirror: Path, data_folder: Path) -> None:
    """A benchmark of free answers gives one score for each way of reading them."""
    scores = run(
        data_folder, data_mirror, "gsm8k", benchmark_limit=2, num_fewshot=1,
        per_device_eval_batch_size=2,
    )  # fmt: skip
    metrics = [score.metric for score in scores]
    assert metrics == ["exact_match (strict-match)", "exact_match (flexible-extract)"]
    assert {score.details["num_fewshot"] for score in scores} == {1}


def test_tag(data_mirror: Path, data_folder: Path) -> None:
    """A tag stands for its members, and a member named besides is not told twice."""
    scores = run(data_folder, data_mirror, "ai2_arc", "arc_easy", benchmark_limit=1)
    names = [score.benchmark for score in scores]
    assert names == ["arc_challenge"] * 2 + ["arc_easy"] * 2
    assert {score.standard_error for score in scores} == {None}


def test_whole_data_is_not_limited(tmp_path: Path, data_folder: Path) -> None:
    """A limit no smaller than the data is no limit; a mirror without a training split will do."""
    write(tmp_path / OPENBOOKQA / "test.jsonl", *[QUESTION] * 3)
    scores = run(data_folder, tmp_path, "openbookqa", benchmark_limit=3)
    assert {(score.num_samples, score.limited) for score in scores} == {(3, False)}


def test_asked_twice(data_mirror: Path, data_folder: Path) -> None:
    """The same benchmarks may be run before and after training, with the same shots."""
    spec = EvaluationSpec(benchmarks=("arc_easy",), benchmark_limit=6, num_fewshot=2)
    loaded = load_benchmarks(spec, mirror=data_mirror, data_folder=data_folder)
    model = make_llama()
    ask = partial(
        run_benchmarks,
        loaded,
        SplitModel(model),
        model=model,
        tokenizer=make_tokenizer(),
        spec=spec,
        progress=lambda _done, _total: None,
    )
    before, final = ask(phase="before"), ask(phase="final")
    assert {score.phase for score in before} == {"before"}
    assert [score.value for score in before] == [score.value for score in final]


def test_leaves_no_trace(
    data_mirror: Path, data_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed; random states, environment, weights and settings are as before."""
    spec = EvaluationSpec(benchmarks=("gsm8k",), benchmark_limit=1, num_fewshot=0)
    model, tokenizer = make_llama(tied=True).train(), make_tokenizer()
    pointers = [parameter.data_ptr() for parameter in model.parameters()]

    def state() -> tuple[Any, ...]:
        drawn = (random.getstate(), torch.random.get_rng_state().tolist())
        settings = (datasets.load_dataset, datasets.config.HF_HUB_OFFLINE, sys.stderr, sys.stdout)
        levels = [logging.getLogger(name).level for name in ("lm_eval", "datasets")]
        return (*drawn, *settings, levels, dict(os.environ), tokenizer.pad_token, model.training)

    before = state()
    loaded = load_benchmarks(spec, mirror=data_mirror, data_folder=data_folder)
    split = SplitModel(model)
    run_benchmarks(
        loaded, split, model=model, tokenizer=tokenizer, spec=spec, phase="final",
        progress=lambda done, _total: print("heard", done),  # noqa: T201
    )  # fmt: skip
    assert state() == before
    assert [parameter.data_ptr() for parameter in model.parameters()] == pointers
    printed, errors = capfd.readouterr()
    assert set(printed.splitlines()) == {"heard 1"}
    assert errors == ""


def test_stop(data_mirror: Path, data_folder: Path) -> None:
    """What the progress raises ends the run, and the model is as before."""
    spec = EvaluationSpec(benchmarks=("openbookqa",), benchmark_limit=2)
    loaded = load_benchmarks(spec, mirror=data_mirror, data_folder=data_folder)
    model = make_llama().train()

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        run_benchmarks(
            loaded,
            SplitModel(model),
            model=model,
            tokenizer=make_tokenizer(),
            spec=spec,
            phase="final",
            progress=stop,
        )
    assert model.training


def test_none_asked(data_folder: Path) -> None:
    """Without benchmarks nothing is loaded and nothing is measured."""
    found = load(data_folder, None)
    assert (found.names, found.num_questions) == ((), 0)


def test_unknown(data_folder: Path) -> None:
    """An unknown name is refused with the nearest, before any data is read."""
    with pytest.raises(SpecError, match="'opnbookqa'; did you mean openbookqa"):
        load(data_folder, None, "opnbookqa")


def test_out_of_reach(tmp_path: Path, data_folder: Path) -> None:
    """Data in neither mirror nor cache is one sentence where no network is."""
    for mirror in (None, tmp_path):
        with pytest.raises(DataError, match=r"hellaswag \(Rowan/hellaswag\) is neither in") as seen:
            load(data_folder, mirror, "hellaswag")
        assert seen.value.field == "evaluation.benchmarks"


def test_lacking_split(tmp_path: Path, data_folder: Path) -> None:
    """A mirror without the split that is asked, or without solved examples to show, is told so."""
    write(tmp_path / OPENBOOKQA / "train.jsonl", QUESTION)
    with pytest.raises(DataError, match="openbookqa needs the split test of allenai/openbookqa; "
                       "the mirror has train"):  # fmt: skip
        load(tmp_path, tmp_path, "openbookqa")
    write(tmp_path / OPENBOOKQA / "test.jsonl", QUESTION)
    (tmp_path / OPENBOOKQA / "train.jsonl").unlink()
    with pytest.raises(DataError, match="shows 2 solved examples and there are 0") as seen:
        load(tmp_path, tmp_path, "openbookqa", num_fewshot=2)
    assert seen.value.field == "evaluation.num_fewshot"


def test_damaged_data(tmp_path: Path, data_folder: Path) -> None:
    """A damaged file of the mirror and questions of another shape are one sentence."""
    write(tmp_path / OPENBOOKQA / "test.jsonl", {"stem": "x"})
    with pytest.raises(DataError, match="lm-eval cannot prepare openbookqa"):
        load(data_folder, tmp_path, "openbookqa")
    (tmp_path / OPENBOOKQA / "test.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"line 1 of test.jsonl is not JSON"):
        load(data_folder, tmp_path, "openbookqa")


def test_progress(data_mirror: Path, data_folder: Path) -> None:
    """Progress never goes back over several benchmarks and ends at all questions."""
    told: list[tuple[int, int]] = []
    scores = run(data_folder, data_mirror, "winogrande", "openbookqa", told=told, benchmark_limit=3)
    assert [score.benchmark for score in scores] == ["winogrande", "openbookqa", "openbookqa"]
    assert told == sorted(told)
    assert told[-1] == (6, 6)
    assert all(done <= total == 6 for done, total in told)
