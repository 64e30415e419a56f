#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quantizes whole small models with the originals and measures them: layer and block errors, KL to the float model, perplexity.

    VENV/bin/python tests/interop/measure_originals.py --out DIR [--models REGEX] [--methods REGEX] [--calibration FILE.npy] [--evaluation FILE.npy] [--threads N] [--limit S]

Writes DIR/results.json, a list of rows; a row that is already there is not computed again. Token files are int32 [windows, length];
without them TinyStories (or the demo model's held-out text) of $PARE_MODELS is cut as originals_model.windows says.
"""
import argparse
import copy
import json
import os
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import libs  # noqa: E402
import models  # noqa: E402
import numpy  # noqa: E402
import originals  # noqa: E402
import originals_model as whole  # noqa: E402
from libs import torch  # noqa: E402

SOURCE = HERE.parent.parent
# name -> (folder under $PARE_MODELS, group sizes; 0 is per channel)
MODELS = {"stories260k": ("stories260k/hf", (32, 0)), "stories3m": ("stories3m", (64, 0)), "tinystories-656k": ("tinystories-656k", (128, 0)),
          "demo": (None, (128, 0))}


def weight_methods(tokens, floats):
    """name -> (quantize(model, bits, group, sym), which of sym/asym)."""
    def plain(method):
        return lambda model, *args: whole.quantize_plain(model, tokens, method, *args)

    def sequential(name, at_once=False):
        return lambda model, *args: whole.quantize_sequential(model, tokens, originals.METHODS[name], *args, at_once)

    both = (True, False)
    return {
        "rtn": (plain(originals.rtn), both),
        "rtn.search": (plain(originals.rtn_search), both),
        "hqq": (plain(originals.hqq), (False,)),
        "gptq.gptqmodel": (sequential("gptq.gptqmodel"), both),
        "gptq.gptqmodel.desc_act": (sequential("gptq.gptqmodel.desc_act"), both),
        "gptq.gptqmodel.mse": (sequential("gptq.gptqmodel.mse"), both),
        "gptq.gptqmodel.gptaq": (lambda model, *args: whole.quantize_gptaq(model, tokens, *args, floats), both),
        "gptq.llmcompressor": (sequential("gptq.llmcompressor", True), both),
        "awq.autoawq": (lambda model, *args: whole.quantize_awq(model, tokens, *args), (False,)),
    }


def fixed_methods(tokens, floats):
    """name -> (quantize(model), bits, group, keeps plain weights)."""
    def plain(method, **options):
        return lambda model: whole.quantize_plain(model, tokens, lambda w, *_: method(w, **options), 4, 64, True)

    return {
        "nf4": (plain(originals.nf4), 4, 64, True),
        "nf4.nested": (plain(originals.nf4, nested=True), 4, 64, True),
        "fp4": (plain(originals.fp4), 4, 64, True),
        "w8a8": (lambda model: whole.quantize_w8a8(model, floats), 8, 0, True),
        "w8a8.static": (lambda model: whole.quantize_w8a8(model, floats, static=True), 8, 0, True),
        "smoothquant.0.5": (lambda model: whole.quantize_w8a8(model, floats, 0.5), 8, 0, False),
        "smoothquant.0.5.static": (lambda model: whole.quantize_w8a8(model, floats, 0.5, True), 8, 0, False),
        "smoothquant.0.8": (lambda model: whole.quantize_w8a8(model, floats, 0.8), 8, 0, False),
        "llm.int8": (whole.quantize_llm_int8, 8, 0, False),
    }


class Bench:
    def __init__(self, name, folder, options, results):
        self.until = time.monotonic() + options.limit if options.limit else 0
        self.name, self.results, self.path = name, results, pathlib.Path(options.out) / "results.json"
        self.model = models.float_model(folder)
        texts = pathlib.Path(os.environ.get("PARE_MODELS") or SOURCE.parent / "shared" / "models") / "text"
        tokens, evaluation = whole.windows(folder, texts)
        if options.calibration:
            tokens = torch.from_numpy(numpy.load(options.calibration)).long()
        if options.evaluation:
            evaluation = torch.from_numpy(numpy.load(options.evaluation)).long()
        self.tokens, self.evaluation = tokens, evaluation
        self.floats, self.kwargs = whole.float_inputs(self.model, tokens)
        self.squares = whole.hessians(self.floats)
        self.reference = whole.log_probabilities(self.model, evaluation)
        self.add({"method": "float", "bits": 32, "group": 0, "sym": True}, lambda m: None, True)

    def add(self, key, quantize, plain_weights):
        key = {"model": self.name, **key}
        if self.until and time.monotonic() > self.until and not any(all(row[k] == v for k, v in key.items()) for row in self.results):
            sys.exit(3)
        if any(all(row[k] == v for k, v in key.items()) for row in self.results):
            return
        model = copy.deepcopy(self.model)
        try:
            seconds = whole.timed(quantize, model)
        except (libs.Missing, ArithmeticError, ValueError, AssertionError) as error:
            self.results.append({**key, "error": f"{type(error).__name__}: {error}"})
        else:
            row = {**key, "seconds": seconds, **whole.measure(model, self.reference, self.evaluation),
                   "block_error": whole.block_error(model, self.floats, self.kwargs)}
            if plain_weights:
                row["layer_error"] = whole.layer_error(model, self.model, self.squares)
            self.results.append(row)
        print(json.dumps(self.results[-1]), flush=True)
        self.path.write_text("[\n" + ",\n".join(json.dumps(r) for r in self.results) + "\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--models", default="")
    parser.add_argument("--methods", default="")
    parser.add_argument("--calibration")
    parser.add_argument("--evaluation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=0, help="stop with status 3 after so many seconds; run again to go on")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.makedirs(options.out, exist_ok=True)
    path = pathlib.Path(options.out) / "results.json"
    results = json.loads(path.read_text()) if path.exists() else []
    root = pathlib.Path(os.environ.get("PARE_MODELS") or SOURCE.parent / "shared" / "models")
    for name, (folder, groups) in MODELS.items():
        if not re.search(options.models, name):
            continue
        bench = Bench(name, root / folder if folder else SOURCE / "models" / "demo", options, results)
        for method, (quantize, bits, group, plain) in fixed_methods(bench.tokens, bench.floats).items():
            if re.search(options.methods, method):
                bench.add({"method": method, "bits": bits, "group": group, "sym": True}, quantize, plain and not method.startswith("w8a8.static"))
        for method, (quantize, kinds) in weight_methods(bench.tokens, bench.floats).items():
            for group in groups:
                for bits in (8, 4, 3, 2):
                    for sym in kinds:
                        if re.search(options.methods, method) and not (bits == 8 and method not in ("rtn", "hqq")):
                            bench.add({"method": method, "bits": bits, "group": group, "sym": sym},
                                      lambda m, q=quantize, a=(bits, group, sym): q(m, *a), not method.startswith("awq"))


if __name__ == "__main__":
    main()
