"""What can be asked of the engine: frozen specs, presets, and the way from YAML to a spec.

Rooms: `base` (the ground: frozen, closed, every field described once), `model`, `data`,
`quantizer` (with `states` for what flows through a model, `layer_bits` for widths of single layers
and `wildcards` for how lines name them), `adapter`, `initialization`, `training` (with
`bit_policy`), `evaluation` (one axis each), `subject` (all of them), `experiment` (the whole
request), `start_rules`, `head_rules` and `bit_rules` (what goes together), `rank_search` (choosing
ranks after training), `map_evaluation` and `attack` (measuring one model at many layer maps),
`sensitivity` (how much the width of each layer matters), `presets` (named points), `resolve`
(preset + file + overrides → complete spec), `yaml_text` (specs as text). No torch here: the web
process reads these. Start with `experiment`.
"""

from engine.specs.adapter import (
    AdapterSpec,
    ElasticLoraAdapter,
    LoraAdapter,
    LoraBankAdapter,
    LowRankAdapter,
    NoAdapter,
)
from engine.specs.attack import AttackSpec, GradientAttack, NoAttack
from engine.specs.base import Spec
from engine.specs.bit_policy import (
    BitPolicySpec,
    CurriculumBits,
    CyclicBits,
    FixedBits,
    RandomBits,
    SwitchableBits,
)
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
from engine.specs.map_evaluation import (
    LayerBitsMap,
    MapEvaluationSpec,
    MapSpec,
    RandomMap,
    UniformMap,
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
    ChildSpec,
    ResolvedSpec,
    RunSpec,
    iter_provenance,
    load_spec,
    resolve,
    resolve_child,
    resolve_sensitivity,
)
from engine.specs.sensitivity import (
    Ablation,
    CalibrationSpec,
    GradientMethod,
    MethodSpec,
    OutputErrorMethod,
    SensitivitySpec,
    WeightErrorMethod,
)
from engine.specs.states import (
    CacheSpec,
    FixedCache,
    FixedInputs,
    FloatCache,
    FloatInputs,
    InputsSpec,
    LayerCache,
    LayerInputs,
)
from engine.specs.subject import Subject
from engine.specs.training import NoTraining, QatTraining, TrainingSpec
from engine.specs.yaml_text import parse_yaml, to_yaml

__all__ = [
    "PRESETS",
    "TASKS_BY_HEAD",
    "Ablation",
    "AdapterFolder",
    "AdapterSpec",
    "AttackSpec",
    "BitPolicySpec",
    "BySensitivity",
    "CacheSpec",
    "CalibrationSpec",
    "ChildSpec",
    "CurriculumBits",
    "CyclicBits",
    "DataAware",
    "DataSpec",
    "ElasticLoraAdapter",
    "EvaluationSpec",
    "EvolutionaryStrategy",
    "ExperimentSpec",
    "FirstLayers",
    "FixedBits",
    "FixedCache",
    "FixedInputs",
    "FloatCache",
    "FloatInputs",
    "FloatQuantizer",
    "GradientAttack",
    "GradientMethod",
    "Head",
    "HeuristicsStrategy",
    "HillClimbingStrategy",
    "InitializationSpec",
    "InputsSpec",
    "IntegerQuantizer",
    "LayerBitsMap",
    "LayerCache",
    "LayerInputs",
    "LoftQ",
    "LoftQUniformQuantizer",
    "LoraAdapter",
    "LoraBankAdapter",
    "LowRankAdapter",
    "MapEvaluationSpec",
    "MapSpec",
    "MethodSpec",
    "MinimalError",
    "MixingSpec",
    "ModelSpec",
    "NoAdapter",
    "NoAttack",
    "NoTraining",
    "NormalFloatQuantizer",
    "ObjectiveSpec",
    "OutputErrorMethod",
    "Preset",
    "QatTraining",
    "QuantizerSpec",
    "RandomBits",
    "RandomMap",
    "RandomStrategy",
    "RankEvaluationSpec",
    "RankSearchSpec",
    "ResolvedSpec",
    "RoundToNearest",
    "RunSpec",
    "SensitivitySpec",
    "Spec",
    "StrategySpec",
    "Subject",
    "SwitchableBits",
    "TaskData",
    "TextData",
    "TrainingDataSpec",
    "TrainingSpec",
    "UniformMap",
    "WeightErrorMethod",
    "find_preset",
    "iter_provenance",
    "load_spec",
    "parse_yaml",
    "resolve",
    "resolve_child",
    "resolve_sensitivity",
    "to_yaml",
]
