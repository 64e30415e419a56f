/* SPDX-License-Identifier: Apache-2.0 */
/* The header of NumPy's .npy (numpy/lib/_format_impl.py), shared by f_npy.c and f_npz.c. Private to src/file. */
#ifndef PARE_NPY_H
#define PARE_NPY_H
#include "file/file.h"

typedef struct pare_npy {
    pare_dtype dtype;
    bool swap;          /* big-endian */
    bool fortran;       /* and not the same in C order */
    int ndim;
    int64_t shape[PARE_MAX_DIMS];
    uint64_t data_at;   /* bytes before the data */
} pare_npy;

enum { PARE_NPY_PROLOGUE = 12, PARE_NPY_HEADER_MAX = 1 << 20 };

/* Bytes of prologue and header together, from the first PARE_NPY_PROLOGUE bytes (fewer when the file is that short). */
pare_status pare_npy_measure(const char *where, const uint8_t *bytes, size_t n, uint64_t *header_bytes, pare_err *err);
/* n bytes hold at least the whole header. */
pare_status pare_npy_parse(const char *where, const uint8_t *bytes, size_t n, pare_npy *out, pare_err *err);
/* The data must fill the file (or member) of total bytes exactly. */
pare_status pare_npy_check_size(const char *where, const pare_npy *npy, uint64_t total, pare_err *err);
/* Data as stored -> little-endian C order. src and dst hold the array's bytes; they may be equal unless fortran. */
void pare_npy_arrange(const pare_npy *npy, uint8_t *dst, const uint8_t *src, uint64_t bytes);
/* Header bytes as numpy writes them (version 1.0, padded to 64). */
pare_status pare_npy_header(pare_str *s, const pare_spec *spec, pare_err *err);
#endif
