/* SPDX-License-Identifier: Apache-2.0 */
/* Strided copies: an odometer over the outer dimensions, one run along the last. */
#include <string.h>
#include "file/strided.h"

static void copy_run(uint8_t *dst, const uint8_t *src, size_t size, int64_t n, int64_t stride)
{
    if (stride == 1) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    for (int64_t i = 0; i < n; i++) memcpy(dst + (size_t)i * size, src + (size_t)(i * stride) * size, size);
}

void pare_strided_copy(uint8_t *dst, const uint8_t *src, size_t size, int ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t at[PARE_MAX_DIMS] = {0}, run = ndim ? shape[ndim - 1] : 1, step = ndim ? strides[ndim - 1] : 1;
    for (int k = 0; k < ndim; k++)
        if (shape[k] == 0) return;
    for (;;) {
        int64_t offset = 0;
        for (int k = 0; k < ndim - 1; k++) offset += at[k] * strides[k];
        copy_run(dst, src + (size_t)offset * size, size, run, step);
        dst += (size_t)run * size;
        int k = ndim - 2;
        while (k >= 0 && ++at[k] == shape[k]) at[k--] = 0;
        if (k < 0) return;
    }
}

bool pare_is_contiguous(int ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t expected = 1;
    for (int k = 0; k < ndim; k++)
        if (shape[k] == 0) return true;
    for (int k = ndim - 1; k >= 0; k--) {
        if (shape[k] != 1 && strides[k] != expected) return false;
        expected *= shape[k];
    }
    return true;
}
