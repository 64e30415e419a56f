# SPDX-License-Identifier: Apache-2.0
"""Quantized files in `pare run` and `pare eval`: what pare writes runs as its dequantized form does, as transformers computes with the same weights and as
the library's own loader computes; what the libraries write runs in pare; --fast is near --exact; 8-bit activations follow their rule."""
import functools

import check_read
import check_write
import libs
import models
import numpy as np
from check_run import FLOAT, float_model, folder_of, forward, ids_of, kl_figures, near, near_value, pare_logits, quantized, text_file, windows_of
from libs import torch
from report import Wrong

HALF_WEIGHTS = 3e-4    # of the range of the logits: the library rounds (q - z) * s to 16 bit, pare does not
FLOAT8_ACTIVATIONS = 0.05  # of the range: three bits of mantissa in every input

# -------------------------------------------------------------------------------------------------------- quantized files
# (layout, scheme): every layout that pare writes, every scheme of the first stage in one of them
WRITTEN = [("compressed-tensors", s) for s in ("W8A16", "W8A16:g64", "W8A16_ASYM", "W8A32", "W7A16:g64", "W6A16:g32", "W5A16:g64", "W4A16:g64", "W4A16:channel", "W4A16_ASYM:g32",
                                               "W3A16:g64", "W3A16_ASYM:g32", "W2A16:g64", "W2A16_ASYM:g32", "W1A16_ASYM:g32", "FP8_WEIGHT", "FP8_WEIGHT:tensor", "FP8_DYNAMIC")] + [
    ("gptq", "W8A16:g64"), ("gptq", "W4A16:g64"), ("gptq", "W4A16_ASYM:g32"), ("gptq", "W3A16:g32"), ("gptq", "W2A16_ASYM:g32"), ("gptq_v2", "W4A16_ASYM:g64"),
    ("gptq_v2", "W3A16_ASYM:g64"), ("awq", "W4A16:g64"), ("awq", "W4A16_ASYM:g32"), ("quanto", "W8A16"), ("quanto", "W4A16_ASYM"), ("quanto", "W4A16"), ("quanto", "W2A16_ASYM"),
    ("quanto", "FP8_WEIGHT"), ("course", "W8A16")]
# whose own loader is asked as well (one a layout and width: check_write.py compares the values of all)
OWN = {("compressed-tensors", "W8A16"), ("compressed-tensors", "W4A16:g64"), ("compressed-tensors", "W4A16_ASYM:g32"), ("compressed-tensors", "W2A16_ASYM:g32"),
       ("compressed-tensors", "FP8_WEIGHT"), ("gptq", "W4A16:g64"), ("gptq", "W3A16:g32"), ("gptq_v2", "W4A16_ASYM:g64"), ("awq", "W4A16_ASYM:g32"), ("quanto", "W8A16"),
       ("quanto", "W4A16_ASYM"), ("quanto", "W2A16_ASYM"), ("course", "W8A16")}
FAST_KL = 1e-3


@functools.lru_cache(maxsize=None)
def demo32(report):
    """The demo model in f32: the libraries then compute in f32, and their scales are f32 where the layout allows it."""
    folder = report.scratch("demo-f32")
    report.pare("convert", folder_of(report, "demo"), "-o", folder, "--dtype", "f32", "--overwrite", "--quiet")
    return folder


def with_values(report, values):
    """The demo model of transformers in f32 with these weights."""
    model = float_model(demo32(report))
    with torch.no_grad():
        for name, value in values.items():
            model.get_parameter(name).copy_(value.detach().float())
    return model


def check_written(report, layout, scheme):
    ids = ids_of(report, "demo")[:33]
    folder, plain = quantized(report, "demo", layout, scheme, demo32(report))
    got = pare_logits(report, folder, ids, "--exact")
    # float8 activations are rounded as the checkpoint says, which the float runs beside it do not do
    limit = FLOAT8_ACTIVATIONS if scheme == "FP8_DYNAMIC" else FLOAT
    text = near(got, pare_logits(report, plain, ids, "--exact"), limit, "pare on the dequantized folder")
    model = with_values(report, {n: v for n, v in models.tensors(plain).items() if n != "lm_head.weight"})
    text += "; transformers on the same weights: " + near(got, forward(model, ids), limit, "transformers on the same weights")
    if (layout, scheme) in OWN:
        try:
            own = check_write.LOADERS[layout](folder, {})[1]
            limit = HALF_WEIGHTS if layout in ("gptq", "gptq_v2", "awq") else 2e-4 if layout == "course" else limit
            text += "; the library: " + near(got, forward(own, ids), limit, "the library's own forward")
        except libs.Missing as why:
            text += f"; the library: skipped ({why})"
    return text


def check_fast(report, layout, scheme):
    folder, _ = quantized(report, "demo", layout, scheme)
    found = report.pare_json("eval", folder, "--fast", "--text", text_file(report, "demo"), "--ctx", 256, "--windows", 3, "--against", folder)
    if not 0 < found["kl_mean"] < FAST_KL:         # the reference is always computed exactly; 0 would be the same computation
        raise Wrong(f"KL {found['kl_mean']:.2e} between --fast and --exact, allowed {FAST_KL:g}")
    return f"KL {found['kl_mean']:.1e}, 99 % {found['kl_p99']:.1e}, same top token {100 * found['top1_agreement']:.2f} %, perplexity {found['perplexity_ref']:.3f} -> {found['perplexity']:.3f}"


def rounded_activations(model):
    """Every linear layer but the head sees its inputs rounded to 8 bits, a scale of max/127 for each token: the rule of the integer kernels that serve
    such files (vLLM). compressed-tensors' own simulation divides by 127.5 and has 256 codes."""
    def hook(module, inputs):
        x = inputs[0]
        scale = x.abs().amax(-1, keepdim=True) / 127
        return (torch.where(scale > 0, torch.round(x / scale) * scale, x),)
    return [m.register_forward_pre_hook(hook) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "layers" in n]


def check_int8(report, scheme):
    """8-bit activations: a float error in one layer moves a number over a rounding border, so logits agree as distributions do, not to the last digit."""
    folder, plain = quantized(report, "demo", "compressed-tensors", scheme, demo32(report))
    own, ids = models.load(folder, dtype="auto"), ids_of(report, "demo")
    exact = with_values(report, {n: v for n, v in models.tensors(plain).items() if n != "lm_head.weight"})
    libs.quiet(forward)(own, ids[:8])                          # the first forward unpacks
    rows = [[pare_logits(report, folder, w), forward(own, w), forward(exact, w)] for w in windows_of(ids, 256, 2)]
    hooks = rounded_activations(exact)
    single = [near_value(pare_logits(report, folder, [i]), forward(exact, [i])) for i in ids[:12]]
    for row, w in zip(rows, windows_of(ids, 256, 2)):
        row.append(forward(exact, w))
    for hook in hooks:
        hook.remove()
    got, library, floats, same = (np.concatenate(x) for x in zip(*rows))
    kl = lambda a, b: float(kl_figures(a, b, np.zeros(len(a), int))["kl_mean"])  # noqa: E731
    rule, theirs, noise, limit = kl(same, got), kl(library, got), kl(floats, got), kl(floats, library)
    if sum(x <= FLOAT for x in single) < 10:                   # one token alone: hardly ever a number on a border
        raise Wrong(f"single tokens differ from the same rule in torch by {single} of the range")
    text = f"single tokens {np.median(single):.0e} of the range; KL to the same rule in torch {rule:.1e}; to compressed-tensors' simulation {theirs:.1e}; to float activations {noise:.1e}, the simulation's {limit:.1e}"
    if not (rule < 0.75 * noise and theirs < 1e-3 and noise < 1.5 * limit and noise > 1e-5):
        raise Wrong(text)
    return text


# what the libraries write: label, writer of check_read.py and its arguments
READ = [("compressed-tensors W4A16:g64", check_read.write_ct, "W4A16:g64"), ("compressed-tensors W4A16_ASYM:g32", check_read.write_ct, "W4A16_ASYM:g32"),
        ("compressed-tensors W8A16", check_read.write_ct, "W8A16"), ("compressed-tensors W3A16:g64", check_read.write_ct, "W3A16:g64"),
        ("gptq 4 bit sym g64 (gptqmodel)", check_read.write_gptq, 4, 64, True, False), ("gptq_v2 3 bit asym g32 (gptqmodel)", check_read.write_gptq, 3, 32, False, True),
        ("gptq 8 bit asym g32 (AutoGPTQ)", check_read.write_autogptq, 8, 32, False), ("awq asym g64 (autoawq)", check_read.write_awq, 64, False),
        ("quanto qint8", check_read.write_quanto, "qint8"), ("quanto qint4", check_read.write_quanto, "qint4"), ("quanto qint2", check_read.write_quanto, "qint2"),
        ("quanto qfloat8", check_read.write_quanto, "qfloat8"), ("course W8A16 (torch)", check_read.write_course, "torch")]


def check_library(report, write, *arguments):
    ids, folder = ids_of(report, "demo")[:33], report.scratch("library")
    values = write(demo32(report), folder, *arguments)
    half = write in (check_read.write_gptq, check_read.write_autogptq, check_read.write_awq)
    return near(pare_logits(report, folder, ids), forward(with_values(report, values), ids), HALF_WEIGHTS if half else FLOAT, "transformers with the library's values")


def run(report):
    for layout, scheme in WRITTEN:
        report.check(f"run {layout} {scheme}: exact = dequantized = the library", check_written, report, layout, scheme)
    for layout, scheme in WRITTEN:
        report.check(f"run {layout} {scheme}: --fast", check_fast, report, layout, scheme)
    for scheme in ("W8A8", "W4A8:g64"):
        report.check(f"run compressed-tensors {scheme}: 8-bit activations as the library's", check_int8, report, scheme)
    for label, write, *arguments in READ:
        report.check(f"run what the library wrote: {label}", check_library, report, write, *arguments)
