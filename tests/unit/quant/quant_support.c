/* SPDX-License-Identifier: Apache-2.0 */
/* Help for the tests of src/quant. */
#include "quant_support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void fill_values(float *x, int64_t n, fill kind, uint64_t seed)
{
    const uint64_t key = pare_rng_key(seed, "tests");
    for (int64_t i = 0; i < n; i++) {
        const double u = pare_rng_uniform(key, (uint64_t)i), z = pare_rng_normal(key, (uint64_t)i + 1000003);
        switch (kind) {
        case FILL_UNIFORM: x[i] = (float)(2.0 * u - 1.0); break;
        case FILL_POSITIVE: x[i] = (float)(u * 3.0 + 0.5); break;
        case FILL_NEGATIVE: x[i] = (float)(-u * 0.01); break;
        case FILL_OUTLIERS: x[i] = (float)(u < 0.01 ? z * 40.0 : z); break;
        case FILL_SPARSE: x[i] = u < 0.7 ? 0.0f : (float)(z * 1e-3); break;
        default: x[i] = (float)(z * 0.02); break;
        }
    }
}

int64_t numel_of(int ndim, const int64_t *shape)
{
    int64_t n = 1;
    for (int d = 0; d < ndim; d++) n *= shape[d];
    return n;
}

void assert_ok(pare_status st, const pare_err *err)
{
    if (st != PARE_OK) fail_msg("%s: %s", pare_status_name(st), err->text);
}

pare_ctx *new_ctx(int threads, const char *isa)
{
    const pare_ctx_options options = {.threads = threads, .isa = isa};
    pare_ctx *ctx = NULL;
    pare_err err = {0};
    assert_ok(pare_ctx_new(&options, &ctx, &err), &err);
    return ctx;
}

void scale_of_elements(const pare_qtensor *q, int64_t *out)
{
    int64_t index[PARE_MAX_DIMS] = {0};
    for (int64_t i = 0; i < q->grid.numel; i++) {
        out[i] = pare_grid_index(&q->grid, index);
        for (int d = q->grid.ndim - 1; d >= 0 && ++index[d] == q->grid.shape[d]; d--) index[d] = 0;
    }
}

void assert_same_qtensor(const pare_qtensor *a, const pare_qtensor *b)
{
    assert_int_equal(a->grid.numel, b->grid.numel);
    assert_int_equal(a->grid.n_scales, b->grid.n_scales);
    if (a->grid.numel == 0) return;
    assert_memory_equal(a->scales, b->scales, (size_t)a->grid.n_scales * sizeof *a->scales);
    if (a->zeros != NULL) assert_memory_equal(a->zeros, b->zeros, (size_t)a->grid.n_scales * sizeof *a->zeros);
    assert_memory_equal(a->codes, b->codes, (size_t)a->grid.numel);
}

pare_scheme int_scheme(int bits, bool symmetric, pare_granularity granularity, int axis, int64_t group)
{
    pare_scheme s;
    pare_scheme_init(&s);
    s.name[0] = '\0';
    s.bits = bits;
    s.symmetric = symmetric;
    s.granularity = granularity;
    s.axis = axis;
    s.group_size = group;
    if (granularity == PARE_PER_BLOCK) s.block[0] = axis, s.block[1] = group, s.axis = 0;
    return s;
}
