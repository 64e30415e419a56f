/* SPDX-License-Identifier: Apache-2.0 */
/* Key/value caches: room and writing. Layout and reasons in kvcache.h. */
#include "graph/kvcache.h"

#include <string.h>

bool pare_kv_dtype_ok(pare_dtype dtype) { return dtype == PARE_F32 || dtype == PARE_F16 || dtype == PARE_BF16 || dtype == PARE_I8 || dtype == PARE_F8_E4M3FN; }

pare_status pare_kv_init(pare_kvcache *c, const pare_gcache *shape, pare_dtype dtype, pare_dtype otherwise, int64_t slots, pare_err *err)
{
    if (dtype == PARE_DTYPE_NONE) dtype = shape->stored != PARE_DTYPE_NONE ? shape->stored : otherwise;
    *c = (pare_kvcache){ .dtype = dtype, .kv_heads = shape->kv_heads, .k_dim = shape->k_dim, .v_dim = shape->v_dim, .n_slots = slots };
    if (dtype == shape->stored) {
        c->k_static = shape->k_scale;
        c->v_static = shape->v_scale;
    }
    c->slots = pare_alloc_zero((size_t)slots, sizeof *c->slots);
    if (!c->slots) return pare_no_memory(err, "slots of a cache", (size_t)slots * sizeof *c->slots);
    return PARE_OK;
}

static void clear_slot(pare_kvslot *s)
{
    pare_dealloc_aligned(s->k);
    pare_dealloc_aligned(s->v);
    pare_dealloc_aligned(s->k_scale);
    pare_dealloc_aligned(s->v_scale);
    *s = (pare_kvslot){ 0 };
}

void pare_kv_forget(pare_kvcache *c, int64_t slot) { clear_slot(&c->slots[slot]); }

void pare_kv_clear(pare_kvcache *c)
{
    for (int64_t i = 0; c->slots && i < c->n_slots; i++) clear_slot(&c->slots[i]);
    pare_dealloc(c->slots);
    *c = (pare_kvcache){ 0 };
}

static bool is_dynamic(const pare_kvcache *c) { return c->dtype == PARE_I8 && !c->k_static; }

/* Bytes of keys (or values) of `dim` columns. */
static bool part_bytes(const pare_kvcache *c, int64_t positions, int64_t dim, size_t *bytes)
{
    size_t n;
    if (!pare_mul_size((size_t)c->kv_heads, (size_t)positions, &n) || !pare_mul_size(n, (size_t)dim, &n) || n > SIZE_MAX / 8) return false;
    *bytes = pare_dtype_bytes(c->dtype, n);
    return true;
}

bool pare_kv_bytes(const pare_kvcache *c, int64_t positions, uint64_t *bytes)
{
    size_t k, v, sum;
    if (!part_bytes(c, positions, c->k_dim, &k) || !part_bytes(c, positions, c->v_dim, &v) || !pare_add_size(k, v, &sum)) return false;
    *bytes = sum + (is_dynamic(c) ? (uint64_t)c->kv_heads * (uint64_t)positions * 2 * sizeof(float) : 0);
    return true;
}

pare_status pare_kv_reserve(pare_kvcache *c, int64_t slot, int64_t positions, pare_err *err)
{
    size_t k, v;
    uint64_t bytes;
    pare_kvslot *s = &c->slots[slot];
    if (s->cap >= positions) return PARE_OK;
    if (!pare_kv_bytes(c, positions, &bytes)) return pare_fail(err, PARE_ERR_MEMORY, "a cache of %lld positions is not possible", (long long)positions);
    clear_slot(s);
    part_bytes(c, positions, c->k_dim, &k);
    part_bytes(c, positions, c->v_dim, &v);
    s->k = pare_alloc_aligned(64, k + 64); /* kernels may load whole vectors */
    s->v = pare_alloc_aligned(64, v + 64);
    if (is_dynamic(c)) {
        s->k_scale = pare_alloc_aligned(64, (size_t)(c->kv_heads * positions) * sizeof(float) + 64);
        s->v_scale = pare_alloc_aligned(64, (size_t)(c->kv_heads * positions) * sizeof(float) + 64);
    }
    if (!s->k || !s->v || (is_dynamic(c) && (!s->k_scale || !s->v_scale))) {
        clear_slot(s);
        return pare_no_memory(err, "key/value cache of a sequence", bytes);
    }
    s->cap = positions;
    return PARE_OK;
}

static void write_static(int8_t *to, const float *x, int64_t n, float scale)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to nearest even */
    for (int64_t i = 0; i < n; i++) {
        float v = x[i] / scale;
        v = v > -128.0f ? v : -128.0f;
        v = v < 127.0f ? v : 127.0f;
        to[i] = (int8_t)((v + magic) - magic);
    }
}

/* scale: of this head, or 1; each: room for one a position. */
static void write_part(pare_dtype dtype, const pare_kernels *kernels, uint8_t *to, float scale, float *each, int64_t dim, int64_t n, const float *x, int64_t stride)
{
    for (int64_t i = 0; i < n; i++, x += stride) {
        switch (dtype) {
        case PARE_F16: kernels->f32_to_f16((uint16_t *)(void *)to + i * dim, x, dim); break;
        case PARE_BF16: kernels->f32_to_bf16((uint16_t *)(void *)to + i * dim, x, dim); break;
        case PARE_F8_E4M3FN: kernels->f32_to_f8(to + i * dim, x, dim, scale, dtype); break;
        case PARE_I8:
            if (each) each[i] = kernels->quant_i8_row((int8_t *)to + i * dim, x, dim);
            else write_static((int8_t *)to + i * dim, x, dim, scale);
            break;
        default: memcpy(to + i * dim * (int64_t)sizeof *x, x, (size_t)dim * sizeof *x); break;
        }
    }
}

void pare_kv_write(const pare_kvcache *c, const pare_kernels *kernels, int64_t slot, int64_t head, int64_t pos, int64_t n, const float *k, int64_t k_stride,
                   const float *v, int64_t v_stride)
{
    const pare_kvslot *s = &c->slots[slot];
    const int64_t at = head * s->cap + pos;
    const size_t unit = pare_dtype_bytes(c->dtype, 1);
    write_part(c->dtype, kernels, s->k + (size_t)(at * c->k_dim) * unit, c->k_static ? c->k_static[head] : 1.0f, s->k_scale ? s->k_scale + at : NULL, c->k_dim, n, k, k_stride);
    write_part(c->dtype, kernels, s->v + (size_t)(at * c->v_dim) * unit, c->v_static ? c->v_static[head] : 1.0f, s->v_scale ? s->v_scale + at : NULL, c->v_dim, n, v, v_stride);
}
