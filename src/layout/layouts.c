/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of layouts, and what writing shares: the arithmetic of parts, scales into their dtype, common refusals. */
#include <assert.h>
#include <string.h>
#include "layout/bind.h"

#define PARE_LAYOUT(name) extern const pare_layout name;
#include "layout/layouts.def"
#undef PARE_LAYOUT

static const pare_layout *const all[] = {
#define PARE_LAYOUT(name) &name,
#include "layout/layouts.def"
#undef PARE_LAYOUT
    NULL
};

const pare_layout *const *pare_layouts(void)
{
    return all;
}

const pare_layout *pare_layout_find(const char *name)
{
    for (const pare_layout *const *l = all; *l; l++)
        if (!strcmp((*l)->name, name)) return *l;
    return NULL;
}

/* -------------------------------------------------------------------------------------------------------------- parts */

pare_part pare_part_make(const char *suffix, pare_dtype dtype, pare_part_place place, int64_t unit_rows, int ndim, int64_t d0, int64_t d1)
{
    pare_part p = { .dtype = dtype, .ndim = ndim, .shape = { d0, d1 }, .place = place, .unit_rows = unit_rows };
    assert(strlen(suffix) < sizeof p.suffix && ndim <= 2 && unit_rows > 0);
    memcpy(p.suffix, suffix, strlen(suffix) + 1);
    /* unit_bytes of the usual part: its leading dimension counts rows one to one. Others set it themselves. */
    if (place == PARE_PART_ROWS) p.unit_bytes = (uint64_t)unit_rows * pare_dtype_bytes(dtype, ndim == 2 ? (uint64_t)d1 : 1);
    return p;
}

uint64_t pare_part_bytes(const pare_part *part)
{
    uint64_t n = 1;
    for (int i = 0; i < part->ndim; i++)
        if (!pare_mul_u64(n, (uint64_t)part->shape[i], &n)) return UINT64_MAX;
    return pare_dtype_bytes(part->dtype, n);
}

uint64_t pare_part_offset(const pare_part *part, int64_t row)
{
    if (part->place != PARE_PART_ROWS) return 0;
    uint64_t units = ((uint64_t)row + (uint64_t)part->unit_rows - 1) / (uint64_t)part->unit_rows;
    uint64_t at = units * part->unit_bytes, all_bytes = pare_part_bytes(part);
    return at < all_bytes ? at : all_bytes;
}

int64_t pare_parts_align(const pare_part *parts, int n)
{
    int64_t align = 1;
    for (int p = 0; p < n; p++) {
        if (parts[p].place == PARE_PART_ONCE) return 0;
        int64_t a = align, b = parts[p].unit_rows;
        while (b) {
            int64_t r = a % b;
            a = b;
            b = r;
        }
        align = align / a * parts[p].unit_rows; /* least common multiple */
    }
    return align;
}

/* ------------------------------------------------------------------------------------------------------------- scales */


void pare_put_floats(const pare_kernels *k, pare_dtype dtype, const float *src, int64_t n, uint8_t *dst)
{
    uint16_t half[128];
    if (dtype == PARE_F32) {
        memcpy(dst, src, (size_t)n * 4);
        return;
    }
    assert(dtype == PARE_F16 || dtype == PARE_BF16);
    for (int64_t i = 0; i < n; i += 128) {
        int64_t m = n - i < 128 ? n - i : 128;
        if (dtype == PARE_F16) k->f32_to_f16(half, src + i, m);
        else k->f32_to_bf16(half, src + i, m);
        memcpy(dst + 2 * i, half, (size_t)m * 2);
    }
}

void pare_put_floats_t(const pare_kernels *k, pare_dtype dtype, const float *src, int64_t rows, int64_t groups, int64_t row0, int64_t total,
                       uint8_t *dst)
{
    float line[64];
    size_t size = pare_dtype_bytes(dtype, 1);
    for (int64_t r = 0; r < rows; r += 64) {
        int64_t n = rows - r < 64 ? rows - r : 64;
        for (int64_t g = 0; g < groups; g++) {
            for (int64_t i = 0; i < n; i++) line[i] = src[(r + i) * groups + g];
            pare_put_floats(k, dtype, line, n, dst + (size_t)(g * total + row0 + r) * size);
        }
    }
}

void pare_codes_to_signed(const uint8_t *codes, int64_t n, int bits, uint8_t *dst)
{
    uint8_t middle = (uint8_t)(1u << (bits - 1));
    for (int64_t i = 0; i < n; i++) dst[i] = (uint8_t)(codes[i] - middle);
}

bool pare_codes_from_signed(const uint8_t *src, int64_t n, int bits, uint8_t *codes)
{
    uint8_t middle = (uint8_t)(1u << (bits - 1)), seen = 0;
    for (int64_t i = 0; i < n; i++) {
        codes[i] = (uint8_t)(src[i] + middle);
        seen |= codes[i];
    }
    return seen <= (1u << bits) - 1;
}

pare_dtype pare_scale_dtype_of(pare_dtype model_dtype)
{
    return model_dtype == PARE_F16 || model_dtype == PARE_BF16 ? model_dtype : PARE_F32;
}

/* ----------------------------------------------------------------------------------------------------- scheme questions */

bool pare_scheme_per_row(const pare_scheme *s)
{
    return s->granularity == PARE_PER_CHANNEL && s->axis == 0;
}

bool pare_scheme_grouped(const pare_scheme *s, int ndim)
{
    return s->granularity == PARE_PER_GROUP && (s->axis == -1 || s->axis == ndim - 1) && s->group_size > 0;
}

bool pare_scheme_plain(const pare_scheme *s)
{
    const bool codes = s->kind == PARE_CODE_INT ? !s->float_zero : s->kind == PARE_CODE_FLOAT && s->bits == 8;
    if (s->kind == PARE_CODE_INT && s->act_float) return false;
    return codes && s->scale_dtype != PARE_F8_E8M0 && !s->two_level && !s->nested && s->act != PARE_ACT_OUTLIERS && s->act != PARE_ACT_DYNAMIC_GROUP;
}

int64_t pare_scheme_groups(const pare_scheme *s, int64_t cols)
{
    return s->granularity == PARE_PER_GROUP ? (cols + s->group_size - 1) / s->group_size : 1;
}

int64_t pare_scheme_group_field(const pare_scheme *s)
{
    return s->granularity == PARE_PER_GROUP ? s->group_size : -1;
}

bool pare_layout_silent_head(const pare_layout_job *job)
{
    const char *arch = pare_j_text(pare_j_at(pare_j_get(job->config, "architectures"), 0), "");
    for (int64_t i = 0; i < job->n_kept; i++)
        if (!strcmp(job->kept[i], "lm_head")) return false;
    for (int64_t i = 0; i < job->n_quantized; i++)
        if (!strcmp(job->quantized[i], "lm_head")) return false;
    return strstr(arch, "ForCausalLM") || strstr(arch, "LMHead") || strstr(arch, "ForConditionalGeneration");
}

pare_status pare_refuse_matrix(const char *layout, const char *name, int ndim, const int64_t *shape, pare_err *err)
{
    if (ndim == 2) return PARE_OK;
    char text[96];
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: shape %s; %s stores matrices only", name, pare_shape_text(ndim, shape, text), layout);
}
