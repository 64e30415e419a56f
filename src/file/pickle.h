/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A closed-world reader of Python pickles: it can build numbers, text, containers, and descriptions of torch storages and
 * tensors; nothing is ever imported, called or executed. Private to src/file (f_torch.c).
 */
#ifndef PARE_PICKLE_H
#define PARE_PICKLE_H
#include "file/file.h"

typedef enum pare_pk_type {
    PARE_PK_NONE, PARE_PK_BOOL, PARE_PK_INT, PARE_PK_LONG /* beyond 64 bits */, PARE_PK_FLOAT, PARE_PK_TEXT, PARE_PK_BYTES,
    PARE_PK_TUPLE, PARE_PK_LIST, PARE_PK_DICT, PARE_PK_GLOBAL, PARE_PK_STORAGE, PARE_PK_TENSOR,
    PARE_PK_INERT         /* an object that is known to be harmless and is not looked into */
} pare_pk_type;

struct pare_pk_global;
typedef struct pare_pk_value pare_pk_value;

typedef struct pare_pk_storage {
    const char *key; size_t key_n;
    pare_dtype dtype;             /* NONE: untyped bytes */
    uint64_t numel;               /* of the whole storage, in units of dtype (bytes when untyped) */
    uint64_t view_offset, view_numel; /* the part that a legacy view covers; the whole otherwise */
} pare_pk_storage;

typedef struct pare_pk_tensor {
    const pare_pk_storage *storage;
    pare_dtype dtype;
    int ndim;
    int64_t offset, shape[PARE_MAX_DIMS], strides[PARE_MAX_DIMS]; /* in elements; none is negative */
} pare_pk_tensor;

struct pare_pk_value {
    pare_pk_type type;
    union {
        int64_t whole;                                     /* INT, BOOL */
        double real;
        struct { const char *at; size_t n; } text;         /* TEXT, BYTES, LONG (little-endian); borrowed from the pickle */
        struct { pare_pk_value **at; size_t n, cap; } items; /* TUPLE, LIST; DICT: key, value, key, value, ... */
        const struct pare_pk_global *global;
        pare_pk_storage *storage;
        pare_pk_tensor *tensor;
    } is;
};

/*
 * Runs one pickle at the beginning of bytes; *used receives its length. Values live in the arena and borrow from bytes.
 * storages (may be NULL) receives every storage that is named.
 */
typedef PARE_VEC(const pare_pk_storage *) pare_pk_storages;
pare_status pare_pickle_run(const char *where, const uint8_t *bytes, size_t n, pare_arena *arena, pare_pk_storages *storages, size_t *used,
                            const pare_pk_value **out, pare_err *err);

bool pare_pk_is_text(const pare_pk_value *v, const char *text);
/* Value of a text key in a dict, or NULL. The last one wins, as in Python. */
const pare_pk_value *pare_pk_get(const pare_pk_value *dict, const char *key);

/* ------------------------------------------------------------------------- between pickle.c and pickle_globals.c only */

typedef struct pare_pk_vm {
    const char *where;
    pare_rd in;
    pare_arena *arena;
    pare_pk_storages *storages;
    PARE_VEC(pare_pk_value *) stack, memo;
    PARE_VEC(size_t) marks;
    size_t objects;
    pare_err *err;
} pare_pk_vm;

pare_pk_value *pare_pk_new(pare_pk_vm *vm, pare_pk_type type);     /* NULL: the error is set */
pare_status pare_pk_push(pare_pk_vm *vm, pare_pk_value *container, pare_pk_value *item);
/* The allow-list. An unknown name is PARE_ERR_UNSUPPORTED naming it. */
pare_status pare_pk_find_global(pare_pk_vm *vm, const char *module, size_t module_n, const char *name, size_t name_n,
                                const struct pare_pk_global **out);
/* What callable(*args) stands for. */
pare_status pare_pk_apply(pare_pk_vm *vm, const pare_pk_value *callable, const pare_pk_value *args, pare_pk_value **out);
/* A persistent id: ("storage", type, key, location, numel[, view]). */
pare_status pare_pk_storage_of(pare_pk_vm *vm, const pare_pk_value *id, pare_pk_value **out);
#endif
