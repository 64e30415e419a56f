/* SPDX-License-Identifier: Apache-2.0 */
/* Same bytes at every level; every column is found again at the place that wmat.h names, and limbs and sums join to what went in. */
#include "kernel_check.h"

static int64_t joined(pare_wkind kind, int limbs, const void *out, int64_t c)
{
    if (kind == PARE_W_I8) {
        const int16_t *at = (const int16_t *)out + c / 32 * 32 * limbs + c % 32;
        return limbs == 1 ? at[0] : at[0] * 16384 + at[32];
    }
    const int64_t planes = kind == PARE_W_U4 ? 2 : 4, unit = planes * 64;
    const int8_t *at = (const int8_t *)out + c / unit * unit * limbs + c % planes * 64 + c % unit / planes;
    return limbs == 1 ? at[0] : (at[0] * 256 + at[unit]) * 256 + at[2 * unit];
}

void check_act_arrange(const pare_kernels *ref, const pare_kernels *k)
{
    static const pare_wkind kinds[] = { PARE_W_I8, PARE_W_U4, PARE_W_U2 };
    for (int64_t n = 1; n < 3000; n += n < 300 ? 1 : 331)
        for (int i = 0; i < 6; i++) {
            const pare_wkind kind = kinds[i / 2];
            const int limbs = i % 2 ? kind == PARE_W_I8 ? 2 : 3 : 1;
            const int64_t unit = kind == PARE_W_U2 ? 256 : 128, padded = (n + unit - 1) / unit * unit;
            const size_t bytes = (size_t)(padded * limbs) * (kind == PARE_W_I8 ? 2 : 1), sums = (size_t)(padded / (kind == PARE_W_U2 ? 16 : 8)) * 4;
            void *q = guarded(0, (size_t)n * (limbs == 1 ? 1 : 4)), *a = guarded(1, bytes), *b = guarded(2, bytes);
            int32_t *sa = guarded(3, sums), *sb = guarded(4, sums);
            for (int64_t c = 0; c < n; c++)
                if (limbs == 1) ((int8_t *)q)[c] = (int8_t)(rnd32() % 255) - 127;
                else ((int32_t *)q)[c] = kind == PARE_W_I8 ? (int32_t)(rnd32() % (1u << 28)) - (1 << 27) : (int32_t)(rnd32() % 16711423u) - 8355711;
            ref->act_arrange(kind, limbs, n, q, a, kind == PARE_W_I8 ? NULL : sa);
            k->act_arrange(kind, limbs, n, q, b, kind == PARE_W_I8 ? NULL : sb);
            assert_same("act_arrange", k, n, a, b, bytes);
            assert_same("act_arrange sums", k, n, sa, sb, sums);
            assert_canaries(2);
            assert_canaries(4);
            const int64_t lane = kind == PARE_W_U4 ? 8 : 16;
            int64_t sum = 0;
            for (int64_t c = 0; c < padded; c++) {
                const int64_t want = c >= n ? 0 : limbs == 1 ? ((int8_t *)q)[c] : ((int32_t *)q)[c];
                assert_int_equal(joined(kind, limbs, b, c), want);
                sum = c % lane ? sum + want : want;
                if (kind != PARE_W_I8 && c % lane == lane - 1) assert_int_equal(sb[c / lane], sum);
            }
        }
}
