"""A spec in the body of a request, as JSON or YAML. Start with `AskedValues`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Request

from engine.errors import SpecError
from engine.specs import parse_yaml
from engine.specs.yaml_text import MAX_YAML_BYTES

_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain")


def _describe_body(description: str, example: dict[str, Any], yaml: str) -> dict[str, Any]:
    """Return a body as OpenAPI has it."""
    content = {
        "application/json": {"schema": {"type": "object"}, "example": example},
        "application/yaml": {"schema": {"type": "string"}, "example": yaml},
    }
    return {"requestBody": {"required": True, "description": description, "content": content}}


OPENAPI_BODY = _describe_body(
    "The fields that differ from the defaults, as in a spec file; may hold `preset`. The complete "
    "form is at /api/v1/schema.",
    {"preset": "rtn", "quantizer": {"bits": 3}},
    "preset: rtn\n",
)
OPENAPI_SEARCH = _describe_body(
    "The fields that differ from the defaults: `search`, `objective`, `evaluation`, `seed`, "
    "`name`; {} for the defaults. The complete form is at /api/v1/schema?kind=search.",
    {"search": {"strategy": "hill-climbing", "num_evaluations": 40}},
    "search: {strategy: random}\n",
)
OPENAPI_EVALUATION = _describe_body(
    "`ranks`: one for each group of layers as a list, or maximal, median or minimal; besides, "
    "`evaluation`, `seed`, `name`. The complete form is at /api/v1/schema?kind=evaluation.",
    {"ranks": "median", "evaluation": {"benchmarks": ["openbookqa"]}},
    "ranks: median\n",
)


OPENAPI_MAPS = _describe_body(
    "`maps`: each `uniform` with `bits`, `layers` with `name` and `layer_bits`, or `random` with "
    "`widths`; besides, `attack` (of a classifier), `evaluation`, `seed`, `name`. The complete "
    "form is at /api/v1/schema?kind=map-evaluation.",
    {"maps": [{"map": "uniform", "bits": 4}, {"map": "random", "widths": [8, 6, 4]}]},
    "maps:\n- {map: uniform, bits: 4}\n- {map: random, widths: [8, 6, 4]}\n",
)


OPENAPI_SENSITIVITY = _describe_body(
    "The fields that differ from the defaults: `model`, `quantizer`, `method`, `unit`, `widths`, "
    "`start_bits`, `start_map`, `calibration`; or `parent`, whose model and quantizer they are. "
    "The complete form is at /api/v1/schema?kind=sensitivity.",
    {"method": {"method": "ablation"}, "widths": [4, 2], "calibration": {"num_samples": 16}},
    "method: {method: ablation}\nwidths: [4, 2]\n",
)
OPENAPI_SOLVE = _describe_body(
    "`sensitivity` (number of the run) and `budget` (`60MiB`, `3.0` bits, `25%`, or `amount` with "
    "`unit`: mib, model-mib, bits, percent); besides, `whole_model`, `pins`, `least` and `most` "
    "(width by layer or pattern), `widths`, `fuse`, `metric`, `exact`, and `format` of the text: "
    "bitdial, qalof, llama-cpp or compressed-tensors.",
    {"sensitivity": 12, "budget": "60MiB", "pins": {"*.0.*": 8}, "fuse": True},
    "sensitivity: 12\nbudget: 25%\nleast: {'*.mlp.*': 3}\n",
)


async def read_values(request: Request) -> dict[str, Any]:
    """Read nested values from the body.

    Raises:
        SpecError: When the body is larger than 1 MB, or neither JSON nor YAML with fields.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_YAML_BYTES:
            raise SpecError.at("", "the body is larger than 1 MB; a spec has a few dozen lines")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise SpecError.at("", "the body is not UTF-8 text") from None
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    return parse_yaml(text) if kind.lower() in _YAML_TYPES else _parse_json(text)


def _parse_json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise SpecError.at(
            "", "the body is not JSON; send JSON, or YAML with Content-Type: application/yaml"
        ) from None
    if not isinstance(values, dict):
        raise SpecError.at("", 'the body holds no fields; start with {"preset": "rtn"}')
    return values


AskedValues = Annotated[dict[str, Any], Depends(read_values)]
