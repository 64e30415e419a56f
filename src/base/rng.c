/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counter-based random numbers: value = finaliser(key + index * odd). The finaliser is splitmix64's (Steele, Lea, Flood 2014);
 * a stream is therefore splitmix64 started at the key, and any index can be asked for directly.
 */
#include <math.h>
#include "base/hash.h"

static const uint64_t GOLDEN = 0x9E3779B97F4A7C15u; /* 2^64 / golden ratio, odd */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t pare_rng_key(uint64_t seed, const char *name)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a over the name */
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) h = (h ^ *p) * 0x100000001B3u;
    return mix(mix(seed + GOLDEN) ^ h);
}

uint64_t pare_rng_u64(uint64_t key, uint64_t index) { return mix(key + (index + 1) * GOLDEN); }

double pare_rng_uniform(uint64_t key, uint64_t index) { return (double)(pare_rng_u64(key, index) >> 11) * 0x1p-53; }

/* Box-Muller; each index has its own pair, of which the cosine half is used. */
double pare_rng_normal(uint64_t key, uint64_t index)
{
    double u = ((double)(pare_rng_u64(key, 2 * index) >> 11) + 1) * 0x1p-53; /* (0, 1], so that log is finite */
    double v = pare_rng_uniform(key, 2 * index + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
