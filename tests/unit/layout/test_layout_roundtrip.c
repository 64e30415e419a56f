/* SPDX-License-Identifier: Apache-2.0 */
/* Every layout x width x symmetry x granularity x shape: packed in shuffled pieces, written, opened, read back: the same numbers. */
#include "unit/layout/layout_support.h"

static int cases, shifted;

static void compare_rows(const pare_weights *w, int64_t at, const layer *l, int64_t row0, int64_t rows)
{
    pare_qtensor *q;
    pare_err err = { 0 };
    int64_t groups = l->n_scales / l->rows;
    if (pare_weights_qtensor(w, at, row0, rows, &q, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_memory_equal(q->codes, l->codes + row0 * l->cols, (size_t)(rows * l->cols));
    assert_true(q->global_scale == l->global);
    if (l->scheme.act == PARE_ACT_STATIC_TENSOR || (l->scheme.two_level && l->scheme.act)) assert_true(q->input_scale == 0.25f);
    if (q->grid.flat != PARE_FLAT_NONE) { /* groups over the flattened tensor: only a multiple of the row unit begins one */
        const int64_t first = row0 * l->cols / q->grid.block[1];
        assert_memory_equal(q->scales, l->scales + first, (size_t)q->grid.n_scales * 4);
        if (l->scheme.float_zero) assert_memory_equal(q->fzeros, l->fzeros + first, (size_t)q->grid.n_scales * 4);
    } else if (l->scheme.granularity == PARE_PER_CHANNEL || l->scheme.granularity == PARE_PER_GROUP) {
        assert_int_equal(q->grid.n_scales, rows * groups);
        assert_memory_equal(q->scales, l->scales + row0 * groups, (size_t)(rows * groups) * 4);
        for (int64_t i = 0; l->shifted && i < rows * groups; i++)
            assert_true(q->shifts[i] == pare_round_to(PARE_BF16, (float)l->zeros[row0 * groups + i] * l->scales[row0 * groups + i]));
        if (l->scheme.float_zero) assert_memory_equal(q->fzeros, l->fzeros + row0 * groups, (size_t)(rows * groups) * 4);
        else if (l->scheme.kind == PARE_CODE_INT && !l->shifted) assert_memory_equal(q->zeros, l->zeros + row0 * groups, (size_t)(rows * groups) * 4);
    } else if (rows == l->rows) {
        assert_int_equal(q->grid.n_scales, l->n_scales);
        assert_memory_equal(q->scales, l->scales, (size_t)l->n_scales * 4);
        if (l->scheme.kind == PARE_CODE_INT) assert_memory_equal(q->zeros, l->zeros, (size_t)l->n_scales * 4);
    }
    assert_null(q->g_idx);
    pare_qtensor_free(q);
}

static void compare_values(pare_ctx *ctx, const pare_weights *w, int64_t at, const layer *l, int64_t row0, int64_t rows)
{
    float *x = malloc((size_t)(rows * l->cols) * sizeof *x + 1);
    pare_err err = { 0 };
    if (pare_weights_read(ctx, w, at, row0, rows, x, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int64_t i = 0; i < rows * l->cols; i += 1 + i % 7) {
        float want = layer_value(l, row0 + i / l->cols, i % l->cols);
        if (x[i] != want) fail_msg("row %d col %d: %g, not %g", (int)(row0 + i / l->cols), (int)(i % l->cols), (double)x[i], (double)want);
    }
    free(x);
}

/* One case: check() may adjust the scheme (quanto's groups). */
static void one(pare_ctx *ctx, const pare_layout *layout, pare_scheme scheme, int64_t rows, int64_t cols, pare_dtype model_dtype, uint64_t seed)
{
    int64_t shape[2] = { rows, cols };
    const char *const module = "model.layers.0.q_proj", *const kept = "model.layers.0.o_proj";
    pare_err err = { 0 };
    char warn[256];
    pare_store *store;
    pare_weights *w;
    pare_status st = layout->check(&scheme, model_dtype, "t", 2, shape, warn, &err);
    if (st == PARE_ERR_UNSUPPORTED) return;
    if (st != PARE_OK) fail_msg("check %s %s: %s", layout->name, scheme.name, err.text);
    layer *l = layer_new(&scheme, rows, cols, seed * 1000 + (uint64_t)(rows + cols));
    l->shifted = !strcmp(layout->name, "quanto") && scheme.bits == 4 && model_dtype == PARE_BF16 && scheme.granularity == PARE_PER_GROUP && scheme.group_size == 128;
    shifted += l->shifted;
    ckpt *c = ckpt_new();
    float f[64] = { 1.0f };
    ckpt_add(c, "model.norm.weight", PARE_F32, 1, (int64_t[]){ 3 }, f);
    layer_pack(c, layout, l, module, model_dtype, seed);
    ckpt_add(c, "model.layers.0.o_proj.weight", PARE_F32, 2, (int64_t[]){ 8, 8 }, f);
    write_config(c, layout, (const char *const[]){ module }, (const layer *const[]){ l }, 1, (const char *const[]){ kept }, 1, model_dtype, "");
    if (ckpt_open(c, ctx, &store, &w, &err) != PARE_OK) fail_msg("%s %s [%d, %d]: %s", layout->name, scheme.name, (int)rows, (int)cols, err.text);
    int64_t at = pare_weights_find(w, "model.layers.0.q_proj.weight");
    assert_int_equal(w->n, 3);
    assert_int_equal(at, 1);
    assert_ptr_equal(w->at[at].layout, layout);
    assert_int_equal(w->at[at].shape[0], rows);
    assert_int_equal(w->at[at].shape[1], cols);
    assert_int_equal(w->at[at].scheme.bits, scheme.bits);
    assert_int_equal(w->at[at].scheme.kind, scheme.kind);
    assert_int_equal(w->at[at].scheme.scale_dtype, scheme.scale_dtype);
    assert_int_equal(w->at[at].scheme.nested, scheme.nested);
    if (!strcmp(layout->name, "compressed-tensors")) {
        const pare_scheme *got = &w->at[at].scheme;
        if (got->act != scheme.act || (scheme.act && (got->act_bits != scheme.act_bits || got->act_float != scheme.act_float || got->act_group != scheme.act_group)))
            fail_msg("%s: read as %s", scheme.name, got->name);
    }
    assert_int_equal(w->at[at].scheme.codebook, scheme.codebook);
    if (scheme.act == PARE_ACT_OUTLIERS) assert_true(w->at[at].scheme.act == scheme.act && w->at[at].scheme.act_threshold == scheme.act_threshold);
    if (scheme.granularity != PARE_PER_GROUP || scheme.group_size < cols) assert_int_equal(w->at[at].scheme.granularity, scheme.granularity);
    compare_rows(w, at, l, 0, rows);
    compare_values(ctx, w, at, l, 0, rows);
    int64_t row0 = (int64_t)(rnd(&seed) % (uint64_t)rows), n = 1 + (int64_t)(rnd(&seed) % (uint64_t)(rows - row0));
    const int64_t unit = pare_weights_row_unit(&w->at[at]);
    if (unit < rows) compare_rows(w, at, l, row0 / unit * unit, n);
    compare_values(NULL, w, at, l, row0, n);
    pare_weights_release(w, at);
    compare_values(NULL, w, at, l, row0, 1);
    pare_weights_free(w);
    pare_store_close(store);
    ckpt_free(c);
    layer_free(l);
    cases++;
}

static const int64_t shapes[][2] = { { 32, 32 }, { 64, 128 }, { 128, 192 }, { 96, 256 }, { 40, 64 }, { 37, 75 }, { 288, 544 }, { 1, 129 }, { 8, 384 } };
static const pare_dtype model_dtypes[] = { PARE_F32, PARE_BF16, PARE_F16 };

static void sweep(const char *name, const int *bits, const bool *syms, int n_syms, bool tensor)
{
    pare_ctx *ctx;
    const pare_layout *layout = pare_layout_find(name);
    uint64_t seed = 1;
    assert_non_null(layout);
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, NULL));
    for (; *bits; bits++)
        for (int sym = 0; sym < n_syms; sym++)
            for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
                for (int gran = tensor ? 0 : 1; gran < 4; gran++) {
                    static const int64_t groups[] = { 0, 0, 32, 64 };
                    pare_scheme scheme = scheme_int(*bits, syms[sym], gran == 0 ? PARE_PER_TENSOR : gran == 1 ? PARE_PER_CHANNEL : PARE_PER_GROUP, groups[gran]);
                    one(ctx, layout, scheme, shapes[s][0], shapes[s][1], model_dtypes[seed % 3], seed);
                    seed++;
                }
    pare_ctx_free(ctx);
}

static const bool both[] = { true, false };

static void gptq(void **state) { (void)state; sweep("gptq", (int[]){ 2, 3, 4, 8, 0 }, both, 2, false); }
static void gptq_v2(void **state) { (void)state; sweep("gptq_v2", (int[]){ 2, 3, 4, 8, 0 }, both, 2, false); }
static void awq(void **state) { (void)state; sweep("awq", (int[]){ 4, 0 }, both, 2, false); }
static void quanto_packed(void **state) { (void)state; sweep("quanto", (int[]){ 2, 4, 0 }, both, 2, false); }
static void compressed_packed(void **state) { (void)state; sweep("compressed-tensors", (int[]){ 1, 2, 3, 4, 5, 6, 7, 8, 0 }, both, 2, true); }

static void by_bytes(void **state)
{
    static const char *const names[] = { "course", "quanto" };
    pare_ctx *ctx;
    (void)state;
    assert_ok(pare_ctx_new(NULL, &ctx, NULL));
    for (int n = 0; n < 2; n++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            one(ctx, pare_layout_find(names[n]), scheme_int(8, true, PARE_PER_CHANNEL, 0), shapes[s][0], shapes[s][1], model_dtypes[s % 3], s + 1);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        one(ctx, pare_layout_find("quanto"), scheme_fp8(PARE_PER_CHANNEL), shapes[s][0], shapes[s][1], model_dtypes[s % 3], s + 1);
    pare_ctx_free(ctx);
}

static void compressed_bytes(void **state)
{
    static const pare_granularity grans[] = { PARE_PER_TENSOR, PARE_PER_CHANNEL, PARE_PER_GROUP, PARE_PER_BLOCK };
    const pare_layout *ct = pare_layout_find("compressed-tensors");
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int g = 0; g < 4; g++) {
            for (int bits = 4; bits <= 8 && g < 3; bits += 4)
                for (int sym = 0; sym < 2; sym++) {
                    pare_scheme scheme = scheme_int(bits, sym, grans[g], 32);
                    scheme.act = PARE_ACT_DYNAMIC_TOKEN;
                    scheme.act_bits = 8;
                    one(NULL, ct, scheme, shapes[s][0], shapes[s][1], model_dtypes[s % 3], s + 1);
                }
            pare_scheme fp8 = scheme_fp8(grans[g]);
            if (g == 2) fp8 = scheme_fp8(PARE_PER_CHANNEL), fp8.act = PARE_ACT_DYNAMIC_TOKEN, fp8.act_bits = 8;
            one(NULL, ct, fp8, shapes[s][0], shapes[s][1], model_dtypes[s % 3], s + 1);
        }
}

static void named(const char *layout, const char *const *schemes)
{
    for (; *schemes; schemes++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            pare_scheme scheme;
            pare_err err = { 0 };
            if (pare_scheme_parse(*schemes, &scheme, &err) != PARE_OK) fail_msg("%s", err.text);
            one(NULL, pare_layout_find(layout), scheme, shapes[s][0], shapes[s][1], model_dtypes[s % 3], s + 1);
        }
}

static void bitsandbytes(void **state)
{
    (void)state;
    named("bitsandbytes", (const char *const[]){ "NF4", "FP4", "NF4:nested", "FP4:nested", "NF4:g32", "FP4:g256:nested", "LLM_INT8", "LLM_INT8:t4.5", "LLM_INT8:tinf", NULL });
}

static void micro(void **state)
{
    (void)state;
    named("compressed-tensors", (const char *const[]){ "NVFP4", "NVFP4A16", "MXFP4", "MXFP4A4", "MXFP8", "MXFP8A16", "FP8", "FP8:channel", "FP8_BLOCK", "W8A8:static", "W4AFP8:g32",
                                                       NULL });
}

static void fp8(void **state)
{
    (void)state;
    named("fp8", (const char *const[]){ "FP8_BLOCK", NULL });
}

static void hqq(void **state)
{
    (void)state;
    named("hqq", (const char *const[]){ "W4A16_ASYM:g64:fzero", "W8A16_ASYM:g32:fzero", "W3A16_ASYM:g64:fzero", "W2A16_ASYM:g32:fzero", "W1A16_ASYM:g64:fzero",
                                        "W5A16_ASYM:g32:fzero", "W4A16_ASYM:channel:fzero", "W4A16_ASYM:g64:axis0:fzero", "W3A16_ASYM:g32:axis0:fzero",
                                        "W2A16_ASYM:g64:axis0:fzero", NULL });
}

static void enough(void **state)
{
    (void)state;
    print_message("%d round trips\n", cases);
    assert_true(cases > 500);
    assert_true(shifted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptq), cmocka_unit_test(gptq_v2), cmocka_unit_test(awq), cmocka_unit_test(quanto_packed), cmocka_unit_test(compressed_packed),
        cmocka_unit_test(by_bytes), cmocka_unit_test(compressed_bytes), cmocka_unit_test(bitsandbytes), cmocka_unit_test(hqq), cmocka_unit_test(micro), cmocka_unit_test(fp8), cmocka_unit_test(enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
