# SPDX-License-Identifier: Apache-2.0
"""`pare run` and `pare eval` on trained models and text, against transformers and numpy: ids, perplexity in both protocols, published
figures, KL divergence, sampling, greedy text, a memory limit, encoders and encoder-decoders with text. Quantized files: check_run_quantized.py."""
import functools
import heapq
import json
import math
import shutil
import struct
import subprocess

import check_tokenizers
import libs
import models
import numpy as np
import transformers
from libs import torch
from report import SOURCE, Skip, Wrong

FLOAT = 2e-5           # of the range of the logits: the same numbers, added in another order
# model -> tokens of a window
CONTEXT = {"demo": 512, "stories260k": 256, "stories3m": 256, "tinystories-656k": 256}
WINDOWS = 6


# --------------------------------------------------------------------------------------------------------------- sources
@functools.lru_cache(maxsize=None)
def folder_of(report, name):
    """A trained model with its tokenizer beside it."""
    path = models.trained(report, "stories260k/hf" if name == "stories260k" else name)
    if name != "stories260k":
        return path
    folder = report.scratch("stories260k")
    shutil.copytree(path, folder)
    shutil.copy(path.parent / "tok512.bin", folder)
    return folder


def text_of(report, name, limit=40000):
    path = SOURCE / "models" / "demo" / "heldout.txt" if name == "demo" else report.models / "text" / "tinystories_200.txt"
    if not path.exists():
        raise Skip(f"{path.name} is not there")
    return path.read_bytes()[:limit].decode("utf-8", "ignore")


def text_file(report, name, limit=40000):
    path = report.folder / f"{name}-{limit}.txt"
    path.write_text(text_of(report, name, limit), encoding="utf-8")
    return path


@functools.lru_cache(maxsize=None)
def program(report):
    folder = report.scratch("tok-ids")
    folder.mkdir(parents=True)
    return check_tokenizers.build(report.pare_path, folder)


@functools.lru_cache(maxsize=None)
def ids_of(report, name, limit=40000):
    """pare's ids, beginning as its tokenizer begins a text."""
    found, _ = check_tokenizers.pare_ids(program(report), folder_of(report, name), [text_of(report, name, limit).encode()], "s")
    return list(found[0][0])


@functools.lru_cache(maxsize=None)
def float_model(folder):
    return models.float_model(folder)


@torch.no_grad()
def forward(model, ids):
    return model(torch.tensor([ids])).logits[0].float().numpy()


def pare_logits(report, folder, ids, *more):
    out = report.folder / "logits.npy"
    report.pare("run", folder, "--ids", ",".join(map(str, ids)), "-n", 0, "--logits", out, "--quiet", *more)
    return np.load(out)


def near_value(got, want):
    return float(np.abs(got - want).max() / (want.max() - want.min()))


def near(got, want, limit, what):
    if got.shape != want.shape:
        raise Wrong(f"{what}: shape {got.shape} instead of {want.shape}")
    off = near_value(got, want)
    if not off <= limit:
        raise Wrong(f"{what}: off by {off:.2e} of the range, allowed {limit:.0e}")
    return f"{off:.1e} of the range"


def close_to(got, want, limit, what):
    if got is None or not abs(got - want) <= limit * abs(want):
        raise Wrong(f"{what} {got!r}, expected {want!r} within {limit:g}")


def log_softmax(rows):
    rows = rows.astype(np.float64)
    top = rows.max(-1, keepdims=True)
    return rows - top - np.log(np.exp(rows - top).sum(-1, keepdims=True))


# ------------------------------------------------------------------------------------------------------------------- ids
def karpathy_ids(path, text):
    """llama2.c's rule on a tok*.bin: BOS, a space in front, characters (or bytes + 3), then always the best-scoring pair is joined."""
    data, at, pieces = path.read_bytes(), 4, []
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at)
        pieces.append((data[at + 8:at + 8 + n], score))
        at += 8 + n
    known = {}
    for i, (piece, _) in enumerate(pieces):
        known.setdefault(piece, i)
    ids = []
    for char in " " + text:
        ids += [known[char.encode()]] if char.encode() in known else [b + 3 for b in char.encode()]
    after, before = list(range(1, len(ids))) + [-1], list(range(-1, len(ids) - 1))
    queue = []

    def offer(i):
        if i >= 0 and after[i] >= 0:
            joined = known.get(pieces[ids[i]][0] + pieces[ids[after[i]]][0])
            if joined is not None:
                heapq.heappush(queue, (-pieces[joined][1], i, joined, ids[i], ids[after[i]]))

    for i in range(len(ids)):
        offer(i)
    while queue:
        _, i, joined, left, right = heapq.heappop(queue)
        if ids[i] != left or after[i] < 0 or ids[after[i]] != right:
            continue
        gone = after[i]
        ids[i], ids[gone], after[i] = joined, -1, after[gone]
        if after[i] >= 0:
            before[after[i]] = i
        offer(before[i])
        offer(i)
    return [1] + [i for i in ids if i >= 0]


def check_ids(report, name):
    folder, text = folder_of(report, name), text_of(report, name)
    if (folder / "tokenizer.json").exists():
        from tokenizers import Tokenizer
        want = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    else:
        want = karpathy_ids(next(folder.glob("tok*.bin")), text)
    got = ids_of(report, name)
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        raise Wrong(f"id {at} of {len(got)} is {got[at:at + 3]}, expected {want[at:at + 3]} of {len(want)}")
    return f"{len(got)} ids"


# ------------------------------------------------------------------------------------------------------------ perplexity
def windows_of(ids, ctx, count, bos=None):
    for i in range(min(count, len(ids) // ctx)):
        window = ids[i * ctx:(i + 1) * ctx]
        yield window if bos is None else [bos] + window[1:]


def adds_bos(report, name):
    """The id that the tokenizer puts before a text, or None."""
    found, _ = check_tokenizers.pare_ids(program(report), folder_of(report, name), [b"a"], "s")
    bare, _ = check_tokenizers.pare_ids(program(report), folder_of(report, name), [b"a"], "")
    return found[0][0][0] if len(found[0][0]) > len(bare[0][0]) else None


def check_perplexity(report, name, protocol):
    folder, ctx = folder_of(report, name), CONTEXT[name]
    half = protocol == "llamacpp"
    nll = []
    for window in windows_of(ids_of(report, name), ctx, WINDOWS, adds_bos(report, name) if half else None):
        p = log_softmax(forward(float_model(folder), window)[:-1])
        nll += [-p[i, window[i + 1]] for i in range(ctx // 2 if half else 0, ctx - 1)]
    want = math.exp(sum(nll) / len(nll))
    found = report.pare_json("eval", folder, "--text", text_file(report, name), "--ctx", ctx, "--windows", WINDOWS, "--protocol", protocol)
    if found["tokens"] != len(nll):
        raise Wrong(f"{found['tokens']} tokens scored, expected {len(nll)}")
    close_to(found["perplexity"], want, 2e-5, "perplexity")
    close_to(found["nll_error"], float(np.std(nll, ddof=1) / math.sqrt(len(nll))), 1e-3, "nll_error")
    return f"{found['perplexity']:.4f}, transformers {want:.4f} ({found['perplexity'] / want - 1:+.1e}), {len(nll)} tokens"


def check_known(report, dtype, want):
    """llama-perplexity --ctx-size 256 --chunks 40 on oracle-gguf, of which the folder has the same weights."""
    folder, text = folder_of(report, "stories3m"), report.models / "text" / "tinystories_200.txt"
    found = report.pare_json("eval", folder, "--text", text, "--protocol", "llamacpp", "--ctx", 256, "--windows", 40, "--dtype", dtype)
    close_to(found["perplexity"], want, 2e-4, "perplexity")
    return f"{found['perplexity']:.4f}, llama.cpp {want}"


# --------------------------------------------------------------------------------------------------------- KL divergence
def quantized(report, name, layout, scheme, source=None):
    folder, plain = report.scratch("quantized"), report.scratch("plain")
    report.pare("quantize", source or folder_of(report, name), "-o", folder, "--format", layout, "--scheme", scheme, "--overwrite", "--quiet")
    report.pare("dequantize", folder, "-o", plain, "--dtype", "f32", "--overwrite", "--quiet")
    return folder, plain


def kl_figures(reference, other, following):
    p, q = log_softmax(reference), log_softmax(other)
    kl = np.sort((np.exp(p) * (p - q)).sum(-1))
    rank = lambda share: kl[max(math.ceil(share * len(kl)) - 1, 0)]  # noqa: E731
    rows = np.arange(len(p))
    return {"kl_mean": kl.mean(), "kl_median": rank(0.5), "kl_p99": rank(0.99), "kl_max": kl[-1], "top1_agreement": (p.argmax(-1) == q.argmax(-1)).mean(),
            "perplexity": math.exp(-q[rows, following].mean()), "perplexity_ref": math.exp(-p[rows, following].mean())}


def check_kl(report, name, scheme):
    folder, (small, plain) = folder_of(report, name), quantized(report, name, "compressed-tensors", scheme)
    ctx, parts, theirs, following = 256, [], [], []
    for window in windows_of(ids_of(report, name), ctx, 2):
        following += window[1:]
        parts.append([pare_logits(report, f, window)[:-1] for f in (folder, small)])
        theirs.append([forward(m, window)[:-1] for m in (float_model(folder), models.float_model(plain))])
    more = ["--text", text_file(report, name), "--ctx", ctx, "--windows", 2]
    found = report.pare_json("eval", small, *more, "--against", folder)
    for source, limit in ((parts, 1e-4), (theirs, 1e-3)):
        for key, want in kl_figures(*(np.concatenate(x) for x in zip(*source)), following).items():
            close_to(found[key], float(want), limit, key)
    kept = report.folder / "reference.ref"
    report.pare("eval", folder, *more, "--save-reference", kept, "--quiet")
    saved = report.pare_json("eval", small, *more, "--against", kept)
    for key in ("kl_mean", "kl_median", "kl_p99", "kl_max", "top1_agreement"):
        close_to(saved[key], found[key], 1e-2, f"{key} from the saved reference")
    close_to(saved["perplexity_ref"], found["perplexity_ref"], 1e-5, "perplexity_ref from the saved reference")
    return f"KL mean {found['kl_mean']:.6f}, 99 % {found['kl_p99']:.5f}, max {found['kl_max']:.5f}; top-1 {found['top1_agreement']:.4f}; file of {kept.stat().st_size} bytes: {saved['kl_mean']:.6f}"


# -------------------------------------------------------------------------------------------------------------- sampling
SAMPLING = [{"temp": 1.0}, {"temp": 0.7}, {"temp": 1.6}, {"temp": 1.0, "top-k": 12}, {"temp": 1.0, "top-p": 0.8}, {"temp": 1.0, "min-p": 0.06},
            {"temp": 0.9, "top-k": 30, "top-p": 0.9, "min-p": 0.03}, {"temp": 1.2, "repetition-penalty": 1.4, "top-p": 0.9}]


def warped(o, context, row):
    """transformers' processors and warpers in the order in which its generate() applies them."""
    t = transformers
    chain = [("repetition-penalty", lambda v: t.RepetitionPenaltyLogitsProcessor(v)), ("temp", lambda v: t.TemperatureLogitsWarper(v)),
             ("top-k", lambda v: t.TopKLogitsWarper(v)), ("top-p", lambda v: t.TopPLogitsWarper(v)), ("min-p", lambda v: t.MinPLogitsWarper(v))]
    scores = torch.from_numpy(row.astype(np.float64))[None]
    for key, make in chain:
        if key in o:
            scores = make(o[key])(torch.tensor([context]), scores)
    return torch.softmax(scores, -1)[0].numpy(), scores[0].numpy()


def check_sampling(report, name):
    """pare draws by inversion with a number that belongs to (seed, position). So each choice, under whatever filters, brackets the same
    number: brackets of transformers' distributions that do not meet are a wrong set of allowed tokens or wrong probabilities."""
    folder, prompt, steps = folder_of(report, name), ids_of(report, name)[:5], 120
    low, high = np.zeros(steps), np.ones(steps)
    out = report.folder / "sampled.npy"
    for o in SAMPLING:
        flags = [x for k, v in o.items() for x in (f"--{k}", v)]
        found = report.pare_json("run", folder, "--ids", ",".join(map(str, prompt)), "-n", steps, "--ignore-eos", "--seed", 11, "--logits", out, *flags)
        rows, context = np.load(out), list(prompt)
        if len(found["tokens"]) != steps:
            raise Wrong(f"{o}: {len(found['tokens'])} tokens")
        for i, token in enumerate(found["tokens"]):
            p, scores = warped(o, context, rows[len(prompt) - 1 + i])
            if p[token] == 0:
                raise Wrong(f"{o}: step {i} chooses {token}, which transformers leaves out")
            order = np.lexsort((np.arange(len(p)), -scores))
            ends = np.cumsum(p[order])
            at = int(np.flatnonzero(order == token)[0])
            low[i], high[i] = max(low[i], ends[at] - p[token]), min(high[i], ends[at])
            if low[i] > high[i] + 1e-6:
                raise Wrong(f"{o}: step {i}: token {token} asks for a number below {high[i]:.6f}, the other settings for one above {low[i]:.6f}")
            context.append(token)
    middle, width = (low + high) / 2, float(np.mean(high - low))
    if abs(middle.mean() - 0.5) > 4 * math.sqrt(1 / 12 / steps) or not 0 <= middle.min() < 0.1 or not 0.9 < middle.max() <= 1:
        raise Wrong(f"the drawn numbers are not uniform: mean {middle.mean():.3f}, {middle.min():.3f} ... {middle.max():.3f}")
    return f"{len(SAMPLING)} settings, {steps} draws, mean {middle.mean():.3f}, known to {width:.3f}"


def check_greedy(report, name):
    """Greedy text equals transformers' generate, and reads as the training text does: its words are the text's words."""
    folder, prompt = folder_of(report, name), ids_of(report, name)[:8]
    found = report.pare_json("run", folder, "--ids", ",".join(map(str, prompt)), "-n", 60, "--ignore-eos")
    rows = forward(float_model(folder), prompt + found["tokens"][:-1])[len(prompt) - 1:]
    span = rows.max() - rows.min()
    for i, token in enumerate(found["tokens"]):
        if rows[i].max() - rows[i][token] > FLOAT * span:
            raise Wrong(f"token {i} is {token}, expected {int(rows[i].argmax())}")
    known = set(text_of(report, name, 10**6).lower().replace(".", " ").replace(",", " ").replace('"', " ").split())
    words = found["text"].lower().replace(".", " ").replace(",", " ").replace('"', " ").split()[1:-1]
    share = sum(w in known for w in words) / max(len(words), 1)
    if len(words) < 12 or share < 0.9:
        raise Wrong(f"{share:.2f} of the words are the text's: {found['text'][:200]!r}")
    return f"{len(words)} words, {share:.2f} known: {' '.join(found['text'].split())[:60]!r}"


def check_memory(report, name):
    """Limits from more than the model down to too little: the same bytes of logits as long as it runs, and at least one of them streams."""
    folder, ids = folder_of(report, name), ids_of(report, name)[:17]
    flags = ["run", folder, "--ids", ",".join(map(str, ids)), "-n", 3, "--ignore-eos", "--ctx", 32, "--logits"]
    report.pare(*flags, report.folder / "all.npy", "--quiet")
    want = (report.folder / "all.npy").read_bytes()
    size, streamed, kib = sum(f.stat().st_size for f in folder.glob("*.safetensors")) // 1024, [], 0
    for share in (3, 1.6, 1.2, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        kib = int(size * share)
        found = subprocess.run([report.pare_path, *map(str, flags), report.folder / "few.npy", "--memory", f"{kib}KiB"], capture_output=True, text=True)
        if found.returncode:
            if "memory" not in found.stderr:
                raise Wrong(f"--memory {kib}KiB: {found.stderr[:200]}")
            break
        if (report.folder / "few.npy").read_bytes() != want:
            raise Wrong(f"--memory {kib}KiB: other logits")
        if "from the file again" in found.stderr:
            streamed.append(kib)
    if not streamed:
        raise Wrong(f"no limit makes it stream; {kib} KiB is refused, the file has {size} KiB")
    return f"file {size} KiB, streams with {streamed[0]} ... {streamed[-1]} KiB"


# ------------------------------------------------------------------------------------------------- round-to-nearest figures
# Perplexity per token over stories 300-359 of tinystories_1000.json, each predicted alone, for every matrix (embeddings too) rounded symmetrically
# in groups of 32, rows that 32 does not divide left alone: figures that others computed.
STORIES = {"stories260k": {"f32": 6.658, 4: 7.742, 3: 20.5}, "stories3m": {"f32": 9.003, 8: 9.005, 4: 13.34, 2: 572691}}


def check_stories(report, name, bits):
    source, folder = folder_of(report, name), report.scratch("stories")
    path = report.models / "text" / "tinystories_1000.json"
    if not path.exists():
        raise Skip(f"{path.name} is not there")
    if bits != "f32":
        report.pare("quantize", source, "-o", folder, "--bits", bits, "--group-size", 32, "--symmetric", "--range", "narrow", "--only", "*",
                    *(["--ignore", "*down_proj*"] if name == "stories260k" else []), "--overwrite", "--quiet")
    nll, count, one = 0.0, 0, report.folder / "story.txt"
    for story in json.loads(path.read_text())[300:360]:
        one.write_text(story, encoding="utf-8")
        found = report.pare_json("eval", source if bits == "f32" else folder, "--text", one, "--ctx", 512)
        nll, count = nll + found["nll"] * found["tokens"], count + found["tokens"]
    found, want = math.exp(nll / count), STORIES[name][bits]
    if abs(found - want) > (3e-3 if bits == 3 else 5e-4) * want:
        raise Wrong(f"perplexity {found:.6g}, expected {want}")
    return f"{found:.6g}, published {want}"


# ----------------------------------------------------------------------------------------------------------- text to text
WORDS = ("the quick brown fox jumps over a lazy dog while seven small birds sing of rain and snow near old stone walls "
         "translate summary question answer was not were then who when where again under bright yellow morning light").split()
LINES = [" ".join(WORDS[(i * 7 + j * 3) % len(WORDS)] for j in range(9)) + "." for i in range(60)]
SENTENCE = "Where was the quick fox, when seven birds sing under yellow light?"


def save_tokenizer(folder, kind):
    """A small tokenizer of the family's kind, trained here."""
    import tokenizers as t
    if kind == "bert":
        tok = t.Tokenizer(t.models.WordPiece(unk_token="[UNK]"))
        tok.normalizer, tok.pre_tokenizer = t.normalizers.BertNormalizer(lowercase=True), t.pre_tokenizers.BertPreTokenizer()
        tok.train_from_iterator(LINES, t.trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
        tok.post_processor = t.processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        tok.decoder = t.decoders.WordPiece()
    elif kind == "t5":
        letters = sorted(set("".join(LINES) + SENTENCE) - {" "})
        words = [(f"\u2581{w}", -4.0 - i / 50) for i, w in enumerate(dict.fromkeys(WORDS))]
        tok = t.Tokenizer(t.models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -3.0), *words, *((c, -6.0 - i / 50) for i, c in enumerate(letters))], 2))
        tok.add_special_tokens(["<pad>", "</s>", "<unk>"])
        tok.pre_tokenizer, tok.decoder = t.pre_tokenizers.Metaspace(), t.decoders.Metaspace()
        tok.post_processor = t.processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    else:
        tok = t.Tokenizer(t.models.BPE())
        tok.pre_tokenizer, tok.decoder = t.pre_tokenizers.ByteLevel(add_prefix_space=False), t.decoders.ByteLevel()
        tok.train_from_iterator(LINES, t.trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], initial_alphabet=t.pre_tokenizers.ByteLevel.alphabet(),
                                                             show_progress=False))
        tok.post_processor = t.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    folder.mkdir(parents=True, exist_ok=True)
    tok.save(str(folder / "tokenizer.json"))
    return tok


def small(kind, vocabulary, seed):
    torch.manual_seed(seed)
    if kind == "bert":
        return transformers.BertModel(transformers.BertConfig(vocab_size=vocabulary, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
                                                              max_position_embeddings=64, initializer_range=0.3))
    if kind == "t5":
        return transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=vocabulary, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4, pad_token_id=0,
                                                                             eos_token_id=1, decoder_start_token_id=0, feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    return transformers.BartForConditionalGeneration(transformers.BartConfig(vocab_size=vocabulary, d_model=48, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                                                                             decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64, init_std=0.3,
                                                                             bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None))


def make_small(report, kind, seed=7):
    folder = report.scratch(f"small-{kind}")
    tok = save_tokenizer(folder, kind)
    model = small(kind, tok.get_vocab_size(), seed).eval()
    if kind == "t5":                                           # as drawn, the decoder hardly looks at the encoder or at its positions
        for name, p in model.named_parameters():
            p.data *= 0.05 if "shared" in name else 4 if "relative_attention_bias" in name or ".q." in name else 2 if p.ndim > 1 else 1
    model.save_pretrained(folder)
    return folder, tok, type(model).from_pretrained(folder).eval()


@torch.no_grad()
def check_answer(report, kind):
    """The text goes in, the same tokens as transformers' greedy generate come out, and their text."""
    for seed in range(20):                                     # random weights like to repeat one token: a model that does not
        folder, tok, model = make_small(report, kind, seed)
        ids = tok.encode(SENTENCE).ids
        want = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=14, do_sample=False, num_beams=1)[0].tolist()[1:]
        if len(set(want)) >= 4:
            break
    else:
        raise Wrong("no seed gives a model that says four different tokens")
    found = report.pare_json("run", folder, "-p", SENTENCE, "-n", 14)
    if found["prompt_tokens"] != len(ids) or found["tokens"] != want:
        raise Wrong(f"{found['prompt_tokens']} prompt tokens and {found['tokens']}, expected {len(ids)} and {want}")
    if found["text"] != tok.decode(want, skip_special_tokens=True):
        raise Wrong(f"text {found['text']!r}, expected {tok.decode(want, skip_special_tokens=True)!r}")
    return f"{len(ids)} ids in, {len(want)} out: {found['text'][:40]!r}"


@torch.no_grad()
def check_vector(report, pooling):
    folder, tok, model = make_small(report, "bert")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 48, "pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    (folder / "modules.json").write_text(json.dumps([{"idx": i, "name": str(i), "path": p, "type": f"sentence_transformers.models.{k}"} for i, (p, k) in enumerate(kinds)]))

    def vector(text):
        hidden = model(input_ids=torch.tensor([tok.encode(text).ids])).last_hidden_state[0]
        one = hidden[0] if pooling == "cls" else hidden.mean(0)
        return (one / one.norm()).numpy()

    found = np.array(report.pare_json("run", folder, "-p", SENTENCE)["embedding"], np.float32)
    text = near(found, vector(SENTENCE), FLOAT, "the vector")
    other = report.scratch("small-bert-q")
    report.pare("quantize", folder, "-o", other, "--scheme", "W8A16", "--quiet")
    (report.folder / "lines.txt").write_text("\n".join(LINES[:5]))
    similar = report.pare_json("eval", other, "--text", report.folder / "lines.txt", "--against", folder)
    cosines = [float(np.dot(np.array(report.pare_json("run", other, "-p", line)["embedding"]), vector(line))) for line in LINES[:5]]
    if similar["texts"] != 5 or abs(similar["cosine_mean"] - np.mean(cosines)) > 1e-5 or abs(similar["cosine_min"] - min(cosines)) > 1e-5:
        raise Wrong(f"{similar}, expected {cosines}")
    return f"{text}; W8A16: cosine {similar['cosine_mean']:.6f}"


# ------------------------------------------------------------------------------------------------------------------- all
def run(report):
    for name in CONTEXT:
        report.check(f"run {name}: ids", check_ids, report, name)
        for protocol in ("gptq", "llamacpp"):
            report.check(f"run {name}: perplexity, protocol {protocol} = transformers", check_perplexity, report, name, protocol)
        report.check(f"run {name}: greedy text", check_greedy, report, name)
        report.check(f"run {name}: the same logits under a memory limit", check_memory, report, name)
    for dtype, want in (("f32", 5.1311), ("f16", 5.1314)):
        report.check(f"run stories3m {dtype}: perplexity of llama-perplexity", check_known, report, dtype, want)
    for name, figures in STORIES.items():
        for bits in figures:
            report.check(f"run {name} {bits if bits == 'f32' else f'{bits} bits'}: published perplexity", check_stories, report, name, bits)
    for name, scheme in (("demo", "W4A16:g64"), ("demo", "W2A16_ASYM:g32"), ("stories260k", "W8A16")):
        report.check(f"run {name} {scheme}: KL divergence = numpy", check_kl, report, name, scheme)
    for name in ("demo", "stories260k"):
        report.check(f"run {name}: sampling = transformers' warpers", check_sampling, report, name)
    for kind in ("t5", "bart"):
        report.check(f"run small {kind}: text in, text out", check_answer, report, kind)
    for pooling in ("mean", "cls"):
        report.check(f"run small bert: vector of a text, {pooling}", check_vector, report, pooling)
