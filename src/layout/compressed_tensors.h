/* SPDX-License-Identifier: Apache-2.0 */
/* What writing (l_compressed_tensors.c) and reading (compressed_tensors_read.c) of compressed-tensors share. Private to src/layout. */
#ifndef PARE_LAYOUT_COMPRESSED_TENSORS_H
#define PARE_LAYOUT_COMPRESSED_TENSORS_H
#include "layout/bind.h"

/* Order of a layer's parts when reading; writing uses the first four that its format has. */
enum {
    PARE_CT_MAIN,          /* weight_packed, or weight of int and float formats */
    PARE_CT_SCALE, PARE_CT_SHAPE, PARE_CT_ZERO, PARE_CT_G_IDX, PARE_CT_GLOBAL,
    PARE_CT_CARRIED,       /* first of those that belong to activations: kept with the layer, not used for its values */
    PARE_CT_PARTS = PARE_CT_CARRIED + 5
};
enum { PARE_CT_INFO_FORMAT, PARE_CT_INFO_GROUPS, PARE_CT_INFO_GROUP, PARE_CT_INFO_PADDED };
enum { PARE_CT_PACK, PARE_CT_INT, PARE_CT_FLOAT, PARE_CT_NVFP4, PARE_CT_MXFP4, PARE_CT_MXFP8 };

/* Formats that this scheme's codes lie in. */
int pare_ct_format(const pare_scheme *s);
pare_status pare_ct_bind(pare_bind *b, pare_err *err);
pare_status pare_ct_read(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err);
bool pare_ct_view(const pare_weights *w, const pare_weight *layer, int64_t row0, int64_t rows, pare_wmat *out);
#endif
