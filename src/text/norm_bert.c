/* SPDX-License-Identifier: Apache-2.0 */
/* BERT's normalizer: control characters go, white space becomes a space, Chinese characters stand apart, accents and case go. */
#include "text/tok.h"

typedef struct bert { bool clean, chinese, accents, lower; } bert;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    bert *b = NULL;
    pare_status st = pare_tok_alloc(t, sizeof *b, &b, err);
    if (st != PARE_OK) return st;
    *self = b;
    b->clean = pare_j_bool(pare_j_get(v, "clean_text"), true);
    b->chinese = pare_j_bool(pare_j_get(v, "handle_chinese_chars"), true);
    b->lower = pare_j_bool(pare_j_get(v, "lowercase"), true);
    b->accents = pare_j_bool(pare_j_get(v, "strip_accents"), b->lower); /* null: as lowercase */
    return PARE_OK;
}

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
           (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* The part that needs no decomposition. */
static void clean(const bert *b, pare_tspan in, pare_str *out, int *flags)
{
    size_t n;
    for (size_t i = 0; i < in.n; i += n) {
        uint32_t c = pare_tok_char(in.at + i, &n);
        if (b->clean && pare_tok_is_other(c)) {
            if (i == 0) *flags |= PARE_TOK_HEAD_LOST;
            continue;
        }
        if (b->clean && pare_tok_is_space(c)) {
            pare_tok_push(out, " ", 1);
        } else if (b->chinese && is_chinese(c)) {
            pare_tok_push(out, " ", 1);
            pare_tok_push(out, in.at + i, n);
            pare_tok_push(out, " ", 1);
        } else {
            pare_tok_push(out, in.at + i, n);
        }
    }
}

static pare_status run(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err)
{
    const bert *b = self;
    pare_status st = PARE_OK;
    pare_str cleaned = {0}, apart = {0};
    int same = 0;
    size_t n;
    clean(b, in, &cleaned, flags);
    PARE_TRY(pare_tok_text_failed(&cleaned, "normalized text", err));
    pare_tspan text = {cleaned.at ? cleaned.at : "", cleaned.n};
    if (b->accents) {
        PARE_TRY(pare_tok_nfd(s, text, &apart, &same, err));
        PARE_TRY(pare_tok_text_failed(&apart, "normalized text", err));
        if (!(same & PARE_TOK_SAME)) text = (pare_tspan){apart.at ? apart.at : "", apart.n};
    }
    for (size_t i = 0; i < text.n; i += n) {
        uint32_t c = pare_tok_char(text.at + i, &n);
        if (b->accents && pare_tok_is_nonspacing(c)) {
            if (i == 0) *flags |= PARE_TOK_HEAD_LOST;
        } else if (b->lower) {
            pare_tok_push_lower(out, c);
        } else {
            pare_tok_push(out, text.at + i, n);
        }
    }
out:
    pare_str_clear(&cleaned);
    pare_str_clear(&apart);
    return st;
}

const pare_tok_norm pare_norm_bert = {.type = "BertNormalizer", .parse = parse, .run = run};
