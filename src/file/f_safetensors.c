/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors (huggingface/safetensors: safetensors/src/tensor.rs).
 *
 *   0        8                       8+N                             file size
 *   | u64 N  | JSON header, N bytes  | tensor bytes, back to back    |
 *
 *   header: {"__metadata__": {"format": "pt", ...},
 *            "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}   padded with spaces
 *
 * Offsets count from byte 8+N. Reading refuses what the reference reader refuses: N above 100,000,000, a header that does
 * not begin with '{', duplicate keys, unknown dtypes, sizes that overflow or do not match the offsets, holes, overlaps,
 * bytes after the last tensor, metadata that is not text. Tensors are little-endian, C order, without strides.
 *
 * Writing pads the header so that 8+N is a multiple of 8, and proposes an order in which every tensor is aligned to its
 * element: first all whose size is a multiple of 8 bytes, as given, then the others, wider dtypes first.
 */
#include <stdlib.h>
#include <string.h>
#include "file/safetensors_scan.h"

enum { HEADER_MAX = 100000000 };

/* ---------------------------------------------------------------------------------------------------------- reading */

static bool probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size)
{
    if (pare_str_ends(name, ".safetensors")) return true;
    return n >= 10 && head[8] == '{' && pare_le64(head) <= HEADER_MAX && pare_le64(head) <= file_size - 8;
}

static pare_status read_dtype(const char *where, pare_st_entry *e, const pare_jval *value, pare_err *err)
{
    const char *text = pare_j_type(value) == PARE_J_TEXT ? pare_j_text(value, NULL) : NULL;
    if (!text) return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' has no dtype", where, e->name);
    e->dtype = pare_dtype_from_safetensors(text, strlen(text));
    if (e->dtype != PARE_DTYPE_NONE) return PARE_OK;
    if (!strcmp(text, "F6_E2M3") || !strcmp(text, "F6_E3M2"))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: tensor '%s' has dtype '%s', which is not read by this version", where, e->name,
                         text);
    return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' has unknown dtype '%s'", where, e->name, text);
}

static pare_status read_shape(const char *where, pare_st_entry *e, const pare_jval *value, pare_err *err)
{
    size_t n = pare_j_count(value);
    if (pare_j_type(value) != PARE_J_ARRAY) return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' has no shape", where, e->name);
    if (n > PARE_MAX_DIMS)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, at most %d are read", where, e->name, n,
                         PARE_MAX_DIMS);
    e->ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        const pare_jval *size = pare_j_at(value, i);
        e->shape[i] = pare_j_int(size, -1);
        if (pare_j_type(size) != PARE_J_INT || e->shape[i] < 0)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s': size %zu of its shape is not a non-negative integer", where, e->name,
                             i);
    }
    return PARE_OK;
}

static pare_status read_offsets(const char *where, pare_st_entry *e, const pare_jval *value, pare_err *err)
{
    const pare_jval *begin = pare_j_at(value, 0), *end = pare_j_at(value, 1);
    if (pare_j_type(value) != PARE_J_ARRAY || pare_j_count(value) != 2 || pare_j_type(begin) != PARE_J_INT ||
        pare_j_type(end) != PARE_J_INT || pare_j_int(begin, -1) < 0 || pare_j_int(end, -1) < 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s': data_offsets are not two non-negative integers", where, e->name);
    e->begin = (uint64_t)pare_j_int(begin, 0);
    e->end = (uint64_t)pare_j_int(end, 0);
    return PARE_OK;
}

static pare_status read_entry(const char *where, pare_st_entry *e, const pare_jval *value, pare_err *err)
{
    if (pare_j_type(value) != PARE_J_OBJECT)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the entry of tensor '%s' is not an object", where, e->name);
    pare_status st = read_dtype(where, e, pare_j_get(value, "dtype"), err);
    if (st == PARE_OK) st = read_shape(where, e, pare_j_get(value, "shape"), err);
    return st == PARE_OK ? read_offsets(where, e, pare_j_get(value, "data_offsets"), err) : st;
}

static pare_status read_metadata(pare_st_header *h, const char *where, const pare_jval *object, pare_err *err)
{
    if (pare_j_type(object) != PARE_J_OBJECT) return pare_fail(err, PARE_ERR_FORMAT, "%s: __metadata__ is not an object", where);
    for (size_t i = 0; i < pare_j_count(object); i++) {
        struct pare_kv kv = {0};
        const pare_jval *value = pare_j_member(object, i, &kv.key);
        kv.value = pare_j_text(value, NULL);
        if (pare_j_type(value) != PARE_J_TEXT)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: __metadata__ '%s' is not a string", where, kv.key);
        if (!PARE_VEC_PUSH(&h->metadata, kv)) return pare_no_memory(err, "metadata", pare_j_count(object) * sizeof kv);
    }
    return PARE_OK;
}

/* The header through the general parser. Names are borrowed from doc. */
static pare_status read_json(pare_st_header *h, const char *where, const pare_jval *root, pare_err *err)
{
    pare_status st = PARE_OK;
    for (size_t i = 0; st == PARE_OK && i < pare_j_count(root); i++) {
        pare_st_entry e = {0};
        const pare_jval *value = pare_j_member(root, i, &e.name);
        if (!strcmp(e.name, "__metadata__")) {
            st = read_metadata(h, where, value, err);
            continue;
        }
        st = read_entry(where, &e, value, err);
        if (st == PARE_OK && !PARE_VEC_PUSH(&h->entries, e)) st = pare_no_memory(err, "header entries", pare_j_count(root) * sizeof e);
    }
    return st;
}

/* ----------------------------------------------------------------------------------------- what both ways must satisfy */

static pare_status check_entry(const char *where, const pare_st_entry *e, uint64_t data_bytes, pare_err *err)
{
    uint64_t numel, bytes;
    pare_status st = PARE_OK;
    if (e->begin > e->end)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: tensor '%s' begins at byte %llu, after its end at %llu", where, e->name,
                  (unsigned long long)e->begin, (unsigned long long)e->end);
    PARE_TRY(pare_shape_bytes(where, e->name, e->dtype, e->ndim, e->shape, &numel, &bytes, err));
    if (bytes != e->end - e->begin)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: tensor '%s' of %llu x %s takes %llu bytes, its offsets span %llu", where, e->name,
                  (unsigned long long)numel, pare_dtype_get_info(e->dtype)->safetensors, (unsigned long long)bytes,
                  (unsigned long long)(e->end - e->begin));
    if (e->end > data_bytes)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: tensor '%s' ends at byte %llu of %llu", where, e->name, (unsigned long long)e->end,
                  (unsigned long long)data_bytes);
out:
    return st;
}

/* By begin, then by end (tensors of no bytes come before the one that shares their begin), then by name. */
static int by_offset(const void *a, const void *b)
{
    const pare_st_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Adds the sorted entries; each must begin where the one before ended, the last must end with the file. */
static pare_status add_entries(pare_store *s, int file, const pare_st_entry *entries, size_t n, uint64_t data_at, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    uint64_t at = 0, data_bytes = f->map.n - data_at;
    for (size_t i = 0; i < n; i++) {
        const pare_st_entry *e = &entries[i];
        if (e->begin != at)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' begins at byte %llu, the tensor before ends at %llu (%s)", f->name,
                             e->name, (unsigned long long)e->begin, (unsigned long long)at, e->begin < at ? "overlap" : "hole");
        pare_status st = check_entry(f->name, e, data_bytes, err);
        if (st != PARE_OK) return st;
        pare_tensor t = {.name = e->name, .dtype = e->dtype, .ndim = e->ndim, .file = file, .alias_of = -1};
        memcpy(t.shape, e->shape, sizeof t.shape);
        t.data = f->map.at + data_at + e->begin;
        if ((st = pare_store_add_tensor(s, &t, err)) != PARE_OK) return st;
        at = e->end;
    }
    if (at == data_bytes) return PARE_OK;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: the last tensor ends at byte %llu of %llu, %llu bytes are left over", f->name,
                     (unsigned long long)at, (unsigned long long)data_bytes, (unsigned long long)(data_bytes - at));
}

static pare_status add_header(pare_store *s, int file, pare_st_header *h, uint64_t data_at, pare_err *err)
{
    pare_status st = PARE_OK;
    if (h->entries.n) qsort(h->entries.at, h->entries.n, sizeof *h->entries.at, by_offset);
    st = add_entries(s, file, h->entries.at, h->entries.n, data_at, err);
    for (size_t i = 0; st == PARE_OK && i < h->metadata.n; i++)
        st = pare_store_add_metadata(s, h->metadata.at[i].key, h->metadata.at[i].value, err);
    return st;
}

static pare_status read(pare_store *s, int file, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    pare_jdoc *doc = NULL;
    pare_st_header header = {0};
    if (f->map.n < 8) return pare_fail(err, PARE_ERR_FORMAT, "%s: a file of %zu bytes has no safetensors header", f->name, f->map.n);
    uint64_t n = pare_le64(f->map.at);
    if (n > HEADER_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: a header of %llu bytes is above the limit of %d", f->name, (unsigned long long)n,
                         HEADER_MAX);
    if (n > f->map.n - 8)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: a header of %llu bytes does not fit into a file of %zu", f->name, (unsigned long long)n,
                         f->map.n);
    const char *text = (const char *)f->map.at + 8;
    if (n == 0 || text[0] != '{') return pare_fail(err, PARE_ERR_FORMAT, "%s: the header does not begin with '{'", f->name);
    pare_status st = pare_st_scan(text, (size_t)n, &header, err);
    if (st == PARE_ERR_UNSUPPORTED) {
        st = pare_jdoc_parse(text, (size_t)n, f->name, &doc, err);
        if (st == PARE_OK) st = read_json(&header, f->name, pare_jdoc_root(doc), err);
    }
    if (st == PARE_OK) st = add_header(s, file, &header, 8 + n, err);
    pare_st_header_clear(&header);
    pare_jdoc_free(doc);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

static void add_quoted(pare_str *s, const char *text)
{
    pare_str_add(s, "\"");
    for (const char *from = text;; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        pare_str_addn(s, from, (size_t)(text - from));
        if (!c) break;
        if (c == '"' || c == '\\') pare_str_printf(s, "\\%c", c);
        else pare_str_printf(s, "\\u%04x", c);
        from = text + 1;
    }
    pare_str_add(s, "\"");
}

static pare_status add_spec(pare_str *s, const pare_spec *spec, uint64_t begin, pare_err *err)
{
    const pare_dtype_info *info = pare_dtype_get_info(spec->dtype);
    if (!info || !info->safetensors)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "tensor '%s': safetensors has no name for dtype %s", spec->name,
                         info ? info->name : "none");
    if (!strcmp(spec->name, "__metadata__"))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "safetensors cannot hold a tensor named '__metadata__'");
    if (!pare_utf8_valid(spec->name, strlen(spec->name)))
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "tensor '%s': a name in safetensors must be UTF-8", spec->name);
    add_quoted(s, spec->name);
    pare_str_printf(s, ":{\"dtype\":\"%s\",\"shape\":[", info->safetensors);
    for (int i = 0; i < spec->ndim; i++) pare_str_printf(s, "%s%lld", i ? "," : "", (long long)spec->shape[i]);
    pare_str_printf(s, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin, (unsigned long long)(begin + spec->bytes));
    return PARE_OK;
}

/* The header's JSON, padded so that 8 + its length is a multiple of 8. */
static pare_status build_header(pare_str *s, const pare_spec *specs, int64_t n, const struct pare_kv *meta, int n_meta, pare_err *err)
{
    uint64_t at = 0;
    pare_str_add(s, "{");
    if (n_meta) pare_str_add(s, "\"__metadata__\":{");
    for (int i = 0; i < n_meta; i++) {
        if (i) pare_str_add(s, ",");
        add_quoted(s, meta[i].key);
        pare_str_add(s, ":");
        add_quoted(s, meta[i].value);
    }
    if (n_meta) pare_str_add(s, "}");
    for (int64_t i = 0; i < n; i++) {
        if (i || n_meta) pare_str_add(s, ",");
        pare_status st = add_spec(s, &specs[i], at, err);
        if (st != PARE_OK) return st;
        if (!pare_add_u64(at, specs[i].bytes, &at) || at > INT64_MAX)
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "tensor '%s': the file would be too large", specs[i].name);
    }
    pare_str_add(s, "}");
    while (!s->failed && s->n % 8) pare_str_add(s, " ");
    if (s->failed) return pare_no_memory(err, "safetensors header", s->n);
    if (s->n > HEADER_MAX)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "a safetensors header of %zu bytes is above the limit of %d; use smaller shards", s->n,
                         HEADER_MAX);
    return PARE_OK;
}

static pare_status measure(const pare_spec *specs, int64_t n, const struct pare_kv *meta, int n_meta, uint64_t *file_bytes,
                           uint64_t *offsets, pare_err *err)
{
    pare_str header = {0};
    pare_status st = build_header(&header, specs, n, meta, n_meta, err);
    uint64_t at = 8 + header.n;
    for (int64_t i = 0; st == PARE_OK && i < n; i++) {
        if (offsets) offsets[i] = at;
        at += specs[i].bytes;
    }
    if (file_bytes) *file_bytes = at;
    pare_str_clear(&header);
    return st;
}

static pare_status begin(pare_writer *w, pare_err *err)
{
    uint8_t length[8];
    pare_str header = {0};
    pare_status st;
    PARE_TRY(build_header(&header, w->specs, w->n, w->meta, w->n_meta, err));
    pare_put_le64(length, header.n);
    PARE_TRY(pare_writer_raw(w, length, sizeof length, err));
    st = pare_writer_raw(w, header.at, header.n, err);
out:
    pare_str_clear(&header);
    return st;
}

static void order(const pare_spec *specs, int64_t n, int64_t *perm)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (specs[i].bytes % 8 == 0) perm[k++] = i;
    for (size_t unit = 8; unit > 0; unit /= 2)
        for (int64_t i = 0; i < n; i++)
            if (specs[i].bytes % 8 && pare_dtype_unit(specs[i].dtype) == unit) perm[k++] = i;
}

const pare_format pare_format_safetensors = {
    .name = "safetensors",
    .help = "Hugging Face safetensors, one file or shards with an index",
    .extensions = ".safetensors",
    .can_write = true,
    .probe = probe,
    .read = read,
    .measure = measure,
    .begin = begin,
    .order = order,
    .file_name = "model.safetensors",
};
