/* SPDX-License-Identifier: Apache-2.0 */
/* Between f_torch.c (the forms of the file) and torch_views.c (storages, tensors, names). Private to src/file. */
#ifndef PARE_TORCH_H
#define PARE_TORCH_H
#include "file/pickle.h"
#include "file/zip.h"

/* Where the bytes of storages are, while a file is read. */
struct pare_torch_legacy { const char *key; size_t key_n; const uint8_t *bytes; };
typedef struct pare_torch_reader {
    pare_store *store;
    int file;
    const char *where;               /* of the pickle, for messages */
    const pare_zip *zip;
    const char *prefix; size_t prefix_n; /* "archive/" */
    struct pare_torch_legacy *legacy; size_t n_legacy;
    bool big_endian;
    PARE_VEC(int64_t) seen; size_t n_seen;   /* hash of views: tensor + 1, 0 = free */
    pare_str path;
    size_t walked;
    pare_err *err;
} pare_torch_reader;

/* Orders storage keys: bytewise, shorter first when one begins the other. legacy[] is sorted so. */
int pare_torch_compare_keys(const char *a, size_t a_n, const char *b, size_t b_n);
/* Adds every tensor of the object to the store. */
pare_status pare_torch_add_object(pare_torch_reader *r, const pare_pk_value *root);
pare_status pare_torch_load(pare_store *s, const pare_tensor *t, uint8_t *dst, pare_err *err);
#endif
