/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/num: one packing rule = one descriptor; pack.c validates and dispatches. Codes are trusted to be < 2^bits here. */
#ifndef PARE_NUM_PACK_H
#define PARE_NUM_PACK_H
#include "num/num.h"

typedef struct pare_pack_case {
    pare_pack_rule rule;
    const char *name;  /* for messages: "P1 (LSB bit stream)" */
    unsigned bits;     /* bit b set: the rule exists for b bits */
    int row_multiple, col_multiple; /* what rows and cols must be multiples of; 0: see `limits` */
    /* Multiples that depend on bits; NULL when the two above say it. */
    void (*limits)(int bits, int *row_multiple, int *col_multiple);
    /* Packed bytes = count * unit; false on overflow. */
    bool (*bytes)(int bits, int64_t rows, int64_t cols, size_t *bytes);
    void (*pack)(int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst);
    void (*unpack)(int bits, int64_t rows, int64_t cols, const uint8_t *src, uint8_t *codes);
} pare_pack_case;

/* ceil(a / b), a >= 0, without overflow near INT64_MAX. */
static inline int64_t pare_div_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

extern const pare_pack_case pare_pack_lsb, pare_pack_padded, pare_pack_high_first, pare_pack_strided_high, pare_pack_strided_low,
    pare_pack_awq, pare_pack_awq_fast, pare_pack_planes;
#endif
