"""What can be asked of the engine: frozen specs, presets, and the way from YAML to a spec.

Rooms: `base` (the ground: frozen, closed, every field described once), `model`, `data`,
`quantizer`, `adapter`, `initialization`, `training`, `evaluation` (one axis each), `experiment`
(the whole, and the rules between axes), `presets` (named points), `resolve` (preset + file +
overrides → complete spec). No torch here: the web process reads these. Start with `experiment`.
"""

from engine.specs.adapter import AdapterSpec, LoraAdapter, NoAdapter
from engine.specs.base import Spec
from engine.specs.data import DataSpec
from engine.specs.evaluation import EvaluationSpec
from engine.specs.experiment import ExperimentSpec
from engine.specs.initialization import DataAware, InitializationSpec, RoundToNearest
from engine.specs.model import ModelSpec
from engine.specs.presets import PRESETS, Preset, find_preset
from engine.specs.quantizer import FloatQuantizer, IntegerQuantizer, QuantizerSpec
from engine.specs.resolve import ResolvedSpec, iter_provenance, parse_yaml, resolve, to_yaml
from engine.specs.training import NoTraining, QatTraining, TrainingSpec

__all__ = [
    "PRESETS",
    "AdapterSpec",
    "DataAware",
    "DataSpec",
    "EvaluationSpec",
    "ExperimentSpec",
    "FloatQuantizer",
    "InitializationSpec",
    "IntegerQuantizer",
    "LoraAdapter",
    "ModelSpec",
    "NoAdapter",
    "NoTraining",
    "Preset",
    "QatTraining",
    "QuantizerSpec",
    "ResolvedSpec",
    "RoundToNearest",
    "Spec",
    "TrainingSpec",
    "find_preset",
    "iter_provenance",
    "parse_yaml",
    "resolve",
    "to_yaml",
]
