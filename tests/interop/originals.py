# SPDX-License-Identifier: Apache-2.0
"""The quantization methods of other people's libraries on one weight: what pare's methods are measured against.

Every function takes a float weight [out, in] (torch f32), the layer's calibration inputs [tokens, in] where the method wants
them, and bits, group (0: one group a row) and sym; it returns the dequantized weight [out, in] in f32. The arithmetic is the
library's own: its classes are called as its own pipelines call them, on the CPU. Formulas that no library publishes as a
function (plain rounding of activations, SmoothQuant) are written here from their papers.
A library that is not installed raises libs.Missing.
"""
import functools
import importlib
import importlib.machinery
import importlib.util
import sys
import types

import libs
from libs import Missing, quiet, torch


def _bare_package(*names):
    """Makes packages importable without running their __init__ (which imports a hundred things that nothing here needs)."""
    if names[0] in sys.modules:
        root = sys.modules[names[0]].__path__[0]
    else:
        spec = importlib.util.find_spec(names[0])
        if spec is None:
            raise Missing(f"{names[0]} is not installed")
        root = list(spec.submodule_search_locations)[0]
    for name in names:
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__path__ = [root + "".join("/" + part for part in name.split(".")[1:])]
            module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
            sys.modules[name] = module


def columns_of_group(weight, group):
    """The number of columns that share a scale: a group that does not divide the row is the whole row, as in pare's plan."""
    cols = weight.shape[1]
    return group if group > 0 and cols % group == 0 else cols


# ----------------------------------------------------------------------------------------------------------------- rtn
@functools.lru_cache(maxsize=None)
def _ct_args(bits, cols, whole, sym):
    libs.need("compressed_tensors")
    from compressed_tensors.quantization import QuantizationArgs
    if whole:
        return QuantizationArgs(num_bits=bits, symmetric=sym, strategy="channel")
    return QuantizationArgs(num_bits=bits, symmetric=sym, strategy="group", group_size=cols)


def _ct_params(weight, bits, group, sym):
    """min-max parameters by compressed-tensors (llm-compressor's default observer): args, scale [out, groups], zero point."""
    from compressed_tensors.quantization.utils import calculate_qparams
    cols = columns_of_group(weight, group)
    args = _ct_args(bits, cols, cols == weight.shape[1], sym)
    parts = weight.unflatten(-1, (-1, cols))
    return (args, *calculate_qparams(parts.amin(-1), parts.amax(-1), args))


def rtn(weight, inputs, bits, group, sym):
    """Round to nearest on the min-max grid, by compressed-tensors."""
    args, scale, zero = _ct_params(weight, bits, group, sym)
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize
    return fake_quantize(weight, scale, None if sym else zero, args)


def rtn_search(weight, inputs, bits, group, sym):
    """Round to nearest after llm-compressor's memoryless_mse observer: ranges shrunk by up to a fifth, least sum of |error|^2.4."""
    _bare_package("llmcompressor", "llmcompressor.observers", "llmcompressor.utils")
    search = libs.need("llmcompressor.observers.mse_quant")._grid_search_mse
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize
    from compressed_tensors.quantization.utils import calculate_qparams
    cols = columns_of_group(weight, group)
    args = _ct_args(bits, cols, cols == weight.shape[1], sym)
    observed = weight.unflatten(-1, (-1, cols)).unsqueeze(0)
    low, high = search(observed, args, args.model_copy(update={"strategy": "token"}), 0.2, 5, 100.0, 2.4, 0.3)
    scale, zero = calculate_qparams(low, high, args)
    return fake_quantize(weight, scale, None if sym else zero, args)


# ------------------------------------------------------------------------------------- float grids of compressed-tensors
def _extremes(weight, args):
    """min and max for each scale of a strategy, in the shape of the scale tensor."""
    if args.strategy == "tensor":
        return weight.min().reshape(1), weight.max().reshape(1)
    if args.strategy == "channel":
        return weight.amin(-1, keepdim=True), weight.amax(-1, keepdim=True)
    if args.strategy == "block":
        rows, cols = args.block_structure
        tiles = [[weight[r : r + rows, c : c + cols] for c in range(0, weight.shape[1], cols)] for r in range(0, weight.shape[0], rows)]
        return tuple(torch.stack([torch.stack([pick(t) for t in row]) for row in tiles]) for pick in (torch.min, torch.max))
    parts = weight.unflatten(-1, (-1, args.group_size))
    return parts.amin(-1), parts.amax(-1)


def ct_preset(weight, preset):
    """A weight by a preset of compressed-tensors (NVFP4A16, MXFP4A16, FP8_BLOCK, ...), scales from the extremes: (what it stores, its values)."""
    libs.need("compressed_tensors")
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.compressors.format import infer_module_format
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    scheme = preset_name_to_scheme(preset, ["Linear"])
    args, extra = scheme.weights, {}
    if args.strategy == "tensor_group":
        extra["weight_global_scale"] = generate_gparam(weight.min(), weight.max())
    scale, zero = calculate_qparams(*_extremes(weight, args), args, global_scale=extra.get("weight_global_scale"))
    codec = BaseCompressor.get_value_from_registry(infer_module_format(torch.nn.Linear, scheme).value)
    stored = codec.compress({"weight": weight.clone(), "weight_scale": scale, "weight_zero_point": zero, **extra}, scheme)
    return {k: v for k, v in stored.items() if v is not None}, codec.decompress(dict(stored), scheme)["weight"]


# ----------------------------------------------------------------------------------------------------------------- hqq
def hqq_parts(weight, bits, group, axis):
    """hqq.core.quantize.Quantizer.quantize as hqq_base_quant_config calls it (proximal solver; whole zero points to start from at
    4 bits): codes, meta with scale and zero in f32, values."""
    libs.need("hqq.core.quantize")
    from hqq.core.quantize import Quantizer
    cols = columns_of_group(weight, group)
    size = None if cols == weight.shape[1] and axis == 1 else cols
    codes, meta = Quantizer.quantize(weight.float(), nbits=bits, channel_wise=True, group_size=size, optimize=True, round_zero=bits == 4, axis=axis,
                                     bitpack=False, compute_dtype=torch.float32, device="cpu")
    meta["compute_dtype"] = torch.float32
    return codes, meta, Quantizer.dequantize(codes, meta).reshape(weight.shape).float()


def hqq(weight, inputs, bits, group, sym, axis=1):
    if sym:
        raise Missing("hqq has no symmetric grid")
    return hqq_parts(weight, bits, group, axis)[2]


# ---------------------------------------------------------------------------------------------------------------- gptq
@quiet
def _gptqmodel_config(bits, group, sym, options):
    libs.need("gptqmodel.quantization.gptq")
    from gptqmodel.quantization import QuantizeConfig
    return QuantizeConfig(bits=bits, group_size=group, sym=sym, **options)


def gptqmodel(weight, inputs, bits, group, sym, hessian_of=None, **options):
    """gptqmodel.quantization.gptq.GPTQ as its looper drives it: quantizer.configure, add_batch, quantize. Defaults of 7.7.0:
    damping 0.05, act_group_aware where there are groups, no desc_act, no mse search. options go to QuantizeConfig."""
    cols = columns_of_group(weight, group)
    size = -1 if cols == weight.shape[1] and group <= 0 else cols
    if size == -1 and "act_group_aware" not in options and not options.get("desc_act"):
        options = {"act_group_aware": False, **options}            # the library refuses it there
    config = _gptqmodel_config(bits, size, sym, options)
    from gptqmodel.quantization.gptq import GPTQ
    task = GPTQ(libs.linear_of(weight), config)
    task.quantizer.configure(perchannel=True)
    with torch.no_grad():
        task.add_batch(inputs.float(), None)
        return quiet(task.quantize)()[0].float()


def gptqmodel_gptaq(weight, inputs, bits, group, sym, native=None, **options):
    """gptqmodel's GPTAQ (GPTQv2): inputs of the quantized model, native those of the float model, [windows, tokens, in]."""
    cols = columns_of_group(weight, group)
    size = -1 if cols == weight.shape[1] and group <= 0 else cols
    config = _gptqmodel_config(bits, size, sym, {"act_group_aware": False, **options})
    libs.need("gptqmodel.quantization.gptaq")
    from gptqmodel.looper.named_module import NamedModule
    from gptqmodel.looper.native_processor import NATIVE_INPUTS_STATE_KEY
    from gptqmodel.quantization.config import GPTAQConfig
    from gptqmodel.quantization.gptaq import GPTAQ
    config.gptaq = GPTAQConfig()
    module = NamedModule(libs.linear_of(weight), name="layer", full_name="layer", layer_index=0)
    native = inputs if native is None else native
    windows = inputs if inputs.dim() == 3 else inputs.unsqueeze(0)
    floats = native if native.dim() == 3 else native.unsqueeze(0)
    module.state[NATIVE_INPUTS_STATE_KEY] = [w.unsqueeze(0) for w in floats]
    task = GPTAQ(module, config)
    task.quantizer.configure(perchannel=True)
    with torch.no_grad():
        for window in windows:
            task.add_batch(window.unsqueeze(0), None)
        return quiet(task.quantize)()[0].float()


@functools.lru_cache(maxsize=None)
def _llmcompressor_gptq():
    _bare_package("llmcompressor", "llmcompressor.modifiers", "llmcompressor.modifiers.gptq")
    return libs.need("llmcompressor.modifiers.gptq.gptq_quantize").quantize_weight


def llmcompressor_gptq(weight, inputs, bits, group, sym):
    """llmcompressor.modifiers.gptq.gptq_quantize.quantize_weight with GPTQModifier's defaults: block 128, dampening 0.01,
    actorder "static", scales of the memoryless min-max observer, hessian 2 X^T X / windows."""
    quantize = _llmcompressor_gptq()
    args, scale, zero = _ct_params(weight, bits, group, sym)
    args = args.model_copy(update={"actorder": "static"})
    x = inputs.reshape(-1, inputs.shape[-1]).float()
    hessian = 2 * x.T @ x / (inputs.shape[0] if inputs.dim() == 3 else 1)
    values, _, fallback = quantize(weight.clone().unsqueeze(0), hessian.unsqueeze(0), scale.unsqueeze(0), zero.unsqueeze(0), None, args,
                                   blocksize=128, percdamp=0.01)
    if bool(fallback.any()):
        raise ArithmeticError("llm-compressor could not factor the hessian and rounded to nearest")
    return values[0].float()


# ----------------------------------------------------------------------------------------------------------------- awq
@functools.lru_cache(maxsize=None)
def _awq_quantizer():
    libs._awq()
    stand_in = None
    if importlib.util.find_spec("datasets") is None:
        stand_in = types.ModuleType("datasets")
        stand_in.load_dataset = None
        stand_in.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
        sys.modules["datasets"] = stand_in
    try:
        module = importlib.import_module("awq.quantize.quantizer")
        scale = importlib.import_module("awq.quantize.scale")
    except Exception as error:
        raise Missing(f"import awq.quantize: {type(error).__name__}: {error}") from None
    finally:
        if stand_in is not None:
            sys.modules.pop("datasets", None)
    module.get_best_device = scale.get_best_device = lambda: "cpu"
    module.clear_memory = lambda *args: None                       # collects garbage, a second each time over everything imported
    return module.AwqQuantizer, scale


def awq_quantizer(bits, group, sym):
    """An AwqQuantizer without its model: only the members that its searches read. Defaults of autoawq 0.2.9: duo_scaling, clipping.
    Its search keeps the weights to return to by v.cpu(), which on the CPU is no copy: each ratio would be tried on the weights that
    the one before left scaled. Here it gets copies, as on a GPU."""
    cls, _ = _awq_quantizer()

    class Quantizer(cls):
        def _compute_best_scale(self, x, w_mean, x_mean, module2inspect, *rest):
            inner = module2inspect.state_dict
            module2inspect.state_dict = lambda: {k: v.clone() for k, v in inner().items()}
            try:
                return super()._compute_best_scale(x, w_mean, x_mean, module2inspect, *rest)
            finally:
                del module2inspect.state_dict

    task = object.__new__(Quantizer)
    task.w_bit, task.group_size, task.zero_point = bits, group, not sym
    task.duo_scaling, task.apply_clip = True, True
    task.n_parallel_calib_samples, task.max_chunk_memory = None, 1024 * 1024 * 1024
    return task


@torch.no_grad()
def awq_clip(task, weight, inputs):
    """_compute_best_clip, 512 sampled tokens; it wants rows in 64s: rows of zeros are added and taken away again."""
    rows = weight.shape[0]
    padded = torch.nn.functional.pad(weight, (0, 0, 0, -rows % 64))
    return task._compute_best_clip(padded, inputs.reshape(-1, inputs.shape[-1]))[:rows]


@torch.no_grad()
def awq(weight, inputs, bits, group, sym, clip=True):
    """autoawq's search on one linear layer alone: scales by the error of its own output, then clipping, then rounding; the
    scales are taken out again, so that the result multiplies the unscaled inputs."""
    task = awq_quantizer(bits, columns_of_group(weight, group), sym)
    layer = libs.linear_of(weight)
    x = inputs.reshape(-1, inputs.shape[-1]).float()
    wrapper = torch.nn.Module()
    wrapper.prev, wrapper.layer = torch.nn.Identity(), layer
    _, _, scales = task._search_best_scale(wrapper, wrapper.prev, [layer], x)
    scaled = weight * scales
    if clip:
        top = awq_clip(task, scaled, x / scales)                   # [out, groups, 1]
        scaled = scaled.reshape(*top.shape[:2], -1).clamp(-top, top).reshape(weight.shape)
    return task.pseudo_quantize_tensor(scaled)[0] / scales


# -------------------------------------------------------------------------------------------------------- bitsandbytes
@functools.lru_cache(maxsize=None)
def bitsandbytes():
    """bitsandbytes on the CPU; it looks for an optional kernel package at import and says so."""
    return libs.need("bitsandbytes")


def bnb_4bit(weight, quant_type, blocksize=64, nested=False):
    """bitsandbytes.functional.quantize_4bit / dequantize_4bit: packed codes, its QuantState, values in the weight's dtype."""
    functional = bitsandbytes().functional
    codes, state = functional.quantize_4bit(weight.contiguous(), blocksize=blocksize, compress_statistics=nested, quant_type=quant_type)
    return codes, state, functional.dequantize_4bit(codes, state)


def nf4(weight, inputs=None, bits=4, group=64, sym=True, nested=False):
    return bnb_4bit(weight, "nf4", group, nested)[2].float()


def fp4(weight, inputs=None, bits=4, group=64, sym=True, nested=False):
    return bnb_4bit(weight, "fp4", group, nested)[2].float()


def bnb_int8(weight):
    """bitsandbytes.functional.int8_vectorwise_quant: codes [out, in] and row maxima [out] (LLM.int8's weights)."""
    codes, rows, _ = bitsandbytes().functional.int8_vectorwise_quant(weight.half().contiguous())
    return codes, rows


def bnb_linear8(weight, threshold, bias=None):
    """bitsandbytes' Linear8bitLt, quantized; call it with f16 (or bf16, f32) inputs."""
    b = bitsandbytes()
    layer = b.nn.Linear8bitLt(weight.shape[1], weight.shape[0], bias=bias is not None, has_fp16_weights=False, threshold=threshold)
    layer.weight = b.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False)
    if bias is not None:
        layer.bias.data = bias.clone()
    return layer.to("cpu").eval()


# -------------------------------------------------------------------------------------------- 8-bit activations, formulas
def int8_rows(values):
    """Symmetric int8 a row (a token or an output channel), -127..127, dequantized."""
    scale = (values.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    return torch.round(values / scale).clamp(-127, 127) * scale


def w8a8(weight, inputs):
    """Output of a W8A8 layer: weight int8 per output channel, inputs int8 per token (dynamic)."""
    return int8_rows(inputs) @ int8_rows(weight).T


def smooth_scales(weights, inputs_max, alpha=0.5):
    """SmoothQuant equation 4: s_j = max|X_j|^alpha / max|W_j|^(1 - alpha) over all weights that read the same inputs."""
    w_max = torch.stack([w.abs().amax(0) for w in weights]).amax(0).clamp(min=1e-5)
    return (inputs_max.clamp(min=1e-5).pow(alpha) / w_max.pow(1 - alpha)).clamp(min=1e-5)


def smoothquant(weight, inputs, alpha=0.5):
    """Output of a SmoothQuant W8A8 layer (per token dynamic): X/s and W*s rounded."""
    s = smooth_scales([weight], inputs.abs().amax(0), alpha)
    return w8a8(weight * s, inputs / s)


# Every weight-only original, by the name under which its figures are kept.
METHODS = {
    "rtn": rtn,
    "rtn.search": rtn_search,
    "hqq": hqq,
    "hqq.axis0": functools.partial(hqq, axis=0),
    "gptq.gptqmodel": gptqmodel,
    "gptq.gptqmodel.desc_act": functools.partial(gptqmodel, desc_act=True),
    "gptq.gptqmodel.mse": functools.partial(gptqmodel, mse=2.0),
    "gptq.llmcompressor": llmcompressor_gptq,
    "awq.autoawq": awq,
    "awq.autoawq.noclip": functools.partial(awq, clip=False),
}


def output_error(weight, values, inputs):
    """||X (W - Wq)^T||^2, summed over tokens and outputs, in f64."""
    x = inputs.reshape(-1, inputs.shape[-1]).double()
    return float((x @ (weight - values).double().T).square().sum())
