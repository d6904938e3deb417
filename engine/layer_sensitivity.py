"""How much the width of each layer matters to a model, by one method. Start with `run_sensitivity`.

Nothing is trained. The model is put together once and stands at the start map; what can be asked of
it is told by `engine.sensitivity.checks`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.events import (
    Event,
    FileWritten,
    Listener,
    Logged,
    Progressed,
    ScoreMeasured,
    StageStarted,
)
from engine.layers.layer_map import held
from engine.sensitivity.ablation import ablate
from engine.sensitivity.checks import check_sensitivity, list_pairs
from engine.sensitivity.gradient_run import GradientText, score_by_gradient
from engine.sensitivity.layer_facts import FACTS_FILE, LayerFacts, write_layer_facts
from engine.sensitivity.output_error import score_outputs
from engine.sensitivity.rounding import Rounding, describe_layer
from engine.sensitivity.task_ablation import ablate_on_tasks
from engine.sensitivity.text_losses import CalibrationText
from engine.sensitivity.weight_error import score_weights
from engine.session import Session, Workspace, open_session
from engine.specs import SensitivitySpec
from engine.specs.quantizer import BITS_UNQUANTIZED
from engine.specs.sensitivity import Ablation, GradientMethod, WeightErrorMethod
from engine.stages.load import LoadedHead
from engine.stages.measure import measure_benchmarks
from engine.stages.restore import ParentFiles
from engine.stages.scored import Scored, put_together
from engine.stages.supervise import measure_task
from engine.teacher.cache import digest, make_key

__all__ = ["ParentFiles", "run_sensitivity"]

STAGE = "sensitivity"
STATE_FILE = "gradient-state.safetensors"


def run_sensitivity(
    spec: SensitivitySpec,
    *,
    workspace: Workspace,
    listener: Listener,
    parent: ParentFiles | None = None,
    device: str = "auto",
    done: Collection[tuple[str, int]] = frozenset(),
) -> None:
    """Score units at widths, and write down what the layers look like.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of every score as `SensitivityScored`; may raise `Cancelled`.
        parent: Files of the training run; None where the model is scored as it is.
        device: "auto", "cpu", "cuda" or "cuda:1".
        done: Units with widths that were measured before; an ablation does not measure them again.
            Other methods score all anew, the gradient from where it was left off.

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    check_sensitivity(spec)
    with open_session(spec, workspace, listener, device=device) as session:
        scored = put_together(session, spec, parent)
        _write_facts(session, spec, scored)
        if not isinstance(spec.method, Ablation):
            _estimate(session, spec, scored)
        elif spec.method.measured_on == "text":
            _ablate_on_text(session, spec, scored, done)
        else:
            _ablate_on_tasks(session, spec, scored, done)


def _write_facts(session: Session, spec: SensitivitySpec, scored: Scored) -> None:
    """Write down what the layers look like before anything is measured."""
    rounding = Rounding()
    names = [name for layers in scored.units.values() for name in layers]
    with session.stage("facts", len(names)):
        progress, layers = session.progress("facts"), {}
        for name, layer in scored.start.layers.items():
            if layer.ranges is not None:
                layers[name] = describe_layer(layer, spec.widths, rounding)
                progress(len(layers), len(names))
        write_layer_facts(session.workspace.folder / FACTS_FILE, LayerFacts(layers=layers))
    session.listener(FileWritten("report", FACTS_FILE))


def _estimate(session: Session, spec: SensitivitySpec, scored: Scored) -> None:
    """Score by a method that does not switch anything; the model stands at 16 bits."""
    widths = tuple(bits for bits in spec.widths if bits != BITS_UNQUANTIZED)
    progress, listener, method = session.progress(STAGE), session.listener, spec.method
    with session.stage(STAGE), held(scored.start.layers, scored.start.dtype):
        if isinstance(method, WeightErrorMethod):
            score_weights(scored.model, widths, listener=listener, progress=progress)
            return
        windows = _text_of(scored)
        if isinstance(method, GradientMethod):
            text = GradientText(
                windows,
                spec.seed,
                session.workspace.folder / STATE_FILE,
                _make_key(spec, scored, windows),
            )
            score_by_gradient(scored.model, text, widths, listener=listener, progress=progress)
            return
        device = scored.installed.split.head_weight.device
        size = spec.evaluation.per_device_eval_batch_size
        batches = [tokens.to(device) for tokens in torch.split(windows, size)]
        score_outputs(scored.model, batches, widths, listener=listener, progress=progress)


def _make_key(spec: SensitivitySpec, scored: Scored, windows: Tensor) -> str:
    """Return what the sums of squared gradients depend on."""
    if isinstance(scored.loaded, LoadedHead):
        raise TypeError("gradients are those of a causal language model")
    parts = {"model": scored.loaded.key, "parent": spec.parent, "seed": spec.seed}
    names = [name for layers in scored.units.values() for name in layers]
    return make_key({**parts, "windows": digest(windows), "layers": names})


def _text_of(scored: Scored) -> Tensor:
    if scored.windows is None:
        raise TypeError("this method needs calibration text")
    return scored.windows


def _ablate_on_text(
    session: Session, spec: SensitivitySpec, scored: Scored, done: Collection[tuple[str, int]]
) -> None:
    """Switch one unit at a time and measure the calibration text."""
    pairs, method = list_pairs(spec, scored.units), spec.method
    if scored.hidden is None or not isinstance(method, Ablation):
        raise TypeError("an ablation on text needs what the 16-bit model makes of it")
    size = spec.evaluation.per_device_eval_batch_size
    with session.stage(STAGE, len(pairs)):
        ablate(
            scored.model,
            CalibrationText(_text_of(scored), scored.hidden, size),
            pairs,
            reuse=method.reuse_activations,
            listener=session.listener,
            progress=session.progress(STAGE),
            done=done,
        )


def _ablate_on_tasks(
    session: Session, spec: SensitivitySpec, scored: Scored, done: Collection[tuple[str, int]]
) -> None:
    """Switch one unit at a time and ask the tasks, as an experiment does at its end."""
    pairs = list_pairs(spec, scored.units)
    skipped = sum(tuple(pair) in set(done) for pair in pairs)
    questions = _count_questions(scored)
    total = (len(pairs) + 1) * questions

    def measure(label: str, count: int) -> Sequence[ScoreMeasured]:
        before = (skipped + count) * questions
        told = _TaskListener(session.listener, label, before=before, total=total)
        of_map = replace(session, listener=told, seconds={})
        if isinstance(scored.loaded, LoadedHead):
            measure_task(of_map, scored.loaded, scored.installed, phase="final")
        else:
            with held(scored.start.layers, scored.start.dtype):
                measure_benchmarks(of_map, scored.loaded, scored.installed, phase="final")
        return told.scores

    with session.stage(STAGE, total):
        ablate_on_tasks(
            scored.start,
            scored.units,
            pairs,
            measure=measure,
            listener=session.listener,
            done=done,
        )


def _count_questions(scored: Scored) -> int:
    if isinstance(scored.loaded, LoadedHead):
        return scored.loaded.family.num_questions
    return scored.loaded.benchmarks.num_questions


class _TaskListener:
    """Keeps the scores of one map, and hands on its progress as a part of the whole.

    Attributes:
        scores: What was measured.
    """

    def __init__(self, listener: Listener, label: str, *, before: int, total: int) -> None:
        self.scores: list[ScoreMeasured] = []
        self._listener = listener
        self._label = label
        self._before = before
        self._total = total

    def __call__(self, event: Event, /) -> None:
        """Take note of scores; the stage of the map is a part of the run's."""
        if isinstance(event, ScoreMeasured):
            self.scores.append(event)
        elif isinstance(event, Progressed):
            self._listener(Progressed(STAGE, self._before + event.done, self._total))
        elif isinstance(event, Logged):
            self._listener(replace(event, message=f"{self._label}: {event.message}"))
        elif not isinstance(event, StageStarted):
            self._listener(event)
