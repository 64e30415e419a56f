/* SPDX-License-Identifier: Apache-2.0 */
/* Copying elements out of a strided array; private to src/file (torch views, Fortran order). */
#ifndef PARE_STRIDED_H
#define PARE_STRIDED_H
#include "file/file.h"
/*
 * dst: C order, contiguous; src: element (i0, i1, ...) lies at src + size * sum(i_k * strides[k]). shape and strides count
 * elements of `size` bytes; the caller has checked that all of them are inside the source. ndim <= PARE_MAX_DIMS.
 */
void pare_strided_copy(uint8_t *dst, const uint8_t *src, size_t size, int ndim, const int64_t *shape, const int64_t *strides);
/* Do these strides describe C order without gaps? Dimensions of size 1 do not matter; an array of no elements does. */
bool pare_is_contiguous(int ndim, const int64_t *shape, const int64_t *strides);
#endif
