# SPDX-License-Identifier: Apache-2.0
"""pare writes, the real library loads. For every case three things are checked: the library finds every tensor and makes the
values that `pare dequantize` makes (bit for bit, in the library's dtype), what was not quantized is untouched, and the
logits are those of a float model built from `pare dequantize`."""
import copy

import libs
import models
import transformers
from libs import torch
from models import close, same
from report import Skip, Wrong

HALF = torch.float16
EXACT = 2e-5          # of the largest logit: same weights, same f32 operations, another kernel at most


# ------------------------------------------------------------------------------------------------------------- loaders
# Each returns (values by weight name, model or None, dtype that pare's f32 values must be rounded to, tolerance of logits).
def load_ct(folder, case):
    if len(models.config_of(folder)["quantization_config"]["config_groups"]) > 1:
        model = models.load(folder, dtype="auto")              # transformers 5.23 with dequantize=True knows one group only
        models.logits(model)                                   # the first forward unpacks
    else:
        model = models.load(folder, ignore=(".input_scale",), dtype="auto", quantization_config=transformers.CompressedTensorsConfig(dequantize=True))
    parts = models.tensors(folder)
    modules = {n[: -len(".weight_scale")] for n in parts if n.endswith(".weight_scale")}
    values = {m + ".weight": model.get_submodule(m).weight.detach() for m in modules}
    scale = next(parts[n].dtype for n in parts if n.endswith(".weight_scale"))
    if scale not in (torch.float32, HALF):
        scale = torch.bfloat16                                     # scales of 8 bits: the model's dtype
    if any(n.endswith("weight_global_scale") for n in parts):
        case["rounds"] = 2**-6                                     # it rounds scale / global to bf16 on the way
        return values, torch.nn.Module.float(model), None, 3e-2
    return values, torch.nn.Module.float(model), scale, EXACT     # transformers forbids model.float() after the first forward


def check_ct_run(folder, case):
    """The default mode: tensors stay packed until the first forward."""
    config = models.config_of(folder)["quantization_config"]
    group = next(iter(config["config_groups"].values()))
    if config["format"] == "pack-quantized" and not group["weights"]["symmetric"]:
        raise Skip("transformers 5.23 + compressed-tensors 0.20 cannot load packed zero points in this mode, not even their own files")
    model = models.load(folder, dtype="auto")
    models.logits(model)
    reference = case["model"]                                  # the same weights, unpacked while loading
    for name in case["values"]:
        same(model.get_parameter(name).detach().float(), reference.get_parameter(name).detach(), name)


def load_gptq(folder, case):
    libs.need("gptqmodel")
    libs.need("optimum.gptq")
    config = models.config_of(folder)["quantization_config"]
    model = models.load(folder, dtype=torch.float32, device_map="cpu", quantization_config=transformers.GPTQConfig(bits=config["bits"], backend="gptq_torch"))
    values = {n + ".weight": m.dequantize_weight().T.detach() for n, m in model.named_modules() if hasattr(m, "qweight")}
    return values, model, HALF, EXACT


def check_autogptq(folder, case):
    """AutoGPTQ's own layer on the same file (version 1 only)."""
    config = models.config_of(folder)["quantization_config"]
    if config["checkpoint_format"] != "gptq":
        raise Skip("AutoGPTQ 0.7.1 knows version 1 only")
    if config["desc_act"]:
        raise Skip("the layer of AutoGPTQ that runs without a GPU takes neighbouring columns for groups")
    parts, plain = models.tensors(folder), case["plain"]
    for module in sorted({n[:-8] for n in parts if n.endswith(".qweight")}):
        layer = {k: parts[f"{module}.{k}"] for k in ("qweight", "qzeros", "scales", "g_idx")}
        got = libs.unpack_autogptq(layer, config["bits"], config["group_size"])
        same(got.float(), plain[module + ".weight"].to(HALF).float(), module)


def check_gptqmodel(folder, case):
    """GPTQModel.load, the library's own entrance."""
    gptqmodel = libs.need("gptqmodel")
    if not (folder / "tokenizer_config.json").exists():
        raise Skip("GPTQModel.load needs a tokenizer")
    load = libs.quiet(gptqmodel.GPTQModel.load)
    model = load(str(folder), device="cpu", dtype=HALF, backend=gptqmodel.BACKEND("gptq_torch")).model
    for name, module in model.named_modules():
        if hasattr(module, "qweight"):
            name = name.removeprefix("model.") if name + ".weight" not in case["plain"] else name
            same(module.dequantize_weight().T.float(), case["plain"][name + ".weight"].to(HALF).float(), name)


def load_awq(folder, case):
    libs.need("gptqmodel")
    config = models.config_of(folder)["quantization_config"]
    portable = config["group_size"] == -1                      # the default kernel for whole rows computes in lower precision
    options = {"quantization_config": transformers.AwqConfig(backend="torch_awq")} if portable else {}
    model = models.load(folder, dtype=torch.float32, **options)
    parts = models.tensors(folder)
    values = {}
    for module in sorted({n[:-8] for n in parts if n.endswith(".qweight")}):
        values[module + ".weight"] = libs.unpack_awq({k: parts[f"{module}.{k}"] for k in ("qweight", "qzeros", "scales")})
        if not hasattr(model.get_submodule(module), "qweight"):
            raise Wrong(f"{module}: transformers did not make a quantized layer of it")
    return values, model, HALF, 3e-3 if portable else EXACT


def load_quanto(folder, case):
    quanto = libs.quanto_module()
    load = libs.quiet(quanto.QuantizedModelForCausalLM.from_pretrained)
    model = load(str(folder))._wrapped
    parts = models.tensors(folder)
    values = {}
    for name, module in model.named_modules():
        if isinstance(module, quanto.QModuleMixin):
            if not isinstance(module.weight, quanto.QTensor):
                raise Wrong(f"{name}: quanto did not find its quantized weight")
            values[name + ".weight"] = libs.quanto_values(module, parts, name)
    stored = {n.removesuffix("._scale") for n in parts if n.endswith(".weight._scale")}
    if stored != set(values):
        raise Wrong(f"quanto loads {len(values)} quantized layers, the file holds {len(stored)}")
    dtype = next(iter(values.values())).dtype
    return values, model, dtype, EXACT if dtype is torch.float32 else 5e-2     # 16 bit: computed in 16 bit on both sides


def load_course(folder, case):
    """Ex 11 of the course: an empty skeleton, layers replaced without quantizing, the small state dict loaded strictly."""
    from transformers import AutoConfig, AutoModelForCausalLM
    config = AutoConfig.from_pretrained(str(folder))
    state = models.tensors(folder)
    scale = next(v.dtype for n, v in state.items() if n.endswith(".scales"))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=scale)
    libs.replace_linear(model)
    if config.tie_word_embeddings:                             # torch.save keeps both names of a tied weight, safetensors one
        embed, head = "model.embed_tokens.weight", "lm_head.weight"
        state.setdefault(head, state.get(embed))
        state.setdefault(embed, state.get(head))
    model.load_state_dict(state, strict=True, assign=True)
    rotary = type(model.model.rotary_emb)(config=config)       # not in the state dict: tables computed from the configuration
    model.model.rotary_emb = rotary
    values = {n + ".weight": m.values() for n, m in model.named_modules() if isinstance(m, libs.W8A16LinearLayer)}
    return values, model.float().eval(), torch.float32, 2e-4


def load_bnb(folder, case):
    bnb = libs.need("bitsandbytes")
    model = models.load(folder, ignore=("SCB", "weight_format"), dtype=torch.float32, device_map="cpu")
    for parameter in model.parameters():                       # transformers leaves what is float in the file's dtype
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    values, dtypes = {}, set()
    for name, module in model.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False          # else the first forward repacks for a kernel that computes in bf16
            module.compute_dtype, module.compute_type_is_set = torch.float32, True
            state = module.weight.quant_state
            values[name + ".weight"] = bnb.functional.dequantize_4bit(module.weight.data, state)
            dtypes.add(state.dtype)
        elif isinstance(module, bnb.nn.Linear8bitLt):
            values[name + ".weight"] = module.weight.data.float() * module.weight.SCB[:, None] / 127
    if any(n.endswith(".SCB") for n in models.tensors(folder)):
        return values, model, None, 0.1                        # LLM.int8() quantizes activations: values are compared closely, logits roughly
    case["computes"] = torch.float32                          # its product decodes straight into the dtype of the activations
    return values, model, dtypes.pop(), EXACT


def load_hqq(folder, case):
    """hqq's layers in a float model, as transformers 4 puts them there (transformers 5.23 does not load HQQ checkpoints)."""
    libs.need("hqq.core.quantize")
    parts, model, values = models.tensors(folder), copy.deepcopy(models.float_model(case["plain_folder"])), {}
    for module in sorted(n.removesuffix(".W_q") for n in parts if n.endswith(".W_q")):
        layer, values[module + ".weight"] = libs.unpack_hqq({n.removeprefix(module + "."): v for n, v in parts.items() if n.startswith(module + ".")})
        old, (parent, _, leaf) = model.get_submodule(module), module.rpartition(".")
        layer.bias = old.bias
        setattr(model.get_submodule(parent), leaf, layer)
    return values, model, torch.float32, EXACT


def load_fp8(folder, case):
    """Without a GPU transformers turns these layers into floats while it loads."""
    model = models.load(folder, dtype=torch.float32)
    modules = {n[: -len(".weight_scale_inv")] for n in models.tensors(folder) if n.endswith(".weight_scale_inv")}
    values = {m + ".weight": model.get_submodule(m).weight.detach() for m in modules}
    return values, torch.nn.Module.float(model), next(iter(values.values())).dtype, EXACT


LOADERS = {"compressed-tensors": load_ct, "fp8": load_fp8, "hqq": load_hqq, "bitsandbytes": load_bnb, "gptq": load_gptq, "gptq_v2": load_gptq, "awq": load_awq, "quanto": load_quanto, "course": load_course}
EXTRA = {"compressed-tensors": [("default mode", check_ct_run)], "gptq": [("AutoGPTQ", check_autogptq)]}


# -------------------------------------------------------------------------------------------------------------- a case
def make(report, source, layout, arguments, case):
    folder, plain = report.scratch("out"), report.scratch("plain")
    report.pare("quantize", source, "-o", folder, "--format", layout, *arguments, "--overwrite", "--quiet")
    report.pare("dequantize", folder, "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
    case.update(folder=folder, plain_folder=plain, plain=models.tensors(plain))
    if "quantization_config" in models.config_of(plain):
        raise Wrong("the dequantized folder still has a quantization_config")


def compare_values(case, values, dtype):
    if not values:
        raise Wrong("the library sees no quantized layer")
    for name, value in sorted(values.items()):
        if name not in case["plain"]:
            raise Wrong(f"{name} is missing in the dequantized folder")
        plain = case["plain"][name]
        if dtype is None:                                      # the library divides where pare keeps the quotient: the last bit
            close(value.float(), plain, case.get("rounds", 2**-22), name)
        else:
            same(value.float(), plain.to(dtype).float(), name)
    return f"{len(values)} layers, {str(dtype or 'f32')[6:]}"


def compare_kept(case, values, source):
    """Everything that was not quantized has the source's values."""
    original = models.tensors(source)
    embed, head = "model.embed_tokens.weight", "lm_head.weight"
    if models.config_of(source).get("tie_word_embeddings") and head in original and embed not in original and embed in case["plain"]:
        original[embed] = original.pop(head)                   # pare writes the name that every loader finds
    kept = 0
    for name, value in case["plain"].items():
        if name in values:
            continue
        if name not in original:
            raise Wrong(f"{name} is not in the source")
        same(value, original[name].float(), name)
        kept += 1
    lost = set(original) - set(case["plain"])
    if lost:
        raise Wrong(f"{len(lost)} tensors of the source are lost, {sorted(lost)[0]} first")
    return f"{kept} tensors"


def reference_model(case):
    """A float model of the case's architecture: `pare dequantize`'s folder, loaded strictly the first time for a layout and source."""
    key = case["layout"], str(case["source"])
    if key not in REFERENCES:
        REFERENCES[key] = models.float_model(case["plain_folder"])
    return REFERENCES[key]


REFERENCES = {}


def compare_logits(case, values, model, dtype, tolerance):
    reference = reference_model(case)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            plain = case["plain"].get(name, case["plain"].get("lm_head.weight"))     # a tied embedding may go by its head's name
            parameter.copy_(plain.to(dtype) if name in values and dtype else plain)
    if case["layout"] == "quanto" and dtype is not torch.float32:
        reference = copy.deepcopy(reference).to(dtype)
    return close(models.logits(model), models.logits(reference), tolerance, "logits")


def one(report, layout, arguments, source_name, source, extra=()):
    label = f"write {layout} {' '.join(arguments)} [{source_name}]"
    names = [label + t for t in (": loads, values", ": kept tensors", ": logits", *(f": {t}" for t, _ in EXTRA.get(layout, ())), *(f": {t}" for t, _ in extra))]
    if not any(report.wanted(n) for n in names):
        return
    case = {"layout": layout}

    def first():
        path = source() if callable(source) else source
        case["source"] = path
        make(report, path, layout, arguments, case)
        case["values"], case["model"], case["dtype"], case["tolerance"] = LOADERS[layout](case["folder"], case)
        return compare_values(case, case["values"], case["dtype"])

    report.check(names[0], first)
    if "values" not in case:
        return
    report.check(names[1], lambda: compare_kept(case, case["values"], case["source"]))
    report.check(names[2], lambda: compare_logits(case, case["values"], case["model"], case.get("computes", case["dtype"]), case["tolerance"]))
    for text, function in (*EXTRA.get(layout, ()), *extra):
        report.check(f"{label}: {text}", function, case["folder"], case)


def expect_refusal(report, layout, arguments, source, why):
    """What a layout cannot hold must be refused with a message, leaving nothing behind."""
    def check():
        folder = report.scratch("refused")
        text = report.pare("quantize", source, "-o", folder, "--format", layout, *arguments, "--quiet", status=REFUSED)
        if "pare: error:" not in text:
            raise Wrong(f"no message: {text.strip()[:200]}")
        if folder.exists():
            raise Wrong("a folder is left behind")
    report.check(f"write {layout} {' '.join(arguments)} [tiny bf16]: refused, {why}", check)


class _Refused:
    """Exit status 1 (cannot be done) or 2 (never can)."""
    def __eq__(self, other):
        return other in (1, 2)

    def __ne__(self, other):
        return not self == other

    def __str__(self):
        return "1 or 2"


REFUSED = _Refused()


# ---------------------------------------------------------------------------------------------------------- the matrix
def run(report):
    tiny = lambda name, dtype, **o: (lambda: models.tiny(report.folder, name, dtype, **o))  # noqa: E731
    bf16, f16 = tiny("tiny-one-bf16", torch.bfloat16, layers=1), tiny("tiny-f16", torch.float16, bias=True)
    f32 = tiny("tiny-f32", torch.float32, tied=False)
    model = lambda name: (lambda: models.trained(report, name))  # noqa: E731

    ct = "compressed-tensors"
    for scheme in ("W4A16", "W4A16:g64", "W4A16:g32", "W4A16:channel", "W4A16_ASYM", "W4A16_ASYM:g32", "W4A16_ASYM:channel", "W3A16", "W3A16:g32", "W3A16_ASYM:g32",
                   "W2A16", "W2A16:g32", "W2A16_ASYM:g64", "W5A16:g64", "W6A16:g32", "W7A16:g64", "W8A16", "W8A16:g64", "W8A16_ASYM", "W8A8", "INT8", "FP8_DYNAMIC", "FP8_WEIGHT",
                   "FP8_WEIGHT:tensor", "W4A8"):
        one(report, ct, ["--scheme", scheme], "tiny bf16", bf16)
    for scheme in ("W4A16:g64", "W4A16_ASYM:g32", "W8A16", "FP8_DYNAMIC"):
        one(report, ct, ["--scheme", scheme], "tiny f16 biased", f16)
        one(report, ct, ["--scheme", scheme], "tiny f32 untied", f32)
    one(report, ct, ["--bits", "4", "--granularity", "group", "--group-size", "32", "--asymmetric"], "tiny bf16", bf16)
    one(report, ct, ["--bits", "8", "--granularity", "channel", "--symmetric"], "tiny bf16", bf16)
    one(report, ct, ["--scheme", "W4A16:g64", "--ignore", "model.layers.0.mlp.down_proj"], "tiny bf16", bf16)
    one(report, ct, ["--scheme", "W4A16:g64", "--shard-size", "100000"], "tiny bf16", bf16)
    one(report, ct, ["--scheme", "W8A16"], "demo", model("demo"))
    one(report, ct, ["--scheme", "W4A16:g64"], "demo", model("demo"))
    one(report, ct, ["--scheme", "W8A16"], "tinystories-656k", model("tinystories-656k"))
    one(report, ct, ["--scheme", "W4A16"], "tinystories-656k", model("tinystories-656k"))
    one(report, ct, ["--scheme", "W4A16:g64"], "stories3m", model("stories3m"))
    one(report, ct, ["--scheme", "FP8_DYNAMIC"], "stories3m", model("stories3m"))
    one(report, ct, ["--scheme", "W8A16"], "stories260k", model("stories260k/hf"))
    one(report, ct, ["--scheme", "W4A16:g32"], "stories260k (172 is no multiple of 32)", model("stories260k/hf"))

    for bits in (2, 3, 4, 8):
        for granularity in ("g32", "g64", "g128", "channel"):
            for sym in ("--symmetric", "--asymmetric"):
                one(report, "gptq", ["--scheme", f"W{bits}A16:{granularity}", sym], "tiny bf16", bf16)
    for bits, granularity, sym in ((2, "g32", "--asymmetric"), (3, "g64", "--symmetric"), (3, "g32", "--asymmetric"), (4, "g128", "--symmetric"), (4, "g64", "--asymmetric"),
                                   (8, "channel", "--symmetric"), (8, "g128", "--asymmetric")):
        one(report, "gptq_v2", ["--scheme", f"W{bits}A16:{granularity}", sym], "tiny bf16", bf16)
    keep = ["--ignore", "model.layers.0.mlp.down_proj"]
    own = [("GPTQModel.load", check_gptqmodel)]
    one(report, "gptq", ["--scheme", "W4A16:g64", *keep], "tiny bf16", bf16)
    one(report, "gptq", ["--scheme", "W4A16:g32"], "tiny f16 biased", f16)
    one(report, "gptq", ["--scheme", "W4A16:g32"], "tiny f32 untied", f32)
    one(report, "gptq", ["--scheme", "W4A16:g64"], "demo", model("demo"), own)
    one(report, "gptq", ["--scheme", "W4A16:g64", *keep], "demo", model("demo"), own)
    one(report, "gptq_v2", ["--scheme", "W4A16:g64", "--asymmetric"], "demo", model("demo"), own)
    for layout, scheme in (("gptq", "W4A16:g64"), ("gptq_v2", "W3A16_ASYM:g64")): # groups in the order of rounding
        one(report, layout, ["--scheme", scheme, "--method", "gptq", "--set", "static-groups=false", "--samples", "4", "--seq-len", "128"], "demo", model("demo"), own)
    one(report, "gptq", ["--scheme", "W3A16:g32", "--symmetric"], "tinystories-656k", model("tinystories-656k"), own)
    one(report, "gptq", ["--scheme", "W4A16:g32", "--asymmetric"], "tinystories-656k", model("tinystories-656k"))
    one(report, "gptq", ["--scheme", "W8A16:g64"], "stories3m", model("stories3m"))
    one(report, "gptq", ["--scheme", "W4A16:g32"], "stories260k (172 is no multiple of 32)", model("stories260k/hf"))

    for granularity in ("g32", "g64", "g128", "channel"):
        for sym in ("--asymmetric", "--symmetric"):
            one(report, "awq", ["--scheme", f"W4A16:{granularity}", sym], "tiny bf16", bf16)
    one(report, "awq", ["--scheme", "W4A16_ASYM:g64", *keep], "tiny bf16", bf16)
    one(report, "awq", ["--scheme", "W4A16_ASYM:g32"], "tiny f16 biased", f16)
    one(report, "awq", ["--scheme", "W4A16_ASYM:g64"], "demo", model("demo"))
    one(report, "awq", ["--scheme", "W4A16_ASYM:g64"], "stories3m", model("stories3m"))
    one(report, "awq", ["--scheme", "W4A16_ASYM:g32"], "stories260k (172 is no multiple of 32)", model("stories260k/hf"))

    for scheme in ("W8A16", "W4A16", "W4A16_ASYM", "W2A16_ASYM", "FP8_WEIGHT"):
        for name, source in (("tiny bf16", bf16), ("tiny f32 untied", f32), ("tiny f16 biased", f16)):
            one(report, "quanto", ["--scheme", scheme], name, source)
    one(report, "quanto", ["--scheme", "W8A16"], "stories260k", model("stories260k/hf"))
    one(report, "quanto", ["--scheme", "W8A16", *keep], "tiny f32 untied", f32)
    one(report, "quanto", ["--scheme", "W4A16_ASYM"], "demo", model("demo"))
    one(report, "quanto", ["--scheme", "W4A16_ASYM"], "stories3m (192: groups of 96)", model("stories3m"))
    one(report, "quanto", ["--scheme", "W2A16_ASYM"], "tinystories-656k", model("tinystories-656k"))

    for name, source in (("tiny bf16", bf16), ("tiny f32 untied", f32), ("tiny f16 biased", f16)):
        one(report, "course", ["--scheme", "W8A16"], name, source)
    one(report, "course", ["--scheme", "W8A16"], "stories260k", model("stories260k/hf"))
    one(report, "course", ["--scheme", "W8A16"], "demo", model("demo"))

    for name, source in (("tiny bf16", bf16), ("tiny f32 untied", f32), ("tiny f16 biased", f16)):
        one(report, "fp8", ["--scheme", "FP8_BLOCK"], name, source)
    for scheme in ("NVFP4A16", "MXFP4", "MXFP8", "MXFP8A16", "FP8_BLOCK", "W4AFP8"):
        one(report, ct, ["--scheme", scheme], "tiny bf16", bf16)
    for scheme in ("W4A16_ASYM:g64", "W8A16_ASYM:g64", "W3A16_ASYM:g64", "W2A16_ASYM:g32", "W1A16_ASYM:g64", "W4A16_ASYM:channel", "W4A16_ASYM:g64:axis0:fzero",
                   "W3A16_ASYM:g64:axis0:fzero"):
        one(report, "hqq", ["--scheme", scheme], "tiny bf16", bf16)
    one(report, "hqq", ["--scheme", "W4A16_ASYM:g64"], "tiny f16 biased", f16)
    one(report, "hqq", ["--scheme", "W4A16_ASYM:g64"], "tiny f32 untied", f32)
    one(report, "hqq", ["--scheme", "W4A16_ASYM:g64"], "demo", model("demo"))
    for scheme in ("NF4", "FP4", "NF4:nested", "FP4:nested", "NF4:g128", "LLM_INT8"):
        for name, source in (("tiny bf16", bf16), ("tiny f32 untied", f32), ("tiny f16 biased", f16)):
            one(report, "bitsandbytes", ["--scheme", scheme], name, source)
    one(report, "bitsandbytes", ["--scheme", "NF4", *keep], "tiny bf16", bf16)
    one(report, "bitsandbytes", ["--scheme", "NF4"], "demo", model("demo"))
    one(report, "bitsandbytes", ["--scheme", "NF4:nested"], "stories3m", model("stories3m"))

    path = bf16()
    expect_refusal(report, "bitsandbytes", ["--scheme", "W4A16"], path, "bitsandbytes has tables and LLM.int8() only")
    expect_refusal(report, "awq", ["--scheme", "W8A16"], path, "AWQ is 4 bit")
    expect_refusal(report, "gptq", ["--scheme", "W5A16:g32"], path, "GPTQ has no 5 bit")
    expect_refusal(report, "course", ["--scheme", "W4A16"], path, "the course's layer is 8 bit")
    expect_refusal(report, "quanto", ["--scheme", "W3A16_ASYM"], path, "quanto has no 3 bit")
    expect_refusal(report, "no-such-layout", ["--scheme", "W8A16"], path, "no such layout")

