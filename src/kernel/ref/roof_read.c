/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum of n words, as fast as memory gives them. One stream does not reach that: a prefetcher of the processor follows a stream only
 * inside one page and has a limited number of lines on their way, so STREAMS places are read in turn, each AHEAD bytes before it is due.
 */
#include "kernel/level.h"

enum { STREAMS = 8, LINE = 8, AHEAD = 1024 };

#if defined(__GNUC__)
#define SOON(at) __builtin_prefetch((const void *)(at), 0, 3)
#else
#define SOON(at) (void)0
#endif

uint64_t PARE_REF(roof_read)(const uint64_t *x, int64_t n)
{
    uint64_t s[LINE] = { 0 }, sum = 0;
    const int64_t part = n / STREAMS / LINE * LINE;
    for (int64_t i = 0; i < part; i += LINE)
        for (int j = 0; j < STREAMS; j++) {
            const uint64_t *at = x + j * part + i;
            SOON((uintptr_t)at + AHEAD);
            for (int k = 0; k < LINE; k++) s[k] += at[k];
        }
    for (int64_t i = STREAMS * part; i < n; i++) sum += x[i];
    for (int k = 0; k < LINE; k++) sum += s[k];
    return sum;
}
