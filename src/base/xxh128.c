/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 of 128 bits from the library's header, compiled in: no run-time dependency, and its state lies in our memory. */
#include "base/alloc.h"
#include "base/hash.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

struct pare_xxh128 { XXH3_state_t state; };

pare_status pare_xxh128_new(pare_xxh128 **out, pare_err *err)
{
    *out = pare_alloc_aligned(64, sizeof **out); /* the state wants whole cache lines */
    if (!*out) return pare_no_memory(err, "a hash state", sizeof **out);
    XXH3_INITSTATE(&(*out)->state);
    XXH3_128bits_reset(&(*out)->state);
    return PARE_OK;
}

void pare_xxh128_update(pare_xxh128 *h, const void *data, size_t n)
{
    XXH3_128bits_update(&h->state, data, n);
}

void pare_xxh128_hex(const pare_xxh128 *h, char out[33])
{
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&h->state));
    for (int i = 0; i < 16; i++) {
        out[2 * i] = "0123456789abcdef"[bytes.digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes.digest[i] & 15];
    }
    out[32] = '\0';
}

void pare_xxh128_free(pare_xxh128 *h) { pare_dealloc_aligned(h); }
