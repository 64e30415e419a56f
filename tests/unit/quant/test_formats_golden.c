/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes and scales that other people's libraries made (tests/golden/methods, see make_methods.py): NF4, FP4, nested scales and LLM.int8 weights of
 * bitsandbytes, MXFP4, MXFP8, NVFP4 and FP8 of compressed-tensors. Ours are the same bytes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/file.h"
#include "quant_support.h"

#define GOLDEN PARE_SOURCE_DIR "/tests/golden/methods/"

static pare_store *open_golden(const char *file)
{
    char path[512];
    pare_store *store;
    pare_err err = {0};
    snprintf(path, sizeof path, GOLDEN "%s", file);
    assert_ok(pare_store_open(path, &store, &err), &err);
    return store;
}

static const pare_tensor *tensor(const pare_store *s, const char *name, const uint8_t **data)
{
    const int64_t t = pare_store_find(s, name);
    if (t < 0) fail_msg("%s is not there", name);
    pare_err err = {0};
    assert_ok(pare_store_data((pare_store *)(uintptr_t)s, t, data, &err), &err);
    return &s->tensors[t];
}

static float *floats(const pare_store *s, const char *name, int64_t *n)
{
    const uint8_t *data;
    const pare_tensor *t = tensor(s, name, &data);
    float *x = malloc((size_t)t->numel * sizeof *x + 4);
    pare_err err = {0};
    assert_ok(pare_to_f32(x, t->dtype, data, t->numel, &err), &err);
    if (n != NULL) *n = t->numel;
    return x;
}

static pare_qtensor *quantized(const pare_store *s, const char *name, const pare_scheme *scheme)
{
    const uint8_t *data;
    const pare_tensor *t = tensor(s, name, &data);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    assert_ok(pare_quantize(NULL, data, t->dtype, t->ndim, t->shape, scheme, &q, &err), &err);
    return q;
}

/* With scales that the library chose. */
static pare_qtensor *quantized_with(const pare_store *s, const char *name, const pare_scheme *scheme, const float *scales)
{
    const uint8_t *data;
    const pare_tensor *t = tensor(s, name, &data);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    assert_ok(pare_quantize_with(NULL, data, t->dtype, t->ndim, t->shape, scheme, scales, NULL, &q, &err), &err);
    return q;
}

static pare_scheme parsed(const char *text)
{
    pare_scheme s;
    pare_err err = {0};
    assert_ok(pare_scheme_parse(text, &s, &err), &err);
    return s;
}

static void same_bytes(const char *what, const uint8_t *want, const uint8_t *got, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (want[i] != got[i]) fail_msg("%s: %lld of %lld is %d, theirs %d", what, (long long)i, (long long)n, got[i], want[i]);
}

static void same_floats(const char *what, const float *want, const float *got, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&want[i], &got[i], 4) != 0 && !(want[i] == 0 && got[i] == 0))
            fail_msg("%s: %lld of %lld is %.9g, theirs %.9g", what, (long long)i, (long long)n, (double)got[i], (double)want[i]);
}

/* Values in the library's dtype. */
static void same_values(const char *what, const pare_store *s, const char *name, const pare_qtensor *q)
{
    const uint8_t *data;
    const pare_tensor *t = tensor(s, name, &data);
    float *want = floats(s, name, NULL), *got = malloc((size_t)t->numel * sizeof *got);
    pare_err err = {0};
    assert_ok(pare_dequantize(q, got, &err), &err);
    for (int64_t i = 0; i < (int64_t)t->numel; i++) got[i] = pare_round_to(t->dtype, got[i]);
    same_floats(what, want, got, t->numel);
    free(want);
    free(got);
}

static void bitsandbytes_4bit(void **state)
{
    /* "rows": bitsandbytes 0.50.2 dequantizes wrongly on the CPU where 64 does not divide a row (not what its own codes and absmax mean) */
    static const struct { const char *book, *input; bool values, plain; } cases[] = {
        {"nf4", "a.f32", true, true}, {"nf4", "a.bf16", true, true}, {"nf4", "a.f16", true, true}, {"nf4", "rows.f32", false, true},
        {"nf4", "tail.f32", true, true}, {"fp4", "a.f32", true, true}, {"fp4", "rows.f32", false, true}, {"fp4", "tail.f32", true, true},
        {"nf4", "long.f16", false, false}};
    pare_store *s = open_golden("bnb_4bit.safetensors");
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int nested = 0; nested < 2; nested++) {
            if (!nested && !cases[c].plain) continue; /* the long one is there for its nested scales */
            char base[64], name[96];
            const uint8_t *want;
            int64_t n;
            pare_scheme scheme = parsed(cases[c].book);
            scheme.nested = nested;
            snprintf(name, sizeof name, "input.%s/weight", cases[c].input);
            pare_qtensor *q = quantized(s, name, &scheme);
            snprintf(base, sizeof base, "%s.%s%s", cases[c].book, nested ? "nested." : "", cases[c].input);
            snprintf(name, sizeof name, "%s/weight", base);
            const pare_tensor *t = tensor(s, name, &want);
            uint8_t *packed = calloc(1, (size_t)t->numel + 1), *codes = calloc(1, (size_t)t->numel * 2);
            memcpy(codes, q->codes, (size_t)q->grid.numel);
            for (int64_t i = 0; i < (int64_t)t->numel; i++) packed[i] = (uint8_t)(codes[2 * i] << 4 | codes[2 * i + 1]);
            if (q->grid.numel % 2) packed[t->numel - 1] |= want[t->numel - 1] & 15; /* padding */
            same_bytes(name, want, packed, t->numel);
            snprintf(name, sizeof name, nested ? "%s/absmax_f32" : "%s/weight.absmax", base);
            float *absmax = floats(s, name, &n);
            assert_int_equal(n, q->grid.n_scales);
            if (!nested) {
                same_floats(name, absmax, q->scales, n);
                snprintf(name, sizeof name, "%s/values", base);
                if (cases[c].values) same_values(name, s, name, q);
            } else {
                snprintf(name, sizeof name, "%s/weight.absmax", base);
                tensor(s, name, &want);
                /* their offset is a sum in an order that depends on the machine: near a tie a code may be its neighbour */
                int64_t apart = 0;
                for (int64_t i = 0; i < n; i++) {
                    assert_in_range(q->nested->codes[i] + 1, want[i], want[i] + 2);
                    apart += q->nested->codes[i] != want[i];
                }
                assert_true(apart * 100 < n);
                snprintf(name, sizeof name, "%s/absmax_f32", base);
                for (int64_t i = 0; i < n; i++)
                    if (q->nested->codes[i] == want[i]) assert_true(fabsf(q->scales[i] - absmax[i]) <= 1e-6f * (fabsf(absmax[i]) + fabsf(q->nested->offset)));
            }
            free(absmax);
            free(packed);
            free(codes);
            pare_qtensor_free(q);
        }
    int64_t n;
    float *map = floats(s, "nf4.nested.a.f32/weight.nested_quant_map", &n), *nf4 = floats(s, "tables/nf4", NULL), *fp4 = floats(s, "tables/fp4", NULL);
    same_floats("dynamic map", map, pare_dynamic_map(), 256);
    same_floats("nf4", nf4, pare_codebook_values(PARE_BOOK_NF4, NULL), 16);
    same_floats("fp4", fp4, pare_codebook_values(PARE_BOOK_FP4, NULL), 16);
    free(map);
    free(nf4);
    free(fp4);
    pare_store_close(s);
}

static void bitsandbytes_int8(void **state)
{
    pare_store *s = open_golden("bnb_int8.safetensors");
    const pare_scheme scheme = parsed("LLM_INT8");
    const uint8_t *want;
    int64_t n;
    (void)state;
    pare_qtensor *q = quantized(s, "weight/weight", &scheme);
    const pare_tensor *t = tensor(s, "weight/CB", &want);
    for (int64_t i = 0; i < (int64_t)t->numel; i++) assert_int_equal((int8_t)want[i], (int)q->codes[i] - 128);
    float *scb = floats(s, "weight/SCB", &n);
    for (int64_t i = 0; i < n; i++) assert_true(scb[i] / 127.0f == q->scales[i]);
    free(scb);
    pare_qtensor_free(q);
    pare_store_close(s);
}

static void float_grids(void **state)
{
    static const struct { const char *golden, *scheme, *input; pare_dtype scale; bool values; } cases[] = {
        {"MXFP4A16", "MXFP4A16", "input/weight", PARE_F8_E8M0, true}, {"MXFP8A16", "MXFP8A16", "input/weight", PARE_F8_E8M0, true},
        {"NVFP4A16", "NVFP4A16", "input/weight", PARE_F8_E4M3FN, false}, {"FP8", "FP8", "input/weight", PARE_BF16, false},
        {"FP8_DYNAMIC", "FP8_DYNAMIC", "input/weight", PARE_BF16, false}, {"FP8_BLOCK", "FP8_BLOCK", "input.block/weight", PARE_BF16, false}};
    pare_store *s = open_golden("float_grids.safetensors");
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char name[96];
        const uint8_t *want;
        pare_scheme scheme = parsed(cases[c].scheme);
        scheme.scale_dtype = cases[c].scale;
        pare_qtensor *q = quantized(s, cases[c].input, &scheme);
        snprintf(name, sizeof name, "%s/weight_scale", cases[c].golden);
        const pare_tensor *t = tensor(s, name, &want);
        assert_int_equal((int64_t)t->numel, q->grid.n_scales);
        float *given = calloc((size_t)t->numel, sizeof *given);
        for (int64_t i = 0; i < (int64_t)t->numel; i++) {
            float theirs;
            if (cases[c].scale == PARE_F8_E8M0) theirs = pare_f8_to_f32(PARE_F8_E8M0, want[i]);
            else if (cases[c].scale == PARE_F8_E4M3FN) theirs = pare_f8_to_f32(PARE_F8_E4M3FN, want[i]);
            else theirs = pare_bf16_to_f32((uint16_t)(want[2 * i] | want[2 * i + 1] << 8));
            given[i] = theirs;
            /* NVFP4: theirs divides in bf16 before e4m3, ours does not: a step of e4m3 apart at most */
            if (scheme.two_level) assert_true(fabsf(theirs - q->scales[i]) <= theirs / 8.0f);
            else if (q->scales[i] != 1.0f) same_floats(name, &theirs, &q->scales[i], 1); /* a row of zeros: any scale will do */
        }
        if (scheme.two_level) {
            pare_qtensor_free(q);
            q = quantized_with(s, cases[c].input, &scheme, given);
        }
        free(given);
        const bool four = scheme.bits == 4;
        int64_t apart = 0;
        snprintf(name, sizeof name, four ? "%s/weight_packed" : "%s/weight", cases[c].golden);
        t = tensor(s, name, &want);
        for (int64_t i = 0; i < q->grid.numel; i++) {
            const uint8_t theirs = four ? want[i / 2] >> (i % 2 ? 4 : 0) & 15 : want[i];
            if ((scheme.two_level || cases[c].scale == PARE_BF16) && theirs != q->codes[i]) { /* theirs rounds the quotient to bf16: a neighbour now and then */
                assert_in_range(theirs, q->codes[i] - 1, q->codes[i] + 1);
                assert_true(++apart * 50 < q->grid.numel);
            } else if (theirs != q->codes[i]) fail_msg("%s: code %lld is %d, theirs %d", name, (long long)i, q->codes[i], theirs);
        }
        snprintf(name, sizeof name, "%s/values", cases[c].golden);
        if (cases[c].values) same_values(name, s, name, q);
        if (scheme.two_level) {
            float *global = floats(s, "NVFP4A16/weight_global_scale", NULL);
            assert_true(fabsf(global[0] * q->global_scale - 1.0f) < 1.0f / 256.0f); /* theirs is rounded to bf16 */
            free(global);
        }
        pare_qtensor_free(q);
    }
    pare_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bitsandbytes_4bit), cmocka_unit_test(bitsandbytes_int8), cmocka_unit_test(float_grids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
