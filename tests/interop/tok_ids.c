/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tok_ids TOKENIZER MODE: texts from stdin (u32 length, bytes), ids to stdout (u32 count, i32 ids), after them what they decode
 * to (u32 length, bytes). MODE is made of letters: s special tokens, k skip special tokens in decoding, d decode at once and as a
 * stream (both must agree), p pairs (two texts at a time; ids, then token types). Time of encoding to stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "text/text.h"

static void die(const char *what)
{
    fprintf(stderr, "tok_ids: %s\n", what);
    exit(1);
}

static bool get(char **text, size_t *n)
{
    uint32_t count;
    if (fread(&count, 4, 1, stdin) != 1) return false;
    *text = realloc(*text, (size_t)count + 1);
    *n = count;
    if (!*text || fread(*text, 1, count, stdin) != count) die("input ends early");
    return true;
}

static void put(const void *data, uint32_t count, size_t size)
{
    fwrite(&count, 4, 1, stdout);
    fwrite(data, size, count, stdout);
}

static void decode(const pare_tokenizer *t, const pare_ids *ids, bool skip)
{
    pare_err err;
    pare_str whole = {0}, parts = {0};
    pare_tok_stream *s;
    if (pare_tokenizer_decode(t, ids->at, (int64_t)ids->n, skip, &whole, &err) != PARE_OK) die(err.text);
    if (pare_tok_stream_new(t, skip, &s, &err) != PARE_OK) die(err.text);
    for (size_t i = 0; i < ids->n; i++) {
        if (pare_tok_stream_add(s, ids->at[i], &parts, &err) != PARE_OK) die(err.text);
        if (!pare_utf8_valid(parts.at ? parts.at : "", parts.n)) die("a streamed piece is no UTF-8");
    }
    if (pare_tok_stream_end(s, &parts, &err) != PARE_OK) die(err.text);
    if (parts.n != whole.n || (parts.n && memcmp(parts.at, whole.at, parts.n))) die("the streamed text differs");
    put(whole.at ? whole.at : "", (uint32_t)whole.n, 1);
    pare_tok_stream_free(s);
    pare_str_clear(&whole);
    pare_str_clear(&parts);
}

int main(int argc, char **argv)
{
    pare_err err = {0};
    pare_tokenizer *t;
    pare_tok_scratch *scratch;
    pare_ids ids = {0}, types = {0};
    char *a = NULL, *b = NULL;
    size_t na, nb;
    double seconds = 0, bytes = 0, tokens = 0, begin = pare_now();
    if (argc != 3) die("usage: tok_ids TOKENIZER MODE");
    const char *mode = argv[2];
    if (pare_tokenizer_open(argv[1], &t, &err) != PARE_OK) die(err.text);
    double loaded = pare_now() - begin;
    if (pare_tok_scratch_new(&scratch, &err) != PARE_OK) die(err.text);
    while (get(&a, &na)) {
        ids.n = types.n = 0;
        bool special = strchr(mode, 's');
        if (strchr(mode, 'p')) {
            if (!get(&b, &nb)) die("an odd number of texts");
            if (pare_tokenizer_encode_pair(t, a, na, b, nb, special, scratch, &ids, &types, &err) != PARE_OK) die(err.text);
        } else {
            begin = pare_now();
            if (pare_tokenizer_encode(t, a, na, special, scratch, &ids, &err) != PARE_OK) die(err.text);
            seconds += pare_now() - begin;
        }
        bytes += (double)na;
        tokens += (double)ids.n;
        put(ids.at ? ids.at : (int32_t[]){0}, (uint32_t)ids.n, 4);
        if (strchr(mode, 'p')) put(types.at ? types.at : (int32_t[]){0}, (uint32_t)types.n, 4);
        if (strchr(mode, 'd')) decode(t, &ids, strchr(mode, 'k'));
    }
    fprintf(stderr, "{\"load_s\": %.4f, \"encode_s\": %.4f, \"bytes\": %.0f, \"tokens\": %.0f}\n", loaded, seconds, bytes, tokens);
    PARE_VEC_CLEAR(&ids);
    PARE_VEC_CLEAR(&types);
    free(a);
    free(b);
    pare_tok_scratch_free(scratch);
    pare_tokenizer_free(t);
    return 0;
}
