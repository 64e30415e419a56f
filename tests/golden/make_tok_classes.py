#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/tok_classes.def: which characters the `tokenizers` library takes for punctuation, marks, ... It asks the library
about every code point, because each of its parts follows a Unicode version of its own, from 8 to 17."""
import pathlib

from tokenizers import Regex, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parents[2] / "src" / "text" / "tok_classes.def"
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, ALL))
# Categories whose members the expressions of PCRE2 10.40 (Unicode 14) miss; measured against Python 3.11's Unicode 14.
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Cf".split()


def ranges(members):
    out = []
    for c in sorted(members):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def removed(normalizer):
    return {c for c in ALL if normalizer.normalize_str(chr(c)) == ""}


def cut(pre_tokenizer):
    return {c for c in ALL if [x for x, _ in pre_tokenizer.pre_tokenize_str(f"a{chr(c)}a")] != [f"a{chr(c)}a"]}


def matched(expression):
    split = pre_tokenizers.Split(Regex(expression), "removed", invert=True)
    return {ord(c) for part, _ in split.pre_tokenize_str(TEXT) for c in part}


def bert(**what):
    return normalizers.BertNormalizer(**{"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False, **what})


def main():
    import unicodedata
    assert unicodedata.unidata_version == "14.0.0", "run with Python 3.11, whose Unicode version is that of the oldest PCRE2"
    rows = [("PUNCTUATION", r) for r in ranges(cut(pre_tokenizers.Punctuation()))]
    rows += [("NUMERIC", r) for r in ranges(cut(pre_tokenizers.Digits(individual_digits=True)))]
    rows += [("OTHER", r) for r in ranges(removed(bert(clean_text=True)))]
    rows += [("MARK", r) for r in ranges(removed(normalizers.StripAccents()))]
    rows += [("NONSPACING", r) for r in ranges(removed(bert(strip_accents=True)))]
    lines, line = [], ""
    for name, (a, b) in rows:
        item = f"{name}({a:#x}, {b:#x}) "
        if len(line) + len(item) > 138 or (line and not line.startswith(name)):
            lines.append(line.rstrip())
            line = ""
        line += item
    lines.append(line.rstrip())
    newer = []
    for category in CATEGORIES:
        known = {c for c in ALL if unicodedata.category(chr(c)) == category}
        newer += [(a, b, category) for a, b in ranges(matched(rf"\p{{{category}}}") - known)]
    line = ""
    for a, b, category in sorted(newer):
        item = f"NEWER({category}, {a:#x}, {b:#x}) "
        if len(line) + len(item) > 138:
            lines.append(line.rstrip())
            line = ""
        line += item
    lines.append(line.rstrip())
    OUT.write_text("/* SPDX-License-Identifier: Apache-2.0 */\n"
                   "/* Character classes as the tokenizers library has them; written by tests/golden/make_tok_classes.py. */\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
