/* SPDX-License-Identifier: Apache-2.0 */
/* y = act(x); see activations.h. */
#include "kernel/level.h"
#include "kernel/ref/activations.h"

#define LOOP(f) \
    for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);

void PARE_REF(activate)(float *y, const float *x, int64_t n, pare_activation kind)
{
    PARE_ACTIVATE(kind, LOOP)
}
#undef LOOP
