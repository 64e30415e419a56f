#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes gpt_oss_mxfp4/: a tiny gpt-oss with random MXFP4 experts as it is published, and gpt_oss_mxfp4.numbers.safetensors: ids, and the logits of transformers'
GptOssForCausalLM with what its own convert_moe_packed_tensors makes of the blocks (see README.md)."""
import json
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import GptOssConfig, GptOssForCausalLM  # noqa: E402
from transformers.integrations.mxfp4 import convert_moe_packed_tensors  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "gpt_oss_mxfp4"
ROPE = {"rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 16}


def main():
    random = torch.Generator().manual_seed(1)
    config = GptOssConfig(vocab_size=53, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                          num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64, sliding_window=8, rope_parameters=ROPE, pad_token_id=0,
                          bos_token_id=1, eos_token_id=2)
    model = GptOssForCausalLM(config).float().eval()
    model.set_attn_implementation("eager")
    parts = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                experts, cols, rows = p.shape
                blocks = torch.randint(0, 256, (experts, rows, cols // 32, 16), dtype=torch.uint8, generator=random)
                scales = torch.randint(123, 126, (experts, rows, cols // 32), dtype=torch.uint8, generator=random)
                p.copy_(convert_moe_packed_tensors(blocks, scales, dtype=torch.float32))
                parts[name + "_blocks"], parts[name + "_scales"] = blocks, scales
                continue
            wide = p.shape[-1] ** -0.5 if p.ndim > 1 and "bias" not in name else 0.3
            p.copy_(torch.randn(p.shape, generator=random) * wide + (1 if "norm" in name else 0))
            parts[name] = p.clone().contiguous()
        ids = torch.randint(3, 53, (1, 24), generator=random)
        logits = model(ids).logits[0].contiguous()
    HERE.mkdir(exist_ok=True)
    save_file(parts, HERE / "model.safetensors", {"format": "pt"})
    save_file({"ids": ids[0].int().contiguous(), "logits": logits}, HERE.with_name("gpt_oss_mxfp4.numbers.safetensors"), {"format": "pt"})
    said = config.to_dict() | {"architectures": ["GptOssForCausalLM"], "quantization_config": {
        "quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}}
    said.pop("transformers_version", None)
    (HERE / "config.json").write_text(json.dumps(said, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
