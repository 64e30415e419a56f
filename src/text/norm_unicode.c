/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NFC, NFD, NFKC, NFKD by utf8proc. ASCII never changes and composes only with what follows it, so text is taken apart into
 * stretches of other characters with the ASCII character before each.
 */
#include <utf8proc.h>
#include "text/tok.h"

/* What the library's tables do not decompose though newer ones do. */
static bool is_left_alone(uint32_t c, bool compatible)
{
    if (c == 0x11938) return true;
    if (!compatible || c < 0x32FF) return false;
    return c == 0x32FF || (c >= 0xA7F2 && c <= 0xA7F4) || c == 0xAB69 || (c >= 0x10781 && c <= 0x107BA) || c == 0x1F16C || c == 0x1CCD6 ||
           (c >= 0x1CCD6 && c <= 0x1CCF9) || (c >= 0x1E030 && c <= 0x1E06D) || (c >= 0x1FBF0 && c <= 0x1FBF9);
}

/* Marks that the library's tables (Unicode 9) do not know: they keep their place and nothing composes across them. */
static bool is_unknown_mark(uint32_t c)
{
    static const struct { uint32_t first, last; } newer[] = {
        {0x7FD, 0x7FD}, {0x897, 0x89F}, {0x8CA, 0x8D3}, {0x9FE, 0x9FE}, {0xC3C, 0xC3C}, {0xD3B, 0xD3C}, {0xEBA, 0xEBA}, {0xECE, 0xECE}, {0x1715, 0x1715},
        {0x1ABF, 0x1AEB}, {0x1DF6, 0x1DFA}, {0xA82C, 0xA82C}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFA, 0x10EFF},
        {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x113CE, 0x113D0}, {0x113E1, 0x113E2}, {0x1145E, 0x1145E},
        {0x11839, 0x1183A}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
        {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x1612F, 0x1612F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
        {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
    };
    for (size_t i = 0; i < sizeof newer / sizeof *newer && newer[i].first <= c; i++)
        if (c <= newer[i].last) return true;
    return false;
}

static int class_of(int32_t c)
{
    int class = utf8proc_get_property(c)->combining_class;
    return class && is_unknown_mark((uint32_t)c) ? 0 : class;
}

/* Composes the stretches between unknown marks; returns what is left. */
static size_t compose(int32_t *c, size_t n)
{
    size_t to = 0;
    for (size_t begin = 0; begin < n;) {
        size_t end = begin;
        while (end < n && !(utf8proc_get_property(c[end])->combining_class && is_unknown_mark((uint32_t)c[end])) && c[end] != 0x11930) end++;
        utf8proc_ssize_t m = end > begin ? utf8proc_normalize_utf32(c + begin, (utf8proc_ssize_t)(end - begin), UTF8PROC_COMPOSE | UTF8PROC_STABLE) : 0;
        if (m < 0) m = (utf8proc_ssize_t)(end - begin);
        memmove(c + to, c + begin, (size_t)m * sizeof *c);
        to += (size_t)m;
        if (end < n) c[to++] = c[end];
        begin = end + 1;
    }
    return to;
}

static pare_status decompose(pare_tok_scratch *s, pare_tspan in, int options, size_t *count, pare_err *err)
{
    size_t n, m = 0;
    int bound = 0;
    for (size_t i = 0; i < in.n; i += n) {
        uint32_t c = pare_tok_char(in.at + i, &n);
        if (s->code.cap - m < 32 && !pare_vec_grow((void **)&s->code.at, &s->code.cap, m + 32, sizeof *s->code.at))
            return pare_no_memory(err, "normalized text", m);
        if (is_left_alone(c, options & UTF8PROC_COMPAT)) {
            s->code.at[m++] = (int32_t)c;
            continue;
        }
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)c, s->code.at + m, 32, options, &bound);
        if (k < 0 || k > 32) s->code.at[m] = (int32_t)c, k = 1;
        m += (size_t)k;
    }
    *count = m;
    return PARE_OK;
}

/* Canonical order: runs of combining characters by class, equals as they come. */
static void reorder(int32_t *c, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t moving = c[i];
        int class = class_of(moving);
        if (class == 0) continue;
        size_t k = i;
        for (; k > 0; k--) {
            int there = class_of(c[k - 1]);
            if (there == 0 || there <= class) break;
            c[k] = c[k - 1];
        }
        c[k] = moving;
    }
}

static pare_status normalize(pare_tok_scratch *s, pare_tspan in, int options, pare_str *out, int *flags, pare_err *err)
{
    size_t from = 0;
    bool any = false;
    for (size_t i = 0; i < in.n;) {
        if ((uint8_t)in.at[i] < 0x80) {
            i++;
            continue;
        }
        size_t begin = i > from ? i - 1 : i, count;
        while (i < in.n && (uint8_t)in.at[i] >= 0x80) i++;
        pare_status st = decompose(s, (pare_tspan){in.at + begin, i - begin}, options, &count, err);
        if (st != PARE_OK) return st;
        reorder(s->code.at, count);
        if (options & UTF8PROC_COMPOSE) count = compose(s->code.at, count);
        pare_tok_push(out, in.at + from, begin - from);
        for (size_t k = 0; k < count; k++) pare_tok_push_char(out, (uint32_t)s->code.at[k]);
        from = i;
        any = true;
    }
    if (!any) *flags = PARE_TOK_SAME;
    else pare_tok_push(out, in.at + from, in.n - from);
    if (s->code.cap > 1u << 20) PARE_VEC_CLEAR(&s->code);
    return PARE_OK;
}

#define FORM(name, NAME, options)                                                                                                            \
    static pare_status run_##name(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)            \
    {                                                                                                                                        \
        (void)self;                                                                                                                          \
        return normalize(s, in, options, out, flags, err);                                                                                   \
    }                                                                                                                                        \
    const pare_tok_norm pare_norm_##name = {.type = NAME, .run = run_##name};

FORM(nfc, "NFC", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPOSE)
FORM(nfd, "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)
FORM(nfkc, "NFKC", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE)
FORM(nfkd, "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)

/* For BERT, which strips accents from the decomposed text. */
pare_status pare_tok_nfd(pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    return normalize(s, in, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, out, flags, err);
}
