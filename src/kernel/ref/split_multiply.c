/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"
#include "num/num_inl.h"

typedef struct piece { float high[2], low[2]; } piece;

static piece pair_at(const uint32_t *tile, int64_t at)
{
    const uint32_t h = tile[at], l = tile[PARE_SPLIT_TILE + at];
    return (piece){ { pare_bits_f32(h << 16), pare_bits_f32(h & 0xffff0000u) }, { pare_bits_f32(l << 16), pare_bits_f32(l & 0xffff0000u) } };
}

void PARE_REF(split_multiply)(const pare_split_block *s)
{
    enum { ITEMS = PARE_SPLIT_ITEMS, DEPTH = PARE_SPLIT_DEPTH, TILE = PARE_SPLIT_TILE };
    const int64_t tiles = (s->depth + DEPTH - 1) / DEPTH;
    for (int64_t i = 0; i < s->rows; i++)
        for (int64_t j = 0; j < s->cols; j++) {
            float sum = 0;
            for (int64_t p = 0; p < tiles * DEPTH / 2; p++) {
                const piece a = pair_at(s->a + (i / ITEMS * tiles + p / ITEMS) * 2 * TILE, i % ITEMS * ITEMS + p % ITEMS);
                const piece b = pair_at(s->b + (j / ITEMS * tiles + p / ITEMS) * 2 * TILE, p % ITEMS * ITEMS + j % ITEMS);
                for (int e = 0; e < 2; e++) {
                    sum += a.low[e] * b.high[e];
                    sum += a.high[e] * b.high[e];
                    sum += a.high[e] * b.low[e];
                }
            }
            float *c = s->c + i * s->c_stride + j;
            *c = s->add ? *c + s->alpha * sum : s->alpha * sum;
        }
}
