/* SPDX-License-Identifier: Apache-2.0 */
/* Written so that compilers make vectors of it: a unit at a time, all sizes constant where a function is inlined. */
#include "kernel/level.h"
#include "kernel/ref/matvec.h"

#define INLINE static inline __attribute__((always_inline))

/* Columns [c, c + n) as int32, 0 behind the last. */
INLINE void load(const void *q, const int limbs, int64_t c, int64_t cols, const int n, int32_t *v)
{
    const int64_t have = cols - c < n ? (cols > c ? cols - c : 0) : n;
    if (have < n) memset(v, 0, (size_t)n * sizeof *v);
    if (limbs > 1) memcpy(v, (const int32_t *)q + c, (size_t)have * sizeof *v);
    else if (have == n)
        for (int i = 0; i < n; i++) v[i] = ((const int8_t *)q)[c + i];
    else
        for (int i = 0; i < have; i++) v[i] = ((const int8_t *)q)[c + i];
}

INLINE void bytes(const int limbs, int64_t cols, const void *q, int16_t *out)
{
    for (int64_t c = 0; c < (cols + 127) / 128 * 128; c += 32, out += 32 * limbs) {
        int32_t v[32];
        load(q, limbs, c, cols, 32, v);
        for (int i = 0; i < 32; i++) {
            const int32_t low = ((v[i] + 8192) & 16383) - 8192;
            out[i] = (int16_t)(limbs == 1 ? v[i] : (v[i] - low) >> 14);
            if (limbs > 1) out[32 + i] = (int16_t)low;
        }
    }
}

INLINE void planes(const int limbs, const int count, int64_t cols, const void *q, int8_t *out, int32_t *sum)
{
    enum { MOST = 256 };
    const int unit = 64 * count, per = 4 * count;
    for (int64_t c = 0; c < cols; c += unit, out += unit * limbs) {
        int32_t v[MOST];
        int8_t low[MOST];
        load(q, limbs, c, cols, unit, v);
        for (int lane = 0; sum && lane < 16; lane++) {
            int32_t s = 0;
            for (int i = 0; i < per; i++) s += v[lane * per + i];
            *sum++ = s;
        }
        for (int limb = limbs - 1; limb >= 0; limb--) {
            for (int i = 0; i < unit; i++) low[i] = (int8_t)(uint8_t)v[i]; /* the balanced last byte */
            for (int p = 0; p < count; p++)
                for (int i = 0; i < 64; i++) out[limb * unit + p * 64 + i] = low[i * count + p];
            for (int i = 0; i < unit && limb; i++) v[i] = (v[i] - low[i]) >> 8;
        }
    }
}

void PARE_REF(act_arrange)(pare_wkind kind, int limbs, int64_t cols, const void *q, void *out, int32_t *sum)
{
    if (pare_wkind_bytes(kind) && limbs == 1) bytes(1, cols, q, out);
    else if (pare_wkind_bytes(kind)) bytes(2, cols, q, out);
    else if (kind == PARE_W_U4 && limbs == 1) planes(1, 2, cols, q, out, sum);
    else if (kind == PARE_W_U4) planes(3, 2, cols, q, out, sum);
    else if (limbs == 1) planes(1, 4, cols, q, out, sum);
    else planes(3, 4, cols, q, out, sum);
}
