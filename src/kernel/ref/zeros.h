/* SPDX-License-Identifier: Apache-2.0 */
/* Codes under a float zero point: u = clamp(rne(x / scale + zero), 0, umax) as a float. NaN becomes 0. */
#ifndef PARE_KERNEL_REF_ZEROS_H
#define PARE_KERNEL_REF_ZEROS_H
#include "kernel/ref/rows.h"

static inline float pare_code_with_zero(float x, float scale, float zero, float most)
{
    float t = x / scale + zero;
    t = t > 0.0f ? t : 0.0f;
    t = t < most ? t : most;
    return (t + PARE_RNE_MAGIC) - PARE_RNE_MAGIC;
}
#endif
