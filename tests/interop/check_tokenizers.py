# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: pare's ids against the `tokenizers` library's, on about 10 MB of mixed text and a million random strings.

Tokenizers of every kind (tests/golden/make_tokenizers.py) are trained here on larger text. pare's side is tests/interop/tok_ids.c,
compiled against the libpare.a beside the command. Also usable alone:  check_tokenizers.py PARE [--speed] [KIND]..."""
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import sysconfig
import time
import unicodedata

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "golden"))
FUZZ_STRINGS = int(os.environ.get("PARE_TOK_FUZZ", "1000000"))
# Kinds with text of their own size; the rest is compared on a tenth of it.
LARGE = ("gpt2", "llama3", "qwen2", "deepseek", "llama2", "t5", "bert", "wordlevel")


try:
    from report import Wrong
except ImportError:                                    # run by itself
    class Wrong(Exception):
        pass


def models_folder():
    return pathlib.Path(os.environ.get("PARE_MODELS", SOURCE.parent / "shared" / "models"))


def build(pare, folder):
    program = folder / "tok_ids"
    libraries = subprocess.run(["pkg-config", "--libs", "jansson", "libcrypto", "zlib", "cairo", "libpcre2-8", "libutf8proc"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", f"-I{SOURCE}/src", f"-I{SOURCE}/include", str(SOURCE / "tests" / "interop" / "tok_ids.c"),
                    str(pathlib.Path(pare).resolve().parent / "libpare.a"), *libraries, "-lpthread", "-lm", "-o", str(program)], check=True)
    return program


def pare_ids(program, tokenizer, texts, mode):
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    done = subprocess.run([str(program), str(tokenizer), mode], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise Wrong(done.stderr.decode()[-300:])
    out, at, found = done.stdout, 0, []
    while at < len(out):
        n, = struct.unpack_from("<I", out, at)
        ids = struct.unpack_from(f"<{n}i", out, at + 4)
        at += 4 + 4 * n
        text = None
        if "d" in mode:
            n, = struct.unpack_from("<I", out, at)
            text = out[at + 4:at + 4 + n]
            at += 4 + n
        found.append((ids, text))
    return found, json.loads(done.stderr)


# ---------------------------------------------------------------------------------------------------------------- texts
def prose():
    out = []
    for name in ("tinyshakespeare.txt", "wikitext-2-tokens-test.txt", "tinystories_200.txt"):
        path = models_folder() / "text" / name
        if path.exists():
            out.append(path.read_text(encoding="utf-8")[:1500000])
    return out


def code(limit):
    files = sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    out, size = [], 0
    for path in files:
        if size > limit:
            break
        out.append(path.read_text(encoding="utf-8", errors="replace"))
        size += len(out[-1])
    return out


def letters(rng, n):
    """Words of random characters of one script each, and long runs of spaces."""
    blocks = [(0x41, 0x7A), (0xC0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x905, 0x94D), (0xE01, 0xE3A), (0x3041, 0x30FE), (0x4E00, 0x9FA5),
              (0xAC00, 0xD7A3), (0x1F300, 0x1F64F), (0x2000, 0x206F), (0x300, 0x36F), (0x1F1E6, 0x1F1FF)]
    words = []
    for _ in range(n):
        low, high = rng.choice(blocks)
        words.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 9))) + rng.choice([" ", " ", "  ", "\n", ", ", "", "\u00a0", " " * rng.randint(1, 60)]))
    return "".join(words)


def mixed(megabytes):
    rng = random.Random(1)
    texts = prose() + code(3000000) + [letters(rng, 3000) for _ in range(40)] + ["".join(chr(c) for c in range(a, a + 256) if unicodedata.category(chr(c)) != "Cs") for a in range(0, 0x20000, 256)]
    out, size, i = [], 0, 0
    rng.shuffle(texts)
    while size < megabytes * 1e6:
        text = texts[i % len(texts)]
        out.append(text)
        size += len(text.encode())
        i += 1
    return out


def fuzz_strings(n, seed):
    import make_tokenizers
    rng = random.Random(seed)
    seeds = make_tokenizers.STRINGS + make_tokenizers.TEXT.split()
    ascii_ = [chr(c) for c in range(32, 127)] + [" "] * 40 + ["\n", "\t", "\r", "'", "’"]
    odd = "".join(make_tokenizers.STRINGS)
    out = []
    for _ in range(n):
        kind = rng.random()
        if kind < 0.3:
            s = "".join(rng.choices(ascii_, k=rng.randint(0, 20)))
        elif kind < 0.6:
            s = "".join(rng.choices(odd, k=rng.randint(1, 20)))
        elif kind < 0.8:
            s = "".join(rng.choice(seeds)[:12] for _ in range(rng.randint(1, 4)))
        elif kind < 0.9:                               # bytes that are no UTF-8
            out.append(bytes(rng.choices(range(256), k=rng.randint(1, 16))))
            continue
        else:
            s = "".join(chr(rng.choice([rng.randint(0, 0x2FF), rng.randint(0x300, 0x33FF), rng.randint(0x3400, 0xD7FF), rng.randint(0xE000, 0x323AF)])) for _ in range(rng.randint(1, 10)))
        out.append(s.encode())
    return out


# --------------------------------------------------------------------------------------------------------------- checks
def compare(program, path, library, texts, special, decode):
    mode = ("s" if special else "") + ("d" if decode else "")
    found, times = pare_ids(program, path, texts, mode)
    strings = [t.decode("utf-8", "replace") for t in texts]
    begin = time.perf_counter()
    want = [e.ids for e in library.encode_batch_fast(strings, add_special_tokens=special)]
    times["library_s"] = time.perf_counter() - begin
    for text, (ids, decoded), expected in zip(strings, found, want):
        if list(ids) != expected:
            k = next((k for k in range(min(len(ids), len(expected))) if ids[k] != expected[k]), min(len(ids), len(expected)))
            raise Wrong(f"{text[:60]!r}: id {k} is {ids[k:k + 4]}, the library's {expected[k:k + 4]} ({[library.id_to_token(i) for i in expected[max(k - 2, 0):k + 3]]})")
        if decode and expected:
            other = library.decode(expected, skip_special_tokens=False)
            if decoded.decode() != other:
                raise Wrong(f"{text[:60]!r}: decodes to {decoded.decode()[:80]!r}, in the library to {other[:80]!r}")
    return times


def check_kind(program, folder, name, make, training, megabytes, cases):
    path = folder / f"{name}.json"
    if not path.exists():
        make(training, 4000 if name in ("t5", "xlmr", "unigram_bytes") else 12000).save(str(path))
    from tokenizers import Tokenizer
    library = Tokenizer.from_file(str(path))
    texts = [t.encode() for t in mixed(megabytes)]
    strings = fuzz_strings(cases, name)
    if name == "scripts":                              # characters without a script in the library: docs/tokenizers.md, "Known differences"
        texts, strings = old_scripts(texts), old_scripts(strings)
    compare(program, path, library, texts, special=True, decode=False)
    compare(program, path, library, texts[:20], special=True, decode=True)
    for i in range(0, len(strings), 50000):
        compare(program, path, library, strings[i:i + 50000], special=i % 100000 == 0, decode=i == 0)
    return f"{sum(map(len, texts)) / 1e6:.1f} MB, {len(strings)} strings"


def old_scripts(texts):
    from tokenizers import pre_tokenizers
    scripts, known = pre_tokenizers.UnicodeScripts(), {" ": True}
    out = []
    for text in texts:
        chars = set(text.decode("utf-8", "replace"))
        for c in chars - known.keys():
            known[c] = bool(scripts.pre_tokenize_str(c)) or unicodedata.category(c) == "Cn"
        if all(known[c] for c in chars):
            out.append(text)
    return out


def training_text():
    import make_tokenizers
    return [line for text in prose() + code(1500000) for line in text[:400000].splitlines(keepends=True)] + make_tokenizers.TEXT.splitlines(keepends=True) * 5


def run(report):
    import make_tokenizers
    kinds = make_tokenizers.kinds()
    names = [f"tokenizer {name}: ids equal the library's" for name in kinds]
    if not any(report.wanted(n) for n in names):
        return
    folder = report.scratch("tokenizers")
    folder.mkdir(parents=True, exist_ok=True)
    program, training = build(report.pare_path, folder), training_text()
    for label, (name, make) in zip(names, kinds.items()):
        def check(name=name, make=make):
            return check_kind(program, folder, name, make, training, 10 if name in LARGE else 1, FUZZ_STRINGS // len(kinds))
        report.check(label, check)


def main():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import make_tokenizers
    import tempfile
    folder = pathlib.Path(os.environ.get("PARE_TOK_FOLDER", tempfile.gettempdir() + "/pare-tokenizers"))
    folder.mkdir(parents=True, exist_ok=True)
    program = build(sys.argv[1], folder) if not sys.argv[1].endswith("tok_ids") else pathlib.Path(sys.argv[1])
    kinds = make_tokenizers.kinds()
    wanted = [a for a in sys.argv[2:] if not a.startswith("-")] or list(kinds)
    training = training_text()
    for name in wanted:
        try:
            if "--speed" in sys.argv:
                speed(program, folder, name, kinds[name], training)
            else:
                print(name, check_kind(program, folder, name, kinds[name], training, 10 if name in LARGE else 1, FUZZ_STRINGS // len(kinds)), flush=True)
        except Wrong as error:
            print(name, "FAIL", error, flush=True)


def speed(program, folder, name, make, training):
    """One thread each, plain text in lines and as whole documents: seconds, and how many times faster pare is."""
    from tokenizers import Tokenizer
    path = folder / f"{name}.json"
    if not path.exists():
        make(training, 4000 if name in ("t5", "xlmr", "unigram_bytes") else 12000).save(str(path))
    library = Tokenizer.from_file(str(path))
    documents = (prose() + code(1000000))
    lines = [line for d in documents for line in d.splitlines(keepends=True)]
    out = [name]
    for what, texts in (("lines", lines), ("documents", documents)):
        _, times = pare_ids(program, path, [t.encode() for t in texts], "")
        begin = time.perf_counter()
        for t in texts:
            library.encode_batch_fast([t], add_special_tokens=False)
        library_s = time.perf_counter() - begin
        out.append(f"{what}: {times['bytes'] / 1e6:.1f} MB, pare {times['bytes'] / 1e6 / times['encode_s']:.1f} MB/s, library {times['bytes'] / 1e6 / library_s:.1f} MB/s, ratio {library_s / times['encode_s']:.1f}")
    out.append(f"load {times['load_s'] * 1e3:.0f} ms")
    print(" | ".join(out), flush=True)


if __name__ == "__main__":
    main()
