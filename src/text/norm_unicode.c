/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NFC, NFD, NFKC, NFKD by utf8proc. ASCII never changes and composes only with what follows it, so text is taken apart into
 * stretches of other characters with the ASCII character before each.
 */
#include <utf8proc.h>
#include "text/tok.h"

/* What the library's tables (Unicode 12) do not decompose though newer ones do. */
static bool is_left_alone(uint32_t c, bool compatible)
{
    if (c == 0x11938) return true;
    if (!compatible || c < 0x32FF) return false;
    return c == 0x32FF || (c >= 0xA7F2 && c <= 0xA7F4) || c == 0xAB69 || (c >= 0x10781 && c <= 0x107BA) || c == 0x1F16C || c == 0x1CCD6 ||
           (c >= 0x1CCD6 && c <= 0x1CCF9) || (c >= 0x1E030 && c <= 0x1E06D) || (c >= 0x1FBF0 && c <= 0x1FBF9);
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
        int class = utf8proc_get_property(moving)->combining_class;
        if (class == 0) continue;
        size_t k = i;
        for (; k > 0; k--) {
            int there = utf8proc_get_property(c[k - 1])->combining_class;
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
        utf8proc_ssize_t composed = (utf8proc_ssize_t)count;
        if (options & UTF8PROC_COMPOSE) composed = utf8proc_normalize_utf32(s->code.at, composed, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        pare_tok_push(out, in.at + from, begin - from);
        for (utf8proc_ssize_t k = 0; k < composed; k++) pare_tok_push_char(out, (uint32_t)s->code.at[k]);
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
