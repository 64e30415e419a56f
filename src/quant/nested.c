/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Double quantization: scales that are 8-bit codes themselves, as bitsandbytes stores them (Dettmers et al. 2023, arXiv 2305.14314, section 3).
 *
 *   offset = mean of all n scales
 *   d_i = scale_i - offset, in blocks of 256:  a = max |d| of the block,  code_i = nearest entry of the dynamic map to d_i / a
 *   scale_i = map[code_i] * a + offset         8 + 32 / 256 bits a scale in place of 32
 *
 * The dynamic map (Dettmers 2016, arXiv 1511.04561): for i = 0 ... 6 the 2^i midpoints of linspace(0.1, 1, 2^i + 1), times 10^(i - 6), of both signs;
 * and 0 and 1. 256 values, ascending. "Nearest" goes by the midpoints between entries, a tie to the lower one.
 *
 * bitsandbytes takes d * (1 / a) in whole blocks and d / a in a last short one; so does this. Its offset is a sum in f32 in an order that depends on the
 * machine, here it is one in double: the last bit may differ.
 */
#include <math.h>
#include <pthread.h>
#include "quant/blocks.h"

enum { BLOCK = 256 };

/* What torch.linspace(0.1, 1, n) gives at i: from the nearer end, one rounding. */
static float line(int i, int n)
{
    const float step = (1.0f - 0.1f) / (float)(n - 1);
    return i < n / 2 ? fmaf(step, (float)i, 0.1f) : fmaf(-step, (float)(n - 1 - i), 1.0f);
}

static void make_map(float map[256])
{
    static const float powers[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
    int at = 128;
    map[127] = 0.0f;
    map[255] = 1.0f;
    for (int i = 0; i < 7; i++) /* magnitudes grow from one i to the next */
        for (int j = 0; j < 1 << i; j++, at++) {
            const int n = (1 << i) + 1;
            map[at] = powers[i] * ((line(j, n) + line(j + 1, n)) / 2.0f);
            map[254 - at] = -map[at];
        }
}

static float dynamic_map[256], middles[255];
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_maps(void)
{
    make_map(dynamic_map);
    for (int i = 0; i < 255; i++) middles[i] = (dynamic_map[i] + dynamic_map[i + 1]) / 2.0f;
}

const float *pare_dynamic_map(void)
{
    pthread_once(&made, make_maps);
    return dynamic_map;
}

/* Middles below t. */
static uint8_t nearest(float t)
{
    int lo = 0, hi = 255;
    while (lo < hi) {
        const int m = (lo + hi) / 2;
        if (t > middles[m]) lo = m + 1;
        else hi = m;
    }
    return (uint8_t)lo;
}

static void code_block(pare_nested *s, int64_t b, float *scales)
{
    const int64_t at = b * BLOCK, n = s->n - at < BLOCK ? s->n - at : BLOCK;
    float most = 0.0f;
    for (int64_t i = 0; i < n; i++) most = fmaxf(most, fabsf(scales[at + i] - s->offset));
    s->scales[b] = most;
    const float floor = most > 1e-38f ? most : 1e-38f, inverse = 1.0f / floor;
    for (int64_t i = 0; i < n; i++) {
        const float d = scales[at + i] - s->offset;
        s->codes[at + i] = nearest(n == BLOCK ? d * inverse : d / floor);
        scales[at + i] = dynamic_map[s->codes[at + i]] * most + s->offset;
    }
}

pare_status pare_qtensor_nest(pare_qtensor *q, pare_err *err)
{
    const int64_t n = q->grid.n_scales;
    (void)pare_dynamic_map();
    pare_nested *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) return pare_no_memory(err, "nested scales", sizeof *s);
    *s = (pare_nested){.block = BLOCK, .n = n, .n_scales = n / BLOCK + (n % BLOCK != 0)};
    s->codes = pare_alloc_zero((size_t)n, 1);
    s->scales = pare_alloc_zero((size_t)s->n_scales, sizeof *s->scales);
    if (s->codes == NULL || s->scales == NULL) {
        pare_dealloc(s->codes);
        pare_dealloc(s->scales);
        pare_dealloc(s);
        return pare_no_memory(err, "nested scales", (size_t)n);
    }
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)q->scales[i];
    s->offset = n > 0 ? (float)(sum / (double)n) : 0.0f;
    for (int64_t b = 0; b < s->n_scales; b++) code_block(s, b, q->scales);
    q->nested = s;
    return PARE_OK;
}
