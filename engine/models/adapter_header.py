"""What a folder saved by PEFT holds: its layers, ranks and factors, from headers alone; no torch.

Only plain LoRA pairs are accepted, and a head that was trained whole beside them, as PEFT saves it
with every classifier: whatever else it can save changes more than s·B·A adds to a layer. Start with
`read_adapter_header`.

Source: PEFT's checkpoint format, https://huggingface.co/docs/peft/developer_guides/checkpoint; the
factor is alpha / r, or alpha / √r for rank-stabilized adapters (Kalajdzievski 2023,
arXiv:2312.03732).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.models.safetensors_header import Shapes, read_header, read_json

FIELD = "initialization.path"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
FIRST, SECOND = ".lora_A.weight", ".lora_B.weight"

_ACCEPTED = f"accepted is a folder with {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}, as PEFT saves it"
_UNKNOWN_TO_US = (
    "use_dora", "lora_bias", "use_qalora", "target_parameters",
    "layer_replication", "alora_invocation_tokens", "trainable_token_indices", "arrow_config",
    "use_bdlora", "velora_config", "monteclora_config", "kasa_config",
)  # fmt: skip
_HEAD_MODULES = (
    "classifier", "score", "qa_outputs", "pooler", "pre_classifier", "classification_head", "head",
    "sequence_summary", "logits_proj",
)  # fmt: skip
"""What Transformers calls the modules above the body of a model that classifies or marks spans."""
_PLAIN = f"plain LoRA pairs and a head's modules ({', '.join(_HEAD_MODULES[:3])}, ...)"
_HARMLESS_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_LITERAL = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class SavedPair:
    """One pair: its layer's shape (O, I), its rank, and the factor s of s·B·A."""

    shape: tuple[int, int]
    rank: int
    scaling: float


@dataclass(frozen=True)
class AdapterHeader:
    """An adapter without its weights.

    Attributes:
        folder: Where it lies.
        pairs: Layer name, as the model has it, to pair; never empty.
        head: Shape of each parameter of a head that was trained whole, by the model's name for it;
            empty where there was none.
    """

    folder: Path
    pairs: Mapping[str, SavedPair]
    head: Mapping[str, tuple[int, ...]]

    @property
    def rank(self) -> int:
        """The largest rank of a pair."""
        return max(pair.rank for pair in self.pairs.values())


def read_adapter_header(path: str) -> AdapterHeader:
    """Read config and header of an adapter folder.

    Raises:
        ModelError: At `initialization.path`, when there is no such folder, it is no adapter, or one
            of a kind that is not read.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise _refuse(f"there is no folder {path}; {_ACCEPTED}")
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise _refuse(f"the folder {path} holds no {name}; {_ACCEPTED}")
    config = read_json(folder / ADAPTER_CONFIG, field=FIELD)
    _check_kind(config)
    tensors = read_header(folder / ADAPTER_WEIGHTS, field=FIELD)
    named = {name.removeprefix(PREFIX): shape for name, shape in tensors.items()}
    head = {name: shape for name, shape in named.items() if _is_of_head(name)}
    shapes = _sort_pairs({name: shape for name, shape in named.items() if name not in head})
    pairs = {name: _build_pair(name, *shape, config) for name, shape in shapes.items()}
    if not pairs:
        raise _refuse(f"the adapter in {path} has no pair; {_ACCEPTED}")
    return AdapterHeader(folder, pairs, head)


def _refuse(sentence: str) -> ModelError:
    return ModelError(sentence, field=FIELD)


def _is_of_head(name: str) -> bool:
    """Whether a tensor lies in a module above the body, and is no half of a pair."""
    return name.partition(".")[0] in _HEAD_MODULES and not name.endswith((FIRST, SECOND))


def _check_kind(config: Mapping[str, Any]) -> None:
    """Refuse what is more or other than pairs beside frozen weights."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise _refuse(f"the adapter is of PEFT's kind {kind}; accepted is LORA")
    if config.get("bias", "none") != "none":
        raise _refuse("the adapter has trained biases too; accepted are those with bias none")
    found = next((name for name in _UNKNOWN_TO_US if config.get(name)), None)
    if found is not None:
        raise _refuse(f"the adapter was made with {found}; accepted are plain LoRA pairs")
    whole = config.get("modules_to_save") or []
    names = map(str, whole if isinstance(whole, list) else [whole])
    strange = next((name for name in names if name not in _HEAD_MODULES), None)
    if strange is not None:
        raise _refuse(f"the adapter has {strange} in modules_to_save; accepted are {_PLAIN}")
    start = config.get("init_lora_weights", True)
    if start not in _HARMLESS_STARTS:
        raise _refuse(
            f"the adapter was started by {start}, which changes the model's own weights; accepted "
            "is one that was converted to a plain LoRA when it was saved"
        )


def _sort_pairs(tensors: Shapes) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the shapes of A and B by layer."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor, shape in tensors.items():
        end = next((end for end in (FIRST, SECOND) if tensor.endswith(end)), None)
        if end is None or len(shape) != 2:
            raise _refuse(
                f"the adapter holds {tensor}, which is no pair of a linear layer; accepted are "
                f"{_PLAIN}"
            )
        found.setdefault(tensor.removesuffix(end), {})[end] = shape
    for name, halves in found.items():
        if len(halves) != 2 or halves[FIRST][0] != halves[SECOND][1]:
            raise _refuse(f"the pair of {name} is not whole; save the adapter again")
    return {name: (halves[FIRST], halves[SECOND]) for name, halves in found.items()}


def _build_pair(
    name: str, first: tuple[int, ...], second: tuple[int, ...], config: Mapping[str, Any]
) -> SavedPair:
    rank = first[0]
    alpha = _find_alpha(name, config)
    divisor = rank**0.5 if config.get("use_rslora") else rank
    if not divisor:
        raise _refuse(f"the pair of {name} is not whole; save the adapter again")
    return SavedPair((second[0], first[1]), rank, alpha / divisor)


def _find_alpha(name: str, config: Mapping[str, Any]) -> float:
    """Return a layer's alpha: that of the first pattern that names it, else the common one."""
    patterns = config.get("alpha_pattern") or {}
    alpha = config.get("lora_alpha")
    if isinstance(patterns, Mapping):
        alpha = next((value for key, value in patterns.items() if _names(str(key), name)), alpha)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise _refuse(f"lora_alpha is {alpha!r} in {ADAPTER_CONFIG}; accepted is a number")
    return float(alpha)


def _names(pattern: str, name: str) -> bool:
    """Whether a key of alpha_pattern is a layer's name, or its last parts.

    PEFT takes keys for regular expressions. One from a stranger can keep a machine busy for hours,
    so only those that are names in other clothes are read.
    """
    literal = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".").removeprefix(".*.")
    if not _LITERAL.fullmatch(literal):
        raise _refuse(
            f"alpha_pattern has the expression {pattern!r}; accepted are the names of layers"
        )
    return name == literal or (not pattern.startswith("^") and name.endswith(f".{literal}"))
