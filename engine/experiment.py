"""An experiment from spec to scores: load, teach, initialize, train, evaluate.

`run_experiment` is the whole; the stages are in `engine.stages`. It knows no store: what happens is
announced as events, and a listener that raises `Cancelled` stops it within a step. A model with
another head than causal-lm goes through `engine.stages.supervise`. Start there.
"""

from __future__ import annotations

from engine.events import FileWritten, Listener
from engine.layers.layer_map import held
from engine.result import save_result
from engine.session import Session, Workspace, open_session
from engine.specs import ExperimentSpec, QatTraining
from engine.stages.load import load
from engine.stages.measure import measure, measure_benchmarks
from engine.stages.start import start
from engine.stages.supervise import supervise
from engine.stages.teach import teach
from engine.stages.train import train_layers
from engine.training.learner import LanguageLearner

__all__ = ["RESULT_FILE", "Workspace", "run_experiment"]

RESULT_FILE = "result.safetensors"


def run_experiment(
    spec: ExperimentSpec, *, workspace: Workspace, listener: Listener, device: str = "auto"
) -> None:
    """Carry out an experiment.

    Args:
        spec: What was asked; complete.
        workspace: Where to read and write.
        listener: Told of everything; may raise `Cancelled`.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        BitdialError: Of the kind that fits; its sentence is for the user.
    """
    with open_session(spec, workspace, listener, device=device) as session:
        _run(session, spec)


def _run(session: Session, spec: ExperimentSpec) -> None:
    if spec.model.head != "causal-lm":
        supervise(session, result=RESULT_FILE)
        return
    loaded = load(session)
    training = spec.training if isinstance(spec.training, QatTraining) else None
    taught = teach(session, loaded, training)
    installed, groups = start(session, loaded)
    if training is not None and taught.training is not None:
        # whoever goes on from a checkpoint was measured before its first step
        if spec.evaluation.before_training and session.workspace.resume_from is None:
            with held(installed.layers, installed.split.head_weight.dtype):
                measure_benchmarks(session, loaded, installed, phase="before")
        learner = LanguageLearner(installed.language, training, taught.training)
        train_layers(session, training, learner, installed=installed, groups=groups, key=loaded.key)
    if installed.layers:
        save_result(session.workspace.folder / RESULT_FILE, installed.layers)
        session.listener(FileWritten("result", RESULT_FILE))
    measure(session, loaded, installed, taught.text)
