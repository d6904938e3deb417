"""What can be asked of the engine: frozen specs, presets, and the way from YAML to a spec.

Rooms: `base` (the ground: frozen, closed, every field described once), `model`, `data`,
`quantizer`, `adapter`, `initialization`, `training`, `evaluation` (one axis each), `experiment`
(the whole, and the rules between axes), `rank_search` (choosing ranks after training), `presets`
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
from engine.specs.data import DataSpec, TaskData, TextData, TrainingDataSpec
from engine.specs.evaluation import EvaluationSpec
from engine.specs.experiment import ExperimentSpec, Subject
from engine.specs.initialization import DataAware, InitializationSpec, LoftQ, RoundToNearest
from engine.specs.model import ModelSpec
from engine.specs.presets import PRESETS, Preset, find_preset
from engine.specs.quantizer import (
    FloatQuantizer,
    IntegerQuantizer,
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
from engine.specs.training import NoTraining, QatTraining, TrainingSpec

__all__ = [
    "PRESETS",
    "AdapterSpec",
    "DataAware",
    "DataSpec",
    "ElasticLoraAdapter",
    "EvaluationSpec",
    "EvolutionaryStrategy",
    "ExperimentSpec",
    "FloatQuantizer",
    "HeuristicsStrategy",
    "HillClimbingStrategy",
    "InitializationSpec",
    "IntegerQuantizer",
    "LoftQ",
    "LoraAdapter",
    "LowRankAdapter",
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
