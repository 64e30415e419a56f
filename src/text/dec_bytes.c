/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders that make characters of bytes: ByteLevel (each character of its alphabet is a byte), ByteFallback ("<0xE4>"). */
#include "text/tok.h"

/* ------------------------------------------------------------------------------------------------------------- ByteLevel */

/* Bytes that a character needs after its first one; 0 for what cannot begin one. */
static size_t wanted(uint8_t lead) { return lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 0; }

static bool fits(const uint8_t *p, size_t at)
{
    uint8_t low = 0x80, high = 0xBF;
    if (at == 1 && p[0] == 0xE0) low = 0xA0;
    if (at == 1 && p[0] == 0xED) high = 0x9F;
    if (at == 1 && p[0] == 0xF0) low = 0x90;
    if (at == 1 && p[0] == 0xF4) high = 0x8F;
    return p[at] >= low && p[at] <= high;
}

/* Takes the complete characters off the held bytes; what can be no character becomes U+FFFD, a beginning of one stays. */
static void take_characters(pare_str *held, pare_str *out, bool all)
{
    const uint8_t *p = (const uint8_t *)held->at;
    size_t i = 0;
    while (i < held->n) {
        size_t want = wanted(p[i]), k = 1;
        while (k < want && i + k < held->n && fits(p + i, k)) k++;
        if (k < want && i + k == held->n && !all) break;
        if (k == want) pare_tok_push(out, held->at + i, k);
        else pare_tok_push(out, "\xEF\xBF\xBD", 3);
        i += k;
    }
    memmove(held->at, held->at + i, held->n - i);
    held->n -= i;
}

/* All tokens become one: only the very first chunk begins a token, and it never ends before the last. */
static pare_status emit_characters(pare_tok_pipe *pipe, int stage, bool all, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    pare_str text = {0};
    pare_status st = pare_tok_text_failed(&s->run, "text", err);
    if (st == PARE_OK && s->run.n) take_characters(&s->run, &text, all);
    if (st == PARE_OK) st = pare_tok_text_failed(&text, "text", err);
    if (st == PARE_OK && (text.n || (all && s->count == 0)))
        st = pare_tok_emit(pipe, stage, (pare_tspan){text.at ? text.at : "", text.n}, s->count++ == 0 ? PARE_TOK_FIRST : 0, err);
    pare_str_clear(&text);
    return st;
}

/* A token with a character outside the alphabet is taken as it is. */
static pare_status level_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    pare_str *run = &pipe->at[stage].run;
    size_t before = run->n, n;
    for (size_t i = 0; i < token.n; i += n) {
        int byte = pare_tok_byte_of(pare_tok_char(token.at + i, &n));
        char c = (char)byte;
        if (byte < 0) {
            run->n = before;
            pare_tok_push(run, token.at, token.n);
            break;
        }
        pare_tok_push(run, &c, 1);
    }
    return emit_characters(pipe, stage, false, err);
}

static pare_status level_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    return pare_tok_whole_push(pipe, stage, chunk, part, level_token, err);
}

static pare_status level_finish(pare_tok_pipe *pipe, int stage, pare_err *err)
{
    pare_status st = pare_tok_whole_finish(pipe, stage, level_token, err);
    return st == PARE_OK ? emit_characters(pipe, stage, true, err) : st;
}

const pare_tok_dec pare_dec_byte_level = {.type = "ByteLevel", .push = level_push, .finish = level_finish};

/* ---------------------------------------------------------------------------------------------------------- ByteFallback */

/* A run of byte tokens is one token when it is UTF-8 as a whole; otherwise each of them is U+FFFD. So a run waits for its end. */
static int byte_of(pare_tspan t)
{
    int value = 0;
    if (t.n != 6 || memcmp(t.at, "<0x", 3) || t.at[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        char c = t.at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (c == '+' && i == 3) continue; /* the library's number parser takes a sign */
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static pare_status end_run(pare_tok_pipe *pipe, int stage, pare_err *err)
{
    pare_tok_stage *s = &pipe->at[stage];
    pare_str run = s->run;
    pare_status st = pare_tok_text_failed(&run, "text", err);
    s->run = (pare_str){0};
    if (st == PARE_OK && run.n && pare_utf8_valid(run.at, run.n)) st = pare_tok_emit(pipe, stage, (pare_tspan){run.at, run.n}, PARE_TOK_WHOLE, err);
    else
        for (size_t i = 0; i < run.n && st == PARE_OK; i++) st = pare_tok_emit(pipe, stage, PARE_TSPAN("\xEF\xBF\xBD"), PARE_TOK_WHOLE, err);
    pare_str_clear(&run);
    return st;
}

static pare_status fallback_token(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err)
{
    int byte = byte_of(token);
    char c = (char)byte;
    if (byte >= 0) {
        pare_tok_push(&pipe->at[stage].run, &c, 1);
        return pare_tok_text_failed(&pipe->at[stage].run, "text", err);
    }
    pare_status st = end_run(pipe, stage, err);
    return st == PARE_OK ? pare_tok_emit(pipe, stage, token, PARE_TOK_WHOLE, err) : st;
}

static pare_status fallback_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err)
{
    return pare_tok_whole_push(pipe, stage, chunk, part, fallback_token, err);
}

static pare_status fallback_finish(pare_tok_pipe *pipe, int stage, pare_err *err)
{
    pare_status st = pare_tok_whole_finish(pipe, stage, fallback_token, err);
    return st == PARE_OK ? end_run(pipe, stage, err) : st;
}

const pare_tok_dec pare_dec_byte_fallback = {.type = "ByteFallback", .push = fallback_push, .finish = fallback_finish};
