#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the demo model of models/demo: a small Llama-architecture language
model and its byte-level BPE tokenizer, from nothing but one Debian package.

Text
    The King James Version of the Bible (1611, public domain), as shipped in
    the Debian packages `bible-kjv` (the reader program) and `bible-kjv-text`
    (the text); version 4.38 was used.  The packages' copyright file says that
    the copyright of the text is expired.  The text is stored in the package in
    a compressed form of its own; `bible -f gen1:1-rev22:21` prints all 31,102
    verses, one per line, and that is what this script reads.

        apt-get install bible-kjv
        pip install torch==2.13.0 transformers tokenizers safetensors numpy

    Verse references are dropped.  A chapter becomes a heading line such as
    "Genesis 1" and its verses, one per line; chapters of a book are separated
    by an empty line, books by the token <|endoftext|>.

    Whole books are kept out of training: HELDOUT for the published perplexity
    (written to heldout.txt, never looked at for any choice) and VALID for
    watching the run and picking the checkpoint.  The tokenizer is trained on
    the training books only.

What it writes
    --out   config.json, generation_config.json, model.safetensors (BF16, tied
            embeddings, so no lm_head), tokenizer.json, tokenizer_config.json,
            special_tokens_map.json, heldout.txt: a Hugging Face model folder.
    --work  state.pt (resumable checkpoint), best.pt (the weights with the
            lowest validation loss), log.jsonl.  Stop the run with SIGINT or
            SIGTERM at any time and start it again with the same arguments: it
            goes on where the last checkpoint was written.

Training
    f32 throughout on the CPU, LlamaForCausalLM of transformers, a plain loop.
    Muon (momentum orthogonalised by Newton-Schulz) for the matrices inside
    the blocks, AdamW for the embedding and the norms, warm-up then a linear
    decay to zero, dropout on the embedding and on the output of every
    attention and feed-forward block.  Progress is
    max(step / steps, elapsed / time limit), so that a run which meets its wall
    clock limit still decays to zero; a run that finishes its steps inside the
    limit (or with --minutes 0, no limit) follows a schedule that depends on
    the arguments only.

    The weights in models/demo came from one run with the default arguments
    (seed 1611; torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3): 50
    minutes on 2 CPU cores (AVX2) shared with other work, so that it met the
    time limit after 1,420 of the 2,100 steps, 4.36 million tokens.  A rerun on another machine, thread count or library
    version gives another model of about the same quality, not the same bits.

    OMP_WAIT_POLICY=passive MALLOC_MMAP_THRESHOLD_=33554432 \\
    MALLOC_TRIM_THRESHOLD_=8000000000 python3 tools/train_demo_model.py
    python3 tools/eval_demo_model.py

    (The variables only save time: threads that do not spin on a busy machine,
    and an allocator that keeps its big blocks.)
"""

import argparse
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

EOT = "<|endoftext|>"

# The 66 books in the order of the package: (reference used by `bible`, name).
BOOKS = [
    ("Ge", "Genesis"), ("Exo", "Exodus"), ("Lev", "Leviticus"),
    ("Num", "Numbers"), ("Deu", "Deuteronomy"), ("Josh", "Joshua"),
    ("Jdgs", "Judges"), ("Ruth", "Ruth"), ("1Sm", "1 Samuel"),
    ("2Sm", "2 Samuel"), ("1Ki", "1 Kings"), ("2Ki", "2 Kings"),
    ("1Chr", "1 Chronicles"), ("2Chr", "2 Chronicles"), ("Ezra", "Ezra"),
    ("Neh", "Nehemiah"), ("Est", "Esther"), ("Job", "Job"),
    ("Psa", "Psalm"), ("Prv", "Proverbs"), ("Eccl", "Ecclesiastes"),
    ("SSol", "Song of Solomon"), ("Isa", "Isaiah"), ("Jer", "Jeremiah"),
    ("Lam", "Lamentations"), ("Eze", "Ezekiel"), ("Dan", "Daniel"),
    ("Hos", "Hosea"), ("Joel", "Joel"), ("Amos", "Amos"),
    ("Obad", "Obadiah"), ("Jonah", "Jonah"), ("Mic", "Micah"),
    ("Nahum", "Nahum"), ("Hab", "Habakkuk"), ("Zep", "Zephaniah"),
    ("Hag", "Haggai"), ("Zec", "Zechariah"), ("Mal", "Malachi"),
    ("Mat", "Matthew"), ("Mark", "Mark"), ("Luke", "Luke"), ("John", "John"),
    ("Acts", "Acts"), ("Rom", "Romans"), ("1Cor", "1 Corinthians"),
    ("2Cor", "2 Corinthians"), ("Gal", "Galatians"), ("Eph", "Ephesians"),
    ("Phi", "Philippians"), ("Col", "Colossians"), ("1Th", "1 Thessalonians"),
    ("2Th", "2 Thessalonians"), ("1Tim", "1 Timothy"), ("2Tim", "2 Timothy"),
    ("Titus", "Titus"), ("Phmn", "Philemon"), ("Heb", "Hebrews"),
    ("Jas", "James"), ("1Pet", "1 Peter"), ("2Pet", "2 Peter"),
    ("1Jn", "1 John"), ("2Jn", "2 John"), ("3Jn", "3 John"),
    ("Jude", "Jude"), ("Rev", "Revelation"),
]
HELDOUT = ["Ruth", "Esther", "Jonah", "Philippians", "James"]
VALID = ["Joel", "Habakkuk", "Colossians", "Titus"]


# --------------------------------------------------------------------- text

def read_books(text_file):
    """Return {book name: text of the book} in the order of the package."""
    if text_file:
        dump = pathlib.Path(text_file).read_text(encoding="ascii")
    else:
        try:
            dump = subprocess.run(
                ["bible", "-f", "gen1:1-rev22:21"], check=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            ).stdout.decode("ascii")
        except FileNotFoundError:
            sys.exit("no `bible` program: apt-get install bible-kjv")
    names = dict(BOOKS)
    chapters = {}                       # (book, chapter) -> [verse, ...]
    count = 0
    for line in dump.splitlines():
        if not line.strip():
            continue
        m = re.match(r"(\d?[A-Za-z]+)(\d+):(\d+) (.*)$", line)
        if not m or m.group(1) not in names:
            sys.exit(f"cannot read this line of the dump: {line!r}")
        key = (names[m.group(1)], int(m.group(2)))
        chapters.setdefault(key, []).append(" ".join(m.group(4).split()))
        count += 1
    books = {}
    for (book, chapter), verses in chapters.items():
        books.setdefault(book, []).append(
            f"{book} {chapter}\n" + "\n".join(verses) + "\n")
    if len(books) != 66 or count != 31102:
        sys.exit(f"expected 66 books and 31102 verses, "
                 f"got {len(books)} and {count}")
    return {book: "\n".join(parts) for book, parts in books.items()}


# ---------------------------------------------------------------- tokenizer

def train_tokenizer(texts, vocab):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, \
        processors, trainers
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False,
                                                 use_regex=True)
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=[EOT], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if tok.get_vocab_size() != vocab or tok.token_to_id(EOT) != 0:
        sys.exit("tokenizer did not come out as asked for")
    return tok


# -------------------------------------------------------------------- model

def config_dict(a):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "head_dim": a.head_dim,
        "hidden_act": "silu",
        "hidden_size": a.hidden,
        "initializer_range": 0.02,
        "intermediate_size": a.ffn,
        "max_position_embeddings": a.context,
        "mlp_bias": False,
        "num_attention_heads": a.heads,
        "num_hidden_layers": a.layers,
        "num_key_value_heads": a.kv_heads,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": a.vocab,
    }


def build_model(a):
    from transformers import LlamaConfig, LlamaForCausalLM
    c = config_dict(a)
    for key in ("architectures", "model_type", "torch_dtype", "rope_scaling"):
        c.pop(key)
    config = LlamaConfig(**c)
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config).float()


def add_dropout(model, p):
    """Dropout on the embedding and on each block output, in training only."""
    import torch.nn.functional as F
    if p <= 0:
        return

    def hook(module, inputs, output):
        return F.dropout(output, p, module.training)

    model.model.embed_tokens.register_forward_hook(hook)
    for layer in model.model.layers:
        layer.self_attn.o_proj.register_forward_hook(hook)
        layer.mlp.down_proj.register_forward_hook(hook)


# ---------------------------------------------------------------- optimizer

def orthogonalise(torch, g, steps=5):
    """Newton-Schulz iteration of Muon: g -> about U V^T, in f32."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[0] > g.shape[1]
    x = g.T if tall else g
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.T if tall else x


class Muon:
    """Nesterov momentum, orthogonalised, with decoupled weight decay."""

    def __init__(self, params, momentum=0.95, decay=0.1):
        self.params = list(params)
        self.momentum, self.decay = momentum, decay
        self.buf = None

    def step(self, torch, lr):
        if self.buf is None:
            self.buf = [torch.zeros_like(p) for p in self.params]
        with torch.no_grad():
            for p, m in zip(self.params, self.buf):
                m.lerp_(p.grad, 1 - self.momentum)
                u = orthogonalise(torch, p.grad.lerp(m, self.momentum))
                p.mul_(1 - lr * self.decay)
                p.add_(u, alpha=-lr * math.sqrt(max(1, p.shape[0] / p.shape[1])))


def schedule(progress, warmup):
    if progress < warmup:
        return max(progress, 1e-4) / warmup
    return max(0.0, (1 - progress) / (1 - warmup))


# --------------------------------------------------------------------- data

class Sampler:
    """Windows of the token stream: each epoch cuts it at another offset and
    shuffles the windows; a function of (seed, epoch, position) only."""

    def __init__(self, torch, stream, context, batch, seed):
        self.torch, self.stream = torch, stream
        self.context, self.batch, self.seed = context, batch, seed
        self.epoch, self.pos, self.starts = 0, 0, None

    def next(self):
        t = self.torch
        if self.starts is None:
            g = t.Generator().manual_seed(self.seed * 1000003 + self.epoch)
            offset = int(t.randint(0, self.context, (1,), generator=g))
            s = t.arange(offset, len(self.stream) - self.context, self.context)
            self.starts = s[t.randperm(len(s), generator=g)]
        if self.pos + self.batch > len(self.starts):
            self.epoch, self.pos, self.starts = self.epoch + 1, 0, None
            return self.next()
        rows = self.starts[self.pos:self.pos + self.batch]
        self.pos += self.batch
        index = rows[:, None] + t.arange(self.context + 1)[None]
        return self.stream[index]


def valid_loss(torch, model, ids, context):
    """Mean next-token loss of non-overlapping windows, BF16-cast weights."""
    import torch.nn.functional as F
    saved = [p.detach().clone() for p in model.parameters()]
    model.eval()
    total = count = 0
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16().float())
        for i in range(0, len(ids) - 1, context):
            w = ids[i:i + context][None]
            if w.shape[1] < 2:
                break
            logits = model(input_ids=w, use_cache=False).logits
            total += F.cross_entropy(logits[0, :-1], w[0, 1:],
                                     reduction="sum").item()
            count += w.shape[1] - 1
        for p, s in zip(model.parameters(), saved):
            p.copy_(s)
    model.train()
    return total / count


# ------------------------------------------------------------------- output

def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n",
                    encoding="utf-8")


def export(torch, a, state):
    """Write the model's files; state: parameter name -> f32 tensor."""
    from safetensors.torch import save_file
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in state.items()
               if k != "lm_head.weight" and "rotary" not in k}
    save_file(tensors, str(out / "model.safetensors"),
              metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    write_json(out / "config.json", config_dict(a))
    write_json(out / "generation_config.json",
               {"_from_model_config": True, "bos_token_id": 0,
                "eos_token_id": 0})
    write_json(out / "special_tokens_map.json",
               {"bos_token": EOT, "eos_token": EOT})
    write_json(out / "tokenizer_config.json", {
        "add_prefix_space": False,
        "added_tokens_decoder": {"0": {
            "content": EOT, "lstrip": False, "normalized": False,
            "rstrip": False, "single_word": False, "special": True}},
        "bos_token": EOT,
        "clean_up_tokenization_spaces": False,
        "eos_token": EOT,
        "model_max_length": a.context,
        "tokenizer_class": "PreTrainedTokenizerFast",
    })
    return sum(t.numel() for t in tensors.values())


# --------------------------------------------------------------------- main

def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=str(here / "models" / "demo"))
    p.add_argument("--work", default=os.path.join(tempfile.gettempdir(),
                                                  "pare-demo-train"))
    p.add_argument("--text", help="a file with the output of "
                   "`bible -f gen1:1-rev22:21` instead of running it")
    p.add_argument("--seed", type=int, default=1611)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--vocab", type=int, default=2048)
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--ffn", type=int, default=768)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--kv-heads", type=int, default=2)
    p.add_argument("--head-dim", type=int, default=64)
    p.add_argument("--context", type=int, default=512)
    p.add_argument("--batch", type=int, default=6, help="windows per step")
    p.add_argument("--steps", type=int, default=2100)
    p.add_argument("--minutes", type=float, default=50,
                   help="wall clock limit; the learning rate still decays to "
                   "zero (0: none)")
    p.add_argument("--lr", type=float, default=3e-3, help="AdamW peak")
    p.add_argument("--muon-lr", type=float, default=0.02, help="Muon peak")
    p.add_argument("--decay", type=float, default=0.1, help="weight decay")
    p.add_argument("--dropout", type=float, default=0.05)
    p.add_argument("--warmup", type=float, default=0.03,
                   help="part of the run")
    p.add_argument("--clip", type=float, default=1.0)
    p.add_argument("--eval-every", type=int, default=100)
    p.add_argument("--save-every", type=int, default=100)
    p.add_argument("--compile", action="store_true",
                   help="use torch.compile (needs a C++ compiler)")
    p.add_argument("--export-only", action="store_true",
                   help="write --out from the best weights so far and stop")
    a = p.parse_args()

    import torch
    import torch.nn.functional as F
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    work = pathlib.Path(a.work)
    work.mkdir(parents=True, exist_ok=True)

    if a.export_only:
        best = torch.load(work / "best.pt", weights_only=True)
        n = export(torch, a, best["model"])
        print(f"wrote {n} parameters of step {best['step']}, "
              f"validation loss {best['loss']:.4f}, to {a.out}")
        return

    books = read_books(a.text)
    train = [t for b, t in books.items() if b not in HELDOUT + VALID]
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "heldout.txt").write_text("\n".join(books[b] for b in HELDOUT),
                                     encoding="ascii")
    tok = train_tokenizer(train, a.vocab)
    tok.save(str(out / "tokenizer.json"))
    ids = []
    for t in train:
        ids += [0] + tok.encode(t).ids
    stream = torch.tensor(ids + [0])
    valid = torch.tensor(tok.encode("\n".join(books[b] for b in VALID)).ids)
    print(f"{len(train)} books, {sum(map(len, train))} bytes, "
          f"{len(stream)} tokens to train on; {len(valid)} to watch",
          flush=True)

    model = build_model(a)
    nparam = sum(q.numel() for q in model.parameters())
    add_dropout(model, a.dropout)
    matrices = [q for n, q in model.named_parameters()
                if q.ndim == 2 and "embed" not in n and "lm_head" not in n]
    embed = [model.model.embed_tokens.weight]
    norms = [q for q in model.parameters() if q.ndim == 1]
    muon = Muon(matrices, decay=a.decay)
    adam = torch.optim.AdamW(
        [{"params": embed, "weight_decay": a.decay},
         {"params": norms, "weight_decay": 0.0}],
        lr=a.lr, betas=(0.9, 0.95))
    sampler = Sampler(torch, stream, a.context, a.batch, a.seed)
    step, elapsed, best, mean = 0, 0.0, math.inf, None
    torch.manual_seed(a.seed)

    def save():
        torch.save({"model": model.state_dict(), "muon": muon.buf,
                    "adam": adam.state_dict(), "rng": torch.get_rng_state(),
                    "step": step, "elapsed": elapsed, "best": best, "mean": mean,
                    "epoch": sampler.epoch, "pos": sampler.pos},
                   work / "state.tmp")
        os.replace(work / "state.tmp", work / "state.pt")

    if (work / "state.pt").exists():
        s = torch.load(work / "state.pt", weights_only=True)
        model.load_state_dict(s["model"])
        adam.load_state_dict(s["adam"])
        muon.buf = s["muon"]
        step, elapsed = s["step"], s["elapsed"]
        best, mean = s["best"], s["mean"]
        sampler.epoch = s["epoch"]
        if s["pos"]:
            sampler.next()              # makes the permutation of the epoch
            sampler.pos = s["pos"]
        torch.set_rng_state(s["rng"])
        print(f"resumed at step {step}", flush=True)

    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))

    def loss_of(rows):
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    run = torch.compile(loss_of) if a.compile else loss_of
    log = open(work / "log.jsonl", "a", encoding="utf-8")
    model.train()
    first, start = step, time.monotonic() - elapsed
    while not stop:
        elapsed = time.monotonic() - start
        progress = step / a.steps
        if a.minutes:
            progress = max(progress, elapsed / (60 * a.minutes))
        done = progress >= 1
        if step > first and (done or step % a.eval_every == 0):
            v = valid_loss(torch, model, valid, a.context)
            line = {"step": step, "seconds": round(elapsed, 1),
                    "progress": round(progress, 4), "epoch": sampler.epoch,
                    "tokens": step * a.batch * a.context,
                    "train": round(mean, 4), "valid": round(v, 4)}
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            if v < best:
                best = v
                torch.save({"model": model.state_dict(), "loss": v,
                            "step": step}, work / "best.tmp")
                os.replace(work / "best.tmp", work / "best.pt")
        if step > first and (done or step % a.save_every == 0):
            save()
        if done:
            break
        loss = run(sampler.next())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), a.clip)
        f = schedule(progress, a.warmup)
        for group in adam.param_groups:
            group["lr"] = a.lr * f
        adam.step()
        muon.step(torch, a.muon_lr * f)
        model.zero_grad(set_to_none=True)
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        step += 1
    if stop:
        save()
        print(f"stopped at step {step}; run again to go on")
        return
    b = torch.load(work / "best.pt", weights_only=True)
    export(torch, a, b["model"])
    print(f"{nparam} parameters, {step} steps, "
          f"{step * a.batch * a.context} tokens, {elapsed / 60:.1f} minutes; "
          f"best validation loss {b['loss']:.4f} at step {b['step']}; "
          f"wrote {a.out}")


if __name__ == "__main__":
    main()
