#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds that the originals take on the layers of a Llama of 1.1 billion weights (22 blocks, hidden 2048, feed-forward 5632, 4 key/value heads of
64), with random weights: a block has q and o, k and v, gate and up, and down.

    VENV/bin/python tests/interop/time_originals.py [--methods REGEX] [--layers REGEX] [--tokens N] [--threads N]

One line a layer and method: quantizing one matrix at 4 bits, groups of 128, with N calibration tokens at once (default 2048); the sums over
tokens (X^T X) are a line of their own, since they grow with the tokens while the rest does not. --tokens does not change the other lines.
"""
import argparse
import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import libs  # noqa: E402
import originals  # noqa: E402
from libs import torch  # noqa: E402

LAYERS = {"q_proj": (2048, 2048), "k_proj": (256, 2048), "up_proj": (5632, 2048), "down_proj": (2048, 5632)}


def gptqmodel_sums(weight, x):
    config = originals._gptqmodel_config(4, 128, True, {})
    from gptqmodel.quantization.gptq import GPTQ
    task = GPTQ(libs.linear_of(weight), config)
    start = time.monotonic()
    task.add_batch(x, None)
    return time.monotonic() - start


def llmcompressor_sums(weight, x):
    originals._llmcompressor_gptq()
    from llmcompressor.modifiers.gptq.helpers import accumulate_hessian
    layer = libs.linear_of(weight)
    hessian, count = torch.zeros(weight.shape[1], weight.shape[1]), torch.zeros(1)
    start = time.monotonic()
    accumulate_hessian(x, layer, hessian, count)
    return time.monotonic() - start


def timed(function, sym=True):
    def run(weight, x):
        start = time.monotonic()
        function(weight, x, 4, 128, sym)
        return time.monotonic() - start
    return run


CASES = {
    "sums gptqmodel": gptqmodel_sums,
    "sums llmcompressor": llmcompressor_sums,
    "gptq.gptqmodel": timed(originals.gptqmodel),
    "gptq.llmcompressor": timed(originals.llmcompressor_gptq),
    "hqq": timed(originals.hqq, False),
    "rtn": timed(originals.rtn),
    "rtn.search": timed(originals.rtn_search),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="")
    parser.add_argument("--layers", default="")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    small = torch.randn(256, 256), torch.randn(64, 256)
    for name, run in CASES.items():
        if not re.search(options.methods, name):
            continue
        run(*small)                                                    # imports and first calls
        for layer, (rows, cols) in LAYERS.items():
            if re.search(options.layers, layer):
                weight, x = torch.randn(rows, cols) * 0.02, torch.randn(options.tokens, cols)
                print(json.dumps({"method": name, "layer": layer, "shape": [rows, cols], "tokens": options.tokens, "seconds": round(run(weight, x), 4)}), flush=True)


if __name__ == "__main__":
    main()
