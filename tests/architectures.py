"""Tiny models of every causal architecture that transformers knows, with random weights."""

from __future__ import annotations

import warnings
from typing import Any

SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "emb_dim", "lru_width", "embedding_dim"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "decoder_ffn_dim", "encoder_ffn_dim"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "num_blocks"), 4),
    **dict.fromkeys(("num_decoder_layers", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length"), 256),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "window_size", "attention_window_size"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k"), 2),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "n_group", "topk_group", "num_expert_group"), 1),
    **dict.fromkeys(("first_k_dense_replace", "num_dense_layers"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "head_dim", "attention_head_dim"), 8),
    **dict.fromkeys(("state_size", "mamba_d_state", "mamba_n_heads", "mamba_d_head", "rotary_dim"), 8),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 8),
    **dict.fromkeys(("linear_num_value_heads", "linear_num_heads"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size"), 32),
    "num_key_value_heads": 2,
    "use_sliding_window": True,
    "max_window_layers": 2,
    "linear_num_key_heads": 2,
    "mamba_n_groups": 1,
    "n_mamba_heads": 2,
    "mamba_dt_rank": 4,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 128,
    "num_kv_shared_layers": 0,
    "initializer_range": 0.2,
    "is_decoder": True,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""What is made small, where an architecture has it. Windows hold 8 tokens."""

_LATENT = {"num_key_value_heads": 4}
_MIXED = {"layer_types": ["linear_attention", "full_attention"] * 2}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
SPECIAL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite"), _LATENT),
    **dict.fromkeys(("glm_moe_dsa", "longcat_flash", "minicpm3", "youtu", "dots3_note_text"), _LATENT),
    "bailing_hybrid": {**_MIXED, **_LATENT, "topk_group": 1, "mlp_layer_types": ["dense", "sparse"] * 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "codegen": {"rotary_dim": 4},
    "falcon": {"num_kv_heads": 4, "ffn_hidden_size": 64},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma4_text": {"per_layer_config": None, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": _MIXED,
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {**_MIXED, **_LATENT, "mlp_layer_types": ["dense", "sparse"] * 2},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "nemotron_h": {"layer_types": ["mamba", "moe", "attention", "mamba"], "n_groups": 1},
    "xlstm": {"qk_dim_factor": 1.0},
    "zamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "attention_hidden_size": 64, "attention_head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_headdim": 8, "n_mamba_heads": 8},
}
"""What an architecture needs besides, to be tiny and still of its kind."""


def tiny(kind: str, vocabulary: int) -> Any:
    """A model of an architecture, by its ``model_type``, in float32."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        text = CONFIG_MAPPING[kind]().get_text_config(decoder=True)
        names = {name for name in SMALL if name in text.to_dict() or name in type(text).attribute_map}
        given = {name: SMALL[name] for name in SMALL if name in names}
        given |= {name: vocabulary for name in names if name.startswith("vocab_size")}
        given |= {"vocab_size": vocabulary, **SPECIAL.get(kind, {}), **SPECIAL.get(text.model_type, {})}
        model = AutoModelForCausalLM.from_config(type(text)(**given))
    return model.eval()
