#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Perplexity of the demo model on its held-out text, by transformers.

    pip install torch==2.13.0 transformers tokenizers safetensors numpy
    python3 tools/eval_demo_model.py

Protocol (as in the GPTQ papers): the whole text is tokenized once, with no
token added in front; the tokens are cut into windows of --window (512, the
model's max_position_embeddings) that do not overlap; inside a window every
token but the first is predicted from those before it, and nothing is carried
from one window to the next.  What is left after the last full window is not
scored.  "nll" is the mean negative log-likelihood over all scored tokens, in
nats, "tokens" their number, and "perplexity" is exp(nll).  The figures named
*_with_tail also score the last, shorter window.

The weights are the BF16 values of model.safetensors, the arithmetic is f32
on the CPU, the sums are f64.

Prints a greedy and a seeded sampled continuation of --prompt, too, and writes
perplexity.json into the model's folder unless told not to.
"""

import argparse
import hashlib
import json
import math
import pathlib


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(here / "models" / "demo"))
    p.add_argument("--text", help="default: heldout.txt of the model's folder")
    p.add_argument("--window", type=int, default=512)
    p.add_argument("--out", help="default: perplexity.json of the model's "
                   "folder; - to write nothing")
    p.add_argument("--prompt", default="And the LORD said unto Moses,")
    p.add_argument("--length", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--temperature", type=float, default=0.7)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()

    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(a.threads)
    folder = pathlib.Path(a.model)
    text_path = pathlib.Path(a.text) if a.text else folder / "heldout.txt"
    raw = text_path.read_bytes()

    tok = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder),
                                                 dtype=torch.bfloat16)
    model = model.float().eval()
    # max_length is a warning only: the text is longer than one window.
    tok.model_max_length = 10 ** 9
    ids = torch.tensor(tok(raw.decode("utf-8"),
                           add_special_tokens=False)["input_ids"])
    assert tok.decode(ids, clean_up_tokenization_spaces=False) \
        == raw.decode("utf-8"), "the tokenizer does not round-trip the text"

    full = tail = 0.0
    nfull = ntail = windows = 0
    with torch.no_grad():
        for i in range(0, len(ids), a.window):
            w = ids[i:i + a.window]
            if len(w) < 2:
                break
            logits = model(input_ids=w[None], use_cache=False).logits[0, :-1]
            logp = torch.log_softmax(logits.double(), -1)
            nll = -logp.gather(1, w[1:, None]).sum().item()
            if len(w) == a.window:
                full, nfull, windows = full + nll, nfull + len(w) - 1, windows + 1
            else:
                tail, ntail = tail + nll, ntail + len(w) - 1
    if not nfull:
        raise SystemExit("the text is shorter than one window")
    nll, nll_tail = full / nfull, (full + tail) / (nfull + ntail)
    result = {
        "perplexity": round(math.exp(nll), 6),
        "nll": round(nll, 9),
        "tokens": nfull,
        "windows": windows,
        "window": a.window,
        "perplexity_with_tail": round(math.exp(nll_tail), 6),
        "nll_with_tail": round(nll_tail, 9),
        "tokens_with_tail": nfull + ntail,
        "text": text_path.name,
        "text_bytes": len(raw),
        "text_tokens": len(ids),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "bits_per_byte": round(nll_tail * (nfull + ntail) / math.log(2)
                               / len(raw), 6),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "dtype": "float32 arithmetic on bfloat16 weights",
    }
    print(json.dumps(result, indent=2))
    if a.out != "-":
        out = pathlib.Path(a.out) if a.out else folder / "perplexity.json"
        out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    inputs = tok(a.prompt, return_tensors="pt", add_special_tokens=False)
    inputs = {k: v for k, v in inputs.items()
              if k in ("input_ids", "attention_mask")}
    common = dict(max_new_tokens=a.length, pad_token_id=tok.eos_token_id)
    greedy = model.generate(**inputs, do_sample=False, **common)
    torch.manual_seed(a.seed)
    sampled = model.generate(**inputs, do_sample=True, top_k=0, top_p=0.95,
                             temperature=a.temperature, **common)
    for name, g in (("greedy", greedy),
                    (f"sampled, seed {a.seed}, temperature {a.temperature}, "
                     f"top-p 0.95", sampled)):
        print(f"--- {name}\n{tok.decode(g[0])}")


if __name__ == "__main__":
    main()
