# SPDX-License-Identifier: Apache-2.0
"""`pare run` against transformers: every configuration of golden/archs_cases.py as save_pretrained writes it, in float32 and in bfloat16."""
import sys

import numpy as np
import torch
from report import SOURCE, Skip, Wrong

sys.path.insert(0, str(SOURCE / "tests" / "golden"))
TOLERANCE = 2e-4       # of the range of the logits


def saved(case, archs, folder, dtype):
    """Saves a model with the golden models' weights through transformers itself; returns it as float32 with the weights that were stored."""
    shapes, config = archs.tensors_of(case, folder / "shapes")
    rows = [[name, shape, *archs.amplitude_of(case, name, shape)] for name, shape in shapes.items()]
    archs.folder_of(case, folder / "made", config, rows, 1, "f32")
    archs.load(case, folder / "made").to(archs.DTYPES[dtype]).save_pretrained(folder / "model")
    return archs.load(case, folder / "model"), config


def prompt(case, archs, config):
    text = config.get("text_config") or config
    ids = archs.tokens(case, 1, archs.PROMPT, text["vocab_size"], config.get("pad_token_id") if "oberta" in case["cls"].lower() else -1)
    special = case["config"].get("image_token_index")
    return [i if special is None or i < special - 2 else i - 50 for i in ids], text


def one(report, case, archs, dtype):
    if case["cls"] == "MarianMTModel":
        raise Skip("save_pretrained leaves out the table of positions, which pare takes from the file")
    folder = report.scratch(f"archs-{case['name']}-{dtype}")
    folder.mkdir(parents=True)
    model, config = saved(case, archs, folder, dtype)
    ids, text = prompt(case, archs, config)
    seq2seq = bool(config.get("is_encoder_decoder"))
    more = ["--ctx", 64] if text.get("max_position_embeddings", 64) < len(ids) + archs.STEPS else []
    out = folder / "logits.npy"
    found = report.pare_json("run", folder / "model", "--ids", ",".join(map(str, ids)), "-n", archs.STEPS, "--temp", 0, "--ignore-eos", "--exact",
                             "--logits", out, *more) if not encoder(case) else None
    if found is None:
        report.pare("run", folder / "model", "--ids", ",".join(map(str, ids)), "--exact", "--logits", out)
    start = [config["decoder_start_token_id"]] if seq2seq else ids
    want, _ = archs.run(case, model, start, ids if seq2seq else None, None, found and found["tokens"])
    want = want.get("logits", want.get("hidden")).numpy()
    got = np.load(out)
    compare(want, got, len(start), found)
    for file in (folder / "made", folder / "model", folder / "shapes"):
        for f in file.glob("*.safetensors"):
            f.unlink()
    d = float(np.abs(want[:len(got)] - got).max() / (want.max() - want.min()))
    return f"{d:.1e} of the range"


def encoder(case):
    return "MaskedLM" in case["cls"] or case["cls"].endswith("Model") and "LMHead" not in case["cls"] and "MTModel" not in case["cls"]


def compare(want, got, prompt_rows, found):
    """Logits of all positions; every token that pare chose is the best one, or as good as it within the tolerance."""
    span = float(want.max() - want.min())
    rows = len(want) if found is None else prompt_rows + len(found["tokens"])
    if got.ndim != 2 or got.shape[1] != want.shape[1] or len(got) not in (rows, rows - 1) or got.dtype != np.float32:
        raise Wrong(f"logits of shape {got.shape} and type {got.dtype}, expected {(rows, want.shape[1])} float32")
    d = np.abs(want[:len(got)] - got)
    if not d.max() <= TOLERANCE * span:
        row, column = np.unravel_index(d.argmax(), d.shape)
        raise Wrong(f"off by {d.max() / span:.1e} of the range at row {row}, column {column}: {got[row, column]:.6g}, expected {want[row, column]:.6g}")
    for i, token in enumerate(found["tokens"] if found else []):
        row = want[prompt_rows - 1 + i]
        if row.max() - row[token] > 2 * TOLERANCE * span:
            raise Wrong(f"token {i} is {token}, expected {int(row.argmax())}")


def run(report):
    import make_archs as archs
    torch.set_num_threads(1)
    archs.transformers.logging.set_verbosity_error()
    archs.transformers.logging.disable_progress_bar()
    for name, case in archs.CASES.items():
        for dtype in ("f32", "bf16"):
            report.check(f"run {name} {dtype}: pare = transformers", one, report, case, archs, dtype)
