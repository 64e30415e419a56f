/* SPDX-License-Identifier: Apache-2.0 */
/* The logical tensor: grid and views, accessors, every way back to float, float8 codes, error measures, failing allocations. */
#include "quant_support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "quant/blocks.h"

/* ----------------------------------------------------------------------------------------------------------------- grid */

/* Spans and blocks of the view name the same scale as pare_grid_index does. */
static void check_view(const pare_scheme *s, int ndim, const int64_t *shape)
{
    pare_qtensor *q = NULL;
    pare_err err = {0};
    pare_view view;
    assert_ok(pare_qtensor_new(s, ndim, shape, &q, &err), &err);
    const int64_t n = q->grid.numel;
    int64_t *scale = calloc((size_t)n + 1, sizeof *scale), *seen = calloc((size_t)q->grid.n_scales + 1, sizeof *seen);
    float *x = calloc((size_t)n + 1, sizeof *x), *scratch = calloc((size_t)n + 1, sizeof *scratch);
    assert_true(scale && seen && x && scratch);
    scale_of_elements(q, scale);
    pare_view_init(&q->grid, &view);
    for (int64_t start = 0; start <= n; start += n / 3 + 1)
        for (int64_t at = start; at < n;) {
            const pare_span span = pare_view_span(&view, at, n);
            assert_true(span.n > 0 && span.at == at);
            for (int64_t i = 0; i < span.n; i++) assert_int_equal(span.first + i / span.group, scale[at + i]);
            at += span.n;
        }
    for (int64_t i = 0; i < n; i++) x[i] = (float)i;
    int64_t total = 0;
    for (int64_t b = 0; b < q->grid.n_scales; b++) {
        int64_t count;
        const float *v = pare_view_block(&view, x, b, scratch, &count);
        assert_true(count <= view.block_numel);
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(scale[(int64_t)v[i]], b);
            if (i > 0) assert_true(v[i] > v[i - 1]);
        }
        total += count;
    }
    assert_int_equal(total, n);
    free(scale), free(seen), free(x), free(scratch);
    pare_qtensor_free(q);
}

static void test_views(void **state)
{
    (void)state;
    static const struct { int ndim; int64_t shape[5]; } shapes[] = {{1, {11}},         {2, {4, 6}},          {2, {5, 7}},          {3, {2, 3, 4}}, {4, {3, 4, 3, 3}},
                                                                     {5, {2, 1, 3, 2, 5}}, {3, {1, 1, 9}}, {4, {2, 3, 1, 1}}, {2, {0, 4}}};
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) {
        const int n = shapes[c].ndim;
        pare_scheme s = int_scheme(4, true, PARE_PER_TENSOR, 0, 0);
        check_view(&s, n, shapes[c].shape);
        for (int axis = -n; axis < n; axis++) {
            s = int_scheme(4, true, PARE_PER_CHANNEL, axis, 0);
            check_view(&s, n, shapes[c].shape);
            for (int64_t group = 1; group < 8; group++) {
                s = int_scheme(4, true, PARE_PER_GROUP, axis, group);
                check_view(&s, n, shapes[c].shape);
            }
        }
        for (int r = 1; r <= 4 && n >= 2; r++)
            for (int64_t k = 1; k <= 4; k++) {
                s = int_scheme(4, true, PARE_PER_BLOCK, r, k);
                check_view(&s, n, shapes[c].shape);
            }
    }
}

/* --------------------------------------------------------------------------------------------------------- back to float */

static pare_qtensor *quantized(const char *scheme, int ndim, const int64_t *shape, const float *x)
{
    pare_scheme s;
    pare_qtensor *q = NULL;
    pare_err err = {0};
    assert_ok(pare_scheme_parse(scheme, &s, &err), &err);
    assert_ok(pare_quantize(NULL, x, PARE_F32, ndim, shape, &s, &q, &err), &err);
    return q;
}

/* Element by element from the definition, whole and by pieces of rows. */
static void test_dequantize_definition(void **state)
{
    (void)state;
    static const char *const schemes[] = {"W8A16", "W4A16_ASYM:g5", "W3A16:tensor", "W8A16:axis1", "W2A16_ASYM:3x4", "W4A16:g3:axis0", "FP8_WEIGHT", "FP8_WEIGHT:2x5", "W5A16:g4:axis1"};
    enum { N = 6 * 11 };
    const int64_t shape[2] = {6, 11};
    float x[N], y[N], piece[N];
    int64_t scale[N];
    fill_values(x, N, FILL_NORMAL, 4);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        pare_qtensor *q = quantized(schemes[i], 2, shape, x);
        pare_err err = {0};
        scale_of_elements(q, scale);
        assert_ok(pare_dequantize(q, y, &err), &err);
        for (int e = 0; e < N; e++) {
            const float s = q->scales[scale[e]];
            const float want = q->scheme.kind == PARE_CODE_FLOAT ? pare_f8_to_f32(q->scheme.code_dtype, q->codes[e]) * s
                                                                 : (float)(q->codes[e] - q->zeros[scale[e]]) * s;
            assert_true(y[e] == want);
        }
        for (int64_t rows = 1; rows <= 6; rows++)
            for (int64_t r = 0; r + rows <= 6; r++) {
                assert_ok(pare_qtensor_dequant_rows(pare_kernels_get("ref"), q, r, rows, piece, &err), &err);
                assert_memory_equal(piece, y + r * 11, (size_t)(rows * 11) * sizeof *y);
            }
        assert_int_equal(pare_qtensor_dequant_rows(pare_kernels_get(NULL), q, 5, 2, piece, &err), PARE_ERR_USAGE);
        assert_int_equal(pare_qtensor_dequant_rows(pare_kernels_get(NULL), q, -1, 1, piece, &err), PARE_ERR_USAGE);
        pare_qtensor_free(q);
    }
}

static void test_float_shift(void **state) /* quanto: W = rnd(rnd(u s) - shift), bf16 */
{
    (void)state;
    const int64_t shape[2] = {2, 6};
    pare_scheme s = int_scheme(4, false, PARE_PER_GROUP, -1, 3);
    pare_qtensor *q = NULL;
    pare_err err = {0};
    float y[12];
    s.scale_dtype = PARE_BF16;
    assert_ok(pare_qtensor_new(&s, 2, shape, &q, &err), &err);
    q->zero_kind = PARE_ZERO_SHIFT;
    q->shifts = pare_alloc(4 * sizeof *q->shifts);
    assert_non_null(q->shifts);
    for (int i = 0; i < 12; i++) q->codes[i] = (uint8_t)(i + 3);
    for (int g = 0; g < 4; g++) q->scales[g] = pare_round_to(PARE_BF16, 0.013f * (float)(g + 1)), q->shifts[g] = pare_round_to(PARE_BF16, 0.11f);
    assert_ok(pare_dequantize(q, y, &err), &err);
    for (int i = 0; i < 12; i++) {
        const float want = pare_round_to(PARE_BF16, pare_round_to(PARE_BF16, (float)(i + 3) * q->scales[i / 3]) - q->shifts[i / 3]);
        assert_true(y[i] == want);
    }
    assert_true(fabs(pare_qtensor_bits_per_weight(q) - (4 + 32.0 / 3)) < 1e-12);
    pare_qtensor_free(q);
}

static void test_group_index(void **state) /* GPTQ's act-order */
{
    (void)state;
    const int64_t shape[2] = {2, 5};
    static const int32_t index[5] = {1, 0, 2, 0, 1};
    float x[10], y[10];
    fill_values(x, 10, FILL_UNIFORM, 1);
    pare_qtensor *q = quantized("W4A16_ASYM:g2", 2, shape, x);
    pare_err err = {0};
    q->g_idx = pare_alloc(sizeof index);
    assert_non_null(q->g_idx);
    memcpy(q->g_idx, index, sizeof index);
    assert_ok(pare_dequantize(q, y, &err), &err);
    for (int i = 0; i < 10; i++) {
        const int g = i / 5 * 3 + index[i % 5];
        assert_true(y[i] == (float)(q->codes[i] - q->zeros[g]) * q->scales[g]);
    }
    q->g_idx[3] = 3;
    assert_int_equal(pare_dequantize(q, y, &err), PARE_ERR_FORMAT);
    assert_non_null(strstr(err.text, "g_idx[3] is 3"));
    pare_qtensor_free(q);
}

static void test_accessors(void **state)
{
    (void)state;
    const int64_t shape[2] = {4, 64}, *got;
    static float x[256];
    fill_values(x, 256, FILL_NORMAL, 8);
    pare_qtensor *q = quantized("W4A16:g32", 2, shape, x);
    int64_t n;
    assert_int_equal(pare_qtensor_shape(q, &got), 2);
    assert_true(got[0] == 4 && got[1] == 64);
    pare_qtensor_scales(q, &n);
    assert_int_equal(n, 8);
    assert_int_equal(pare_qtensor_zeros(q, &n)[7], 8);
    assert_string_equal(pare_qtensor_scheme(q)->name, "W4A16:g32");
    assert_true(pare_qtensor_bits_per_weight(q) == 5.0); /* f32 scales */
    pare_qtensor_free(q);
    static const struct { const char *name; pare_dtype dtype; double bits; } sizes[] = {
        {"W4A16:g32", PARE_F16, 4.5}, {"W4A16:g64", PARE_F16, 4.25}, {"W4A16_ASYM:g32", PARE_BF16, 4.625}, {"W8A16:tensor", PARE_F32, 8.125}, {"FP8_WEIGHT", PARE_F32, 8.5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pare_scheme s;
        pare_err err = {0};
        assert_ok(pare_scheme_parse(sizes[i].name, &s, &err), &err);
        s.scale_dtype = sizes[i].dtype;
        assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, &s, &q, &err), &err);
        assert_true(pare_qtensor_bits_per_weight(q) == sizes[i].bits);
        pare_qtensor_free(q);
    }
    pare_qtensor_free(NULL);
}

/* --------------------------------------------------------------------------------------------------------------- float8 */

static void test_float8(void **state)
{
    (void)state;
    static const pare_dtype dtypes[] = {PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ};
    static const double relative[] = {1.0 / 16, 1.0 / 8, 1.0 / 16, 1.0 / 8};
    enum { R = 9, C = 40 };
    const int64_t shape[2] = {R, C};
    float x[R * C], y[R * C];
    for (size_t d = 0; d < 4; d++)
        for (int kind = 0; kind < FILL_COUNT; kind++) {
            pare_scheme s;
            pare_qtensor *q = NULL, *again = NULL;
            pare_err err = {0};
            assert_ok(pare_scheme_parse("FP8_WEIGHT:g16", &s, &err), &err);
            s.code_dtype = dtypes[d];
            fill_values(x, R * C, (fill)kind, 9);
            memset(x, 0, 16 * sizeof *x); /* a group of zeros */
            assert_ok(pare_quantize(NULL, x, PARE_F32, 2, shape, &s, &q, &err), &err);
            assert_ok(pare_dequantize(q, y, &err), &err);
            assert_true(q->scales[0] == 1.0f);
            int64_t n = 7;
            assert_null(pare_qtensor_zeros(q, &n));
            assert_int_equal(n, 0);
            const double smallest = pare_dtype_get_info(dtypes[d])->smallest;
            for (int i = 0; i < R * C; i++) {
                const double scale = q->scales[i / C * 3 + i % C / 16], e = fabs((double)y[i] - x[i]);
                assert_true(e <= fmax(fabs(x[i]) * relative[d], smallest * scale / 2) * (1 + 1e-5));
            }
            assert_ok(pare_quantize_with(NULL, y, PARE_F32, 2, shape, &s, q->scales, NULL, &again, &err), &err);
            for (int i = 0; i < R * C; i++) assert_true((q->codes[i] & 0x7f) == (again->codes[i] & 0x7f));
            pare_qtensor_free(q);
            pare_qtensor_free(again);
        }
}

static void test_float8_extremes(void **state)
{
    (void)state;
    static const float cases[][2] = {{3.4028235e38f, -1.0f}, {1e-45f, -3e-45f}, {3.4028235e38f, -3.4028235e38f}, {0, -0.0f}};
    static const pare_dtype dtypes[] = {PARE_F32, PARE_F16, PARE_BF16};
    const int64_t shape[1] = {2};
    for (size_t c = 0; c < 4; c++)
        for (size_t d = 0; d < 3; d++) {
            pare_scheme s;
            pare_qtensor *q = NULL;
            pare_err err = {0};
            float y[2];
            assert_ok(pare_scheme_parse("FP8_WEIGHT:tensor", &s, &err), &err);
            s.scale_dtype = dtypes[d];
            assert_ok(pare_quantize(NULL, cases[c], PARE_F32, 1, shape, &s, &q, &err), &err);
            assert_ok(pare_dequantize(q, y, &err), &err);
            assert_true(isfinite(q->scales[0]) && q->scales[0] > 0 && isfinite(y[0]) && isfinite(y[1]));
            pare_qtensor_free(q);
        }
}

/* -------------------------------------------------------------------------------------------------------------- measure */

static void test_measure(void **state)
{
    (void)state;
    static const float a[4] = {1, -2, 3, 0}, b[4] = {1, -2, 2, 1}, none[3] = {0, 0, 0}, c[3] = {1, 1, 1};
    pare_error e;
    pare_measure(a, b, 4, &e);
    assert_true(e.n == 4 && e.mse == 0.5 && e.mean_abs == 0.5 && e.max_abs == 1 && e.signal == 14 && e.noise == 2);
    assert_true(fabs(e.sqnr_db - 10 * log10(7)) < 1e-12 && fabs(e.cosine - 11 / sqrt(14.0 * 10.0)) < 1e-12);
    pare_measure(a, a, 4, &e);
    assert_true(e.mse == 0 && isinf(e.sqnr_db) && e.sqnr_db > 0 && fabs(e.cosine - 1) < 1e-12);
    pare_measure(none, none, 3, &e);
    assert_true(e.cosine == 1 && isinf(e.sqnr_db));
    pare_measure(none, c, 3, &e);
    assert_true(e.cosine == 0 && e.sqnr_db < 0 && isinf(e.sqnr_db));
    pare_measure(c, none, 3, &e);
    assert_true(e.cosine == 0 && e.sqnr_db == 0);
    pare_measure(a, b, 0, &e);
    assert_true(e.n == 0 && e.mse == 0 && e.cosine == 1);
    const int64_t n = 3 * PARE_CUT + 5; /* several pieces */
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    assert_true(x && y);
    fill_values(x, n, FILL_UNIFORM, 1);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + 0.5f;
    pare_measure(x, y, n, &e);
    assert_true(fabs(e.mse - 0.25) < 1e-6 && fabs(e.max_abs - 0.5) < 1e-6);
    free(x), free(y);
}

/* ------------------------------------------------------------------------------------------------------ failing allocations */

static struct { int64_t left, live; } heap;

static void *counting(void *user, void *ptr, size_t bytes)
{
    (void)user;
    if (bytes == 0) {
        heap.live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    if (heap.left-- <= 0) return NULL;
    void *p = realloc(ptr, bytes);
    heap.live += ptr == NULL && p != NULL;
    return p;
}

static void test_nth_allocation_fails(void **state)
{
    (void)state;
    static const char *const schemes[] = {"W8A16", "W4A16:axis1", "W3A16_ASYM:5x6", "W8A16:tensor", "FP8_WEIGHT:2x2"};
    const int64_t shape[2] = {400, 300};
    uint16_t *x = malloc(400 * 300 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 400 * 300; i++) x[i] = pare_f32_to_bf16(sinf((float)i));
    const pare_allocator allocator = {counting, NULL};
    pare_ctx *ctx = NULL;
    heap.left = INT64_MAX;
    heap.live = 0;
    pare_set_allocator(&allocator);
    ctx = new_ctx(2, NULL);
    pare_scheme first;
    pare_qtensor *warm = NULL;
    pare_scheme_init(&first);
    assert_int_equal(pare_quantize(ctx, x, PARE_BF16, 2, shape, &first, &warm, NULL), PARE_OK); /* starts the context's threads */
    pare_qtensor_free(warm);
    const int64_t base = heap.live;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        pare_scheme s;
        pare_err err = {0};
        pare_status st = PARE_ERR_MEMORY;
        assert_ok(pare_scheme_parse(schemes[i], &s, &err), &err);
        int n = 0;
        for (; st == PARE_ERR_MEMORY && n < 100; n++) {
            pare_qtensor *q = NULL;
            heap.left = n;
            st = pare_quantize(ctx, x, PARE_BF16, 2, shape, &s, &q, &err);
            heap.left = INT64_MAX;
            assert_true(st == PARE_OK ? q != NULL : q == NULL);
            pare_qtensor_free(q);
            assert_int_equal(heap.live, base);
        }
        assert_ok(st, &err);
        assert_true(n > 4);
    }
    pare_ctx_free(ctx);
    assert_int_equal(heap.live, 0);
    pare_set_allocator(NULL);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),     cmocka_unit_test(test_dequantize_definition), cmocka_unit_test(test_float_shift),
        cmocka_unit_test(test_group_index), cmocka_unit_test(test_accessors),           cmocka_unit_test(test_float8),
        cmocka_unit_test(test_float8_extremes), cmocka_unit_test(test_measure),         cmocka_unit_test(test_nth_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
