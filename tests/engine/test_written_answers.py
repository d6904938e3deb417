"""GSM8K from end to end: learned from answers alone, answers written, numbers checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.data.example_windows import encode_examples
from engine.data.tasks import load_examples
from engine.evaluation.benchmarks import load_benchmarks, run_benchmarks
from engine.events import Event, MetricPoint, ScoreMeasured
from engine.experiment import Workspace, run_experiment
from engine.layers.head import SplitModel
from engine.specs import EvaluationSpec
from engine.specs.data import TaskData
from engine.specs.resolve import resolve
from tests.engine.data.mirrors import write_rows
from tests.tiny_models import make_llama, make_tokenizer, save_llama

ROWS = [
    {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 2"},
    {"question": "40+2?", "answer": "So 42 it is.\n#### 1,042"},
]
METRICS = ["exact_match (strict-match)", "exact_match (flexible-extract)"]
STEPS = 6


def write_mirror(folder: Path, *rows: dict[str, str]) -> Path:
    for split in ("train", "test"):
        write_rows(folder / "openai" / "gsm8k" / "main" / f"{split}.jsonl", *rows)
    return folder


def learn_by_heart(mirror: Path) -> Any:
    """Train a tiny Llama on the answers of the mirror's examples until it knows them."""
    examples = load_examples(
        TaskData(task="gsm8k"), split="train", field="", data_folder=mirror, mirror=mirror
    )
    rows = encode_examples(examples, make_tokenizer(), max_length=128, loss_on="answer")
    places = torch.arange(rows.tokens.shape[1])
    is_answer = places >= rows.label_starts.unsqueeze(1)
    is_answer &= places < rows.lengths.unsqueeze(1)
    labels = torch.where(is_answer, rows.tokens, -100)
    model = make_llama()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(250):
        optimizer.zero_grad()
        model(input_ids=rows.tokens, labels=labels).loss.backward()
        optimizer.step()
    return model


def ask(model: Any, mirror: Path, folder: Path) -> dict[str, ScoreMeasured]:
    spec = EvaluationSpec(benchmarks=("gsm8k",), num_fewshot=0)
    found = run_benchmarks(
        load_benchmarks(spec, mirror=mirror, data_folder=folder), SplitModel(model), model=model,
        tokenizer=make_tokenizer(), spec=spec, phase="final", progress=lambda *_: None,
    )  # fmt: skip
    return {score.metric: score for score in found}


def test_learned_answers_are_written_and_checked(tmp_path: Path, data_folder: Path) -> None:
    """A model that knows the answers writes them: right, and wrong where the number is another."""
    model = learn_by_heart(write_mirror(tmp_path / "same", *ROWS))
    right = ask(model, tmp_path / "same", data_folder)
    assert {name: score.value for name, score in right.items()} == dict.fromkeys(METRICS, 1.0)
    others = [{**row, "answer": f"{row['answer']}7"} for row in ROWS]
    wrong = ask(model, write_mirror(tmp_path / "other", *others), data_folder)
    assert {name: score.value for name, score in wrong.items()} == dict.fromkeys(METRICS, 0.0)
    half = ask(model, write_mirror(tmp_path / "half", ROWS[0], others[1]), data_folder)
    assert {score.value for score in half.values()} == {0.5}


def test_a_run_learns_answers_and_writes_them(tmp_path: Path, data_folder: Path) -> None:
    """A training with loss on the answers takes its steps; questions are asked before and after."""
    spec = resolve(
        {
            "model": {"source": str(save_llama(tmp_path / "model"))},
            "quantizer": {"grid": "integer", "bits": 4, "group_size": 16},
            "adapter": {"kind": "lora", "r": 4},
            "training": {
                "method": "qat",
                "objective": "task",
                "data": {"kind": "task", "task": "gsm8k", "loss_on": "answer"},
                "max_length": 128,
                "max_steps": STEPS,
                "learning_rate": 0.01,
                "per_device_train_batch_size": 2,
                "logging_steps": 1,
            },
            "evaluation": {
                "data": {"source": "text.txt"},
                "max_length": 16,
                "limit": 2,
                "benchmarks": ["gsm8k"],
                "benchmark_limit": 1,
                "num_fewshot": 0,
                "before_training": True,
            },
        }
    ).spec
    mirror = write_mirror(tmp_path / "mirror", *ROWS)
    (data_folder / "text.txt").write_text("One and one is two. " * 40)
    events: list[Event] = []
    workspace = Workspace(tmp_path / "run", data_folder, mirror=mirror)
    run_experiment(spec, workspace=workspace, listener=events.append, device="cpu")
    told = [event for event in events if isinstance(event, ScoreMeasured)]
    asked = [(each.phase, each.metric) for each in told if each.benchmark == "gsm8k"]
    assert asked == [(phase, metric) for phase in ("before", "final") for metric in METRICS]
    losses = [
        event.value
        for event in events
        if isinstance(event, MetricPoint) and event.key == "train/loss"
    ]
    assert len(losses) == STEPS
    assert losses[-1] < losses[0]
