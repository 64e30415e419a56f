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

static int64_t whole_panels(int64_t positions) { return (positions + PARE_KEY_PANEL - 1) / PARE_KEY_PANEL * PARE_KEY_PANEL; }

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
    if (positions > INT64_MAX - PARE_KEY_PANEL) return false;
    positions = whole_panels(positions);
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
    positions = whole_panels(positions);
    part_bytes(c, positions, c->k_dim, &k);
    part_bytes(c, positions, c->v_dim, &v);
    s->k = pare_alloc_aligned(k < PARE_BIG_PAGE ? 64 : PARE_BIG_PAGE, k + 64); /* kernels may load whole vectors */
    s->v = pare_alloc_aligned(v < PARE_BIG_PAGE ? 64 : PARE_BIG_PAGE, v + 64);
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

bool pare_kv_settle(pare_kvcache *c, int64_t slot)
{
    pare_kvslot *s = &c->slots[slot];
    size_t k, v;
    if (s->settled || !s->k || !part_bytes(c, s->cap, c->k_dim, &k) || !part_bytes(c, s->cap, c->v_dim, &v)) return false;
    pare_alloc_big_pages(s->k, k);
    pare_alloc_big_pages(s->v, v);
    return s->settled = true;
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

/* A row as it is stored. scale: of this head, or 1; each: where its own goes, or NULL. */
static void write_row(pare_dtype dtype, const pare_kernels *kernels, void *to, float scale, float *each, int64_t dim, const float *x)
{
    switch (dtype) {
    case PARE_F16: kernels->f32_to_f16(to, x, dim); break;
    case PARE_BF16: kernels->f32_to_bf16(to, x, dim); break;
    case PARE_F8_E4M3FN: kernels->f32_to_f8(to, x, dim, scale, dtype); break;
    case PARE_I8:
        if (each) *each = kernels->quant_i8_row(to, x, dim);
        else write_static(to, x, dim, scale);
        break;
    default: memcpy(to, x, (size_t)dim * sizeof *x); break;
    }
}

/* Elements of a row to position `pos` of a head's panels. */
static void to_panel(uint8_t *head, const void *row, int64_t pos, int64_t dim, size_t unit)
{
    const int64_t at = pos / PARE_KEY_PANEL * PARE_KEY_PANEL * dim + pos % PARE_KEY_PANEL;
    if (unit == 1)
        for (int64_t d = 0; d < dim; d++) head[at + d * PARE_KEY_PANEL] = ((const uint8_t *)row)[d];
    else if (unit == 2)
        for (int64_t d = 0; d < dim; d++) ((uint16_t *)(void *)head)[at + d * PARE_KEY_PANEL] = ((const uint16_t *)row)[d];
    else
        for (int64_t d = 0; d < dim; d++) ((uint32_t *)(void *)head)[at + d * PARE_KEY_PANEL] = ((const uint32_t *)row)[d];
}

void pare_kv_write(const pare_kvcache *c, const pare_kernels *kernels, int64_t slot, int64_t head, int64_t pos, int64_t n, const float *k, int64_t k_stride,
                   const float *v, int64_t v_stride, void *room)
{
    const pare_kvslot *s = &c->slots[slot];
    const int64_t at = head * s->cap + pos;
    const size_t unit = pare_dtype_bytes(c->dtype, 1);
    const float k_scale = c->k_static ? c->k_static[head] : 1.0f, v_scale = c->v_static ? c->v_static[head] : 1.0f;
    uint8_t *keys = s->k + (size_t)(head * s->cap * c->k_dim) * unit, *values = s->v + (size_t)(at * c->v_dim) * unit;
    for (int64_t i = 0; i < n; i++) {
        write_row(c->dtype, kernels, room, k_scale, s->k_scale ? s->k_scale + at + i : NULL, c->k_dim, k + i * k_stride);
        to_panel(keys, room, pos + i, c->k_dim, unit);
        write_row(c->dtype, kernels, values + (size_t)(i * c->v_dim) * unit, v_scale, s->v_scale ? s->v_scale + at + i : NULL, c->v_dim, v + i * v_stride);
    }
}
