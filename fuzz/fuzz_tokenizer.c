/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenizer.json, then a NUL, then text: the file is read, the text encoded and decoded. What comes out are ids of the tokenizer
 * and UTF-8; streaming gives the same text; a second time (from the cache) gives the same ids.
 */
#include "fuzz.h"
#include "text/text.h"

static void check_decode(const pare_tokenizer *t, const pare_ids *ids)
{
    pare_err err = {0};
    pare_str whole = {0}, parts = {0};
    pare_tok_stream *s = NULL;
    if (pare_tokenizer_decode(t, ids->at, (int64_t)ids->n, false, &whole, &err) == PARE_OK && pare_tok_stream_new(t, false, &s, &err) == PARE_OK) {
        FUZZ_CHECK(pare_utf8_valid(whole.at, whole.n));
        for (size_t i = 0; i < ids->n; i++) FUZZ_CHECK(pare_tok_stream_add(s, ids->at[i], &parts, &err) == PARE_OK);
        FUZZ_CHECK(pare_tok_stream_end(s, &parts, &err) == PARE_OK);
        FUZZ_CHECK(parts.n == whole.n && (!whole.n || !memcmp(parts.at, whole.at, whole.n)));
    }
    pare_tok_stream_free(s);
    pare_str_clear(&whole);
    pare_str_clear(&parts);
}

static void use(const pare_tokenizer *t, const char *text, size_t n)
{
    pare_err err = {0};
    pare_ids ids = {0}, again = {0};
    pare_tok_scratch *scratch = NULL;
    FUZZ_CHECK(pare_tok_scratch_new(&scratch, &err) == PARE_OK);
    pare_status st = pare_tokenizer_encode(t, text, n, true, scratch, &ids, &err);
    FUZZ_CHECK(st == PARE_OK || err.text[0]);
    if (st == PARE_OK) {
        FUZZ_CHECK(pare_tokenizer_encode(t, text, n, true, scratch, &again, &err) == PARE_OK);
        FUZZ_CHECK(again.n == ids.n && (!ids.n || !memcmp(again.at, ids.at, ids.n * sizeof *ids.at)));
        check_decode(t, &ids);
    }
    PARE_VEC_CLEAR(&ids);
    PARE_VEC_CLEAR(&again);
    pare_tok_scratch_free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char usual[] = " Hello, w\xC3\xB6rld! 12\n\xE2\x96\x81\xF0\x9F\x98\x80 \xFF";
    pare_err err = {0};
    pare_tokenizer *t = NULL;
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    pare_status st = pare_tokenizer_parse((const char *)data, n, "x", &t, &err);
    if (st != PARE_OK) {
        FUZZ_CHECK(st == err.code && err.text[0] && !t);
        return 0;
    }
    if (end) use(t, (const char *)end + 1, size - n - 1);
    use(t, usual, sizeof usual - 1);
    pare_tokenizer_free(t);
    return 0;
}
