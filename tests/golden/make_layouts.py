#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes layouts/: one tiny layer a layout, packed by the real library, and the values the library makes of it (see README.md)."""
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
import libs  # noqa: E402
from libs import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "layouts"
LAYER = "model.layers.0.mlp.up_proj"


def weight(rows, cols, dtype):
    """Fixed weights without any library's random numbers: a sum of two sines, with a few large values; the last row is 0 but one."""
    i = torch.arange(rows * cols, dtype=torch.float64).reshape(rows, cols)
    w = torch.sin(i * 0.7391) * 0.05 + torch.sin(i * i * 0.0137) * 0.02
    w[1, 3] = 0.6
    w[2, 5] = -0.45
    w[3] = w[3].abs()                     # one sign only: the asymmetric grid must still hold 0
    w[4] = -w[4].abs()
    w[rows - 1] = 0
    w[rows - 1, 7] = 0.01
    return w.float().to(dtype)


def write(case, parts, values, dtype, config=None, files=None, **info):
    folder = HERE / case
    folder.mkdir(parents=True)
    save_file({f"{LAYER}.{k}": v.contiguous() for k, v in parts.items()}, folder / "model.safetensors", {"format": "pt"})
    model = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": str(dtype)[6:],
             "hidden_size": values.shape[1], "intermediate_size": values.shape[0]}
    if config is not None:
        model["quantization_config"] = config
    (folder / "config.json").write_text(json.dumps(model, indent=1, default=str) + "\n")
    for name, content in (files or {}).items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")
    save_file({f"{LAYER}.weight": values.contiguous()}, HERE / f"{case}.values.safetensors", {"format": "pt"})
    return {"case": case, "values_dtype": str(values.dtype)[6:], "shape": list(values.shape), **info,
            "parts": {k: [str(v.dtype)[6:], list(v.shape)] for k, v in parts.items()}}


def ct_config(name, preset=False):
    if preset:
        from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    scheme = preset_name_to_scheme(name, ["Linear"]) if preset else libs.ct_scheme(name)
    from compressed_tensors.compressors.format import infer_module_format
    from compressed_tensors.quantization import QuantizationConfig
    scheme.format = infer_module_format(torch.nn.Linear, scheme).value
    config = QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"], format=scheme.format,
                                quantization_status="compressed").model_dump()
    return {"quant_method": "compressed-tensors", "version": libs.version("compressed-tensors"), "sparsity_config": {}, "transform_config": {}} | config


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    rows = []
    for name, shape, dtype in (("W4A16:g32", (16, 64), torch.bfloat16), ("W4A16_ASYM:g32", (32, 64), torch.bfloat16),
                               ("W4A16_ASYM:channel", (32, 64), torch.float16), ("W3A16:g64", (16, 128), torch.bfloat16),
                               ("W2A16:g32", (16, 64), torch.float16), ("W5A16:g64", (16, 64), torch.bfloat16),
                               ("W8A16", (16, 64), torch.bfloat16), ("W8A16", (16, 64), torch.float32),
                               ("INT8", (16, 64), torch.bfloat16), ("FP8_DYNAMIC", (16, 64), torch.bfloat16)):
        parts, values = libs.pack_ct(weight(*shape, dtype), name)
        case = f"ct-{name.lower().replace(':', '-').replace('_', '-')}-{str(dtype)[6:].replace('bfloat', 'bf').replace('float', 'f')}"
        rows.append(write(case, parts, values, dtype, ct_config(name), layout="compressed-tensors", scheme=name))
    for bits, size, sym, v2, shape in ((4, 32, True, False, (32, 64)), (4, 32, False, False, (32, 64)), (4, 32, False, True, (32, 64)),
                                       (3, 32, False, False, (32, 64)), (3, -1, True, True, (32, 64)), (2, 64, True, False, (32, 64)),
                                       (8, 32, False, False, (32, 64))):
        parts, values = libs.pack_gptq(weight(*shape, torch.float16), bits, size, sym, v2)
        case = f"{'gptq-v2' if v2 else 'gptq'}-{bits}bit-{'sym' if sym else 'asym'}-{'channel' if size == -1 else f'g{size}'}"
        rows.append(write(case, parts, values, torch.float16, libs.gptq_config(bits, size, sym, v2), layout="gptq", scheme=f"{bits} bit"))
    order = torch.tensor([(i * 37) % 64 // 32 for i in range(64)], dtype=torch.int32)   # act order: groups scattered over the inputs
    parts, values = libs.pack_gptq(weight(32, 64, torch.float16), 4, 32, False, False, order)
    rows.append(write("gptq-4bit-act-order", parts, values, torch.float16, libs.gptq_config(4, 32, False, False) | {"desc_act": True},
                      layout="gptq", scheme="4 bit, g_idx not monotone"))
    for size, sym, shape in ((32, False, (32, 64)), (64, True, (32, 64))):
        parts, values = libs.pack_awq(weight(*shape, torch.float16), size, sym)
        rows.append(write(f"awq-{'sym' if sym else 'asym'}-g{size}", parts, values, torch.float16, libs.awq_config(size, sym), layout="awq", scheme="4 bit"))
    # 160 inputs: quanto falls back from groups of 128 to groups of 32; 64 inputs: one group a row.
    for qtype, shape, dtype in (("qint8", (16, 64), torch.float32), ("qint4", (16, 160), torch.float32), ("qint4", (16, 64), torch.bfloat16),
                                ("qint2", (16, 160), torch.float32), ("qfloat8_e4m3fn", (16, 64), torch.bfloat16)):
        parts, values = libs.pack_quanto(weight(*shape, dtype), qtype)
        case = f"quanto-{qtype}-{str(dtype)[6:].replace('bfloat', 'bf').replace('float', 'f')}"
        rows.append(write(case, parts, values, dtype, None, {"quanto_qmap.json": {LAYER: {"weights": qtype, "activations": "none"}}}, layout="quanto", scheme=qtype))
    for name, shape in (("NVFP4", (16, 64)), ("NVFP4A16", (16, 64)), ("MXFP4A16", (16, 64)), ("MXFP8A16", (16, 64)), ("MXFP8", (16, 64)), ("FP8", (16, 64)),
                        ("FP8_BLOCK", (136, 144))):
        parts, values = libs.pack_ct_micro(weight(*shape, torch.bfloat16), name)
        rows.append(write(f"ct-{name.lower().replace('_', '-')}-bf16", parts, values, torch.bfloat16, ct_config(name, True), layout="compressed-tensors", scheme=name))
    for kind, block, nested, shape, dtype in (("nf4", 64, False, (16, 64), torch.bfloat16), ("fp4", 64, False, (16, 128), torch.float16),
                                              ("nf4", 64, True, (32, 64), torch.bfloat16), ("fp4", 32, True, (16, 64), torch.float32)):
        parts, values = libs.pack_bnb4(weight(*shape, dtype), kind, block, nested)
        rows.append(write(f"bnb-{kind}{'-nested' if nested else ''}-b{block}-{str(dtype)[6:].replace('bfloat', 'bf').replace('float', 'f')}", parts, values, dtype,
                          libs.bnb_config(kind, nested, str(dtype)[6:]), layout="bitsandbytes", scheme=f"{kind}{', nested' if nested else ''}, blocks of {block}"))
    parts, values = libs.pack_bnb8(weight(16, 64, torch.float16))
    rows.append(write("bnb-int8", parts, values, torch.float16, libs.bnb_config(eight=True), layout="bitsandbytes", scheme="LLM.int8()"))
    for bits, group, axis, shape, dtype in ((4, 64, 1, (16, 64), torch.float32), (4, 32, 0, (16, 64), torch.float16), (3, 64, 1, (16, 64), torch.float32),
                                            (3, 64, 0, (16, 64), torch.float32), (2, 32, 1, (16, 64), torch.bfloat16), (1, 64, 1, (16, 64), torch.float32),
                                            (8, 64, 1, (16, 64), torch.float16)):
        parts, values = libs.pack_hqq(weight(*shape, dtype), bits, group, axis)
        rows.append(write(f"hqq-{bits}bit-g{group}-axis{axis}-{str(dtype)[6:].replace('bfloat', 'bf').replace('float', 'f')}", parts, values, dtype,
                          libs.hqq_config(bits, group, axis), layout="hqq", scheme=f"{bits} bit, groups of {group}, axis {axis}"))
    for dtype in (torch.float32, torch.bfloat16):
        layer = libs.W8A16LinearLayer(64, 16, bias=True, dtype=dtype)
        layer.quantize(weight(16, 64, dtype))
        layer.bias = torch.linspace(-1, 1, 16).to(dtype)
        rows.append(write(f"course-{str(dtype)[6:].replace('bfloat', 'bf').replace('float', 'f')}", dict(layer.state_dict()), layer.values(), dtype,
                          layout="course", scheme="W8A16"))
    versions = {p: libs.version(p) for p in ("torch", "compressed-tensors", "gptqmodel", "autoawq", "optimum-quanto", "bitsandbytes", "hqq", "safetensors")}
    versions["torch"] = versions["torch"].split("+")[0]
    (HERE / "index.json").write_text(json.dumps({"made_by": versions, "layer": LAYER, "cases": rows}, indent=1) + "\n")
    size = sum(f.stat().st_size for f in HERE.rglob("*") if f.is_file())
    print(len(rows), "cases,", size, "bytes")


if __name__ == "__main__":
    main()
