/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/level.h"
#include "kernel/ref/matvec.h"

static int32_t element(const void *q, int limbs, int64_t c)
{
    return limbs == 1 ? ((const int8_t *)q)[c] : ((const int32_t *)q)[c];
}

static void bytes(int limbs, int64_t cols, const void *q, int16_t *out)
{
    for (int64_t unit = 0; unit < (cols + 127) / 128 * 128; unit += 32)
        for (int64_t i = 0; i < 32; i++) {
            const int32_t v = unit + i < cols ? element(q, limbs, unit + i) : 0, low = ((v + 8192) & 16383) - 8192;
            int16_t *at = out + unit * limbs + i;
            at[0] = (int16_t)(limbs == 1 ? v : (v - low) / 16384);
            if (limbs > 1) at[32] = (int16_t)low;
        }
}

void PARE_REF(act_arrange)(pare_wkind kind, int limbs, int64_t cols, const void *q, void *out, int32_t *sum)
{
    if (pare_wkind_bytes(kind)) {
        bytes(limbs, cols, q, out);
        return;
    }
    const int64_t unit = kind == PARE_W_U4 ? 128 : 256, per = unit / 16, padded = (cols + unit - 1) / unit * unit;
    int8_t *to = out;
    for (int64_t c = 0; c < padded; c++) {
        int64_t step;
        int8_t *at = to + pare_mvact_at(kind, limbs, c, &step);
        int32_t v = c < cols ? element(q, limbs, c) : 0;
        if (sum) {
            if (c % per == 0) sum[c / per] = 0;
            sum[c / per] += v;
        }
        for (int limb = limbs - 1; limb >= 0; limb--) {
            const int32_t low = limb ? ((v + 128) & 255) - 128 : v;
            at[limb * step] = (int8_t)low;
            v = (v - low) / 256;
        }
    }
}
