/* SPDX-License-Identifier: Apache-2.0 */
/* Products, Cholesky and solves against plain double loops; the same bytes for every number of threads. */
#include <math.h>
#include "linalg/linalg.h"
#include "support/support.h"

static float *fill(int64_t n, const char *name)
{
    float *x = malloc((size_t)(n ? n : 1) * sizeof *x);
    const uint64_t key = pare_rng_key(1, name);
    for (int64_t i = 0; i < n; i++) x[i] = (float)pare_rng_normal(key, (uint64_t)i);
    return x;
}

static pare_ctx *context(int threads, const char *isa)
{
    pare_err err = { 0 };
    pare_ctx *ctx;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = threads, .isa = isa }, &ctx, &err));
    return ctx;
}

/* What is left out of a product by bf16 pieces (kernel/gemm.h), as part of the sum of magnitudes. */
#define SPLIT_ERROR 0x1p-15

/* |difference| <= (number of blocks of k + depth) ulp of the sum of magnitudes */
static void check_product(const pare_product *p, const float *before)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const float had = before[i * p->c_stride + j], got = p->c[i * p->c_stride + j];
            if (p->upper && i / PARE_LINALG_BLOCK > j / PARE_LINALG_BLOCK) {
                assert_true(got == had);
                continue;
            }
            double sum = 0, size = fabs(had);
            for (int64_t l = 0; l < p->k; l++) {
                const double t = (double)p->a[i * p->a_row + l * p->a_col] * p->b[l * p->b_row + j * p->b_col];
                sum += t;
                size += fabs(t);
            }
            const double want = (p->add ? had : 0.0) + p->alpha * sum, depth = p->split ? 3 * PARE_LINALG_SPLIT_DEPTH : PARE_LINALG_DEPTH;
            const double bound = size * ((p->split ? SPLIT_ERROR : 0) + 0x1p-24 * (depth + (double)p->k / PARE_LINALG_DEPTH + 2));
            if (!(fabs(want - got) <= bound)) fail_msg("C[%d, %d] = %.9g, not %.9g", (int)i, (int)j, got, want);
        }
}

static void product_case(pare_ctx *ctx, pare_ctx *one, int64_t m, int64_t n, int64_t k, int a_t, int b_t, bool add, bool upper, bool split)
{
    pare_err err = { 0 };
    const int64_t pad = 5, a_lead = (a_t ? m : k) + pad, b_lead = (b_t ? k : n) + 2 * pad, c_lead = n + pad;
    float *a = fill((a_t ? k : m) * a_lead, "a"), *b = fill((b_t ? n : k) * b_lead, "b"), *before = fill(m * c_lead, "c"), *c = fill(m * c_lead, "c");
    pare_product p = { .m = m, .n = n, .k = k, .a = a, .a_row = a_t ? 1 : a_lead, .a_col = a_t ? a_lead : 1, .b = b, .b_row = b_t ? 1 : b_lead,
                       .b_col = b_t ? b_lead : 1, .alpha = add ? -0.5f : 1, .add = add, .split = split, .upper = upper, .c = c, .c_stride = c_lead };
    assert_ok(pare_multiply(ctx, &p, &err));
    check_product(&p, before);
    for (int64_t i = 0; i < m; i++) assert_memory_equal(c + i * c_lead + n, before + i * c_lead + n, (size_t)pad * sizeof(float));
    float *again = fill(m * c_lead, "c");
    p.c = again;
    assert_ok(pare_multiply(one, &p, &err));
    assert_memory_equal(c, again, (size_t)(m * c_lead) * sizeof(float));
    void *scratch = pare_alloc_aligned(64, PARE_MULTIPLY_SCRATCH); /* in the calling thread */
    memcpy(again, before, (size_t)(m * c_lead) * sizeof(float));
    pare_multiply_here(one->kernels, &p, scratch);
    assert_memory_equal(c, again, (size_t)(m * c_lead) * sizeof(float));
    pare_dealloc_aligned(scratch);
    free(a), free(b), free(c), free(before), free(again);
}

static void products(void **state)
{
    (void)state;
    static const int64_t size[][3] = { { 1, 1, 1 }, { 13, 33, 5 }, { 12, 32, 128 }, { 11, 15, 129 }, { 385, 17, 130 }, { 30, 400, 260 }, { 3, 5, 0 }, { 0, 4, 4 } };
    pare_ctx *ctx = context(3, NULL), *one = context(1, NULL), *ref = context(2, "ref");
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
        for (int t = 0; t < 8; t++) product_case(ctx, one, size[s][0], size[s][1], size[s][2], t & 1, t >> 1 & 1, s & 1, false, t >> 2);
    product_case(ctx, one, 800, 800, 40, 1, 0, true, true, false);
    product_case(ctx, one, 800, 800, 40, 1, 0, true, true, true);
    product_case(ctx, one, 390, 30, 1300, 1, 0, true, false, true);
    product_case(ref, ref, 20, 40, 140, 1, 0, true, false, true);
    pare_ctx_free(ctx), pare_ctx_free(one), pare_ctx_free(ref);
}

/* B in bf16 is B in f32. */
static void halves(void **state)
{
    (void)state;
    enum { M = 20, N = 45, K = 300 };
    pare_err err = { 0 };
    pare_ctx *ctx = context(2, NULL);
    float *a = fill(M * K, "a"), *b = fill(N * K, "b"), *c = malloc(sizeof(float) * M * N), *want = malloc(sizeof(float) * M * N);
    uint16_t *half = malloc(sizeof *half * N * K);
    ctx->kernels->f32_to_bf16(half, b, N * K);
    ctx->kernels->bf16_to_f32(b, half, N * K);
    for (int split = 0; split < 2; split++) {
        pare_product p = { .m = M, .n = N, .k = K, .a = a, .a_row = K, .a_col = 1, .b = b, .b_row = 1, .b_col = K, .alpha = 1, .split = split, .c = want, .c_stride = N };
        assert_ok(pare_multiply(ctx, &p, &err));
        p.b = NULL, p.b_bf16 = half, p.c = c;
        assert_ok(pare_multiply(ctx, &p, &err));
        assert_memory_equal(c, want, sizeof(float) * M * N);
    }
    free(a), free(b), free(c), free(want), free(half);
    pare_ctx_free(ctx);
}

/* Sums over tokens in several calls; the matrix is symmetric afterwards. */
static void sums_over_tokens(void **state)
{
    (void)state;
    enum { N = 512, COLS = 411, OTHER = 70 };
    pare_err err = { 0 };
    pare_ctx *ctx = context(2, NULL);
    float *x = fill(N * COLS, "x"), *y = fill(N * OTHER, "y");
    float *h = calloc(COLS * COLS, sizeof *h), *g = calloc(COLS * OTHER, sizeof *g);
    for (int i = 0; i < N; i += N / 2) assert_ok(pare_add_xtx(ctx, N / 2, COLS, x + i * COLS, COLS, h, &err));
    assert_ok(pare_mirror(ctx, COLS, h, &err));
    assert_ok(pare_add_xty(ctx, N, COLS, OTHER, x, COLS, y, OTHER, g, &err));
    for (int i = 0; i < COLS; i++) {
        for (int j = 0; j < COLS; j++) {
            double want = 0, sizes = 0;
            for (int t = 0; t < N; t++) {
                const double product = (double)x[t * COLS + i] * x[t * COLS + j];
                want += product;
                sizes += fabs(product);
            }
            assert_true(fabs(want - h[i * COLS + j]) <= 1e-3 + SPLIT_ERROR * sizes);
            assert_true(h[i * COLS + j] == h[j * COLS + i]);
        }
        for (int j = 0; j < OTHER; j++) {
            double want = 0, sizes = 0;
            for (int t = 0; t < N; t++) {
                const double product = (double)x[t * COLS + i] * y[t * OTHER + j];
                want += product;
                sizes += fabs(product);
            }
            assert_true(fabs(want - g[i * OTHER + j]) <= 1e-3 + SPLIT_ERROR * sizes);
        }
    }
    free(x), free(y), free(h), free(g);
    pare_ctx_free(ctx);
}

static void definite(pare_ctx *ctx, int64_t n, float *a)
{
    pare_err err = { 0 };
    float *x = fill((n + 10) * n, "definite");
    memset(a, 0, (size_t)(n * n) * sizeof *a);
    assert_ok(pare_add_xtx(ctx, n + 10, n, x, n, a, &err));
    assert_ok(pare_mirror(ctx, n, a, &err));
    for (int64_t i = 0; i < n; i++) a[i * n + i] += 0.05f * (float)n;
    free(x);
}

static void cholesky(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 2, 127, 128, 129, 300, 515 };
    pare_err err = { 0 };
    pare_ctx *ctx = context(2, NULL), *one = context(1, NULL);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        const size_t bytes = (size_t)(n * n) * sizeof(float);
        float *a = malloc(bytes + 1), *l = malloc(bytes + 1), *l1 = malloc(bytes + 1), *inverse = malloc(bytes + 1);
        int64_t failed;
        double pivot;
        definite(ctx, n, a);
        memcpy(l, a, bytes), memcpy(l1, a, bytes);
        assert_ok(pare_cholesky(ctx, n, l, n, &failed, &pivot, &err));
        assert_int_equal(failed, -1);
        assert_ok(pare_cholesky(one, n, l1, n, &failed, &pivot, &err));
        assert_memory_equal(l, l1, bytes);
        assert_ok(pare_cholesky_inverse(ctx, n, l, n, inverse, &err));
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                double product = 0, unit = 0;
                if (j > i) assert_true(l[i * n + j] == a[i * n + j]);
                for (int64_t p = 0; p <= (i < j ? i : j); p++) product += (double)l[i * n + p] * l[j * n + p];
                for (int64_t p = 0; p < n; p++) unit += (double)a[i * n + p] * inverse[p * n + j];
                assert_true(fabs(product - a[i * n + j]) <= 2e-6 * sqrt((double)a[i * n + i] * a[j * n + j]));
                assert_true(fabs(unit - (i == j)) <= 2e-4);
            }
        free(a), free(l), free(l1), free(inverse);
    }
    pare_ctx_free(ctx), pare_ctx_free(one);
}

static void not_definite(void **state)
{
    (void)state;
    enum { N = 200 };
    pare_err err = { 0 };
    pare_ctx *ctx = context(2, NULL);
    float *a = malloc(sizeof(float) * N * N);
    int64_t failed;
    double pivot;
    definite(ctx, N, a);
    a[150 * N + 150] = -1;
    assert_ok(pare_cholesky(ctx, N, a, N, &failed, &pivot, &err));
    assert_int_equal(failed, 150);
    assert_true(pivot < 0);
    definite(ctx, N, a);
    a[131 * N + 7] = NAN;
    assert_ok(pare_cholesky(ctx, N, a, N, &failed, &pivot, &err));
    assert_int_equal(failed, 131);
    for (int i = 0; i < N * N; i++) a[i] = 1; /* rank one */
    assert_ok(pare_cholesky(ctx, N, a, N, &failed, &pivot, &err));
    assert_int_equal(failed, 1);
    free(a);
    pare_ctx_free(ctx);
}

static void solves(void **state)
{
    (void)state;
    enum { N = 301, ROWS = 390 };
    pare_err err = { 0 };
    pare_ctx *ctx = context(2, NULL), *one = context(1, NULL);
    float *a = malloc(sizeof(float) * N * N);
    int64_t failed;
    double pivot;
    definite(ctx, N, a);
    assert_ok(pare_cholesky(ctx, N, a, N, &failed, &pivot, &err));
    for (int transposed = 0; transposed < 2; transposed++) {
        float *b = fill(ROWS * N, "b"), *x = fill(ROWS * N, "b"), *x1 = fill(ROWS * N, "b");
        assert_ok(pare_solve_lower(ctx, N, a, N, transposed, ROWS, x, N, &err));
        assert_ok(pare_solve_lower(one, N, a, N, transposed, ROWS, x1, N, &err));
        assert_memory_equal(x, x1, sizeof(float) * ROWS * N);
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < N; j++) { /* X L or X L^T gives B back */
                double back = 0;
                for (int i = 0; i < N; i++) {
                    const int row = transposed ? j : i, col = transposed ? i : j;
                    if (col <= row) back += (double)x[r * N + i] * a[row * N + col];
                }
                assert_true(fabs(back - b[r * N + j]) <= 2e-5);
            }
        free(b), free(x), free(x1);
    }
    free(a);
    pare_ctx_free(ctx), pare_ctx_free(one);
}

static pare_status everything(void *arg)
{
    enum { N = 140 };
    pare_ctx *ctx = arg;
    pare_err err = { 0 };
    pare_status st = PARE_OK;
    int64_t failed;
    double pivot;
    float *a = calloc(N * N, sizeof *a), *out = calloc(N * N, sizeof *out);
    for (int i = 0; i < N; i++) a[i * N + i] = 2;
    PARE_TRY(pare_add_xtx(ctx, 1, N, out, N, a, &err));
    PARE_TRY(pare_cholesky(ctx, N, a, N, &failed, &pivot, &err));
    PARE_TRY(pare_cholesky_inverse(ctx, N, a, N, out, &err));
out:
    free(a), free(out);
    return st;
}

static void no_memory(void **state)
{
    (void)state;
    pare_ctx *ctx = context(1, NULL);
    assert_true(test_every_allocation(everything, ctx) >= 8);
    pare_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(products), cmocka_unit_test(halves), cmocka_unit_test(sums_over_tokens), cmocka_unit_test(cholesky),
                                        cmocka_unit_test(not_definite), cmocka_unit_test(solves), cmocka_unit_test(no_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
