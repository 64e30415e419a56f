/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/file: containers. Reading gives a pare_store (named tensors over mapped files, metadata, companion
 * files); writing is append-only, header first, so that any size streams. A container is one f_*.c file ending in a const
 * pare_format, plus one line in formats.def.
 */
#ifndef PARE_FILE_H
#define PARE_FILE_H
#include "base/base.h"
#include "num/num.h"

typedef struct pare_tensor {
    const char *name;
    pare_dtype dtype;
    int ndim;
    int64_t shape[PARE_MAX_DIMS];
    uint64_t numel, bytes;        /* logical, contiguous */
    int file;                     /* index into store files */
    int64_t alias_of;             /* index of the earlier tensor that is exactly the same storage range, shape and strides; -1 = none */
    /* Contiguous little-endian bytes in the mapped file, or NULL when the format has to materialize (strides, compression, big-endian). */
    const uint8_t *data;
    /* For materialized tensors; private to the format. */
    struct pare_tensor_source *source;
} pare_tensor;

/* name: last component of the path, or the name that the index gives. borrowed: bytes of the caller (fuzzing, tests), never unmapped. */
typedef struct pare_store_file { char *path; const char *name; pare_map map; bool borrowed; } pare_store_file;

typedef struct pare_store {
    const struct pare_format *format;
    char *folder;                 /* folder of companion files, or NULL for a lone file that has none */
    pare_store_file *files; int n_files;
    pare_tensor *tensors; int64_t n_tensors;   /* safetensors: in the order of their bytes; others: of the archive or dict */
    struct pare_kv { const char *key, *value; } *metadata; int n_metadata;  /* container metadata (safetensors __metadata__) */
    pare_jdoc *config; char *config_text;      /* config.json beside it, or NULL */
    pare_arena arena;
    struct pare_name_index *index;             /* hash: name -> tensor */
    void *priv;
} pare_store;

/* Folder, single file, or *.index.json. Joins shards and checks them against the index. */
pare_status pare_store_open(const char *path, pare_store **out, pare_err *err);
/* A single file whose bytes are in memory already; they are borrowed until close. format NULL: recognised by name and content. */
pare_status pare_store_open_memory(const char *name, const void *bytes, size_t n, const struct pare_format *format, pare_store **out,
                                   pare_err *err);
void pare_store_close(pare_store *store);
int64_t pare_store_find(const pare_store *store, const char *name);   /* -1 when absent */
/*
 * Contiguous little-endian bytes of a tensor, aligned to its element: mapped, or (strided, compressed, swapped or misaligned
 * in the file) materialized into heap until released. Checks the container's checksum first where it has one. Call from one thread.
 */
pare_status pare_store_data(pare_store *store, int64_t tensor, const uint8_t **data, pare_err *err);
void pare_store_release(pare_store *store, int64_t tensor);            /* frees a materialized copy, drops mapped pages */
const char *pare_store_metadata(const pare_store *store, const char *key); /* NULL when absent */

/* ------------------------------------------------------------------------------------------------ building (formats) */
/* Helpers for f_*.c: a store under construction. */
pare_status pare_store_new(const struct pare_format *format, pare_store **out, pare_err *err);
pare_status pare_store_add_file(pare_store *s, const char *path, int *file, pare_err *err);         /* maps it */
/* Copies name into the arena; checks duplicates, rank, size overflow and (when data != NULL) that data+bytes lies in the file. */
pare_status pare_store_add_tensor(pare_store *s, const pare_tensor *t, pare_err *err);
pare_status pare_store_add_metadata(pare_store *s, const char *key, const char *value, pare_err *err);
/* numel and bytes of a shape; errors name file `where` and tensor `name`. Negative sizes, overflow, half bytes, rank > 8 are refused. */
pare_status pare_shape_bytes(const char *where, const char *name, pare_dtype dtype, int ndim, const int64_t *shape, uint64_t *numel,
                             uint64_t *bytes, pare_err *err);
/* Bytes of the unit that alignment and byte order act on (c64: 4, sub-byte dtypes: 1). */
size_t pare_dtype_unit(pare_dtype dtype);
/* Reverses the bytes of every element in place: big-endian files. */
void pare_swap_elements(pare_dtype dtype, uint8_t *data, uint64_t bytes);
/* The file's stem ("w.npy" -> "w"), into the arena: the name of the tensor of a file that holds one without a name. */
const char *pare_store_stem(pare_store *s, int file);

/* ------------------------------------------------------------------------------------------------------------ writing */
typedef struct pare_spec { const char *name; pare_dtype dtype; int ndim; int64_t shape[PARE_MAX_DIMS]; uint64_t bytes; } pare_spec;
typedef struct pare_writer pare_writer;

typedef struct pare_format {
    const char *name, *help;
    const char *extensions;       /* ".safetensors", ".bin .pt .pth", ... space-separated */
    bool can_write;
    /* Recognises a file by its first bytes (n <= 64) and name. */
    bool (*probe)(const char *name, const uint8_t *head, size_t n, uint64_t file_size);
    /* Adds the tensors of one file (already added to the store as `file`) to the store. */
    pare_status (*read)(pare_store *store, int file, pare_err *err);
    /* Materializes a tensor (data == NULL) into dst (t->bytes). */
    pare_status (*load)(pare_store *store, const pare_tensor *t, uint8_t *dst, pare_err *err);
    /* May be NULL. Called once before the bytes of a mapped tensor are handed out for the first time: checksums. */
    pare_status (*check)(pare_store *store, const pare_tensor *t, pare_err *err);
    /* May be NULL. Frees store->priv and what hangs on it. */
    void (*close)(pare_store *store);
    /* Exact bytes of a file with these tensors in this order, and where each tensor's data will begin (offsets may be NULL). */
    pare_status (*measure)(const pare_spec *specs, int64_t n, const struct pare_kv *meta, int n_meta, uint64_t *file_bytes,
                           uint64_t *offsets, pare_err *err);
    /* Emits header bytes (before tensor 0), bytes between tensors (padding, zip headers) and trailer; called by pare_writer. */
    pare_status (*begin)(pare_writer *w, pare_err *err);
    pare_status (*before)(pare_writer *w, int64_t tensor, pare_err *err);   /* may be NULL */
    pare_status (*data)(pare_writer *w, const void *data, size_t n);        /* may be NULL; sees every piece of tensor data (checksums) */
    pare_status (*after)(pare_writer *w, int64_t tensor, pare_err *err);    /* may be NULL */
    pare_status (*end)(pare_writer *w, pare_err *err);                      /* may be NULL */
    /* Order in which a writer should take tensors so that each is naturally aligned; fills perm[n]. NULL = as given. */
    void (*order)(const pare_spec *specs, int64_t n, int64_t *perm);
    const char *file_name;        /* "model.safetensors"; shards insert "-00001-of-0000N" */
} pare_format;

/*
 * One output file being written: specs in final order; tensors are appended strictly in that order, each in any number of
 * pieces. path is a temporary name; the caller renames. resume_tensor > 0: the first resume_tensor tensors are already in
 * the file (its bytes up to that point are kept and re-hashed), writing continues with that tensor.
 */
pare_status pare_writer_open(const pare_format *format, const char *path, const pare_spec *specs, int64_t n, const struct pare_kv *meta,
                             int n_meta, int64_t resume_tensor, pare_writer **out, pare_err *err);
pare_status pare_writer_append(pare_writer *w, const void *data, size_t n, pare_err *err);
int64_t pare_writer_tensor(const pare_writer *w);     /* tensors completed so far */
pare_status pare_writer_sync(pare_writer *w, pare_err *err); /* durable up to here */
/* Checks that every tensor got its bytes, ends the file, gives its hash. */
pare_status pare_writer_close(pare_writer *w, char hex[65], uint64_t *bytes, pare_err *err);
void pare_writer_abort(pare_writer *w);               /* the partial file stays for resume */

/* For formats' callbacks. */
struct pare_writer {
    const pare_format *format;
    pare_out *out;
    const pare_spec *specs; int64_t n;
    const struct pare_kv *meta; int n_meta;
    int64_t tensor; uint64_t filled;
    uint64_t *offsets; uint64_t file_bytes;
    void *priv;              /* format's own, freed with pare_dealloc */
    char *path;
    pare_arena arena;        /* copies of specs and metadata */
    /*
     * Resuming replays begin/before/after of the finished part with `resume` set: pare_writer_raw() then compares with the
     * file's bytes instead of writing, and resume_at is the position.
     */
    const pare_map *resume;
    uint64_t resume_at;
};
pare_status pare_writer_raw(pare_writer *w, const void *data, size_t n, pare_err *err); /* header bytes etc. */
uint64_t pare_writer_position(const pare_writer *w);

const pare_format *pare_format_find(const char *name);
const pare_format *const *pare_formats(void);     /* NULL-terminated */
/* Which container a file is. Unknown or recognised but not read here (GGUF, ONNX, ...): PARE_ERR_UNSUPPORTED, saying so. */
pare_status pare_format_probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size, const pare_format **out, pare_err *err);

/* model.safetensors.index.json: which tensor lies in which file. */
typedef struct pare_shard_entry { const char *tensor; int file; } pare_shard_entry;
typedef struct pare_shard_index {
    pare_jdoc *doc;
    const char **files; int n_files;               /* sorted, each once */
    pare_shard_entry *entries; int64_t n_entries;  /* in the index's order */
} pare_shard_index;
pare_status pare_shard_index_parse(const char *text, size_t n, const char *where, pare_shard_index *out, pare_err *err);
void pare_shard_index_clear(pare_shard_index *index);
#endif
