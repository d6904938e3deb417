"""What requests about bit maps hold, as OpenAPI has it. Start with `OPENAPI_EDITS`."""

from __future__ import annotations

from typing import Any


def _describe(description: str, *examples: dict[str, Any]) -> dict[str, Any]:
    named = {str(number): {"value": each} for number, each in enumerate(examples, start=1)}
    content = {"application/json": {"schema": {"type": "object"}, "examples": named}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


OPENAPI_OPEN = _describe(
    "One of `sensitivity`, the number of a run that scored layers (with its `metric` where it is "
    "not the usual one); `run`, whose widths are taken (`map` where it measured several), besides "
    "`sensitivity` for its scores; or `model` and `quantizer`, as in a spec. `file` is the text of "
    "a layer map, in any known format, laid over that; `name` what to call it.",
    {"name": "3 bits", "sensitivity": 7},
    {"run": 12, "sensitivity": 7},
    {"model": "bundled:smollm2-135m-instruct", "quantizer": {"grid": "integer", "bits": 4}},
)
OPENAPI_EDITS = _describe(
    "`revision` is the one that the edits were made from, `client` a word of the tab's own (without"
    " it all that changed since is another's). Edits: "
    "set (`bits`), pin, unpin, limit (`least`, `most`; null for none), each for `layers` or a "
    "`pattern`; fuse (`fused`), solve (`budget` of `amount` and `unit`: mib, model-mib, bits, "
    "percent), undo, redo, restore (`version`), import (`text`), name (`name`). A page that may "
    "send an edit twice gives `session`, a word of its own, and `sequence`, the number of the "
    "first edit: it counts its edits from 1 up, and numbers that were done are skipped.",
    {
        "revision": 3,
        "client": "k2v9",
        "session": "x7mb",
        "sequence": 12,
        "edits": [
            {"edit": "set", "pattern": "*.mlp.*", "bits": 3},
            {"edit": "pin", "layers": ["model.layers.0.self_attn.q_proj"]},
            {"edit": "solve", "budget": {"amount": 3.0, "unit": "bits"}},
        ],
    },
    {"revision": 4, "client": "k2v9", "edits": [{"edit": "undo"}]},
)
OPENAPI_NAME = _describe("What to call the version.", {"name": "before the meeting"})
OPENAPI_PRESET = _describe("The preset to train with.", {"preset": "qat-lora"})
