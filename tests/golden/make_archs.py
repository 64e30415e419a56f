#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes archs/NAME.json and archs/NAME.safetensors: what transformers computes for each tiny model of archs_cases.py (see README.md).

    make_archs.py [--check] [REGEX ...]        only cases whose whole name matches one; --check compares with what is there, writes nothing
"""
import json
import os
import pathlib
import re
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from archs_cases import CASES  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "archs"
PROMPT, STEPS, DECODER_PROMPT = 33, 8, 7
MARGIN = 1e-3        # of the logits' range, between the best and the second token
NOISE = 4e-5         # of the range, what float32 itself may cost
SAME = {"distilbert_mlm": ["sinusoidal_pos_embds"]}   # switches that rightly change nothing: the positions are stored
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


# ------------------------------------------------------------------------------------------------------------ the weights
def uniform(name, seed, n):
    """Numbers in [-1, 1) from (name, seed, index): the top 24 bits of splitmix64. The C test computes the same."""
    key = 0xcbf29ce484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    with np.errstate(over="ignore"):
        z = np.uint64(key) + np.uint64(seed) * np.uint64(0x632be59bd9b4e019) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0


def fill(name, seed, shape, base, amplitude):
    n = int(np.prod(shape, dtype=np.int64))
    return torch.from_numpy((base + amplitude * uniform(name, seed, n)).astype(np.float32).reshape(shape))


def amplitude_of(case, name, shape):
    """(base, amplitude) that make a tiny model lively: attention that is not uniform, routers that choose, norms and biases that are felt."""
    module, _, leaf = name.rpartition(".")
    last = module.rpartition(".")[2]
    for key, gain in case["gain"].items():
        if key in name and len(shape) > 1:
            return 0.0, round(gain * (3.0 / shape[0 if "Conv1D" in key else -1]) ** 0.5, 4)
    if leaf in ("beta", "bias") or len(shape) <= 1 and leaf not in ("weight", "gamma"):
        return 0.0, 0.2
    if len(shape) == 1 or "layernorm" in name and leaf == "weight" and len(shape) == 2:
        return (0.05, 0.3) if "Gemma" in case["cls"] else (1.0, 0.3)
    if "relative_attention_bias" in name:
        return 0.0, 1.0
    if any(k in name for k in ("embed", "wte", "wpe", "shared.weight")) and "proj" not in name:
        return 0.0, 0.12 if "Gemma" in case["cls"] else 0.6      # Gemma multiplies them by sqrt(hidden)
    if len(shape) == 3 and "experts." in name:
        return 0.0, round((3.0 / shape[-1]) ** 0.5, 4)
    fan_in = shape[0] if case["cls"].startswith("GPT2") and last in ("c_attn", "c_proj", "c_fc") else int(np.prod(shape[1:]))
    gain = 1.0
    if last in ("gate", "router") or name.endswith("mlp.gate.weight"):
        gain = 2.5
    elif re.search(r"(q|k|qkv|query|key|query_key_value|Wqkv|c_attn|qkv_proj|q_lin|k_lin|SelfAttention\.[qk])$", module):
        gain = 1.6
    if "T5" in case["cls"] and re.search(r"Attention\.[qk]$", module):
        gain = 0.8
    return 0.0, round(gain * (3.0 / fan_in) ** 0.5, 4)


# --------------------------------------------------------------------------------------------------------------- config.json
def old_keys(config, style):
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling beside each other, torch_dtype."""
    if "dtype" in config:
        config["torch_dtype"] = config.pop("dtype")
    r = config.pop("rope_parameters", None)
    if r is None:
        return config
    if style == "gemma3":
        config["rope_local_base_freq"] = r["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = 3
        for key in ("layer_types", "_sliding_window_pattern"):
            config.pop(key)
        r = r["full_attention"]
    r = dict(r)
    if "rope_theta" in r:
        config["rotary_emb_base" if style == "neox" else "rope_theta"] = r.pop("rope_theta")
    if "partial_rotary_factor" in r:
        config["rotary_pct" if style == "neox" else "partial_rotary_factor"] = r.pop("partial_rotary_factor")
    kind = r.pop("rope_type")
    if kind == "default":
        config["rope_scaling"] = None
    else:
        config["rope_scaling"] = {"type" if style == "type" else "rope_type": kind, **r}
        if kind == "longrope":
            config["rope_scaling"].pop("original_max_position_embeddings", None)
    return config


def config_of(case, saved):
    config = {k: v for k, v in saved.items() if k != "transformers_version"}
    if case["old"]:
        config = old_keys(config, case["old"])
    for key in case["remove"]:
        config.pop(key, None)
    config.update(case["patch"])
    return config


# ------------------------------------------------------------------------------------------------------------------- models
def make_config(case, override=None):
    cls = getattr(transformers, case["cls"])
    return cls, cls.config_class(**{**case["config"], **(override or {})})


def stacked(shapes):
    """The experts of each layer as [experts, 2 * ffn, hidden] (gate, then up) and [experts, hidden, ffn]."""
    out, last = {}, {}
    for name, shape in shapes.items():
        at = re.fullmatch(r"(.*)\.(?:block_sparse_moe|mlp)\.experts\.(\d+)\.(\w+)\.weight", name)
        if at:
            last[at[1]] = max(last.get(at[1], 0), int(at[2]))
            hidden, ffn = shape if at[3] in ("w2", "down_proj") else shape[::-1]
            out[f"{at[1]}.mlp.experts.gate_up_proj"] = [last[at[1]] + 1, 2 * ffn, hidden]
            out[f"{at[1]}.mlp.experts.down_proj"] = [last[at[1]] + 1, hidden, ffn]
        else:
            out[name.replace("block_sparse_moe", "mlp")] = shape
    return out


def tensors_of(case, folder, override=None):
    """Saves a model of the configuration; what save_pretrained stores and the config.json that it writes."""
    cls, config = make_config(case, override)
    torch.manual_seed(0)
    cls(config).save_pretrained(folder)
    with safe_open(folder / "model.safetensors", "pt") as f:
        shapes = {k: list(f.get_slice(k).get_shape()) for k in f.keys()}
    return stacked(shapes) if case["stacked"] else shapes, json.loads((folder / "config.json").read_text())


def renamed(case, name):
    for a, b in case["rename"]:
        name = name.replace(a, b)
    return name


def load(case, folder, dtype=torch.float32):
    cls = getattr(transformers, case["cls"])
    model, info = cls.from_pretrained(folder, dtype=dtype, attn_implementation=case["attn"], experts_implementation="eager",
                                      output_loading_info=True)
    missing = [k for k in info["missing_keys"] if "pooler" not in k]
    if missing or info["mismatched_keys"]:
        raise ValueError(f"{case['name']}: missing {missing}, mismatched {info['mismatched_keys']}")
    return model.eval()


def folder_of(case, folder, config, rows, seed, dtype=None):
    """Writes config.json and model.safetensors with the generated weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    stored = DTYPES[dtype or case["dtype"]]
    save_file({name: fill(name, seed, shape, base, amplitude).to(stored) for name, shape, base, amplitude in rows}, folder / "model.safetensors",
              {"format": "pt"})


def tokens(case, seed, n, vocab, avoid):
    u = uniform(f"ids/{case['name']}", seed, n)
    ids = [int((x + 1) / 2 * (vocab - 4)) + 4 for x in u]
    ids[9], ids[n - 3] = ids[4], ids[2]       # repeats, so that attention has something to find
    return [i if i != avoid else i + 1 for i in ids]


@torch.no_grad()
def run(case, model, ids, source, types, follow=None):
    """Outputs of the prompt and of STEPS cached steps; follow: those tokens instead of the best ones."""
    x = torch.tensor([ids])
    if case["cls"].endswith("Model") and "LMHead" not in case["cls"] and "MTModel" not in case["cls"] or "MaskedLM" in case["cls"]:
        more = {"token_type_ids": torch.tensor([types])} if types else {}
        out = model(input_ids=x, output_hidden_states=True, **more)
        hidden = out.hidden_states[-1][0]
        return {"hidden": hidden, **({"logits": out.logits[0]} if "logits" in out else {})}, []
    more = {}
    if source is not None:
        encoder = model.get_encoder()(input_ids=torch.tensor([source]))
        more = {"encoder_outputs": encoder}
    key = "decoder_input_ids" if source is not None else "input_ids"
    out = model(**{key: x}, use_cache=True, **more)
    rows, continuation = [out.logits[0]], []
    for i in range(STEPS):
        continuation.append(follow[i] if follow else int(rows[-1][-1].argmax()))
        out = model(**{key: torch.tensor([[continuation[-1]]])}, past_key_values=out.past_key_values, use_cache=True, **more)
        rows.append(out.logits[0])
    return {"logits": torch.cat(rows)}, continuation


def pooled(pooling, hidden):
    v = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling["mode"]]
    return (v / v.norm() if pooling["normalize"] else v)[None]


def pooling_files(pooling, dim):
    """The files by which sentence-transformers says how to pool."""
    if pooling.get("new"):
        return {"modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                                 {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}],
                "1_Pooling/config.json": {"embedding_dimension": dim, "pooling_mode": pooling["mode"], "include_prompt": True}}
    modes = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
    steps = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Normalize", "Normalize")] if pooling["normalize"] else [])
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (path, kind) in enumerate(steps)]
    return {"modules.json": modules, "1_Pooling/config.json": {"word_embedding_dimension": dim, **{k: m == pooling["mode"] for m, k in modes.items()}}}


def spread(x):
    return float(x.max() - x.min())


# --------------------------------------------------------------------------------------------------------------------- cases
def effects(case, golden, seed, folder, reference):
    """Each own key of the configuration, put back to what the base has, and what `alter` names: must change the numbers, or the golden checks nothing."""
    base = CASES[case["base"]]["config"] if case["base"] else {}
    found = {}
    away = {key: base.get(key) for key in case["own"]} if case["base"] else {}
    for key, value in {**away, **case["alter"]}.items():
        other = {**case["config"], key: value}
        if value is None and key not in case["alter"] and key not in base:
            other.pop(key)
        variant = {**case, "config": other}
        try:
            shapes, saved = tensors_of(variant, folder)
            if {renamed(case, k): v for k, v in shapes.items()} != {r[0]: r[1] for r in golden["tensors"] if r[0] not in case["extra"]}:
                continue          # other tensors: the switch is seen without numbers
            rows = [[k, s, *next(r[2:] for r in golden["tensors"] if r[0] == renamed(case, k))] for k, s in shapes.items()]
            save_file({k: fill(renamed(case, k), seed, s, b, a) for k, s, b, a in rows}, folder / "model.safetensors", {"format": "pt"})
            out, _ = run(variant, load(variant, folder), golden["ids"], golden.get("source"), golden.get("types"), golden["continuation"])
        except Exception as e:  # noqa: BLE001: the base's value does not fit the other keys
            found[key] = str(e).split("\n")[0][:60]
            continue
        found[key] = max(float((out[k] - reference[k]).abs().max()) / spread(reference[k]) for k in out)
    return found


def attempt(case, seed, top):
    shapes, saved = tensors_of(case, top / "shape")
    config = config_of(case, saved)
    rows = [[renamed(case, k), s, *amplitude_of(case, k, s)] for k, s in shapes.items()]
    rows += [[k, s, *(amplitude_of(case, k, s) if k.startswith("lm_head") else (0.5, 0.5))] for k, s in case["extra"].items()]
    vocab = (config.get("text_config") or config)["vocab_size"]
    golden = {"name": case["name"], "class": case["cls"], "transformers": transformers.__version__, "config": config, "dtype": case["dtype"], "seed": seed,
              "chunks": case["chunks"]}
    avoid = config.get("pad_token_id") if "oberta" in case["cls"] or "Roberta" in case["cls"] else -1
    golden["ids"] = tokens(case, seed, PROMPT, vocab, avoid)
    if ("T5" in case["cls"] or "Bart" in case["cls"] or "Marian" in case["cls"]) and "Encoder" not in case["cls"]:
        golden["source"] = golden["ids"]
        golden["ids"] = [config["decoder_start_token_id"]] + golden["source"][3:3 + DECODER_PROMPT - 1][::-1]
    if case["types"]:
        golden["types"] = [0] * 20 + [1] * (PROMPT - 20)
    if "image_token_index" in case["config"]:
        golden["ids"] = [i if i < 97 else i - 50 for i in golden["ids"]]
    golden["tensors"] = rows
    folder_of(case, top / "model", config, rows, seed)
    args = (golden["ids"], golden.get("source"), golden.get("types"))
    model = load(case, top / "model")
    out, golden["continuation"] = run(case, model, *args)
    if case["pooling"]:
        out["pooled"] = pooled(case["pooling"], out["hidden"])
        golden["files"] = pooling_files(case["pooling"], out["hidden"].shape[1])
    golden["files"] = {**golden.get("files", {}), **case["files"]}
    # Is float32 precise enough here, and does a small change stay small (no router near a tie)?
    noise = 0.0
    for k, v in run(case, load(case, top / "model", torch.float64), *args, golden["continuation"])[0].items():
        noise = max(noise, float((v.float() - out[k]).abs().max()) / spread(out[k]))
    model = load(case, top / "model")     # a fresh one: dynamic frequencies are kept in the model
    for p in model.parameters():
        p.data *= 1 + 3e-6 * torch.from_numpy(uniform("perturb", seed, p.numel()).astype(np.float32).reshape(p.shape))
    shaken = max(float((v - out[k]).abs().max()) / spread(out[k]) for k, v in run(case, model, *args, golden["continuation"])[0].items())
    margin = 1.0
    if golden["continuation"]:
        best = out["logits"][len(golden["ids"]) - 1:].topk(2).values
        margin = float((best[:, 0] - best[:, 1]).min()) / spread(out["logits"])
    return golden, out, noise, shaken, margin


def make(case, top):
    for seed in range(1, 40):
        golden, out, noise, shaken, margin = attempt(case, seed, top)
        if noise <= NOISE and shaken <= 10 * NOISE and margin >= MARGIN:
            break
    else:
        raise ValueError(f"{case['name']}: no seed with clear choices (noise {noise:.1e}, shaken {shaken:.1e}, margin {margin:.1e})")
    found = effects(case, golden, seed, top / "effect", out)
    measured = [v for k, v in found.items() if isinstance(v, float) and k not in SAME.get(case["name"], [])]
    # What the tests allow: a tenth of what the weakest switch of the case changes, and not more than the case says.
    golden["tolerance"] = float("%.0e" % min([case["tolerance"]] + [v / 10 for v in measured]))
    weak = golden["tolerance"] if golden["tolerance"] < 2e-4 else ""
    if golden["tolerance"] < 10 * noise:
        raise ValueError(f"a switch without effect: {found}")
    line = f"{case['name']:22} seed {seed} noise {noise:.1e} margin {margin:.1e} std {float(out.get('logits', out.get('hidden')).std()):.2f}"
    print(line, "effects", {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}, weak, flush=True)
    return golden, out


def write(golden, out):
    text = json.dumps({k: v for k, v in golden.items() if k not in ("tensors", "config")}, separators=(", ", ": "))
    rows = ",\n".join("  " + json.dumps(r) for r in golden["tensors"])
    config = json.dumps(golden["config"], separators=(", ", ": "))
    (HERE / f"{golden['name']}.json").write_text(f'{text[:-1]},\n "config": {config},\n "tensors": [\n{rows}\n]}}\n')
    save_file({k: v.float().clone(memory_format=torch.contiguous_format) for k, v in out.items()}, HERE / f"{golden['name']}.safetensors")
    (HERE / f"{golden['name']}.safetensors").chmod(0o644)


def check(golden, out):
    there = load_file(HERE / f"{golden['name']}.safetensors")
    text = json.loads((HERE / f"{golden['name']}.json").read_text())
    same = {k: v for k, v in text.items() if k != "transformers"} == json.loads(json.dumps({k: v for k, v in golden.items() if k != "transformers"}))
    far = max(float((out[k] - there[k]).abs().max()) / spread(there[k]) for k in there)
    if not same or far > NOISE:
        raise ValueError(f"{golden['name']}: differs from what is committed (json equal: {same}, numbers {far:.1e})")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    patterns = [a for a in sys.argv[1:] if a != "--check"] or [".*"]
    HERE.mkdir(exist_ok=True)
    failed = []
    for name, case in CASES.items():
        if not any(re.fullmatch(p, name) for p in patterns):
            continue
        with tempfile.TemporaryDirectory() as top:
            try:
                golden, out = make(case, pathlib.Path(top))
                (check if "--check" in sys.argv else write)(golden, out)
            except Exception as e:  # noqa: BLE001: the others are still wanted
                failed.append(name)
                print(f"{name}: {type(e).__name__}: {str(e)[:400]}", flush=True)
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
