/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacked experts in MXFP4 as gpt-oss is published (quant_method "mxfp4"): read only.
 * Source: transformers integrations/mxfp4.py, convert_moe_packed_tensors; measured in tests/interop.
 *
 *   P.mlp.experts.gate_up_proj_blocks U8 [experts, 2 ffn, hidden/32, 16], first code in the low four bits; row 2i is gate's row i, row 2i+1 up's
 *   P.mlp.experts.gate_up_proj_scales U8 [experts, 2 ffn, hidden/32]      W = e2m1(code) * 2^(scale - 127)
 *   P.mlp.experts.down_proj_blocks    U8 [experts, hidden, ffn/32, 16]    and _scales; rows as they are
 *
 * The layer that others see is P.mlp.experts.gate_up_proj.weight, a matrix [experts * 2 ffn, hidden] with the rows of gate before those of up in each
 * expert, so that either is a slice of rows; and down_proj.weight [experts * hidden, ffn].
 */
#include "layout/bind.h"

enum { BLOCKS, SCALES, PARTS };
enum { ROWS, TURNS };          /* info: rows of an expert; do two kinds of rows take turns? */
enum { GROUP = 32, BYTES = GROUP / 2 };
static const char *const suffixes[PARTS] = { "_blocks", "_scales" };

static pare_status bind_layer(pare_bind *b, const char *stem, size_t n, int64_t blocks, pare_err *err)
{
    pare_status st;
    const char fused[] = "gate_up_proj";
    const size_t length = sizeof fused - 1;
    pare_weight w = { .n_parts = PARTS, .ndim = 2, .part = { blocks, -1 }, .zero_kind = PARE_ZERO_SYM, .dtype = PARE_BF16 };
    const pare_tensor *t = &b->store->tensors[blocks];
    PARE_TRY(pare_bind_need(b, stem, n, suffixes[SCALES], &w.part[SCALES], err));
    PARE_TRY(pare_bind_expect(b, blocks, "U8", 4, (int64_t[]){ -1, -1, -1, BYTES }, err));
    PARE_TRY(pare_bind_expect(b, w.part[SCALES], "U8 F8_E8M0", 3, t->shape, err));
    w.info[ROWS] = t->shape[1];
    w.info[TURNS] = n >= length && memcmp(stem + n - length, fused, length) == 0;
    if (w.info[TURNS] && w.info[ROWS] % 2)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld rows cannot be those of gate and up in turns", t->name, (long long)w.info[ROWS]);
    if (__builtin_mul_overflow(t->shape[0], t->shape[1], &w.shape[0]) || __builtin_mul_overflow(t->shape[2], (int64_t)GROUP, &w.shape[1]))
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld experts of %lld rows are too many", t->name, (long long)t->shape[0], (long long)t->shape[1]);
    pare_scheme_read(&w.scheme, 4, true, PARE_PER_GROUP, GROUP, PARE_F8_E8M0);
    w.scheme.kind = PARE_CODE_FLOAT;
    w.scheme.code_dtype = PARE_F4_E2M1;
    PARE_TRY(pare_bind_add(b, stem, n, &w, err));
out:
    return st;
}

static pare_status bind(pare_bind *b, pare_err *err)
{
    static const char *const orphans[] = { "_scales", NULL };
    pare_status st;
    if (!*b->method || !pare_bind_in_charge(b, "mxfp4")) return PARE_OK; /* nothing but the configuration says what the bytes are */
    for (int64_t t = 0; t < b->store->n_tensors; t++) {
        size_t n;
        if (b->owner[t] >= 0 || !pare_bind_stem(&b->store->tensors[t], suffixes[BLOCKS], &n)) continue;
        if ((st = bind_layer(b, b->store->tensors[t].name, n, t, err)) != PARE_OK) return st;
    }
    return pare_bind_no_orphans(b, orphans, suffixes[BLOCKS], err);
}

/* Where the file has row `row` of the layer. */
static int64_t stored_row(const pare_weight *layer, int64_t row)
{
    const int64_t n = layer->info[ROWS], first = row / n * n, i = row % n, half = n / 2;
    if (!layer->info[TURNS]) return row;
    return first + (i < half ? 2 * i : 2 * (i - half) + 1);
}

static pare_status read_layer(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    const uint8_t *data, *scale;
    const int64_t cols = layer->shape[1], groups = cols / GROUP;
    pare_status st;
    PARE_TRY(pare_layer_part(w, layer, BLOCKS, &data, err));
    PARE_TRY(pare_layer_part(w, layer, SCALES, &scale, err));
    for (int64_t r = 0; r < rows; r++) {
        const int64_t at = stored_row(layer, row0 + r);
        w->kernels->unpack_lsb(4, cols, data + at * groups * BYTES, q->codes + r * cols);
        for (int64_t g = 0; g < groups; g++) {
            float *to = &q->scales[r * groups + g];
            *to = pare_f8_to_f32(PARE_F8_E8M0, scale[at * groups + g]);
            if (!(*to - *to == 0.0f)) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: scale %lld is not a number", layer->name, (long long)(at * groups + g));
        }
    }
out:
    return st;
}

const pare_layout pare_layout_mxfp4 = {
    .name = "mxfp4",
    .help = "stacked experts in MXFP4: gpt-oss (read only)",
    .loaders = "transformers, vLLM, SGLang, llama.cpp's converter",
    .packing = "4 bit P1 along in",
    .schemes = "MXFP4",
    .bind = bind, .read = read_layer,
};
