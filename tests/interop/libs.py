# SPDX-License-Identifier: Apache-2.0
"""The real libraries behind one small interface, for run.py and for tests/golden/make_layouts.py.

Every pack_* takes a float weight [out, in] and returns (parts, dequantized): parts is what the library stores, keyed by the
suffix after the module's name; dequantized is what the library itself makes of it, in the library's dtype. The codes are
the library's own round-to-nearest; scales and zero points are chosen here (by the library's rule where it has one).
A library that is not installed, or cannot be imported, raises Missing with the reason.
"""
import functools
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types
import warnings

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")            # gptqmodel compiles its dequantizer: a minute of g++ for nothing
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")          # gptqmodel 7.7.0 fails on machines with fewer than 3 cores
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.filterwarnings("ignore")

import torch  # noqa: E402


class Missing(Exception):
    """A library (or a part of it) that these tests cannot have here."""


def _quiet(function):
    """Runs function with stdout and stderr closed: gptqmodel greets at import, compressed-tensors shows progress bars."""
    @functools.wraps(function)
    def inner(*args, **kwargs):
        sys.stdout.flush()
        sys.stderr.flush()
        saved = os.dup(1), os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 1)
            os.dup2(null, 2)
            return function(*args, **kwargs)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for fd in (*saved, null):
                os.close(fd)
    return inner


@functools.lru_cache(maxsize=None)
@_quiet
def _import(name):
    try:
        module = importlib.import_module(name)
        gc.freeze()                # gptqmodel collects garbage at every load: not over everything that was imported
        return module
    except Exception as error:  # an import may fail in any way
        return Missing(f"import {name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


def need(name):
    module = _import(name)
    if isinstance(module, Missing):
        raise module
    return module


def version(package):
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of
    try:
        return of(package)
    except PackageNotFoundError:
        return None


quiet = _quiet


# ------------------------------------------------------------------------------------------------------------ helpers
def groups_of(weight, size):
    """[out, in] -> float [out, groups, size]; size -1: the whole row."""
    out, cols = weight.shape
    size = cols if size == -1 else size
    return weight.float().reshape(out, cols // size, size)


def gptq_grid(weight, bits, size, sym):
    """Scales (f16 values) and zero points [out, groups] of the GPTQ family; zero points stay representable in v1 files."""
    groups, top = groups_of(weight, size), 2**bits - 1
    high, low = groups.amax(-1).clamp(min=0), groups.amin(-1).clamp(max=0)
    if sym:
        scale = torch.maximum(high, -low) * 2 / top
        zero = torch.full_like(scale, (top + 1) // 2)
    else:
        scale = (high - low) / top
        zero = torch.round(-low / scale).clamp(1, top)
    return scale.half().float(), zero


def linear_of(weight):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.detach().float().clone()
    return layer


# ------------------------------------------------------------------------------------------------ compressed-tensors
# pare's scheme name -> (preset of the library, group size, strategy); None keeps the preset's
CT_SCHEMES = {
    "W4A16": ("W4A16", None, None),
    "W4A16:g64": ("W4A16", 64, None),
    "W4A16:g32": ("W4A16", 32, None),
    "W4A16:channel": ("W4A16", None, "channel"),
    "W4A16_ASYM": ("W4A16_ASYM", None, None),
    "W4A16_ASYM:g32": ("W4A16_ASYM", 32, None),
    "W4A16_ASYM:channel": ("W4A16_ASYM", None, "channel"),
    "W3A16": ("W3A16", None, None),
    "W3A16:g64": ("W3A16", 64, None),
    "W3A16_ASYM:g32": ("W3A16", 32, "asym"),
    "W2A16": ("W2A16", None, None),
    "W2A16:g32": ("W2A16", 32, None),
    "W2A16_ASYM:g32": ("W2A16", 32, "asym"),
    "W5A16:g64": ("W5A16", 64, None),
    "W6A16:g64": ("W6A16", 64, None),
    "W7A16:g64": ("W7A16", 64, None),
    "W8A16": ("W8A16", None, "channel"),
    "W8A16:g128": ("W8A16", None, None),
    "W8A16_ASYM": ("W8A16", None, "channel-asym"),
    "W8A8": ("W8A8", None, None),
    "INT8": ("INT8", None, None),
    "FP8": ("FP8", None, None),
    "FP8_DYNAMIC": ("FP8_DYNAMIC", None, None),
}


def ct_scheme(name):
    need("compressed_tensors")
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    preset, size, strategy = CT_SCHEMES[name]
    scheme = preset_name_to_scheme(preset, ["Linear"])
    if size:
        scheme.weights.group_size = size
    if strategy and strategy.startswith("channel"):
        scheme.weights.strategy = "channel"
        scheme.weights.group_size = None
    if strategy and strategy.endswith("asym"):
        scheme.weights.symmetric = False
    return scheme


def _ct_grid(weight, args):
    from compressed_tensors.quantization.utils import calculate_qparams
    if args.strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    elif args.strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    else:
        groups = weight.unflatten(-1, (-1, args.group_size))
        low, high = groups.amin(-1), groups.amax(-1)
    return calculate_qparams(low, high, args)


@_quiet
def pack_ct(weight, name):
    scheme = ct_scheme(name)
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.compressors.format import infer_module_format
    scale, zero = _ct_grid(weight, scheme.weights)
    codec = BaseCompressor.get_value_from_registry(infer_module_format(torch.nn.Linear, scheme).value)
    parts = codec.compress({"weight": weight.clone(), "weight_scale": scale, "weight_zero_point": zero}, scheme)
    values = codec.decompress(dict(parts), scheme)["weight"]
    return {k: v.contiguous() for k, v in parts.items()}, values


@_quiet
def pack_ct_micro(weight, name):
    """NVFP4, MXFP4, MXFP8, FP8, FP8_BLOCK and their like: the library's own grids (min-max observers) and compressor; static activation scales are given."""
    need("compressed_tensors")
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.compressors.format import infer_module_format
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    scheme = preset_name_to_scheme(name, ["Linear"])
    args, state = scheme.weights, {"weight": weight.clone()}
    if args.strategy == "tensor_group":
        state["weight_global_scale"] = generate_gparam(weight.min().reshape(1), weight.max().reshape(1))
    if args.strategy == "block":
        rows, cols = args.block_structure
        tiles = [[weight[i:i + rows, j:j + cols] for j in range(0, weight.shape[1], cols)] for i in range(0, weight.shape[0], rows)]
        low, high = (torch.stack([torch.stack([f(t) for t in row]) for row in tiles]) for f in (torch.amin, torch.amax))
    elif args.group_size:
        groups = weight.unflatten(-1, (-1, args.group_size))
        low, high = groups.amin(-1), groups.amax(-1)
    elif args.strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    else:
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    state["weight_scale"], state["weight_zero_point"] = calculate_qparams(low, high, args, global_scale=state.get("weight_global_scale"))
    acts = scheme.input_activations
    if acts is not None and acts.dynamic == "local":
        state["input_global_scale"] = generate_gparam(torch.tensor([-3.5]), torch.tensor([2.0]))
    if acts is not None and acts.dynamic is False:
        state["input_scale"] = torch.tensor([0.0123]).to(weight.dtype)
    codec = BaseCompressor.get_value_from_registry(infer_module_format(torch.nn.Linear, scheme).value)
    parts = codec.compress(state, scheme)
    parts.pop("weight_zero_point", None)
    if "weight_packed" in parts:                               # its decompress rounds scale / global to bf16 on the way: worked out in f32 here
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        codes = unpack_fp4_from_uint8(parts["weight_packed"], *weight.shape, dtype=torch.float32)
        scale = parts["weight_scale"]
        scale = scale.float() / parts["weight_global_scale"] if "weight_global_scale" in parts else torch.exp2(scale.float() - 127)
        values = (codes.unflatten(-1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)
    else:
        values = codec.decompress(dict(parts), scheme)["weight"]
    return {k: v.detach().contiguous() for k, v in parts.items()}, values.detach().to(weight.dtype)


@_quiet
def save_ct(model, name, folder):
    """Quantizes a transformers model in place and saves it the library's own way."""
    scheme = ct_scheme(name)
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
    apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"]))
    values = {}
    for path, module in model.named_modules():
        if getattr(module, "quantization_scheme", None) is None or not hasattr(module, "weight_scale"):
            continue
        scale, zero = _ct_grid(module.weight.data, module.quantization_scheme.weights)
        module.weight_scale.data.copy_(scale.reshape(module.weight_scale.shape))
        if hasattr(module, "weight_zero_point"):
            module.weight_zero_point.data.copy_(zero.reshape(module.weight_zero_point.shape))
        if hasattr(module, "input_scale"):
            module.input_scale.data.fill_(0.01)
        values[path + ".weight"] = pack_ct(module.weight.data, name)[1]
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(str(folder))
    return values


# --------------------------------------------------------------------------------------------------------------- GPTQ
@_quiet
def _gptq_layer(bits, size, sym, rows, cols):
    torch_py = need("gptqmodel.nn_modules.qlinear.torch")
    return torch_py.TorchLinear(bits=bits, group_size=size, sym=sym, desc_act=False, in_features=cols, out_features=rows, bias=False)


@_quiet
def pack_gptq(weight, bits, size, sym, v2=False, g_idx=None):
    """gptqmodel's packer; v2 stores true zero points, v1 (checkpoint_format "gptq") those minus one, by its own converter."""
    layer = _gptq_layer(bits, size, sym, *weight.shape)
    scale, zero = gptq_grid(weight, bits, size, sym)
    layer.pack_original(linear_of(weight), scale, zero, g_idx)
    layer.post_init()
    values = layer.dequantize_weight().T.clone()
    if not v2:
        from gptqmodel import QuantizeConfig
        from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
        convert_gptq_v2_to_v1_format_module(layer, QuantizeConfig(bits=bits))
    parts = {k: layer.state_dict()[k].clone().contiguous() for k in ("qweight", "qzeros", "scales", "g_idx")}
    return parts, values


@_quiet
def unpack_gptq(parts, bits, size, sym, v2):
    """gptqmodel's reader on the tensors of one layer -> values [out, in] in f16."""
    rows, cols = parts["qweight"].shape[1], parts["g_idx"].shape[0]
    layer = _gptq_layer(bits, size, sym, rows, cols)
    layer.load_state_dict(parts)
    if not v2:
        from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module
        convert_gptq_v1_to_v2_format_module(layer, bits, torch.int32)
    layer.post_init()
    return layer.dequantize_weight().T.clone()


def gptq_config(bits, size, sym, v2):
    """The members that GPTQModel.save writes (meta shortened)."""
    name = "gptq_v2" if v2 else "gptq"
    return {"bits": bits, "group_size": size, "desc_act": False, "lm_head": False, "method": "gptq", "quant_method": "gptq",
            "format": name, "checkpoint_format": name, "pack_dtype": "int32", "sym": sym,
            "meta": {"quantizer": ["gptqmodel:" + (version("gptqmodel") or "")], "uri": "https://github.com/modelcloud/gptqmodel"}}


@functools.lru_cache(maxsize=None)
def _autogptq():
    """auto-gptq's own CPU layer. The package does not import under today's transformers: only this module file is loaded."""
    spec = importlib.util.find_spec("auto_gptq")
    if spec is None or not spec.submodule_search_locations:
        raise Missing("auto-gptq is not installed")
    path = os.path.join(list(spec.submodule_search_locations)[0], "nn_modules", "qlinear", "qlinear_cuda_old.py")
    module_spec = importlib.util.spec_from_file_location("pare_autogptq_qlinear", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.QuantLinear


@_quiet
def pack_autogptq(weight, bits, size, sym):
    layer = _autogptq()(bits, size, weight.shape[1], weight.shape[0], bias=False, weight_dtype=torch.float16)
    scale, zero = gptq_grid(weight, bits, size, sym)
    layer.pack(linear_of(weight).half(), scale.half(), zero.half(), None)
    parts = {k: layer.state_dict()[k].clone().contiguous() for k in ("qweight", "qzeros", "scales", "g_idx")}
    return parts, _identity(layer, weight.shape[1])


@_quiet
def unpack_autogptq(parts, bits, size):
    rows, cols = parts["qweight"].shape[1], parts["g_idx"].shape[0]
    layer = _autogptq()(bits, size, cols, rows, bias=False, weight_dtype=torch.float16)
    layer.load_state_dict(parts)
    return _identity(layer, cols)


def _identity(layer, cols):
    """The weight of a layer that only has a forward: it multiplies the unit matrix (exact, one product a sum)."""
    return layer(torch.eye(cols, dtype=torch.float16)).T.clone()


# ------------------------------------------------------------------------------------------------------- bitsandbytes
@_quiet
def pack_bnb4(weight, kind, blocksize, nested):
    """bitsandbytes' own quantizer and state dict of one layer, and its values."""
    bnb = need("bitsandbytes")
    codes, state = bnb.functional.quantize_4bit(weight.clone(), blocksize=blocksize, quant_type=kind, compress_statistics=nested)
    parts = {"weight": codes.contiguous()} | {f"weight.{k}": v.contiguous() for k, v in state.as_dict(packed=True).items()}
    return parts, bnb.functional.dequantize_4bit(codes, state)


@_quiet
def pack_bnb8(weight):
    bnb = need("bitsandbytes")
    codes, rows, _ = bnb.functional.int8_vectorwise_quant(weight.half())
    parts = {"weight": codes, "SCB": rows, "weight_format": torch.tensor(0, dtype=torch.uint8)}
    return parts, codes.float() * (rows / 127)[:, None]


def bnb_config(kind="nf4", nested=False, dtype="bfloat16", eight=False):
    """The members that transformers saves."""
    return {"_load_in_4bit": not eight, "_load_in_8bit": eight, "bnb_4bit_compute_dtype": dtype, "bnb_4bit_quant_storage": "uint8", "bnb_4bit_quant_type": kind,
            "bnb_4bit_use_double_quant": nested, "llm_int8_enable_fp32_cpu_offload": False, "llm_int8_has_fp16_weight": False,
            "llm_int8_skip_modules": ["lm_head"], "llm_int8_threshold": 6.0, "load_in_4bit": not eight, "load_in_8bit": eight, "quant_method": "bitsandbytes"}


# ---------------------------------------------------------------------------------------------------------------- HQQ
@_quiet
def pack_hqq(weight, bits, group, axis):
    """hqq's own layer: the state dict that it saves with encoded_state_dict, and its values worked out in f32 (the layer rounds each step to its dtype)."""
    need("hqq.core.quantize")
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear, Quantizer
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = weight.clone()
    layer = HQQLinear(linear, BaseQuantizeConfig(nbits=bits, group_size=group, axis=axis), compute_dtype=weight.dtype, device="cpu")
    parts = {k: v.clone().contiguous() for k, v in layer.state_dict().items() if v is not None}
    meta = dict(layer.meta) | {"compute_dtype": torch.float32, "scale": layer.meta["scale"].float(), "zero": layer.meta["zero"].float()}
    return parts, Quantizer.dequantize(layer.W_q.data, meta)


@_quiet
def unpack_hqq(parts):
    """hqq's own layer on the tensors of one -> values [out, in] in f32."""
    need("hqq.core.quantize")
    from hqq.core.quantize import HQQLinear
    layer = HQQLinear(None, None, compute_dtype=torch.float32, device="cpu", initialize=False)
    layer.load_state_dict({k: v.clone() for k, v in parts.items() if k != "bias"})
    layer.meta |= {"compute_dtype": torch.float32, "scale": layer.meta["scale"].float(), "zero": layer.meta["zero"].float()}
    layer.compute_dtype = torch.float32
    return layer, layer.dequantize().float()


def hqq_config(bits, group, axis):
    return {"quant_config": {"offload_meta": False, "scale_quant_params": None, "zero_quant_params": None,
                             "weight_quant_params": {"nbits": bits, "channel_wise": True, "group_size": group, "optimize": True, "round_zero": bits == 4,
                                                     "axis": axis, "view_as_float": False}},
            "quant_method": "hqq", "skip_modules": ["lm_head"]}


# ---------------------------------------------------------------------------------------------------------------- AWQ
@functools.lru_cache(maxsize=None)
@_quiet
def _awq():
    """autoawq's packer. Its package imports `datasets` for calibration texts, which nothing here needs: a stand-in."""
    if importlib.util.find_spec("awq") is None:
        raise Missing("autoawq is not installed")
    stand_in = None
    if importlib.util.find_spec("datasets") is None:
        stand_in = types.ModuleType("datasets")
        stand_in.load_dataset = None
        stand_in.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
        sys.modules["datasets"] = stand_in
    try:
        gemm = importlib.import_module("awq.modules.linear.gemm")
        packing = importlib.import_module("awq.utils.packing_utils")
    except Exception as error:
        raise Missing(f"import awq: {type(error).__name__}: {error}") from None
    finally:
        if stand_in is not None:
            sys.modules.pop("datasets", None)
    return gemm.WQLinear_GEMM, packing.dequantize_gemm


def awq_grid(weight, size, sym):
    groups = groups_of(weight, size)
    if sym:
        scale = groups.abs().amax(-1) / 7
        zero = torch.full_like(scale, 8)
    else:
        high, low = groups.amax(-1).clamp(min=0), groups.amin(-1).clamp(max=0)
        scale = (high - low) / 15
        zero = torch.round(-low / scale).clamp(0, 15)
    return scale.half().float(), zero


@_quiet
def pack_awq(weight, size, sym):
    gemm, _ = _awq()
    scale, zero = awq_grid(weight, size, sym)
    size = weight.shape[1] if size == -1 else size
    linear = linear_of(weight)
    # WQLinear_GEMM.from_linear does not clamp: keep the codes inside 0..15 as AutoAWQ's quantizer does beforehand.
    s, z = (t.repeat_interleave(size, 1) for t in (scale, zero))
    linear.weight.data = (torch.clamp(torch.round(linear.weight.data / s) + z, 0, 15) - z) * s
    layer = gemm.from_linear(linear, 4, size, scales=scale.T.contiguous(), zeros=zero.T.contiguous())
    parts = {k: layer.state_dict()[k].clone().contiguous() for k in ("qweight", "qzeros", "scales")}
    return parts, unpack_awq(parts)


@_quiet
def unpack_awq(parts):
    _, dequantize = _awq()
    size = parts["qweight"].shape[0] // parts["scales"].shape[0]
    return dequantize(parts["qweight"], parts["qzeros"], parts["scales"], 4, size).T.clone()


def awq_config(size, sym):
    return {"quant_method": "awq", "bits": 4, "group_size": size, "zero_point": not sym, "version": "gemm", "modules_to_not_convert": None}


# -------------------------------------------------------------------------------------------------------------- quanto
@functools.lru_cache(maxsize=None)
def quanto_module():
    """optimum.quanto with its portable operators: the C++ ones would be compiled on first use (a minute), so that
    sub-package is stood in for by one that has none."""
    name = "optimum.quanto.library.extensions"
    if name not in sys.modules:
        stand_in = types.ModuleType(name)
        stand_in.is_extension_available = lambda kind: False
        stand_in.get_extension = lambda kind: None
        stand_in.__all__ = ["is_extension_available", "get_extension"]
        stand_in.__path__ = []
        sys.modules[name] = stand_in
    quanto = need("optimum.quanto")
    return quanto


@_quiet
def _quanto_layer(rows, cols, qtype, dtype):
    quanto = quanto_module()
    layer = torch.nn.Linear(cols, rows, bias=False).to(dtype)
    return quanto.QLinear.from_module(layer, weights=quanto.qtypes[qtype])


@_quiet
def pack_quanto(weight, qtype):
    layer = _quanto_layer(*weight.shape, qtype, weight.dtype)
    layer.weight.data.copy_(weight)
    layer.freeze()
    return {k: v.clone() for k, v in layer.state_dict().items()}, layer.weight.dequantize().detach().clone()


@_quiet
def unpack_quanto(parts, qtype, rows, cols, dtype):
    layer = _quanto_layer(rows, cols, qtype, dtype)
    layer.load_state_dict(parts, strict=True)
    return layer.weight.dequantize().detach().clone()


@_quiet
def quanto_values(module, parts, name):
    """The values of a loaded module. For bf16 in groups of 128 quanto turns int4 into a kernel's own form, which loses bits
    of the shift: there the file's tensors are read through quanto's plain class instead."""
    if "TinyGemm" not in type(module.weight).__name__:
        return module.weight.dequantize().detach()
    from optimum.quanto.tensor.weights.qbits import WeightQBitsTensor
    state = {k.removeprefix(name + "."): v for k, v in parts.items() if k.startswith(name + ".")}
    size = torch.Size((module.out_features, module.in_features))
    plain = WeightQBitsTensor.load_from_state_dict(state, "weight.", qtype=module.weight_qtype, axis=0, group_size=module.weight_group_size, size=size,
                                                   stride=(module.in_features, 1), missing_keys=[])
    return plain.dequantize().detach()


# -------------------------------------------------------------------------------------------------------------- course
class W8A16LinearLayer(torch.nn.Module):
    """The layer of the course "Quantization in Depth", written from its described behaviour: int8_weights [out, in],
    scales [out], bias [1, out]; the product first, then scales, then bias. Plus the clamp that the course forgot."""

    def __init__(self, in_features, out_features, bias=True, dtype=torch.float32):
        super().__init__()
        self.register_buffer("int8_weights", torch.zeros((out_features, in_features), dtype=torch.int8))
        self.register_buffer("scales", torch.ones(out_features, dtype=dtype))
        self.register_buffer("bias", torch.zeros((1, out_features), dtype=dtype) if bias else None)

    def quantize(self, weights):
        wide = weights.detach().float()
        scales = (wide.abs().amax(-1) / 127).to(weights.dtype)
        scales = torch.where(scales == 0, torch.ones_like(scales), scales)
        codes = torch.round(weights / scales.unsqueeze(1))
        self.int8_weights = codes.float().clamp(-127, 127).to(torch.int8)
        self.scales = scales

    def values(self):
        """What the layer multiplies by, in f32."""
        return self.int8_weights.float() * self.scales.float().unsqueeze(1)

    def forward(self, x):
        y = torch.nn.functional.linear(x, self.int8_weights.to(x.dtype)) * self.scales
        return y if self.bias is None else y + self.bias


def replace_linear(module, exclude=("lm_head",), quantize=False, bias_shape=None):
    """Every nn.Linear whose own name is not excluded becomes a W8A16LinearLayer, as in the course's Ex 9."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Linear) and name not in exclude:
            layer = W8A16LinearLayer(child.in_features, child.out_features, child.bias is not None, child.weight.dtype)
            if quantize:
                layer.quantize(child.weight)
            if child.bias is not None:
                layer.bias = child.bias.detach().clone()
            setattr(module, name, layer)
        else:
            replace_linear(child, exclude, quantize, bias_shape)
    return module
