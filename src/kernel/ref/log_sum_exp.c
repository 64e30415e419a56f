/* SPDX-License-Identifier: Apache-2.0 */
/* log(sum(exp(x))); see logits.h. */
#include "kernel/level.h"
#include "kernel/ref/logits.h"

double PARE_REF(log_sum_exp)(const float *x, int64_t n)
{
    return pare_log_sum_exp(x, n);
}
