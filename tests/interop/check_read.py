# SPDX-License-Identifier: Apache-2.0
"""The real library writes, pare reads: `pare dequantize` makes the library's values, `pare inspect` and `pare compare` agree."""
import json
import shutil

import libs
import models
import transformers
from libs import torch
from models import close, same
from report import SOURCE, Skip, Wrong
from safetensors.torch import load_file, save_file

GOLDEN = SOURCE / "tests" / "golden"


def float_copy(source):
    model = transformers.LlamaForCausalLM.from_pretrained(str(source), dtype="auto")
    return model.eval()


def linears(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "layers" in n}


def write_folder(source, folder, model, packed, config=None, files=None):
    """A checkpoint as the library would save it: the packed layers, everything else from the model."""
    state = {f"{name}.{k}": v.contiguous() for name, parts in packed.items() for k, v in parts.items()}
    for name, p in model.named_parameters():
        if name.removesuffix(".weight") not in packed:
            state[name] = p.data.clone().contiguous()
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    whole = models.config_of(source)
    if config:
        whole["quantization_config"] = config
    (folder / "config.json").write_text(json.dumps(whole, indent=1))
    for name, content in (files or {}).items():
        (folder / name).write_text(json.dumps(content, indent=1))


# ------------------------------------------------------------------------------------------------------------- writers
# Each fills folder and returns the library's values by weight name.
def write_ct(source, folder, scheme):
    return libs.save_ct(float_copy(source), scheme, folder)


def write_packed(source, folder, pack, config=None, files=None):
    model, packed, values = float_copy(source), {}, {}
    for name, layer in linears(model).items():
        packed[name], values[name + ".weight"] = pack(layer.weight.data)
    write_folder(source, folder, model, packed, config, files)
    return values


def write_gptq(source, folder, bits, size, sym, v2):
    return write_packed(source, folder, lambda w: libs.pack_gptq(w, bits, size, sym, v2), libs.gptq_config(bits, size, sym, v2))


def write_autogptq(source, folder, bits, size, sym):
    config = {"quant_method": "gptq", "bits": bits, "group_size": size, "damp_percent": 0.01, "desc_act": False, "static_groups": False, "sym": sym,
              "true_sequential": True, "model_name_or_path": None, "model_file_base_name": "model"}
    return write_packed(source, folder, lambda w: libs.pack_autogptq(w, bits, size, sym), None, {"quantize_config.json": config})


def write_awq(source, folder, size, sym):
    return write_packed(source, folder, lambda w: libs.pack_awq(w, size, sym), libs.awq_config(size, sym))


def write_quanto(source, folder, qtype):
    quanto = libs.quanto_module()
    model = float_copy(source)
    wrapped = libs.quiet(quanto.QuantizedModelForCausalLM.quantize)(model, weights=quanto.qtypes[qtype], exclude="lm_head")
    libs.quiet(wrapped.save_pretrained)(str(folder))
    return {n + ".weight": m.weight.dequantize().detach() for n, m in model.named_modules() if isinstance(m, quanto.QModuleMixin)}


def write_course(source, folder, container):
    model = libs.replace_linear(float_copy(source), quantize=True)
    folder.mkdir(parents=True)
    shutil.copy(source / "config.json", folder)
    state = model.state_dict()
    if container == "safetensors":
        state.pop("lm_head.weight" if model.config.tie_word_embeddings else "", None)
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"})
    else:                                                      # the course saves "quantized_state_dict.pth"
        torch.save(state, folder / "pytorch_model.bin")
    return {n + ".weight": m.values() for n, m in model.named_modules() if isinstance(m, libs.W8A16LinearLayer)}


# -------------------------------------------------------------------------------------------------------------- checks
def compare(plain, values, exact):
    for name, value in sorted(values.items()):
        if name not in plain:
            raise Wrong(f"{name} is missing in the dequantized folder")
        value = value.detach()
        if exact:
            same(plain[name].to(value.dtype).float(), value.float(), name)
        else:                                                  # the library rounds twice in its 16-bit type
            close(plain[name], value.float(), 2**-7, name)


def one(report, label, source_name, source, write, *arguments, exact=True):
    label = f"read {label} [{source_name}]"
    names = [label + t for t in (": values", ": kept tensors", ": inspect", ": compare")]
    if not any(report.wanted(n) for n in names):
        return
    folder, plain = report.scratch("library"), report.scratch("plain")
    case = {}

    def values():
        path = source() if callable(source) else source
        case["source"] = path
        case["values"] = write(path, folder, *arguments)
        report.pare("dequantize", folder, "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
        case["plain"] = models.tensors(plain)
        compare(case["plain"], case["values"], exact)
        return f"{len(case['values'])} layers"

    def kept():
        original = models.tensors(case["source"])
        for name, value in original.items():
            if name not in case["values"]:
                if name not in case["plain"]:
                    raise Wrong(f"{name} is lost")
                same(case["plain"][name], value.float(), name)
        more = set(case["plain"]) - set(original) - {"lm_head.weight"}
        if more:
            raise Wrong(f"{len(more)} tensors that the model does not have, {sorted(more)[0]} first")

    def inspect():
        answer = report.pare_json("inspect", folder)
        original = models.tensors(case["source"])
        want = sum(v.numel() for v in original.values())
        if answer["parameters"] != want:
            raise Wrong(f"{answer['parameters']} parameters instead of {want}")
        if answer.get("architecture") != "LlamaForCausalLM":
            raise Wrong(f"architecture {answer.get('architecture')!r}")

    def compare_command():
        answer = report.pare_json("compare", folder, case["source"])
        original = models.tensors(case["source"])
        rows = {t["name"]: t for t in answer["tensors"]}
        for name in case["values"]:
            if name not in rows:
                raise Wrong(f"{name} is not compared")
            want = (case["plain"][name].double() - original[name].double()).pow(2).mean().item()
            if abs(rows[name]["mse"] - want) > 1e-5 * want:
                raise Wrong(f"{name}: mse {rows[name]['mse']!r} instead of {want!r}")

    report.check(names[0], values)
    if "plain" not in case:
        return
    report.check(names[1], kept)
    report.check(names[2], inspect)
    report.check(names[3], compare_command)


def golden(report):
    """The layers of tests/golden/layouts, through the command line."""
    index = json.loads((GOLDEN / "layouts" / "index.json").read_text())
    for case in index["cases"]:
        def check(case=case):
            plain = report.scratch("plain")
            report.pare("dequantize", GOLDEN / "layouts" / case["case"], "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
            want = load_file(GOLDEN / "layouts" / f"{case['case']}.values.safetensors")
            compare(models.tensors(plain), want, exact=case["case"] != "quanto-qint4-bf16")
        report.check(f"read golden layout {case['case']}", check)


def run(report):
    bf16 = lambda: models.tiny(report.folder, "tiny-one-bf16", torch.bfloat16, layers=1)  # noqa: E731
    f16 = lambda: models.tiny(report.folder, "tiny-one-f16", torch.float16, layers=1, bias=True)  # noqa: E731
    f32 = lambda: models.tiny(report.folder, "tiny-one-f32", torch.float32, layers=1, tied=False)  # noqa: E731

    for scheme in libs.CT_SCHEMES:
        one(report, f"compressed-tensors {scheme}", "tiny bf16", bf16, write_ct, scheme)
    for name, source in (("tiny f16 biased", f16), ("tiny f32 untied", f32)):
        for scheme in ("W4A16:g64", "W4A16_ASYM:g32", "INT8", "FP8"):
            one(report, f"compressed-tensors {scheme}", name, source, write_ct, scheme)
    for bits in (2, 3, 4, 8):
        for size, sym, v2 in ((32, True, False), (64, False, False), (128, False, True), (-1, True, False), (-1, False, True)):
            label = f"{'gptq_v2' if v2 else 'gptq'} {bits} bit {'sym' if sym else 'asym'} {'channel' if size == -1 else f'g{size}'}"
            one(report, label + " (gptqmodel)", "tiny bf16", bf16, write_gptq, bits, size, sym, v2)
        one(report, f"gptq {bits} bit asym g32 (AutoGPTQ, quantize_config.json only)", "tiny f32 untied", f32, write_autogptq, bits, 32, False)
        one(report, f"gptq {bits} bit sym channel (AutoGPTQ, quantize_config.json only)", "tiny f32 untied", f32, write_autogptq, bits, -1, True)
    one(report, "gptq 4 bit sym g32 (gptqmodel)", "tiny f16 biased", f16, write_gptq, 4, 32, True, False)
    for size in (32, 64, 128, -1):
        for sym in (False, True):
            one(report, f"awq {'sym' if sym else 'asym'} {'channel' if size == -1 else f'g{size}'} (autoawq)", "tiny bf16", bf16, write_awq, size, sym)
    one(report, "awq asym g64 (autoawq)", "tiny f16 biased", f16, write_awq, 64, False)
    for qtype in ("qint8", "qint4", "qint2", "qfloat8"):
        for name, source, exact in (("tiny bf16", bf16, qtype in ("qint8", "qfloat8")), ("tiny f32 untied", f32, True)):
            one(report, f"quanto {qtype}", name, source, write_quanto, qtype, exact=exact)
    for container in ("safetensors", "torch"):
        for name, source in (("tiny bf16", bf16), ("tiny f32 untied", f32), ("tiny f16 biased", f16)):
            one(report, f"course W8A16 ({container})", name, source, write_course, container)
    golden(report)
