"""What can be asked of the engine: frozen specs, presets, and the way from YAML to a spec.

Rooms: `base` (the ground: frozen, closed, every field described once), `model`, `data`,
`quantizer`, `adapter`, `initialization`, `training`, `evaluation` (one axis each), `subject` (all
of them), `experiment` (the whole request), `start_rules` and `head_rules` (what goes together),
`rank_search` (choosing ranks after training), `presets`
(named points), `resolve` (preset + file + overrides → complete spec). No torch here: the web
process reads these. Start with `experiment`.
"""

from engine.specs.adapter import (
    AdapterSpec,
    ElasticLoraAdapter,
    LoraAdapter,
    LowRankAdapter,
    NoAdapter,
)
from engine.specs.base import Spec
from engine.specs.data import TASKS_BY_HEAD, DataSpec, TaskData, TextData, TrainingDataSpec
from engine.specs.evaluation import EvaluationSpec
from engine.specs.experiment import ExperimentSpec
from engine.specs.initialization import (
    AdapterFolder,
    DataAware,
    InitializationSpec,
    LoftQ,
    MinimalError,
    RoundToNearest,
)
from engine.specs.model import Head, ModelSpec
from engine.specs.presets import PRESETS, Preset, find_preset
from engine.specs.quantizer import (
    BySensitivity,
    FirstLayers,
    FloatQuantizer,
    IntegerQuantizer,
    LoftQUniformQuantizer,
    MixingSpec,
    NormalFloatQuantizer,
    QuantizerSpec,
)
from engine.specs.rank_search import (
    EvolutionaryStrategy,
    HeuristicsStrategy,
    HillClimbingStrategy,
    ObjectiveSpec,
    RandomStrategy,
    RankEvaluationSpec,
    RankSearchSpec,
    StrategySpec,
)
from engine.specs.resolve import (
    ResolvedSpec,
    RunSpec,
    iter_provenance,
    load_spec,
    parse_yaml,
    resolve,
    resolve_child,
    to_yaml,
)
from engine.specs.subject import Subject
from engine.specs.training import NoTraining, QatTraining, TrainingSpec

__all__ = [
    "PRESETS",
    "TASKS_BY_HEAD",
    "AdapterFolder",
    "AdapterSpec",
    "BySensitivity",
    "DataAware",
    "DataSpec",
    "ElasticLoraAdapter",
    "EvaluationSpec",
    "EvolutionaryStrategy",
    "ExperimentSpec",
    "FirstLayers",
    "FloatQuantizer",
    "Head",
    "HeuristicsStrategy",
    "HillClimbingStrategy",
    "InitializationSpec",
    "IntegerQuantizer",
    "LoftQ",
    "LoftQUniformQuantizer",
    "LoraAdapter",
    "LowRankAdapter",
    "MinimalError",
    "MixingSpec",
    "ModelSpec",
    "NoAdapter",
    "NoTraining",
    "NormalFloatQuantizer",
    "ObjectiveSpec",
    "Preset",
    "QatTraining",
    "QuantizerSpec",
    "RandomStrategy",
    "RankEvaluationSpec",
    "RankSearchSpec",
    "ResolvedSpec",
    "RoundToNearest",
    "RunSpec",
    "Spec",
    "StrategySpec",
    "Subject",
    "TaskData",
    "TextData",
    "TrainingDataSpec",
    "TrainingSpec",
    "find_preset",
    "iter_provenance",
    "load_spec",
    "parse_yaml",
    "resolve",
    "resolve_child",
    "to_yaml",
]
