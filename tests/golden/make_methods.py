#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes methods/: small weights, quantized by the libraries whose numbers pare must reproduce (see README.md)."""
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))
import libs  # noqa: E402
import originals  # noqa: E402
from libs import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "methods"


def weight(rows, cols):
    """Fixed weights: sines of two speeds, rows of growing size, some large values, a row of zeros, a constant one, one of one sign."""
    i = torch.arange(rows * cols, dtype=torch.float64).reshape(rows, cols)
    w = (torch.sin(i * 0.7391) * 0.05 + torch.sin(i * i * 0.0137) * 0.02) * (0.25 + torch.arange(rows, dtype=torch.float64).unsqueeze(1) / rows)
    w[0, 3] = 0.6
    w[1, 5] = -0.45
    if rows > 6:
        w[3] = 0
        w[4] = 0.0625
        w[5] = w[5].abs()
    return w.float()


def ties(table, top):
    """One block of 64 that meets every midpoint between two entries of a table, from both sides."""
    table = torch.tensor(sorted(set(table)), dtype=torch.float32)
    middle = (table[:-1] + table[1:]) / 2 * top
    block = torch.cat([middle, torch.nextafter(middle, torch.tensor(9.0)), torch.nextafter(middle, torch.tensor(-9.0)), table * top])
    return torch.nn.functional.pad(block, (0, 64 - block.numel()))


class Family:
    """One .safetensors file: names are CASE/PART."""

    def __init__(self, name):
        self.name, self.tensors, self.rows = name, {}, []

    def add(self, case, parts, **info):
        for part, value in parts.items():
            self.tensors[f"{case}/{part}"] = value.detach().clone().contiguous()
        self.rows.append({"case": case, **info})

    def write(self):
        save_file(self.tensors, HERE / f"{self.name}.safetensors", {"format": "pt"})
        return {"file": f"{self.name}.safetensors", "cases": self.rows}


def bnb_4bit():
    family = Family("bnb_4bit")
    b = originals.bitsandbytes()
    functional = b.functional
    tables = {t: functional.get_4bit_type(t, device="cpu") for t in ("nf4", "fp4")}
    plain = weight(10, 128)
    plain[7, 64:] = ties(tables["nf4"].tolist(), 0.375)
    plain[8, :64] = ties(tables["fp4"].tolist(), 0.375)
    long = weight(130, 128).to(torch.float16)                      # 260 blocks: more than one block of 256 absmax values
    inputs = {"a.f32": plain, "a.bf16": plain.bfloat16(), "a.f16": plain.half(), "rows.f32": weight(6, 96), "tail.f32": weight(7, 30), "long.f16": long}
    for name, w in inputs.items():
        family.add("input." + name, {"weight": w})
        for kind in ("nf4", "fp4"):
            for nested in (False, True):
                if kind == "fp4" and (name.startswith("long") or name.endswith("16")) or name.startswith("long") and not nested:
                    continue
                codes, state, values = originals.bnb_4bit(w, kind, 64, nested)
                parts = {"weight": codes, **{"weight." + k: v for k, v in state.as_dict(packed=True).items()}}
                if not name.startswith("long"):
                    parts["values"] = values.reshape(w.shape)
                if nested:
                    blocks = functional.dequantize_blockwise(state.absmax, state.state2)
                    parts["absmax_f32"] = blocks + state.offset
                family.add(f"{kind}{'.nested' if nested else ''}.{name}", parts, input="input." + name, blocksize=64, quant_state=state.as_dict(packed=False)["quant_type"])
    family.add("tables", {k: v.float() for k, v in tables.items()})
    return family.write()


def llm_int8():
    family = Family("bnb_int8")
    w = weight(24, 128).half()
    i = torch.arange(6 * 128, dtype=torch.float64).reshape(6, 128)
    x = torch.sin(i * 1.31).half()
    x[2, 5], x[4, 5], x[0, 77] = 9.5, -6.0, 31.0                   # columns 5 and 77 are outliers at threshold 6: |x| >= 6
    x[1, 30] = 5.996
    bias = (torch.sin(torch.arange(24, dtype=torch.float64)) * 0.1).half()
    codes, rows = originals.bnb_int8(w)
    layer = originals.bnb_linear8(w, 6.0)
    family.add("weight", {"weight": w, "CB": codes, "SCB": rows, **{"layer." + k: v for k, v in layer.state_dict().items()}})
    family.add("input", {"x": x, "bias": bias})
    for name, threshold, b in (("threshold6", 6.0, None), ("threshold6.bias", 6.0, bias), ("threshold0", 0.0, None), ("one-token", 6.0, None)):
        rows_of_x = x[2:3] if name == "one-token" else x
        layer = originals.bnb_linear8(w, threshold, b)
        with torch.no_grad():
            y = layer(rows_of_x.clone())
        quantized, stats, outliers = originals.bitsandbytes().functional.int8_vectorwise_quant(rows_of_x.clone(), threshold)
        parts = {"y": y, "CA": quantized, "SCA": stats}
        if outliers is not None:
            parts["outlier_columns"] = outliers.to(torch.int64)
        family.add(name, parts, threshold=threshold, bias=b is not None, rows=[2, 3] if name == "one-token" else [0, 6])
    return family.write()


def hqq():
    family = Family("hqq")
    libs.need("hqq.core.quantize")
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear, Quantizer
    w = weight(8, 128)
    family.add("input", {"weight": w})
    for bits in (8, 4, 3, 2, 1):
        for axis in (1, 0):
            for group in ((64, 0) if axis == 1 and bits in (4, 2) else (64,)):
                codes, meta, values = originals.hqq_parts(w, bits, group, axis)
                packing = Quantizer.bit_to_packing[bits]
                packed = Quantizer.pack[packing](codes)
                error = (w - values).double()
                family.add(f"w{bits}.axis{axis}" + ("" if group else ".channel"), {"codes": codes.to(torch.uint8), "scale": meta["scale"], "zero": meta["zero"], "packed": packed},
                           bits=bits, axis=axis, group=group, packing=packing, square_error=float(error.square().sum()), mean_abs_error=float(error.abs().mean()))
    for bits in (4, 3):
        config = BaseQuantizeConfig(nbits=bits, group_size=64, axis=1)
        layer = HQQLinear(libs.linear_of(w), config, compute_dtype=torch.float32, device="cpu")
        state = {k: v for k, v in layer.state_dict().items() if v is not None}
        family.add(f"layer.w{bits}", {**state, "values": layer.dequantize()}, bits=bits)
    return family.write()


def float_grids():
    family = Family("float_grids")
    w = weight(8, 128).bfloat16()
    w[6, :8] = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6]) / 16         # the midpoints of e2m1
    family.add("input", {"weight": w})
    for preset in ("NVFP4A16", "MXFP4A16", "MXFP8A16", "FP8", "FP8_DYNAMIC"):
        stored, values = originals.ct_preset(w, preset)
        family.add(preset, {**stored, "values": values}, input="input", values_dtype=str(values.dtype)[6:])
    block = weight(136, 160).bfloat16()
    family.add("input.block", {"weight": block})
    family.add("FP8_BLOCK", originals.ct_preset(block, "FP8_BLOCK")[0], input="input.block")
    whole = block[:128, :128].contiguous()
    family.add("transformers.fp8_block", transformers_block(whole), input="input.block", rows=128, cols=128)
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    packed = family.tensors["MXFP4A16/weight_packed"].reshape(1, 8, 4, 16)
    scales = family.tensors["MXFP4A16/weight_scale"].reshape(1, 8, 4)
    family.add("transformers.mxfp4", {"values": convert_moe_packed_tensors(packed, scales).transpose(1, 2)[0]}, input="MXFP4A16")
    return family.write()


def transformers_block(w):
    """transformers' own fine-grained fp8: the weight as it quantizes it while loading."""
    from types import SimpleNamespace

    from transformers import FineGrainedFP8Config
    from transformers.integrations.finegrained_fp8 import Fp8Quantize
    config = FineGrainedFP8Config(weight_block_size=(128, 128))
    return Fp8Quantize(SimpleNamespace(quantization_config=config))._quantize_one("weight", w)


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    files = [bnb_4bit(), llm_int8(), hqq(), float_grids()]
    versions = {p: libs.version(p) for p in ("torch", "bitsandbytes", "hqq", "compressed-tensors", "transformers")}
    (HERE / "index.json").write_text(json.dumps({"made_by": "tests/golden/make_methods.py", "versions": versions, "files": files}, indent=1) + "\n")
    print(f"{sum(f.stat().st_size for f in HERE.iterdir())} bytes in {HERE}")


if __name__ == "__main__":
    main()
