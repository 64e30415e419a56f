#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The configurations of archs/: tiny models, one a switch of a family's config.json. Read by make_archs.py and interop/check_archs.py."""

CASES = {}


def case(name, cls, base=None, *, old=False, dtype="f32", patch=None, rename=None, extra=None, files=None, pooling=None, types=False,
         chunks=True, gain=None, keys=None, alter=None, tolerance=2e-4, attn="eager", stacked=False, **config):
    """
    cls: class of transformers. base: name of the case that this one differs from (its config is inherited). old: config.json with the keys
    of transformers 4 (rope_theta, rope_scaling, torch_dtype). dtype: of the stored weights. patch: keys put into config.json after saving
    (value None with key in `keys`: removed). rename: (from, to) pairs on tensor names, as in older files. extra: tensors that a file holds
    and no model needs, {name: shape}. files: more files of the folder. pooling: {"mode", "normalize"} of sentence-transformers.
    alter: {key: other value} that must change the result, beside the keys in which the case differs from its base.
    stacked: all experts of a layer in one tensor, as transformers 5 holds them. attn: of transformers (Falcon's "eager" adds ALiBi twice). tolerance: of the logits' range, at most. chunks: False where the result depends on how a prompt is cut (frequencies made from the length of a step).
    """
    inherited = dict(CASES[base]["config"]) if base else {}
    CASES[name] = {"name": name, "cls": cls, "base": base, "own": config, "config": {**inherited, **config}, "old": old, "dtype": dtype,
                   "patch": patch or {}, "rename": rename or [], "extra": extra or {}, "files": files or {}, "pooling": pooling,
                   "types": types, "chunks": chunks, "gain": gain or {}, "remove": keys or [], "alter": alter or {}, "tolerance": tolerance, "attn": attn,
                   "stacked": stacked}


def rope(kind="default", theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

# ------------------------------------------------------------------------------------------------------------------ llama
L = "LlamaForCausalLM"
case("llama", L, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS)
case("llama_gqa", L, "llama", num_key_value_heads=2, intermediate_size=88)
case("llama_mqa", L, "llama", num_key_value_heads=1, tie_word_embeddings=True)
case("llama_odd", L, "llama", hidden_size=60, num_attention_heads=5, num_key_value_heads=5, intermediate_size=77, vocab_size=103)
case("llama_tied", L, "llama", tie_word_embeddings=True)
case("llama_attention_bias", L, "llama_gqa", attention_bias=True)
case("llama_mlp_bias", L, "llama_gqa", mlp_bias=True)
case("llama_head_dim", L, "llama_gqa", head_dim=24, hidden_size=48)
case("llama_act", L, "llama_gqa", hidden_act="gelu_pytorch_tanh")
case("llama_eps", L, "llama_gqa", rms_norm_eps=0.05)
case("llama_bf16", L, "llama_gqa", dtype="bf16")
case("llama_f16", L, "llama_gqa", dtype="f16", old=True)
case("llama_theta", L, "llama_gqa", rope_parameters=rope(theta=500.0))
case("llama_linear", L, "llama_gqa", rope_parameters=rope("linear", factor=4.0))
case("llama_dynamic", L, "llama_gqa", max_position_embeddings=20, rope_parameters=rope("dynamic", factor=3.0), chunks=False)
case("llama_yarn", L, "llama_gqa", rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32))
case("llama_yarn_all", L, "llama_gqa", rope_parameters=rope("yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=4.0,
     beta_slow=0.5, attention_factor=1.3, truncate=False))
case("llama_yarn_mscale", L, "llama_gqa", rope_parameters=rope("yarn", factor=8.0, original_max_position_embeddings=16, mscale=0.7, mscale_all_dim=1.4))
case("llama_llama3", L, "llama_gqa", rope_parameters=rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24))
case("llama_old", L, "llama_gqa", old=True, rope_parameters=rope(theta=700.0))
case("llama_old_linear", L, "llama_linear", old="type")
case("llama_old_dynamic", L, "llama_dynamic", old="type", chunks=False)
case("llama_old_yarn", L, "llama_yarn", old="type")
case("llama_old_llama3", L, "llama_llama3", old=True)
case("llama_no_kv", L, "llama", old=True, keys=["num_key_value_heads", "head_dim", "attention_bias", "mlp_bias", "rope_theta", "rope_scaling"])

# ---------------------------------------------------------------------------------------------------------- mistral, qwen
M = "MistralForCausalLM"
case("mistral", M, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
     max_position_embeddings=128, sliding_window=8, tie_word_embeddings=False, **IDS, alter={"sliding_window": None})
case("mistral_full", M, "mistral", sliding_window=None, head_dim=12, old=True)
Q = "Qwen2ForCausalLM"
case("qwen2", Q, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS)
case("qwen2_tied", Q, "qwen2", tie_word_embeddings=True, old=True, rope_parameters=rope(theta=1000000.0))
case("qwen2_sliding", Q, "qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=2)
case("qwen2_old_sliding", Q, "qwen2_sliding", old=True, keys=["layer_types"])
case("qwen2_yarn", Q, "qwen2", old="type", rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32))
Q = "Qwen3ForCausalLM"
case("qwen3", Q, vocab_size=101, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=24,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS)
case("qwen3_bias", Q, "qwen3", attention_bias=True, tie_word_embeddings=True, old=True)
case("qwen3_sliding", Q, "qwen3", use_sliding_window=True, sliding_window=8, max_window_layers=1)

# ------------------------------------------------------------------------------------------------------------------ gemma
G = "GemmaForCausalLM"
case("gemma", G, vocab_size=101, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=16,
     max_position_embeddings=128, **IDS)
case("gemma_gqa", G, "gemma", num_key_value_heads=2, attention_bias=True, old=True, patch={"hidden_act": "gelu"}, tolerance=1e-5)    # "gelu" of old files means tanh
G = "Gemma2ForCausalLM"
case("gemma2", G, vocab_size=101, hidden_size=48, intermediate_size=88, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
     max_position_embeddings=128, sliding_window=8, query_pre_attn_scalar=23, attn_logit_softcapping=4.0, final_logit_softcapping=1.5, **IDS,
     alter={"sliding_window": 128, "query_pre_attn_scalar": 16, "attn_logit_softcapping": None, "final_logit_softcapping": None})
case("gemma2_nocap", G, "gemma2", attn_logit_softcapping=None, final_logit_softcapping=None)
case("gemma2_old", G, "gemma2", old=True, keys=["layer_types"])
G = "Gemma3ForCausalLM"
case("gemma3", G, vocab_size=101, hidden_size=48, intermediate_size=88, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
     max_position_embeddings=128, sliding_window=8, query_pre_attn_scalar=23,
     layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
     rope_parameters={"sliding_attention": rope(theta=300.0), "full_attention": rope(theta=20000.0)}, **IDS,
     alter={"sliding_window": 128, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention"] * 4,
            "rope_parameters": {"sliding_attention": rope(theta=300.0), "full_attention": rope(theta=300.0)}})
case("gemma3_linear", G, "gemma3", rope_parameters={"sliding_attention": rope(theta=300.0), "full_attention": rope("linear", theta=20000.0, factor=8.0)})
case("gemma3_old", G, "gemma3_linear", old="gemma3")
case("gemma3_caps", G, "gemma3", final_logit_softcapping=1.5)
case("gemma3_multimodal", "Gemma3ForConditionalGeneration", mm_tokens_per_image=4, image_token_index=99, boi_token_index=97, eoi_token_index=98,
     text_config={k: v for k, v in CASES["gemma3"]["config"].items()},
     vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8})

# -------------------------------------------------------------------------------------------------- phi, stablelm, olmo
P = "PhiForCausalLM"
case("phi", P, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS, alter={"partial_rotary_factor": 0.25})
case("phi_qk_layernorm", P, "phi", qk_layernorm=True)
case("phi_gqa", P, "phi", num_key_value_heads=2, partial_rotary_factor=0.25, old=True)
P = "Phi3ForCausalLM"
case("phi3", P, vocab_size=101, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, original_max_position_embeddings=128, tie_word_embeddings=False, sliding_window=None, **IDS)
case("phi3_window", P, "phi3", sliding_window=8, num_key_value_heads=2, tie_word_embeddings=True, old=True)
SHORT, LONG = [1.0, 1.05, 1.1, 1.3, 1.7, 2.5], [1.1, 1.4, 2.0, 4.0, 9.0, 20.0]
case("phi3_long", P, "phi3", original_max_position_embeddings=16,
     rope_parameters=rope("longrope", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=16), chunks=False)
case("phi3_short", P, "phi3", original_max_position_embeddings=64,
     rope_parameters=rope("longrope", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=64))
case("phi3_old_long", P, "phi3_long", old="type", chunks=False)
case("phi3_old_short", P, "phi3_short", old="type")
case("phi3_partial", P, "phi3", rope_parameters=rope("longrope", short_factor=SHORT[:3], long_factor=LONG[:3], original_max_position_embeddings=16, partial_rotary_factor=0.5),
     original_max_position_embeddings=16, chunks=False)
case("phi3_old_partial", P, "phi3_partial", old="type", chunks=False)
S = "StableLmForCausalLM"
case("stablelm", S, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS, alter={"partial_rotary_factor": 0.5, "layer_norm_eps": 0.01})
case("stablelm_parallel", S, "stablelm", use_parallel_residual=True)
case("stablelm_qk", S, "stablelm", qk_layernorm=True, num_key_value_heads=2)
case("stablelm_bias", S, "stablelm", use_qkv_bias=True, partial_rotary_factor=0.5, old=True)
O = "OlmoForCausalLM"
case("olmo", O, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS)
case("olmo_clip", O, "olmo", clip_qkv=0.9, num_key_value_heads=2, tie_word_embeddings=True, old=True)
O = "Olmo2ForCausalLM"
case("olmo2", O, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, tie_word_embeddings=False, **IDS)
case("olmo2_gqa", O, "olmo2", num_key_value_heads=2, attention_bias=True, old=True)

# ------------------------------------------------------------------------------------------------------ mixture of experts
X = "MixtralForCausalLM"
case("mixtral", X, vocab_size=101, hidden_size=64, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
     max_position_embeddings=128, num_local_experts=6, num_experts_per_tok=2, tie_word_embeddings=False, sliding_window=None, **IDS, alter={"num_experts_per_tok": 3})
case("mixtral_window", X, "mixtral", sliding_window=8, num_experts_per_tok=3, old=True)
X = "Qwen3MoeForCausalLM"
case("qwen3_moe", X, vocab_size=101, hidden_size=48, intermediate_size=88, moe_intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
     num_key_value_heads=2, head_dim=16, max_position_embeddings=128, num_experts=6, num_experts_per_tok=2, norm_topk_prob=True,
     tie_word_embeddings=False, **IDS, alter={"norm_topk_prob": False})
case("qwen3_moe_raw", X, "qwen3_moe", norm_topk_prob=False)
case("qwen3_moe_sparse", X, "qwen3_moe", num_hidden_layers=4, decoder_sparse_step=2, mlp_only_layers=[3], old=True)
X = "GptOssForCausalLM"
case("gpt_oss", X, vocab_size=101, hidden_size=64, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
     max_position_embeddings=128, num_local_experts=6, num_experts_per_tok=2, sliding_window=8, tie_word_embeddings=False, **IDS,
     rope_parameters=rope("yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=32), attn="eager",
     alter={"num_experts_per_tok": 3})
case("gpt_oss_switches", X, "gpt_oss", attention_bias=False, swiglu_limit=0.5, swiglu_alpha=1.2, rope_parameters=rope(theta=9000.0),
     layer_types=["full_attention", "sliding_attention", "sliding_attention"], attn="eager")
X = "OlmoeForCausalLM"
case("olmoe", X, vocab_size=101, hidden_size=64, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
     max_position_embeddings=128, num_experts=6, num_experts_per_tok=2, tie_word_embeddings=False, **IDS, alter={"norm_topk_prob": True})
case("olmoe_clip", X, "olmoe", clip_qkv=0.9, norm_topk_prob=True, num_key_value_heads=2, old=True)

# --------------------------------------------------------------------------------------------------------- gpt-2 and kin
H = "GPT2LMHeadModel"
case("gpt2", H, vocab_size=101, n_embd=64, n_layer=3, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2)
case("gpt2_layer_scale", H, "gpt2", scale_attn_by_inverse_layer_idx=True, n_head=2)
case("gpt2_unscaled", H, "gpt2", scale_attn_weights=False, gain={"c_attn": 0.6})
case("gpt2_inner", H, "gpt2", n_embd=60, n_head=5, n_inner=77, activation_function="relu", layer_norm_epsilon=0.02, tie_word_embeddings=False)
case("gpt2_hub", H, "gpt2", rename=[("transformer.", "")], extra={f"h.{i}.attn.bias": [1, 1, 128, 128] for i in range(3)}, old=True)
case("gpt_neo", "GPTNeoForCausalLM", vocab_size=101, hidden_size=64, num_layers=4, attention_types=[[["global", "local"], 2]], num_heads=4, window_size=8,
     max_position_embeddings=128, bos_token_id=1, eos_token_id=2, gain={"q_proj": 0.8, "k_proj": 0.8}, alter={"window_size": 9, "activation_function": "gelu"})
case("gpt_neo_inner", "GPTNeoForCausalLM", "gpt_neo", intermediate_size=77, activation_function="gelu", num_layers=2, attention_types=[[["local"], 2]],
     gain={"q_proj": 0.8, "k_proj": 0.8}, extra={"transformer.h.0.attn.attention.bias": [1, 1, 128, 128], "transformer.h.0.attn.attention.masked_bias": []})
N = "GPTNeoXForCausalLM"
case("gpt_neox", N, vocab_size=101, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96, max_position_embeddings=128,
     tie_word_embeddings=False, **IDS)
case("gpt_neox_serial", N, "gpt_neox", use_parallel_residual=False)
case("gpt_neox_rotary", N, "gpt_neox", rope_parameters=rope(theta=500.0, partial_rotary_factor=0.5), hidden_act="gelu_fast")
case("gpt_neox_full", N, "gpt_neox", rope_parameters=rope(partial_rotary_factor=1.0), attention_bias=False, tie_word_embeddings=True)
case("gpt_neox_old", N, "gpt_neox", old="neox", extra={"gpt_neox.layers.0.attention.rotary_emb.inv_freq": [2], "gpt_neox.layers.0.attention.masked_bias": []})
case("gptj", "GPTJForCausalLM", vocab_size=101, n_embd=64, n_layer=3, n_head=4, n_positions=128, rotary_dim=8, bos_token_id=1, eos_token_id=2, alter={"rotary_dim": 4})
case("gptj_inner", "GPTJForCausalLM", "gptj", n_inner=77, rotary_dim=16, activation_function="gelu")
case("codegen", "CodeGenForCausalLM", vocab_size=101, n_embd=64, n_layer=3, n_head=4, n_positions=128, n_ctx=128, rotary_dim=8, bos_token_id=1, eos_token_id=2,
     tie_word_embeddings=False)
case("codegen_8", "CodeGenForCausalLM", "codegen", n_head=8, rotary_dim=4, n_inner=77)
T = "OPTForCausalLM"
case("opt", T, vocab_size=101, hidden_size=64, word_embed_proj_dim=64, ffn_dim=96, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=128, **IDS)
case("opt_350m", T, "opt", do_layer_norm_before=False, word_embed_proj_dim=40, old=True)
case("opt_nobias", T, "opt", enable_bias=False, layer_norm_elementwise_affine=False, activation_function="gelu")
case("opt_no_final", T, "opt", _remove_final_layer_norm=True, tie_word_embeddings=False)
case("opt_hub", T, "opt", rename=[("model.decoder.", "decoder.")], old=True)
B = "BloomForCausalLM"
case("bloom", B, vocab_size=101, hidden_size=64, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=2, pad_token_id=3)
case("bloom_heads", B, "bloom", hidden_size=60, n_head=6, rename=[("transformer.", "")])
case("bloom_post", B, "bloom", apply_residual_connection_post_layernorm=True, old=True)
F = "FalconForCausalLM"
case("falcon_7b", F, vocab_size=101, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, multi_query=True, parallel_attn=True, bias=False,
     alibi=False, new_decoder_architecture=False, max_position_embeddings=128, bos_token_id=1, eos_token_id=2)
case("falcon_40b", F, "falcon_7b", new_decoder_architecture=True, num_kv_heads=2, old=True)
case("falcon_11b", F, "falcon_40b", num_ln_in_parallel_attn=1, ffn_hidden_size=88, tie_word_embeddings=False)
case("falcon_rw", F, "falcon_7b", multi_query=False, parallel_attn=False, bias=True, alibi=True, attn="sdpa")
case("falcon_rw_heads", F, "falcon_rw", num_attention_heads=6, hidden_size=60, attn="sdpa")
case("falcon_serial", F, "falcon_7b", parallel_attn=False, bias=True, rope_parameters=rope(theta=300.0))
Z = "MptForCausalLM"
case("mpt", Z, vocab_size=101, d_model=64, n_heads=4, n_layers=3, expansion_ratio=2, max_seq_len=128)
case("mpt_heads", Z, "mpt", d_model=60, n_heads=6)
case("mpt_clip", Z, "mpt", attn_config={"clip_qkv": 0.9, "softmax_scale": 0.4})

# --------------------------------------------------------------------------------------------------------------- encoders
E = dict(vocab_size=101, hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=64, pad_token_id=0)
case("bert", "BertModel", types=True, type_vocab_size=2, **E)
case("bert_act", "BertModel", "bert", hidden_act="gelu_new", layer_norm_eps=0.01)
case("bert_mlm", "BertForMaskedLM", "bert", types=True)
case("bert_gamma", "BertForMaskedLM", "bert", old=True, rename=[("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")],
     extra={"cls.seq_relationship.weight": [2, 48], "cls.seq_relationship.bias": [2], "bert.pooler.dense.weight": [48, 48], "bert.pooler.dense.bias": [48]})
case("minilm_mean", "BertModel", "bert", pooling={"mode": "mean", "normalize": True}, extra={"embeddings.position_ids": [1, 64]})
case("minilm_cls", "BertModel", "bert", pooling={"mode": "cls", "normalize": False})
case("minilm_new", "BertModel", "bert", pooling={"mode": "mean", "normalize": False, "new": True})
case("minilm_max", "BertModel", "bert", pooling={"mode": "max", "normalize": True})
R = dict(E, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2)
case("roberta", "RobertaModel", **R)
case("roberta_mlm", "RobertaForMaskedLM", "roberta")
case("xlm_roberta", "XLMRobertaModel", pooling={"mode": "cls", "normalize": True}, **R)
case("xlm_roberta_mlm", "XLMRobertaForMaskedLM", "xlm_roberta")
case("distilbert", "DistilBertModel", vocab_size=101, dim=48, hidden_dim=88, n_layers=3, n_heads=4, max_position_embeddings=64, pad_token_id=0)
case("distilbert_mlm", "DistilBertForMaskedLM", "distilbert", sinusoidal_pos_embds=True, activation="relu")

# -------------------------------------------------------------------------------------------------------- encoder-decoder
V = "T5ForConditionalGeneration"
case("t5", V, vocab_size=101, d_model=48, d_kv=12, d_ff=88, num_layers=3, num_heads=4, pad_token_id=0, eos_token_id=2, decoder_start_token_id=0)
case("t5_kv", V, "t5", d_kv=16, num_heads=5, num_layers=2, num_decoder_layers=3, relative_attention_num_buckets=8, relative_attention_max_distance=20)
case("flan_t5", V, "t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False)
case("flan_t5_hub", V, "t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False, patch={"tie_word_embeddings": False},
     keys=["scale_decoder_outputs"], extra={"lm_head.weight": [101, 48]})
case("t5_gated_silu", V, "t5", feed_forward_proj="gated-silu", old=True, extra={"encoder.embed_tokens.weight": [101, 48], "decoder.embed_tokens.weight": [101, 48]})
W = "BartForConditionalGeneration"
case("bart", W, vocab_size=101, d_model=48, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4, decoder_attention_heads=3, encoder_ffn_dim=88,
     decoder_ffn_dim=77, max_position_embeddings=64, decoder_start_token_id=2, forced_eos_token_id=None, pad_token_id=1, bos_token_id=0, eos_token_id=2)
case("bart_scale", W, "bart", scale_embedding=True, activation_function="relu", old=True)

# ---------------------------------------------------------------------------------- more switches of the families above
case("gptj_tied", "GPTJForCausalLM", "gptj", tie_word_embeddings=True, old=True)
case("codegen_tied", "CodeGenForCausalLM", "codegen", tie_word_embeddings=True, layer_norm_epsilon=0.02)
case("gpt_neox_linear", N, "gpt_neox", rope_parameters=rope("linear", factor=4.0, partial_rotary_factor=0.5), layer_norm_eps=0.02, old="neox")
case("falcon_rw_32", F, "falcon_rw", num_attention_heads=32, hidden_size=128, attn="sdpa")          # slopes that bfloat16 rounds, as in the 1B model
case("falcon_shared_alibi", F, "falcon_7b", alibi=True, num_attention_heads=5, hidden_size=60, attn="sdpa")
case("bert_mlm_untied", "BertForMaskedLM", "bert_mlm", types=True, tie_word_embeddings=False)
case("distilbert_heads", "DistilBertModel", "distilbert", n_heads=6, activation="gelu_new")
case("mt5", "MT5ForConditionalGeneration", vocab_size=101, d_model=48, d_kv=12, d_ff=88, num_layers=2, num_decoder_layers=3, num_heads=4, pad_token_id=0,
     eos_token_id=2, decoder_start_token_id=0)
case("umt5", "UMT5ForConditionalGeneration", vocab_size=101, d_model=48, d_kv=16, d_ff=88, num_layers=2, num_decoder_layers=3, num_heads=4, pad_token_id=0,
     eos_token_id=2, decoder_start_token_id=0, relative_attention_num_buckets=8, relative_attention_max_distance=20)
case("mbart", "MBartForConditionalGeneration", vocab_size=101, d_model=48, encoder_layers=2, decoder_layers=3, encoder_attention_heads=4,
     decoder_attention_heads=3, encoder_ffn_dim=88, decoder_ffn_dim=77, max_position_embeddings=64, decoder_start_token_id=5, forced_eos_token_id=None,
     pad_token_id=1, bos_token_id=0, eos_token_id=2, scale_embedding=True)
case("t5_encoder", "T5EncoderModel", "t5", num_layers=2)
PLACES = {f"model.{side}.embed_positions.weight": [64, 48] for side in ("encoder", "decoder")}   # sines in real files: any table will do here
case("marian", "MarianMTModel", vocab_size=101, decoder_vocab_size=101, d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
     decoder_attention_heads=3, encoder_ffn_dim=88, decoder_ffn_dim=77, max_position_embeddings=64, decoder_start_token_id=3, forced_eos_token_id=None,
     pad_token_id=3, bos_token_id=0, eos_token_id=2, scale_embedding=True, activation_function="silu", extra=PLACES)

# ------------------------------------------------------------------------------- smollm3; more switches of Llama's kin
SM = "SmolLM3ForCausalLM"
case("smollm3", SM, vocab_size=101, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
     max_position_embeddings=128, no_rope_layer_interval=2, rope_parameters=rope(theta=2000000.0), **IDS, alter={"no_rope_layer_interval": 4})
case("smollm3_sliding", SM, "smollm3", use_sliding_window=True, sliding_window=8, attention_bias=True, mlp_bias=True, tie_word_embeddings=False)
case("smollm3_old_sliding", SM, "smollm3_sliding", old=True, keys=["layer_types"])
case("smollm3_list", SM, "smollm3", no_rope_layers=[0, 1, 1, 1], old=True)
case("mistral_linear", "MistralForCausalLM", "mistral", rope_parameters=rope("linear", factor=2.0), tie_word_embeddings=True)
case("gemma2_types", "Gemma2ForCausalLM", "gemma2", attention_bias=True,
     layer_types=["full_attention", "full_attention", "sliding_attention", "sliding_attention"])
case("phi_eps", "PhiForCausalLM", "phi", layer_norm_eps=0.02, rope_parameters=rope(theta=400.0, partial_rotary_factor=0.75))
case("stablelm_full", "StableLmForCausalLM", "stablelm", tie_word_embeddings=True, layer_norm_eps=0.02, hidden_act="gelu", rope_parameters=rope(theta=400.0, partial_rotary_factor=1.0))
case("olmo_bias", "OlmoForCausalLM", "olmo", attention_bias=True)
case("mixtral_tied", "MixtralForCausalLM", "mixtral", tie_word_embeddings=True, head_dim=24, hidden_act="gelu", rope_parameters=rope(theta=300.0))
case("mixtral_stacked", "MixtralForCausalLM", "mixtral", stacked=True)
case("qwen3_moe_window", "Qwen3MoeForCausalLM", "qwen3_moe", use_sliding_window=True, sliding_window=8, attention_bias=True, tie_word_embeddings=True)
case("qwen3_moe_stacked", "Qwen3MoeForCausalLM", "qwen3_moe", stacked=True)
case("olmoe_stacked", "OlmoeForCausalLM", "olmoe_clip", stacked=True)
