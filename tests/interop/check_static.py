# SPDX-License-Identifier: Apache-2.0
"""Static scales from calibration: of activations (FP8, W8A8:static, NVFP4) and of the key/value cache. The file is loaded by transformers and compressed-tensors;
the scales are what llm-compressor's static_minmax observer finds on the same tokens in the loaded model (min and max over all, then compressed-tensors' own
calculate_qparams and generate_gparam); pare's engine computes what the library computes."""
import libs
import models
import numpy as np
from check_run import FLOAT, float_model, forward, ids_of, kl_figures, near, near_value, pare_logits
from check_run_quantized import demo32
from libs import torch
from report import Wrong

ROWS, LENGTH = 8, 64
SCALE = 2e-6           # relative: the same maximum, of sums in another order
BORDER = 1e-2          # where a number fell to the other side of a border of rounding in a layer before


def tokens(report):
    rows = np.array(ids_of(report, "demo")[: ROWS * LENGTH], dtype=np.int64).reshape(ROWS, LENGTH)
    path = report.scratch("tokens.npy")
    np.save(path, rows)
    return path, rows


def quantize(report, *options):
    path, rows = tokens(report)
    folder = report.scratch("static")
    report.pare("quantize", demo32(report), "-o", folder, "--calibration", path, "--overwrite", "--quiet", *options)
    return folder, rows


@torch.no_grad()
def run_rows(model, rows):
    for row in rows:
        libs.quiet(model)(torch.tensor(row[None]))


def far(got, want):
    return float(((got.double() - want.double()).abs() / want.double().abs()).max())


def judge(worst, median, what):
    if not (median <= SCALE and worst <= BORDER):
        raise Wrong(f"{what}: scales off by {worst:.1e} at most, {median:.1e} in the median")


# ------------------------------------------------------------------------------------------------------------------ cache
def check_cache(report, kind, *more):
    """With more: weights are quantized, too (awq: folds make the cached values smaller)."""
    from compressed_tensors.modeling.kvcache import register_key_hook, register_value_hook
    from compressed_tensors.quantization.utils import calculate_qparams
    folder, rows = quantize(report, "--kv-cache", kind, *(more or ("--scheme", "none")))
    model = models.load(folder, dtype="auto")
    run_rows(model, rows[:1, :4])                                # the first forward unpacks
    attention = [(n, m) for n, m in model.named_modules() if hasattr(m, "k_scale")]
    seen, off = {}, []

    def look(name):
        def hook(module, states):                                # [batch, heads, tokens, dim], keys rotated
            x = states.detach().amin(dim=(0, 2, 3)), states.detach().amax(dim=(0, 2, 3))
            low, high = seen.get(name, x)
            seen[name] = torch.minimum(low, x[0]), torch.maximum(high, x[1])
        return hook

    for name, module in attention:
        module.quantization_enabled = False                      # keys and values are measured as they are
        register_key_hook(module, look(name + ".k_scale"))
        register_value_hook(module, look(name + ".v_scale"))
    run_rows(model, rows)
    for name, module in attention:
        for which in ("k_scale", "v_scale"):
            low, high = seen[f"{name}.{which}"]
            stored = getattr(module, which)
            if stored.numel() == 1:
                low, high = low.min()[None], high.max()[None]
            want, _ = calculate_qparams(low, high, module.quantization_scheme.input_activations)
            off.append(far(stored.flatten(), want.flatten()))
        module.quantization_enabled = True
    judge(max(off), sorted(off)[len(off) // 2], kind)
    ids = ids_of(report, "demo")[600:856]
    single = [near_value(pare_logits(report, folder, [i]), forward(model, [i])) for i in ids[:12]]
    got, theirs = pare_logits(report, folder, ids), forward(model, ids)
    for _, module in attention:
        module.quantization_enabled = False
    floats, nothing = forward(model, ids), np.zeros(len(ids), int)
    same, noise = (float(kl_figures(theirs, x, nothing)["kl_mean"]) for x in (got, floats))
    text = f"{len(off)} scales off by {max(off):.0e} at most; KL to the library's cache {same:.1e}, of the cache itself {noise:.1e}; single tokens {np.median(single):.0e} of the range"
    if sum(x <= FLOAT for x in single) < 10 or not same < 0.5 * noise or not noise > 1e-6:
        raise Wrong(text)
    return text + "; cache in float: " + near(pare_logits(report, folder, ids, "--kv-dtype", "f32"), floats, FLOAT, "the cache in float")


# ------------------------------------------------------------------------------------------------------------ activations
def want_scale(module, low, high):
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    if hasattr(module, "input_global_scale"):
        return generate_gparam(low, high)
    return calculate_qparams(low[None], high[None], module.quantization_scheme.input_activations)[0]


def unpack(report, folder, model, rows):
    """The first forward unpacks; e2m1 to bf16 whatever the model is in, which f32 activations do not multiply: the same weights in f32 then."""
    try:
        run_rows(model, rows[:1, :4])
    except RuntimeError:
        plain = report.scratch("plain")
        report.pare("dequantize", folder, "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
        for name, value in models.tensors(plain).items():
            if name.endswith("_proj.weight"):
                parameter = model.get_parameter(name)
                models.close(parameter.data, value, 2**-8, name)
                parameter.data = value
    return model


def check_activations(report, scheme):
    folder, rows = quantize(report, "--scheme", scheme, "--set", "range=minmax")
    model = unpack(report, folder, models.load(folder, dtype="auto"), rows)
    layers = [(n, m) for n, m in model.named_modules() if hasattr(m, "input_scale") or hasattr(m, "input_global_scale")]
    seen, off = {}, []

    def look(name):
        def hook(module, inputs):
            x = inputs[0].detach().min(), inputs[0].detach().max()
            low, high = seen.get(name, x)
            seen[name] = torch.minimum(low, x[0]), torch.maximum(high, x[1])
        return hook

    hooks = [m.register_forward_pre_hook(look(n)) for n, m in layers]
    run_rows(model, rows)
    for hook in hooks:
        hook.remove()
    for name, module in layers:
        stored = getattr(module, "input_global_scale", getattr(module, "input_scale", None))
        off.append(far(stored.flatten(), want_scale(module, *seen[name]).flatten()))
    judge(max(off), sorted(off)[len(off) // 2], scheme)
    if len(layers) != 28:
        raise Wrong(f"{len(layers)} layers of 28 have static scales")
    ids = ids_of(report, "demo")[600:856]
    single = [near_value(pare_logits(report, folder, [i]), forward(model, [i])) for i in ids[:12]]
    got, theirs, floats, nothing = pare_logits(report, folder, ids), forward(model, ids), forward(float_model(demo32(report)), ids), np.zeros(len(ids), int)
    same, noise = float(kl_figures(theirs, got, nothing)["kl_mean"]), float(kl_figures(floats, theirs, nothing)["kl_mean"])
    text = f"{len(off)} scales off by {max(off):.0e} at most; KL to the library's forward {same:.1e}, of the quantization {noise:.1e}; single tokens {np.median(single):.0e} of the range"
    if sum(x <= FLOAT for x in single) < 8 or not same < 0.5 * noise:
        raise Wrong(text)
    return text


def run(report):
    for kind in ("fp8", "int8", "int8:scales=head", "fp8:scales=head"):
        report.check(f"static compressed-tensors key/value cache {kind}: scales and logits of the library", check_cache, report, kind)
    report.check("static compressed-tensors key/value cache int8 beside awq W4A16:g64", check_cache, report, "int8", "--scheme", "W4A16:g64", "--method", "awq")
    for scheme in ("FP8", "W8A8:static", "NVFP4"):
        report.check(f"static compressed-tensors {scheme}: input scales of the observer, logits of the library", check_activations, report, scheme)
