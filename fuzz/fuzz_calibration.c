/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibration files. The first bytes say which reader: "\x93NUMPY" a whole npy file, "{'" an npy header (magic, version 1.0, length and 64 bytes of data
 * are added), '[' json, anything else JSON lines. What comes out are windows of ids that the model knows, no more and no longer than asked for.
 */
#include <unistd.h>

#include "flow/calibration_data.h"
#include "fuzz.h"

enum { VOCAB = 600, POSITIONS = 12 };

/* Whatever the text, there are ids. */
static const char letters[] = "{\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"u\":0,\"a\":1,\"b\":2,\"c\":3},\"unk_token\":\"u\"}}";

static void put(const char *path, const uint8_t *head, size_t n_head, const uint8_t *data, size_t n, size_t zeros)
{
    static const uint8_t zero[64];
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f);
    if (n_head) FUZZ_CHECK(fwrite(head, 1, n_head, f) == n_head);
    if (n) FUZZ_CHECK(fwrite(data, 1, n, f) == n);
    if (zeros) FUZZ_CHECK(fwrite(zero, 1, zeros, f) == zeros);
    FUZZ_CHECK(fclose(f) == 0);
}

static void use(pare_ctx *ctx, const pare_tokenizer *t, const pare_calibration_options *o)
{
    pare_err err = {0};
    pare_calibration_data d;
    const pare_status st = pare_calibration_load(ctx, t, o, &d, &err);
    if (st != PARE_OK) {
        FUZZ_CHECK(st == err.code && err.text[0] && !d.ids);
        return;
    }
    FUZZ_CHECK(d.windows > 0 && d.len > 0 && d.len <= POSITIONS && (!o->samples || d.windows <= o->samples) && (!o->seq_len || d.len <= o->seq_len));
    FUZZ_CHECK(d.distinct > 0 && d.source_tokens >= 2 && strlen(d.hash) == 64);
    for (int64_t i = 0; i < d.windows * d.len; i++) FUZZ_CHECK(d.ids[i] >= 0 && d.ids[i] < VOCAB);
    pare_calibration_clear(&d);
}

static char folder[] = "/tmp/pare-fuzz-XXXXXX";

static void leave(void)
{
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    static pare_ctx *ctx;
    static pare_tokenizer *t;
    pare_err err = {0};
    const bool whole = size > 5 && !memcmp(data, "\x93NUMPY", 6), header = size > 1 && size < 65536 && !memcmp(data, "{'", 2);
    if (!ctx) {
        const pare_ctx_options one = {.threads = 1};
        FUZZ_CHECK(mkdtemp(folder) && atexit(leave) == 0 && pare_ctx_new(&one, &ctx, &err) == PARE_OK);
        FUZZ_CHECK(pare_tokenizer_parse(letters, sizeof letters - 1, "x", &t, &err) == PARE_OK);
    }
    pare_print(path, sizeof path, "%s/x.%s", folder, whole || header ? "npy" : size && data[0] == '[' ? "json" : "jsonl");
    uint8_t head[10] = "\x93NUMPY\1";
    pare_put_le16(head + 8, (uint16_t)size);
    put(path, head, header ? sizeof head : 0, data, size, header ? 64 : 0);
    pare_calibration_options o = {.file = path, .vocab = VOCAB, .max_positions = POSITIONS};
    use(ctx, t, &o);
    o.samples = 2, o.seq_len = 5, o.seed = 1;
    use(ctx, t, &o);
    FUZZ_CHECK(unlink(path) == 0);
    return 0;
}
