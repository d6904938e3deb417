"""Every format of layer maps there is. A further one is a file beside these and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.layer_maps.compressed_tensors import COMPRESSED_TENSORS
from engine.layer_maps.layer_map import FormatName, MapFormat
from engine.layer_maps.llama_cpp import LLAMA_CPP
from engine.layer_maps.qalof_json import QALOF
from engine.layer_maps.yaml_file import BITDIAL

FORMATS: Mapping[FormatName, MapFormat] = MappingProxyType(
    {each.name: each for each in (BITDIAL, QALOF, LLAMA_CPP, COMPRESSED_TENSORS)}
)
"""By name, in the order in which they are asked whether a file is theirs."""
