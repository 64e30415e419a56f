/* SPDX-License-Identifier: Apache-2.0 */
/* First maximum; see logits.h. */
#include "kernel/level.h"
#include "kernel/ref/logits.h"

int64_t PARE_REF(argmax_f32)(const float *x, int64_t n)
{
    return pare_argmax(x, n);
}
