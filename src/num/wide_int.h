/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/num: any integer dtype's element as sign and 64-bit magnitude, so that integer to integer conversion is exact or saturates. */
#ifndef PARE_NUM_WIDE_INT_H
#define PARE_NUM_WIDE_INT_H
#include <string.h>
#include "num/num.h"

typedef struct pare_wide_int {
    uint64_t magnitude;
    bool negative;
} pare_wide_int;

/* Element i; bool reads as 0 or 1. Little-endian, see num_inl.h. */
static inline pare_wide_int pare_wide_read(const pare_dtype_info *info, const void *src, int64_t i)
{
    const int bytes = info->bits / 8;
    uint64_t u = 0;
    memcpy(&u, (const uint8_t *)src + i * bytes, (size_t)bytes);
    if (info->kind == PARE_KIND_BOOL) return (pare_wide_int){ .magnitude = u != 0 };
    const uint64_t sign = (uint64_t)1 << (info->bits - 1);
    if (info->kind == PARE_KIND_UINT || !(u & sign)) return (pare_wide_int){ .magnitude = u };
    return (pare_wide_int){ .magnitude = sign - (u - sign), .negative = true };
}

static inline void pare_wide_write(const pare_dtype_info *info, void *dst, int64_t i, pare_wide_int w)
{
    const int bytes = info->bits / 8;
    uint64_t u;
    if (info->kind == PARE_KIND_BOOL) {
        u = w.magnitude != 0;
    } else if (w.negative) {
        const uint64_t lowest = info->kind == PARE_KIND_UINT ? 0 : (uint64_t)1 << (info->bits - 1);
        u = (uint64_t)0 - (w.magnitude < lowest ? w.magnitude : lowest);
    } else {
        u = w.magnitude < info->imax ? w.magnitude : info->imax;
    }
    memcpy((uint8_t *)dst + i * bytes, &u, (size_t)bytes);
}
#endif
