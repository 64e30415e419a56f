/* SPDX-License-Identifier: Apache-2.0 */
/* y = act(a) * b, the middle of a gated feed-forward layer; see activations.h. */
#include "kernel/level.h"
#include "kernel/ref/activations.h"

#define LOOP(f) \
    for (int64_t i = 0; i < n; i++) y[i] = f(a[i]) * b[i];

void PARE_REF(activate_mul)(float *y, const float *a, const float *b, int64_t n, pare_activation kind)
{
    PARE_ACTIVATE(kind, LOOP)
}
#undef LOOP
