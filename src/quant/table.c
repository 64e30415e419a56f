/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen values a code: tables, scales and the search of a scale.
 *
 *   NF4        quantiles of a normal distribution, 0 among them (Dettmers et al. 2023, arXiv 2305.14314, appendix E); scale = max |x|
 *   FP4        1 sign, 2 exponent and 1 mantissa bit as bitsandbytes reads them, over 12; code 8 is a second 0; scale = max |x|
 *   e2m1       0, 0.5, 1, 1.5, 2, 3, 4, 6 of both signs, sign in bit 3 (OCP MX v1.0, 2023). A tie goes to the even code. Scales:
 *                MXFP4   group 32, a power of two: 2^(floor(log2 m) - 2), m = max |x| rounded to 1, 1.5 (1.75 and more go up)
 *                NVFP4   group 16, e4m3 of max |x| / 6 / global; global = max |W| / (448 * 6) for the tensor, so that its largest group gets 448
 *                else    max |x| / 6
 *
 * The rules are those of bitsandbytes (codebooks) and compressed-tensors (e2m1): the same codes and scales, bit for bit.
 */
#include "quant/table.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------------------------- values */

static const float nf4[16] = {
    -1.0f, -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f, -0x1.74f0e2p-4f, 0.0f,
    0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f, 0x1.5a0674p-2f, 0x1.c3497p-2f, 0x1.200f56p-1f, 0x1.722766p-1f, 1.0f};
static const float fp4[16] = {
    0.0f, 0x1.555556p-8f, 0x1.555556p-1f, 1.0f, 0x1.555556p-2f, 0.5f, 0x1.555556p-3f, 0.25f,
    0.0f, -0x1.555556p-8f, -0x1.555556p-1f, -1.0f, -0x1.555556p-2f, -0.5f, -0x1.555556p-3f, -0.25f};
static const uint8_t fp4_order[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3}; /* ascending */
static const float e2m1[16] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

const float *pare_codebook_values(pare_codebook book, int *n)
{
    if (n != NULL) *n = book == PARE_BOOK_NONE ? 0 : 16;
    return book == PARE_BOOK_NF4 ? nf4 : book == PARE_BOOK_FP4 ? fp4 : NULL;
}

static void codebook_table(const float *values, const uint8_t *order, pare_table16 *t)
{
    memcpy(t->value, values, sizeof t->value);
    for (int k = 0; k < 16; k++) t->code[k] = order != NULL ? order[k] : (uint8_t)k;
    for (int k = 0; k < 15; k++) t->cut[k] = (values[t->code[k]] + values[t->code[k + 1]]) / 2.0f;
    t->reciprocal = true;
}

/* Ranks: -6 ... -0.5, -0, 0, 0.5 ... 6. A middle between magnitudes i and i + 1 belongs to the even one of them. */
static void e2m1_table(pare_table16 *t)
{
    memcpy(t->value, e2m1, sizeof t->value);
    for (int i = 0; i < 8; i++) {
        t->code[7 - i] = (uint8_t)(8 + i);
        t->code[8 + i] = (uint8_t)i;
    }
    t->cut[7] = -0x1p-149f; /* below 0: -0 */
    for (int i = 0; i < 7; i++) {
        const float middle = (e2m1[i] + e2m1[i + 1]) / 2.0f;
        const bool down = i % 2 == 0; /* magnitude i is even: the tie stays with it */
        t->cut[8 + i] = down ? middle : nextafterf(middle, 0.0f);
        t->cut[6 - i] = down ? nextafterf(-middle, -INFINITY) : -middle;
    }
    t->reciprocal = false;
}

void pare_scheme_values(const pare_scheme *s, float values[256])
{
    const float *sixteen = s->kind == PARE_CODE_TABLE ? pare_codebook_values(s->codebook, NULL) : s->code_dtype == PARE_F4_E2M1 ? e2m1 : NULL;
    if (s->kind == PARE_CODE_INT) return;
    for (int u = 0; u < 256; u++) values[u] = sixteen != NULL ? sixteen[u & 15] : pare_f8_to_f32(s->code_dtype, (uint8_t)u);
}

/* -------------------------------------------------------------------------------------------------------------- scales */

float pare_mx_scale(float absmax, int offset)
{
    uint32_t u;
    memcpy(&u, &absmax, sizeof u);
    const int code = (int)((u + (1u << 21)) >> 23) - offset; /* 1.75 * 2^k and more: up */
    return ldexpf(1.0f, (code < 0 ? 0 : code > 254 ? 254 : code) - 127);
}

float pare_rounder_global(const pare_scheme *scheme, float absmax)
{
    if (!scheme->two_level) return 1.0f;
    const float divisor = (float)(448.0 * 6.0) / (absmax > FLT_MIN ? absmax : FLT_MIN); /* compressed-tensors' weight_global_scale */
    return isfinite(divisor) ? 1.0f / divisor : 1.0f;
}

void pare_tabler_init(const pare_scheme *s, float global, pare_tabler *t)
{
    *t = (pare_tabler){.clip = s->clip != PARE_CLIP_NONE, .two_level = s->two_level, .global = s->two_level ? global : 1.0f};
    t->scale_dtype = s->scale_dtype == PARE_DTYPE_NONE ? PARE_F32 : s->scale_dtype;
    t->codebook = s->kind == PARE_CODE_TABLE;
    t->largest = t->codebook ? 1.0 : 6.0;
    if (!t->codebook) e2m1_table(&t->table);
    else if (s->codebook == PARE_BOOK_FP4) codebook_table(fp4, fp4_order, &t->table);
    else codebook_table(nf4, NULL, &t->table);
}

/* What can be stored next to a wanted scale > 0. */
static float store(const pare_tabler *t, float s)
{
    if (t->two_level) {
        const float code = pare_round_to(PARE_F8_E4M3FN, s / t->global);
        return code > 0.0f ? code : 0.125f; /* as compressed-tensors: not 0 */
    }
    if (t->scale_dtype == PARE_F8_E8M0) return pare_round_to(PARE_F8_E8M0, s);
    return pare_scale_store(t->scale_dtype, s);
}

float pare_tabler_scale(const pare_tabler *t, float absmax)
{
    if (t->scale_dtype == PARE_F8_E8M0) return pare_mx_scale(absmax, 2);
    if (t->two_level) {
        const float code = pare_round_to(PARE_F8_E4M3FN, 1.0f / t->global * (absmax / 6.0f));
        return code > 0.0f ? code : 0.125f;
    }
    if (t->codebook && t->scale_dtype == PARE_F32) return absmax;
    if (absmax == 0.0f) return t->codebook ? 0.0f : 1.0f;
    return pare_scale_store(t->scale_dtype, absmax / t->largest);
}

/* -------------------------------------------------------------------------------------------------------------- search */

typedef struct search { const pare_tabler *t; const pare_kernels *k; const float *x, *weight; int64_t n; double error; float scale, fit; } search;

/* Squared error is xx - 2 s xv + s^2 vv; xx is the same for all and left out. *fit: the scale that is best for these codes. */
static void try_scale(search *s, float stored)
{
    const double step = pare_tabler_step(s->t, stored);
    pare_table_sums sums;
    s->k->table_sums(s->x, s->weight, s->n, (float)step, &s->t->table, &sums);
    const double error = step * (step * sums.vv - 2.0 * sums.xv);
    s->fit = sums.vv > 0.0 && sums.xv > 0.0 ? (float)(sums.xv / sums.vv) : 0.0f;
    if (!(error < s->error)) return;
    s->error = error;
    s->scale = stored;
}

float pare_tabler_find(const pare_tabler *t, const pare_kernels *k, const float *x, const float *weight, int64_t n)
{
    static const float factors[] = {0.95f, 0.9f, 0.84f, 0.78f, 0.7f, 0.6f, 0.5f, 1.1f, 1.25f, 2.0f};
    float most = 0.0f;
    if (n > 0) k->absmax_groups(x, n, n, &most);
    const float plain = pare_tabler_scale(t, most);
    if (!t->clip || most == 0.0f) return plain;
    search s = {.t = t, .k = k, .x = x, .weight = weight, .n = n, .error = HUGE_VAL, .scale = plain};
    try_scale(&s, plain);
    float last = plain;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        const float stored = store(t, factors[i] * pare_tabler_step(t, plain));
        if (stored != last) try_scale(&s, stored);
        last = stored;
    }
    try_scale(&s, s.scale); /* for its fit */
    for (int i = 0; i < 3 && s.fit > 0.0f; i++) { /* least squares for the codes, codes for the scale */
        const float before = s.scale, stored = store(t, s.fit);
        if (stored == before) break;
        try_scale(&s, stored);
        if (s.scale == before) break;
    }
    return s.scale;
}
