/* SPDX-License-Identifier: Apache-2.0 */
/* x = cap tanh(x / cap): logits and scores of Gemma 2. */
#include "kernel/level.h"
#include "kernel/ref/vmath.h"

void PARE_REF(softcap)(float *x, int64_t n, float cap)
{
    for (int64_t i = 0; i < n; i++) x[i] = cap * pare_tanh(x[i] / cap);
}
