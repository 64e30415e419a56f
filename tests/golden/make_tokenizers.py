#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizers/: small tokenizers of every kind, trained here with the `tokenizers` library, and what the library
makes of awkward texts with them. kinds() also serves tests/interop/check_tokenizers.py, which trains larger ones."""
import base64
import json
import pathlib
import struct

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path(__file__).resolve().parent / "tokenizers"

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
             r"""\s*[\r\n]+|\s+(?!\S)|\s+""")

# Words of our own, in many scripts: what the small tokenizers are trained on.
TEXT = """The quick brown fox jumps over the lazy dog. In the beginning there was a word, and the word was written down 1234567890 times.
It's what we've said: they're sure they'll come, aren't they? I'm not; she'd rather stay. DON'T SHOUT! 3.14159, 2 + 2 = 4; 50% of $100.
Über den Wolken muß die Freiheit wohl grenzenlos sein. L'été, déjà vu, naïve façade; ¿qué tal, señor? Příliš žluťoučký kůň.
Съешь же ещё этих мягких французских булок, да выпей чаю. Η γρήγορη αλεπού πηδάει. Γειά σου κόσμε.
我能吞下玻璃而不伤身体。今天天气很好，我们去公园散步吧。日本語の文章を書きます。カタカナとひらがな。한국어 문장도 있습니다.
مرحبا بالعالم، كيف حالك؟ שלום עולם. नमस्ते दुनिया। สวัสดีชาวโลก Xin chào thế giới. Merhaba dünya, İstanbul'da ığdır.
def main(argv):\n    for i in range(10):\n        print(f"{i}: {argv[i]!r}")  # a comment\n\treturn {"key": [1, 2, 3], 'x': None}
int main(void) { return 0; }  /* C */ <html><body class="x">&amp;</body></html> http://example.org/a?b=c&d=e#f user@example.com
😀 😃 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️ ½ ² ³ ™ € £ … — “quoted” ‘single’ «guillemets» \u00a0 \u3000 ﬁne ﬀ Ａ１ ㍿ ①
"""

# What is encoded: everything that a tokenizer could stumble over. Malformed UTF-8 is written in the files as hexadecimal bytes.
STRINGS = [
    "", " ", "  ", "   a", "a   ", " a  b   c    d", "\n", "\r\n", "\r", "\t", "\n\n\n", " \n \n", "a\r\nb\rc\nd", "\t\tindented\n\t code", "x" * 300,
    " " * 100, "a" + " " * 57 + "b", "hello", "Hello", " hello", "hello world", "Hello, world!", "HELLO World's", "it's we've they'll I'M DON'T o'clock 'Twas",
    "naïve café", "nai\u0308ve cafe\u0301", "e\u0301\u0300\u0323 a\u0323\u0301", "Å Å A\u030a ﬁ ﬀ ½ ²³ Ａ１ ㍿ ①", "İstanbul ığdır ß ẞ Σίσυφος ΣΑΣ", "ſ 's 'S ’s K k K",
    "日本語の文章 カタカナ ー ひらがな", "我能吞下玻璃而不伤身体。", "한국어 문장 ㄱㅏ 가", "नमस्ते दुनिया क्षत्रिय", "สวัสดีชาวโลก", "مرحبا بالعالم ١٢٣", "שָׁלוֹם עולם",
    "😀", "👍🏽👨‍👩‍👧‍👦🇩🇪❤️", "a😀b 😀😀", "\u200b\u200c\u200d\u2060\ufeff", "\u00a0\u2003\u3000x\u2028y\u2029z\u0085", "\u180e\u1680", "123 1234 12345 3.14 1,000,000 ١٢٣ ½ Ⅷ ②",
    "!!! ??? ... -- --- ``` ((())) [[]] {{}}", "$100 50% a+b=c <b>&amp;</b>", "don't_stop-me/now\\ok", "user@example.com http://example.org/?a=b#c", "def f(x):\n    return x*2  # c\n",
    "<s>", "</s>", "<s>hello</s>", "a<s>b", "x </s> y", "<unk>", "[UNK] [CLS] [SEP] [MASK]", "a[MASK]b", " [MASK] ", "  <extra>  word", "wordy word words sword", "Word WORD", "<|endoftext|>",
    "hi<|endoftext|>there", "<|im_start|>user\nhi<|im_end|>\n", "▁", "▁▁a ▁b", "a▁b", "Ġ Ċ ĉ", "##ing playing", "<0x0A> <0xE4>", "\x00", "a\x00b", "\x01\x02\x7f\x80", "\ufffd", "a\ufffdb",
    "\U0010ffff\U000e0001", "\ue000", "\U0001fae8 \U00031350 \U0002ebf0 \u1c89 \ua7cb", "𝒳𝓎 𝟘𝟙 🄰 Ⓐ", "ﷺ ㌔ ㎏ ﾊﾝｶｸ ｶﾞ", "a\u0300" * 20, "\u0301leading", "क\u094d\u200dष", "fi\u200dn", "ab" * 200,
    "The quick brown fox jumps over the lazy dog. " * 3, "Příliš žluťoučký kůň úpěl ďábelské ódy", "Съешь же ещё этих мягких французских булок", "x̂ ŷ", "A B  C   D\n\n\nE", "tail \n", "\n head", " \t ",
]
BROKEN = ["ff", "61ff62", "c3", "c328", "e28e", "e281a1", "f0908d", "f09f9880ff", "eda080", "c080", "f8888080", "80bf", "e4bda0e5a5", "41f09f9841", "efbfbd80"]


def byte_level(regex=None, prefix=False):
    if regex is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    parts = [pre_tokenizers.Split(Regex(r), "isolated") for r in ([regex] if isinstance(regex, str) else regex)]
    return pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)])


def trained(model, trainer, texts, **parts):
    t = Tokenizer(model)
    for name, part in parts.items():
        setattr(t, name, part)
    t.train_from_iterator(texts, trainer)
    return t


def bpe_bytes(texts, size, pre, specials=("<|endoftext|>",), normalizer=None, **model):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(specials), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    parts = {"pre_tokenizer": pre, "decoder": decoders.ByteLevel()}
    if normalizer:
        parts["normalizer"] = normalizer
    t = trained(models.BPE(), trainer, texts, **parts)
    return changed(t, model=model) if model else t


def changed(t, **members):
    """The tokenizer with members of its JSON replaced: for what the Python classes do not let one set."""
    j = json.loads(t.to_str())
    for key, value in members.items():
        if isinstance(value, dict) and isinstance(j.get(key), dict):
            j[key].update(value)
        else:
            j[key] = value
    return Tokenizer.from_str(json.dumps(j))


def template(single, pair, tokens):
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=tokens)


def gpt2(texts, size):
    t = bpe_bytes(texts, size, byte_level())
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def roberta(texts, size):
    t = bpe_bytes(texts, size, byte_level(prefix=True), ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    return t


def llama3(texts, size):
    t = bpe_bytes(texts, size, byte_level(LLAMA3), ("<|begin_of_text|>", "<|end_of_text|>"), ignore_merges=True)
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", [("<|begin_of_text|>", 0)])])
    t.add_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<|im_end|>", special=True)])
    return t


def qwen2(texts, size):
    return bpe_bytes(texts, size, byte_level(QWEN2), ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), normalizer=normalizers.NFC())


def deepseek(texts, size):
    return bpe_bytes(texts, size, byte_level([r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK3]))


def o200k(texts, size):
    return bpe_bytes(texts, size, byte_level(O200K))


def byte_normalizer(texts, size):
    """Byte level as a normalizer, and a normalized added token."""
    t = bpe_bytes(texts, size, pre_tokenizers.Split(Regex(GPT2.replace(" ?", "Ġ?")), "isolated"), normalizer=normalizers.ByteLevel())
    t.add_tokens([AddedToken("a b", normalized=True), AddedToken("é", normalized=False)])
    return t


def llama2(texts, size, legacy=True):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], show_progress=False, limit_alphabet=200)
    words = [w for x in texts for w in x.replace(" ", "▁").replace("▁", " ▁").split(" ")]
    t = trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), trainer, words)
    if legacy:
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = template("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    j = json.loads(t.to_str())                         # byte tokens are no added tokens there
    j["added_tokens"] = [a for a in j["added_tokens"] if a["id"] < 3]
    return Tokenizer.from_str(json.dumps(j))


def gemma(texts, size):
    t = llama2(texts, size)
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("  ", normalized=False), AddedToken("<extra>", lstrip=True, rstrip=True)])
    return t


def charsmap(rules):
    """A Darts double array as SentencePiece builds one, for a few rules."""
    text, offsets = b"", {}
    for to in sorted(set(rules.values())):
        offsets[to] = len(text)
        text += to.encode() + b"\0"
    trie = {}
    for key, to in rules.items():
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[None] = offsets[to]
    units, used = {0: 0}, {0}

    def place(node, at):
        labels = [0 if k is None else k for k in node]
        # A place whose offset from `at` fits, and in which every child is free.
        offset = next(o for o in range(1, 1 << 20) if all((at ^ o ^ k) not in used for k in labels) and (at ^ o ^ 0) not in used)
        base = at ^ offset
        units[at] |= offset << 10
        used.update(base ^ k for k in labels)
        used.add(base)
        if None in node:
            units[at] |= 1 << 8
            units[base] = 1 << 31 | node[None]
        for k, child in node.items():
            if k is not None:
                units[base ^ k] = k
                place(child, base ^ k)
    place(trie, 0)
    n = (max(units) | 255) + 1
    blob = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(n))
    return struct.pack("<I", len(blob)) + blob + text


CHARSMAP = charsmap({"Ａ": "A", "１": "1", "ﬁ": "fi", "½": "1/2", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ", "\r": " ", "\x01": "", "ｶ": "カ", "ｶﾞ": "ガ", "e\u0301": "é", "①": "1", "㍿": "株式会社", "\u200b": " "})


def precompiled():
    return normalizers.Precompiled(CHARSMAP)


def t5(texts, size):
    specials = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token="<unk>", show_progress=False)
    pre = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t = trained(models.Unigram(), trainer, texts, pre_tokenizer=pre, decoder=decoders.Metaspace())
    t.normalizer = precompiled()
    t.post_processor = template("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    t.add_special_tokens([f"<extra_id_{i}>" for i in range(3)])
    t.add_tokens([AddedToken("word", single_word=True), AddedToken("<extra>", lstrip=True, rstrip=True)])
    return t


def xlmr(texts, size):
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    t = trained(models.Unigram(), trainer, texts, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first"), decoder=decoders.Metaspace(prepend_scheme="first"))
    t.normalizer = normalizers.Sequence([precompiled(), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    return t


def unigram_bytes(texts, size):
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>", *bytes_], unk_token="<unk>", show_progress=False)
    t = trained(models.Unigram(), trainer, texts, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="never"))
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never")])
    j = json.loads(t.to_str())
    j["model"]["byte_fallback"] = True
    j["added_tokens"] = j["added_tokens"][:1]
    return Tokenizer.from_str(json.dumps(j))


def bert(texts, size, **options):
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False)
    t = trained(models.WordPiece(unk_token="[UNK]"), trainer, texts, normalizer=normalizers.BertNormalizer(**options), pre_tokenizer=pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece())
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t


def bert_cased(texts, size):
    t = bert(texts, size, lowercase=False)
    t.post_processor = template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    t.add_tokens([AddedToken("word", single_word=True), "Straße"])
    return t


def wordlevel(texts, size):
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["[UNK]"], show_progress=False)
    return trained(models.WordLevel(unk_token="[UNK]"), trainer, texts, pre_tokenizer=pre_tokenizers.Whitespace(), normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]))


def clip(texts, size):
    """End of word suffix, as CLIP and the first GPT have it."""
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False)
    t = trained(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainer, texts, normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer(), decoder=decoders.BPEDecoder("</w>"))
    return t


def prefix_bpe(texts, size):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["[UNK]"], continuing_subword_prefix="##", show_progress=False, limit_alphabet=60)
    return trained(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=True), trainer, texts, normalizer=normalizers.Nmt(), pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Punctuation("merged_with_next"), pre_tokenizers.WhitespaceSplit()]), decoder=decoders.WordPiece(cleanup=False))


def digits(texts, size):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.CharDelimiterSplit("e"), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return bpe_bytes(texts, size, pre, normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()]))


def scripts(texts, size):
    pre = pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.Digits(), pre_tokenizers.FixedLength(6), pre_tokenizers.Punctuation("merged_with_previous")])
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["[UNK]"], show_progress=False)
    return trained(models.BPE(unk_token="[UNK]"), trainer, texts, pre_tokenizer=pre, normalizer=normalizers.NFD(), decoder=decoders.Fuse())


def split_kinds(texts, size):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\w+|[^\w\s]+"), "removed", invert=True), pre_tokenizers.Split("o", "merged_with_next"), pre_tokenizers.Split(Regex(r"[aeiou]"), "merged_with_previous"), pre_tokenizers.Split("", "isolated")])
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["[UNK]"], show_progress=False)
    return trained(models.WordLevel(unk_token="[UNK]"), trainer, texts, pre_tokenizer=pre, decoder=decoders.CTC(pad_token="a", word_delimiter_token="e"))


def kinds():
    return {f.__name__: f for f in (gpt2, roberta, llama3, qwen2, deepseek, o200k, byte_normalizer, llama2, gemma, t5, xlmr, unigram_bytes, bert, bert_cased, wordlevel,
                                    clip, prefix_bpe, digits, scripts, split_kinds)} | {
        "llama2_first": lambda texts, size: llama2(texts, size, legacy=False),
        "bert_plain": lambda texts, size: bert(texts, size, lowercase=True, strip_accents=False, clean_text=False, handle_chinese_chars=False),
    }


SIZES = {"gpt2": 450, "roberta": 420, "llama3": 480, "qwen2": 450, "deepseek": 430, "o200k": 430, "llama2": 700, "llama2_first": 650, "gemma": 650, "unigram_bytes": 520, "digits": 400,
         "byte_normalizer": 400}


def main():
    OUT.mkdir(exist_ok=True)
    texts = TEXT.splitlines(keepends=True)
    broken = [bytes.fromhex(x) for x in BROKEN]
    strings = [*STRINGS, *(b.decode("utf-8", "replace") for b in broken)]
    for name, make in kinds().items():
        t = make(texts, SIZES.get(name, 300))
        cases = []
        for i, s in enumerate(strings):
            plain, special = t.encode(s, add_special_tokens=False).ids, t.encode(s).ids
            case = {"hex": BROKEN[i - len(STRINGS)] if i >= len(STRINGS) else s.encode().hex(), "ids": plain}
            if special != plain:
                case["special"] = special
            text = t.decode(special, skip_special_tokens=False) if special else ""
            skipped = t.decode(special, skip_special_tokens=True) if special else ""
            if "\0" not in text:                          # the test's JSON reader takes no NUL
                case["text"] = text
                if skipped != text:
                    case["skipped"] = skipped
            cases.append(case)
        pair = t.encode("Hello world", "how are you?")
        j = json.loads(t.to_str())
        (OUT / f"{name}.json").write_text(json.dumps(j, ensure_ascii=False, separators=(",", ":")))
        (OUT / f"{name}.cases.json").write_text(json.dumps({"size": t.get_vocab_size(), "pair": {"ids": pair.ids, "types": pair.type_ids}, "cases": cases}, ensure_ascii=False, separators=(",", ":")))
        print(name, t.get_vocab_size(), (OUT / f"{name}.json").stat().st_size, (OUT / f"{name}.cases.json").stat().st_size)


if __name__ == "__main__":
    main()
