"""Tiny random decoders of many families, built from their configurations alone.

    network = tiny_decoder("gemma2")

Their weights are wide, so that scores depend clearly on what is read. A name with a window has one of eight tokens.
"""

from __future__ import annotations

from typing import Any

import torch

_COMMON = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
_LAYERS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
_WINDOW: dict[str, Any] = {"sliding_window": 8}
_MIXED = _WINDOW | _LAYERS

# Name -> model type, and how its configuration differs. None takes a setting away.
TREES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "mistral with a window": ("mistral", _WINDOW),
    "gpt2, learned positions": ("gpt2", _GPT),
    "gemma2, capped logits": (
        "gemma2",
        {"final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8} | _WINDOW,
    ),
    "gemma3_text": ("gemma3_text", {"query_pre_attn_scalar": 8} | _MIXED),
    "granite, scaled logits": ("granite", {"logits_scaling": 8.0}),
    "falcon": ("falcon", {"head_dim": None}),
}
MORE_TREES: dict[str, tuple[str, dict[str, Any]]] = {
    "smollm3": ("smollm3", {}),
    "olmo2": ("olmo2", {}),
    "cohere, scaled logits": ("cohere", {"logit_scale": 0.25}),
    "opt, learned positions": ("opt", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "phi3": ("phi3", {}),
    "qwen3": ("qwen3", {}),
    "qwen2": ("qwen2", {}),
    "qwen2 with a window": ("qwen2", {"use_sliding_window": True, "max_window_layers": 1} | _WINDOW),
    "qwen3_moe": ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}),
    "mixtral": ("mixtral", {"num_local_experts": 4}),
    "phi3 with a window": ("phi3", _WINDOW),
    "cohere2": ("cohere2", {"logit_scale": 0.25} | _MIXED),
    "olmo3": ("olmo3", _WINDOW),
    "exaone4": ("exaone4", {}),
    "ministral": ("ministral", _WINDOW),
    "gpt_oss": ("gpt_oss", {"num_local_experts": 4} | _MIXED),
    "gpt_neox": ("gpt_neox", {}),
    "gptj": ("gptj", _GPT | {"rotary_dim": 4}),
    "glm4": ("glm4", {}),
    "stablelm": ("stablelm", {}),
    "starcoder2": ("starcoder2", {}),
    "nemotron": ("nemotron", {}),
    "apertus": ("apertus", {}),
    "gemma4_text": ("gemma4_text", {}),
}
# Distances by column, states that run on, windows without a mask of their own.
NO_TREES: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom, distances by column": ("bloom", {"n_layer": 2, "n_head": 4}),
    "mamba": ("mamba", {"state_size": 8}),
    "gpt_neo, window by column": (
        "gpt_neo",
        {"num_layers": 2, "num_heads": 4, "num_hidden_layers": None, "window_size": 8}
        | {"attention_types": [[["global", "local"], 1]]},
    ),
    "llama4_text, chunks": ("llama4_text", {"attention_chunk_size": 8}),
}
MORE_WITHOUT: dict[str, tuple[str, dict[str, Any]]] = {
    "lfm2, convolutions": ("lfm2", {"layer_types": ["conv", "full_attention", "conv"]}),
    "falcon, distances by column": ("falcon", {"alibi": True, "head_dim": None}),
    "mpt, distances by column": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2}),
    "rwkv": ("rwkv", {"attention_hidden_size": 32}),
    "mamba2": (
        "mamba2",
        {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "expand": 2},
    ),
    "jamba": ("jamba", {}),
    "recurrent_gemma": ("recurrent_gemma", {"attention_window_size": 2048}),
    "qwen3_next": ("qwen3_next", {}),
    "olmo_hybrid": ("olmo_hybrid", {}),
    "minimax": ("minimax", {}),
}


def tiny_decoder(name: str, vocabulary: int = 60) -> Any:
    """The network of that name, in eval mode."""
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, changes = (TREES | MORE_TREES | NO_TREES | MORE_WITHOUT)[name]
    wanted = _COMMON | {"vocab_size": vocabulary} | changes
    taken_away = {key for key, value in changes.items() if value is None}
    config = AutoConfig.for_model(
        kind, **{key: value for key, value in wanted.items() if key not in taken_away}
    )
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.2)
    return network
