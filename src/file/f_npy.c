/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One NumPy array in a file (.npy); the header is explained in npy.c. The format has no name for the array: the file's stem
 * serves. The data must end with the file. Big-endian and Fortran-ordered arrays are materialized, others are views.
 */
#include <string.h>
#include "file/npy.h"

struct pare_tensor_source { pare_npy npy; const uint8_t *bytes; };

static bool probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size)
{
    (void)file_size;
    return (n >= 6 && !memcmp(head, "\x93NUMPY", 6)) || (n > 0 && pare_str_ends(name, ".npy"));
}

static pare_status read(pare_store *s, int file, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    pare_npy npy;
    pare_status st = pare_npy_parse(f->name, f->map.at, f->map.n, &npy, err);
    if (st == PARE_OK) st = pare_npy_check_size(f->name, &npy, f->map.n, err);
    if (st != PARE_OK) return st;
    pare_tensor t = {.name = pare_store_stem(s, file), .dtype = npy.dtype, .ndim = npy.ndim, .file = file, .alias_of = -1};
    if (!t.name) return pare_no_memory(err, "tensor name", strlen(f->name));
    memcpy(t.shape, npy.shape, sizeof t.shape);
    if (npy.swap || npy.fortran) {
        t.source = pare_arena_alloc(&s->arena, sizeof *t.source);
        if (!t.source) return pare_no_memory(err, "npy header", sizeof *t.source);
        *t.source = (struct pare_tensor_source){npy, f->map.at + npy.data_at};
    } else t.data = f->map.at + npy.data_at;
    return pare_store_add_tensor(s, &t, err);
}

static pare_status load(pare_store *s, const pare_tensor *t, uint8_t *dst, pare_err *err)
{
    (void)s;
    (void)err;
    pare_npy_arrange(&t->source->npy, dst, t->source->bytes, t->bytes);
    return PARE_OK;
}

static pare_status measure(const pare_spec *specs, int64_t n, const struct pare_kv *meta, int n_meta, uint64_t *file_bytes,
                           uint64_t *offsets, pare_err *err)
{
    (void)meta;
    (void)n_meta; /* npy has no place for metadata */
    pare_str header = {0};
    if (n != 1) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "an npy file holds one array, %lld were given", (long long)n);
        pare_hint(err, "npz holds several");
        return PARE_ERR_UNSUPPORTED;
    }
    pare_status st = pare_npy_header(&header, specs, err);
    if (offsets) offsets[0] = header.n;
    if (file_bytes) *file_bytes = header.n + specs->bytes;
    pare_str_clear(&header);
    return st;
}

static pare_status begin(pare_writer *w, pare_err *err)
{
    pare_str header = {0};
    pare_status st = pare_npy_header(&header, w->specs, err);
    if (st == PARE_OK) st = pare_writer_raw(w, header.at, header.n, err);
    pare_str_clear(&header);
    return st;
}

const pare_format pare_format_npy = {
    .name = "npy",
    .help = "one NumPy array",
    .extensions = ".npy",
    .can_write = true,
    .probe = probe,
    .read = read,
    .load = load,
    .measure = measure,
    .begin = begin,
    .file_name = "model.npy",
};
