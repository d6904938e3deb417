"""GGUF's tensor names as the module names Transformers gives the same layers.

Only architectures whose layers are the same matrices in both: decoders built like Llama, and GPT-2.
Start with `find_module_name`.
"""

from __future__ import annotations

from collections.abc import Mapping

LLAMA_LIKE = frozenset(
    {"llama", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "smollm3", "granite", "stablelm"}
)
ARCHITECTURES = LLAMA_LIKE | {"gpt2"}
NOT_PARAMETERS = frozenset({"rope_freqs.weight"})

_LLAMA = {
    "token_embd": "model.embed_tokens",
    "output": "lm_head",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GPT2 = {
    "token_embd": "transformer.wte",
    "position_embd": "transformer.wpe",
    "output": "lm_head",
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}


def list_names(architecture: str) -> tuple[Mapping[str, str], str]:
    """Return the module of every kind of tensor, and where the blocks are."""
    return (_GPT2, "transformer.h") if architecture == "gpt2" else (_LLAMA, "model.layers")


def find_module_name(name: str, architecture: str) -> str | None:
    """Return the module a GGUF tensor "blk.3.attn_q.weight" belongs to, or None where unknown."""
    table, blocks = list_names(architecture)
    parts = name.removesuffix(".weight").split(".")
    if parts[0] == "blk" and len(parts) == 3:
        module = table.get(parts[2])
        return module and f"{blocks}.{parts[1]}.{module}"
    return table.get(".".join(parts))
