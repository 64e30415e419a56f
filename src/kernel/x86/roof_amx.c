/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks of AMX: four tiles of sums, two tiles times two, as in a product. Operands are zeros: the time does not depend on them. */
#include <immintrin.h>
#include "kernel/variants.h"

enum { ITEMS = 16, LINE = 64 };

typedef struct config { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } config;

#define ROOF(NAME, TYPE, DOT, OPERATIONS)                                \
    int64_t pare_roof_##NAME##_tile_amx(int64_t rounds, TYPE *sink)      \
    {                                                                    \
        _Alignas(64) TYPE out[ITEMS * ITEMS];                            \
        config c = { .palette = 1 };                                     \
        for (int i = 0; i < 8; i++) c.bytes[i] = LINE, c.rows[i] = ITEMS; \
        _tile_loadconfig(&c); /* makes all tiles 0 */                    \
        for (int64_t r = 0; r < rounds; r++) {                           \
            DOT(0, 4, 6);                                                \
            DOT(1, 4, 7);                                                \
            DOT(2, 5, 6);                                                \
            DOT(3, 5, 7);                                                \
        }                                                                \
        _tile_stored(3, out, LINE);                                      \
        _tile_release();                                                 \
        *sink += out[0];                                                 \
        return rounds * 4 * (OPERATIONS);                                \
    }

ROOF(i8, int32_t, _tile_dpbssd, 16 * 16 * 64 * 2)
ROOF(bf16, float, _tile_dpbf16ps, 16 * 16 * 32 * 2)
