# SPDX-License-Identifier: Apache-2.0
"""pare's methods against their originals: bitsandbytes bit for bit and loaded by transformers, HQQ's weight error, GPTQ's and AWQ's layer error and the whole
model's KL at 4, 3 and 2 bits with the same calibration tokens, SmoothQuant's and LLM.int8's whole-model KL. "No larger" allows NOISE."""
import functools
import json
import os

import libs
import models
import numpy as np
import originals
import originals_model as whole
from check_run import folder_of, forward, ids_of, near, pare_logits
from libs import torch
from report import Skip, Wrong

NOISE = 1.02                   # figures over a few thousand tokens; the originals themselves move more with another thread count
EXACT = 2e-5                   # of the range of the logits
HALF = 5e-3                    # weights of 16-bit models: bitsandbytes rounds their values to 16 bit
INT8 = 2e-2                    # bitsandbytes casts inputs to f16 first: some of their int8 codes differ by one
CALIBRATION, EVALUATION = (32, 256), (8, 512)
GROUPS = {"demo": 128, "tinystories-656k": 128, "stories3m": 64}


# ------------------------------------------------------------------------------------------------------- what pare has
@functools.lru_cache(maxsize=None)
def listed(report, what):
    return {row.split()[0] for row in report.pare("list", what).splitlines() if row.strip()}


def need(report, **wanted):
    """need(report, methods="gptq", layouts="hqq", schemes="NF4"): a part that this pare does not have skips the check."""
    for what, name in wanted.items():
        if name.split(":")[0] not in listed(report, what):
            raise Skip(f"this pare has no {name} in `pare list {what}`")


def quantize(report, source, label, *arguments):
    folder = report.scratch("methods-" + label)
    report.pare("quantize", source, "-o", folder, "--overwrite", "--quiet", *arguments, limit=300)
    return folder


def plain_of(report, folder):
    plain = folder.with_name(folder.name + "-plain")
    report.pare("dequantize", folder, "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
    return plain


# -------------------------------------------------------------------------------------------------------- bitsandbytes
def sources(report):
    return {"tiny f32": lambda: models.tiny(report.folder, "tiny-bnb-f32", torch.float32, layers=1),
            "tiny bf16": lambda: models.tiny(report.folder, "tiny-bnb-bf16", torch.bfloat16, layers=1),
            "tiny f16": lambda: models.tiny(report.folder, "tiny-bnb-f16", torch.float16, layers=1),
            "stories260k": lambda: folder_of(report, "stories260k"), "demo": lambda: folder_of(report, "demo")}


def linear_weights(source):
    return {n: w for n, w in models.tensors(source).items() if n.endswith("_proj.weight")}


def check_4bit(report, source, scheme, case):
    need(report, schemes=scheme, layouts="bitsandbytes")
    kind, nested = scheme[:3].lower(), scheme.endswith(":nested")
    folder = case["folder"] = quantize(report, source, scheme, "--scheme", scheme, "--format", "bitsandbytes")
    parts, count = models.tensors(folder), 0
    for name, weight in linear_weights(source).items():
        codes, state, _ = originals.bnb_4bit(weight, kind, 64, nested)
        models.same(parts[name], codes, name)
        if nested:
            with_offset_of(parts, name, state, originals.bnb_4bit(weight, kind, 64)[1].absmax)
        for part, value in state.as_dict(packed=True).items():
            got = parts.get(f"{name}.{part}")
            if got is None:
                raise Wrong(f"{name}.{part} is missing")
            if part.startswith("quant_state"):
                same_state(json.loads(bytes(got.tolist())), json.loads(bytes(value.tolist())), name)
            elif nested and part == "absmax":
                near_codes(got, value, f"{name}.{part}")
            elif part == "nested_absmax":
                models.close(got, value, 1e-6, f"{name}.{part}")
            else:
                models.same(got, value, f"{name}.{part}")
        count += 1
    return f"{count} layers"


def near_codes(got, want, name):
    """8-bit codes of scales: a value near the middle of two entries may fall to either side, one in a hundred (or one of few)."""
    away = (got.int() - want.int()).abs()
    if away.max() > 1 or int((away != 0).sum()) > max(1, away.numel() // 100):
        raise Wrong(f"{name}: {int((away != 0).sum())} of {away.numel()} codes differ, by {int(away.max())} at most")


def with_offset_of(parts, name, state, absmax):
    """The offset is the mean of absmax, whose last bits depend on torch's order of additions, another on each kind of CPU: with pare's own
    offset everything else must come out the same."""
    stored = next((json.loads(bytes(v.tolist())) for n, v in parts.items() if n.startswith(name + ".quant_state")), {})
    if "nested_offset" not in stored:
        raise Wrong(f"{name}: no nested_offset in quant_state")
    offset = torch.tensor(stored["nested_offset"], dtype=torch.float32)
    state.absmax, state.state2 = originals.bitsandbytes().functional.quantize_blockwise(absmax - offset, blocksize=256)


def same_state(got, want, name):
    """Equal, but for the last bits of the nested offset."""
    offsets = got.pop("nested_offset", 0.0), want.pop("nested_offset", 0.0)
    if got != want or abs(offsets[0] - offsets[1]) > 1e-6 * abs(offsets[1]):
        raise Wrong(f"{name}: quant_state {got}, offset {offsets[0]}, instead of {want}, {offsets[1]}")


def check_int8(report, source, case, whole_bits):
    """Bit for bit where the weights are f16. Others bitsandbytes casts to f16 first, pare does not: one code in fifty may be one off."""
    need(report, schemes="LLM_INT8", layouts="bitsandbytes")
    folder = case["folder"] = quantize(report, source, "LLM_INT8", "--scheme", "LLM_INT8", "--format", "bitsandbytes")
    parts, count = models.tensors(folder), 0
    for name, weight in linear_weights(source).items():
        codes, rows = originals.bnb_int8(weight)
        got = parts[name.removesuffix("weight") + "SCB"].reshape(-1)
        if whole_bits:
            models.same(parts[name], codes, name)
            models.close(got, rows, 1e-6, name.removesuffix("weight") + "SCB")
        else:
            away = (parts[name].int() - codes.int()).abs()
            if away.max() > 1 or (away != 0).float().mean() > 0.02:
                raise Wrong(f"{name}: {int((away != 0).sum())} of {away.numel()} codes differ, by {int(away.max())} at most")
            models.close(got, rows, 1e-3, name.removesuffix("weight") + "SCB")
        count += 1
    return f"{count} layers"


def check_loads(report, case, tolerance):
    """transformers with bitsandbytes loads pare's folder; its logits are those of pare run."""
    if "folder" not in case:
        raise Skip("nothing was written")
    originals.bitsandbytes()
    model = models.load(case["folder"], dtype=torch.float32, device_map="cpu")
    kinds = [m for m in model.modules() if type(m).__name__ in ("Linear4bit", "Linear8bitLt")]
    if not kinds:
        raise Wrong("transformers made no bitsandbytes layer")
    for module in kinds:
        module.support_avx512bf16_for_cpu = False                  # else it computes in bf16 on machines that can
    ids = [i % model.config.vocab_size for i in ids_of(report, "demo")[:33]]
    return f"{len(kinds)} layers; " + near(pare_logits(report, case["folder"], ids, "--exact"), forward(model, ids), tolerance, "logits of transformers")


@libs.quiet
def saved_by_transformers(source, folder, scheme):
    """Quantized while loading, saved before the first forward: the values as bitsandbytes dequantizes them, by name."""
    functional = originals.bitsandbytes().functional
    dtype = next(iter(models.tensors(source).values())).dtype
    config = models.transformers.BitsAndBytesConfig(load_in_8bit=True) if scheme == "LLM_INT8" else models.transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=scheme[:3].lower(), bnb_4bit_use_double_quant=scheme.endswith(":nested"), bnb_4bit_compute_dtype=torch.float32)
    model = models.AutoModelForCausalLM.from_pretrained(str(source), quantization_config=config, dtype=dtype, device_map="cpu")
    model.save_pretrained(folder)
    values = {}
    for name, module in model.named_modules():
        if type(module).__name__ == "Linear4bit":
            state = module.weight.quant_state
            state.dtype = torch.float32                            # products in f32, not rounded to the model's dtype
            values[name + ".weight"] = functional.dequantize_4bit(module.weight.data, state)
        elif type(module).__name__ == "Linear8bitLt":
            values[name + ".weight"] = functional.int8_vectorwise_dequant(module.weight.data, module.weight.SCB)
    return values


def check_reads(report, source, scheme):
    need(report, schemes=scheme, layouts="bitsandbytes")
    folder = report.scratch("methods-theirs-" + scheme)
    values = saved_by_transformers(source, folder, scheme)
    if not values:
        raise Wrong("transformers quantized nothing")
    plain = models.tensors(plain_of(report, folder))
    for name, value in values.items():
        if scheme == "LLM_INT8":
            models.close(plain[name], value.reshape(plain[name].shape), 1e-6, name)      # codes * max * (1 / 127), in one order or another
        else:
            models.same(plain[name], value.reshape(plain[name].shape), name)
    return f"{len(values)} layers"


# ----------------------------------------------------------------------------------------------------------------- hqq
def check_hqq(report, source, bits, axis):
    need(report, methods="hqq")
    libs.need("hqq.core.quantize")
    suffix = "" if axis == 1 else ":axis0"
    arguments = ["--method", "hqq", "--scheme", f"W{bits}A16_ASYM:g64{suffix}", "--scale-dtype", "f32"]     # as hqq_parts keeps them
    if "hqq" in listed(report, "layouts"):
        arguments += ["--format", "hqq"]
    got = models.tensors(plain_of(report, quantize(report, source, f"hqq-{bits}-{axis}", *arguments)))
    ours = theirs = ours2 = theirs2 = 0.0
    for name, weight in linear_weights(source).items():
        weight = weight.float()
        a, b = (got[name] - weight).double(), (originals.hqq_parts(weight, bits, 64, axis)[2] - weight).double()
        ours, theirs, ours2, theirs2 = ours + float(a.abs().sum()), theirs + float(b.abs().sum()), ours2 + float(a.square().sum()), theirs2 + float(b.square().sum())
    if ours > theirs * 1.001:
        raise Wrong(f"sum of |error| {ours:.6g}, hqq {theirs:.6g}")
    return f"sum of |error| {ours:.5g}, hqq {theirs:.5g}; squares {ours2:.5g}, {theirs2:.5g}"


def check_hqq_loads(report, source, bits):
    """hqq's own layer reads what pare wrote and makes the same values of it (transformers 5.23 has no HQQ)."""
    need(report, methods="hqq", layouts="hqq")
    libs.need("hqq.core.quantize")
    from hqq.core.quantize import HQQLinear
    folder = quantize(report, source, f"hqq-load-{bits}", "--method", "hqq", "--scheme", f"W{bits}A16_ASYM:g64", "--format", "hqq")
    plain, parts, count = models.tensors(plain_of(report, folder)), models.tensors(folder), 0
    for module in sorted(n.removesuffix(".W_q") for n in parts if n.endswith(".W_q")):
        state = {n.removeprefix(module + "."): v for n, v in parts.items() if n.startswith(module + ".")}
        layer = HQQLinear(None, None, compute_dtype=torch.float32, device="cpu", initialize=False)
        layer.load_state_dict(state)
        models.same(layer.dequantize().float(), plain[module + ".weight"], module)
        count += 1
    if not count:
        raise Wrong("the folder has no W_q")
    return f"{count} layers"


# ------------------------------------------------------------------------------------- float grids of compressed-tensors
# pare's scheme -> the library's preset with the same weights
PRESETS = {"NVFP4A16": "NVFP4A16", "NVFP4": "NVFP4", "MXFP4": "MXFP4A16", "MXFP8A16": "MXFP8A16", "FP8_BLOCK": "FP8_BLOCK"}


def check_float_grid(report, source, scheme, case):
    """Scales and values of compressed-tensors' own quantizer. It computes in the dtype of the weights: equal for f32 (a global scale to the last bit: it
    multiplies by a reciprocal), for 16 bits a scale may be rounded otherwise, and then pare's error is no larger."""
    need(report, schemes=scheme)
    try:
        ids = report.scratch("grid-ids").with_suffix(".json")
        ids.write_text(json.dumps([(7919 * i + i // 7 * 31) % 250 + 3 for i in range(512)]))
        data = ["--calibration", ids, "--seq-len", "32", "--samples", "4"] if scheme == "NVFP4" else []
        folder = case["folder"] = quantize(report, source, "grid-" + scheme, "--scheme", scheme, *data)
    except Wrong as why:
        if "does not store" in str(why):
            raise Skip(why) from None
        raise
    plain, parts, count, ours, theirs, exact = models.tensors(plain_of(report, folder)), models.tensors(folder), 0, 0.0, 0.0, True
    for name, weight in linear_weights(source).items():
        stored, values = originals.ct_preset(weight, PRESETS[scheme])
        for part, value in stored.items():
            got = parts.get(f"{name.removesuffix('weight')}{part}")
            if got is None:
                raise Wrong(f"{name.removesuffix('weight')}{part} is missing")
            got, value, label = got.reshape(value.shape).float(), value.float(), f"{name.removesuffix('weight')}{part}"
            if weight.dtype is not torch.float32 and "scale" not in part:
                continue                                       # codes by another scale: the error is compared
            if "global" in part or weight.dtype is not torch.float32:
                step = 2**-22 if weight.dtype is torch.float32 else 2**-3 if scheme.startswith("NVFP4") else 2**-6      # a float8 scale's next value
                models.close(got, value, step, label)
            else:
                models.same(got, value, label)
        got, values = plain[name].to(values.dtype).float(), values.float()
        ours, theirs = ours + float((got - weight.float()).double().square().sum()), theirs + float((values - weight.float()).double().square().sum())
        exact = exact and bool((got == values).all())
        if weight.dtype is torch.float32:
            models.close(got, values, 2**-22 if any("global" in part for part in stored) else 0, name)
        count += 1
    if ours > theirs * 1.001:
        raise Wrong(f"squared error {ours:.6g}, compressed-tensors {theirs:.6g}")
    return f"{count} layers, {'bit for bit' if exact else f'squared error {ours:.6g}, theirs {theirs:.6g}'}"


@libs.quiet
def check_float_grid_loads(report, scheme, case):
    if "folder" not in case:
        raise Skip("nothing was written")
    model = models.load(case["folder"], ignore=(".input_global_scale",), dtype="auto", quantization_config=models.transformers.CompressedTensorsConfig(dequantize=True))
    plain = models.float_model(case["folder"].with_name(case["folder"].name + "-plain"))
    return models.close(models.logits(torch.nn.Module.float(model)), models.logits(plain), HALF, "logits")


# -------------------------------------------------------------------------------------------------------- whole models
class Subject:
    """A float model, its tokens and what is measured against them; made once."""

    def __init__(self, report, name):
        self.name, self.folder, self.group = name, folder_of(report, name), GROUPS[name]
        self.model = models.float_model(self.folder)
        tokens, self.evaluation = whole.windows(self.folder, report.models / "text", CALIBRATION, EVALUATION)
        self.tokens = tokens
        self.path = report.folder / f"{name}-calibration.npy"
        np.save(self.path, tokens.numpy().astype(np.int32))
        self.floats, self.kwargs = whole.float_inputs(self.model, tokens)
        self.squares = whole.hessians(self.floats)
        self.reference = whole.log_probabilities(self.model, self.evaluation)

    def copy(self):
        return models.float_model(self.folder)

    @libs.quiet
    def kl(self, model):
        return whole.measure(model, self.reference, self.evaluation)["kl_mean"]

    def quantized(self, report, label, *arguments):
        count, length = self.tokens.shape
        return quantize(report, self.folder, f"{self.name}-{label}", *arguments, "--calibration", self.path, "--samples", count, "--seq-len", length)


@functools.lru_cache(maxsize=None)
def subject(report, name):
    return Subject(report, name)


def scheme_of(bits, group, sym):
    return f"W{bits}A16{'' if sym else '_ASYM'}:" + (f"g{group}" if group else "channel")


def original_gptq(s, bits, group, sym):
    """name -> a quantized model, for each library that is here."""
    found = {}
    for name, at_once in (("gptq.gptqmodel", False), ("gptq.llmcompressor", True)):
        try:
            model = s.copy()
            whole.quantize_sequential(model, s.tokens, originals.METHODS[name], bits, group, sym, at_once)
            found[name] = model
        except libs.Missing:
            pass
    if not found:
        raise libs.Missing("neither gptqmodel nor llm-compressor is here")
    return found


def original_awq(s, bits, group, sym):
    model = s.copy()
    whole.quantize_awq(model, s.tokens, bits, group, sym)
    return {"awq.autoawq": model}


ORIGINALS = {"gptq": original_gptq, "awq": original_awq}


def check_whole(report, name, method, bits, grouped, sym):
    need(report, methods=method)
    s = subject(report, name)
    group = s.group if grouped else 0
    theirs = {n: s.kl(m) for n, m in ORIGINALS[method](s, bits, group, sym).items()}
    scheme = scheme_of(bits, group, sym)
    ours = s.kl(models.float_model(plain_of(report, s.quantized(report, f"{method}-{scheme}", "--method", method, "--scheme", scheme))))
    text = f"KL {ours:.5f}; " + ", ".join(f"{n} {v:.5f}" for n, v in theirs.items())
    if not ours <= min(theirs.values()) * NOISE:
        raise Wrong(text)
    return text


def check_layer(report, name, method, layer, leaf, bits, grouped, sym):
    """One linear layer alone (--only), so that both see exactly the float model's inputs; AWQ folds scales: measured at the block's output."""
    need(report, methods=method)
    s = subject(report, name)
    group = s.group if grouped else 0
    scheme, path = scheme_of(bits, group, sym), f"model.layers.{layer}.{leaf}"
    folder = s.quantized(report, f"one-{method}-{scheme}", "--method", method, "--scheme", scheme, "--only", path + ".weight")
    ours = models.float_model(plain_of(report, folder))
    x = s.floats[layer][0][leaf]
    theirs = {}
    for original in [n for n in ("gptq.gptqmodel", "gptq.llmcompressor", "awq.autoawq") if n.startswith(method)]:
        model = s.copy()
        linear = model.get_submodule(path)
        try:
            linear.weight.data = originals.METHODS[original](linear.weight.data, x, bits, group, sym)
        except libs.Missing:
            continue
        theirs[original] = model
    if not theirs:
        raise libs.Missing("no original of it is here")
    error = (lambda m: whole.layer_error(m, s.model, s.squares)) if method == "gptq" else (lambda m: whole.block_error(m, s.floats, s.kwargs))
    mine, others = error(ours), {n: error(m) for n, m in theirs.items()}
    text = f"{'layer' if method == 'gptq' else 'block'} output error {mine:.6g}; " + ", ".join(f"{n} {v:.6g}" for n, v in others.items())
    if not mine <= min(others.values()) * NOISE:
        raise Wrong(text)
    return text


def check_w8a8(report, name, method, scheme):
    """SmoothQuant and LLM.int8: whole-model KL with quantized activations, in the library that loads the folder."""
    need(report, methods=method)
    need(report, schemes=scheme)
    s = subject(report, name)
    theirs = s.copy()
    if method == "smoothquant":
        whole.quantize_w8a8(theirs, s.floats, 0.5, scheme.endswith(":static"))
        folder = s.quantized(report, method, "--method", method, "--scheme", scheme)
    else:
        need(report, layouts="bitsandbytes")
        whole.quantize_llm_int8(theirs)
        folder = quantize(report, s.folder, "int8-" + name, "--scheme", scheme, "--format", "bitsandbytes")
    options = {"device_map": "cpu"} if method != "smoothquant" else {}
    model = models.load(folder, dtype=torch.float32, **options)
    for parameter in model.parameters():                       # transformers leaves what is float in the file's dtype
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    ours, original = s.kl(model), s.kl(theirs)
    text = f"KL {ours:.6f}, original {original:.6f}"
    if not ours <= original * 1.05:
        raise Wrong(text)
    return text


def check_order(report, name, bits):
    """KL on one grid (asymmetric, the model's group): gptq below awq and hqq, those below rtn with a range search, that below rtn. hqq with float zero
    points, in its layout: with whole ones it is the range search."""
    for method in ("hqq", "awq", "gptq"):
        need(report, methods=method)
    s, scheme = subject(report, name), scheme_of(bits, GROUPS[name], False)
    kl = {}
    for label, arguments in {"rtn": ("rtn",), "search": ("rtn", "--clip", "mse"), "hqq": ("hqq", "--format", "hqq"), "awq": ("awq",), "gptq": ("gptq",)}.items():
        folder = s.quantized(report, f"order-{label}", "--method", arguments[0], "--scheme", scheme, *arguments[1:])
        kl[label] = s.kl(models.float_model(plain_of(report, folder)))
    text = ", ".join(f"{k} {v:.5f}" for k, v in kl.items())
    wrong = [f"{a} is not below {b}" for a, b in (("gptq", "awq"), ("gptq", "hqq"), ("awq", "search"), ("hqq", "search"), ("search", "rtn")) if not kl[a] < kl[b]]
    if wrong:
        raise Wrong(text + ": " + "; ".join(wrong))
    return text


def not_now():
    raise Skip("takes minutes: PARE_INTEROP_ORIGINALS=1 runs them")


# ---------------------------------------------------------------------------------------------------------- the matrix
def run(report):
    for name, source in sources(report).items():
        for scheme in ("NF4", "FP4", "NF4:nested", "FP4:nested"):
            case, label = {}, f"methods {scheme} [{name}]"
            report.check(label + ": bit for bit as bitsandbytes", lambda s=scheme, c=case, f=source: check_4bit(report, f(), s, c))
            report.check(label + ": transformers loads it, logits", check_loads, report, case, EXACT if name in ("tiny f32", "stories260k") else HALF)
            if name.startswith("tiny"):
                report.check(label + ": pare reads what transformers saved", lambda s=scheme, f=source: check_reads(report, f(), s))
        case, label = {}, f"methods LLM_INT8 [{name}]"
        report.check(label + ": as bitsandbytes", lambda c=case, f=source, n=name: check_int8(report, f(), c, n == "tiny f16"))
        report.check(label + ": transformers loads it, logits", check_loads, report, case, INT8)
        if name.startswith("tiny"):
            report.check(label + ": pare reads what transformers saved", lambda f=source: check_reads(report, f(), "LLM_INT8"))
    if not os.environ.get("PARE_INTEROP_ORIGINALS"):
        report.check("methods against hqq, gptqmodel, llm-compressor, autoawq, compressed-tensors' float grids", not_now)
        return
    for name in ("tiny f32", "demo"):
        for bits in (8, 4, 3, 2, 1):
            for axis in (1, 0):
                report.check(f"methods hqq {bits} bit axis {axis} [{name}]: weight error", lambda b=bits, a=axis, f=sources(report)[name]: check_hqq(report, f(), b, a))
        for bits in (8, 4, 3, 2, 1):
            report.check(f"methods hqq {bits} bit [{name}]: hqq loads it", lambda b=bits, f=sources(report)[name]: check_hqq_loads(report, f(), b))
    for name in ("tiny f32", "tiny bf16"):
        for scheme in PRESETS:
            case, label = {}, f"methods {scheme} [{name}]"
            report.check(label + ": as compressed-tensors", lambda s=scheme, c=case, f=sources(report)[name]: check_float_grid(report, f(), s, c))
            report.check(label + ": transformers loads it, logits", check_float_grid_loads, report, scheme, case)
    for bits in (4, 3, 2):
        for grouped in (True, False):
            how = f"{bits} bit {'group' if grouped else 'channel'}"
            for sym in (True, False):
                kind = f"{how} {'symmetric' if sym else 'asymmetric'}"
                for layer, leaf in ((0, "self_attn.q_proj"), (3, "mlp.down_proj")):
                    report.check(f"methods gptq {kind} [demo]: {layer}.{leaf}", check_layer, report, "demo", "gptq", layer, leaf, bits, grouped, sym)
                for name in ("demo", "tinystories-656k") if sym else ("demo",):
                    report.check(f"methods gptq {kind} [{name}]: whole model", check_whole, report, name, "gptq", bits, grouped, sym)
            report.check(f"methods awq {how} asymmetric [demo]: 3.mlp.down_proj", check_layer, report, "demo", "awq", 3, "mlp.down_proj", bits, grouped, False)
            for name in ("demo", "tinystories-656k") if grouped and bits == 4 else ("tinystories-656k",):      # autoawq takes a minute on demo
                report.check(f"methods awq {how} asymmetric [{name}]: whole model", check_whole, report, name, "awq", bits, grouped, False)
    for name in ("demo", "tinystories-656k", "stories3m"):
        for scheme in ("W8A8", "W8A8:static"):
            report.check(f"methods smoothquant {scheme} [{name}]: whole model", check_w8a8, report, name, "smoothquant", scheme)
    for name in ("demo", "tinystories-656k"):
        report.check(f"methods llm.int8 [{name}]: whole model", check_w8a8, report, name, "rtn", "LLM_INT8")
    for name in ("demo", "tinystories-656k"):
        for bits in (4, 3, 2):
            report.check(f"methods order {bits} bit [{name}]", check_order, report, name, bits)
