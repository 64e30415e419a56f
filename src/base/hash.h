/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (libcrypto: it uses the CPU's SHA instructions), the hash that model hubs publish for weight files; XXH3 of 128
 * bits, a fingerprint at memory speed; and a counter-based RNG.
 */
#ifndef PARE_BASE_HASH_H
#define PARE_BASE_HASH_H
#include "base/status.h"
typedef struct pare_sha256 pare_sha256;
pare_status pare_sha256_new(pare_sha256 **out, pare_err *err);
pare_status pare_sha256_update(pare_sha256 *h, const void *data, size_t n, pare_err *err);
pare_status pare_sha256_hex(pare_sha256 *h, char out[65], pare_err *err); /* finishes; start again with a new one */
void pare_sha256_free(pare_sha256 *h);
pare_status pare_sha256_of(const void *data, size_t n, char out[65], pare_err *err);

/* XXH3, 128 bits, as xxh128sum prints it. Against accidents, not against forgers; many times faster than SHA-256. */
typedef struct pare_xxh128 pare_xxh128;
pare_status pare_xxh128_new(pare_xxh128 **out, pare_err *err);
void pare_xxh128_update(pare_xxh128 *h, const void *data, size_t n);
void pare_xxh128_hex(const pare_xxh128 *h, char out[33]);
void pare_xxh128_free(pare_xxh128 *h);

/* Counter-based random numbers keyed by (seed, name, index): skipping a tensor shifts nothing. splitmix64 finaliser over the key. */
uint64_t pare_rng_key(uint64_t seed, const char *name);
uint64_t pare_rng_u64(uint64_t key, uint64_t index);
double pare_rng_uniform(uint64_t key, uint64_t index); /* [0, 1) */
double pare_rng_normal(uint64_t key, uint64_t index);
#endif
