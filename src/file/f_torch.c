/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PyTorch checkpoints: .bin, .pt, .pth, .th, .ckpt (torch/serialization.py, caffe2/serialize/inline_container.cc).
 *
 *   ZIP form (since 1.6)                          legacy form (before)
 *   | T/data.pkl      the object, a pickle   |    | pickle: magic 0x1950a86a20f9469cfc6c | pickle: 1001 | pickle: sys_info |
 *   | T/data/<key>    bytes of one storage   |    | pickle: the object | pickle: [key, ...]                                |
 *   | T/byteorder, T/version, ...            |    | for each key: i64 elements, the storage's bytes                        |
 *
 * The object is read by the closed-world machine of pickle.c. Tensors are views of storages: contiguous little-endian
 * ones stay views of the mapped file, others are materialized one at a time. Two names for the same view are an alias.
 * Names are the path of keys to a tensor, joined by dots; one well-known wrapper ("state_dict", ...) is left out.
 * Everything else in the object is ignored.
 */
#include <stdlib.h>
#include <string.h>
#include "file/pickle.h"
#include "file/strided.h"
#include "file/zip.h"

/* WALK_MAX: a few bytes of pickle can describe a graph with an exponential number of paths. */
enum { DEPTH_MAX = 64, WALK_MAX = 1 << 22, PICKLE_MAX = 1 << 30 };
static const uint64_t expand_max = 1u << 30; /* bytes of a tensor that repeats elements of a smaller storage */

struct pare_tensor_source {
    const pare_zip *zip;             /* a deflated storage: inflated for each tensor that needs it */
    const pare_zip_member *member;
    const uint8_t *bytes;            /* else where the storage begins in the file */
    uint64_t first;                  /* the tensor's first element */
    int64_t strides[PARE_MAX_DIMS];
    uint64_t span;                   /* bytes from the first to behind the last element */
    bool contiguous, swap;
};

/* Where the bytes of storages are, while a file is read. */
struct legacy_storage { const char *key; size_t key_n; const uint8_t *bytes; };
typedef struct reader {
    pare_store *store;
    int file;
    const char *where;               /* of the pickle, for messages */
    const pare_zip *zip;
    const char *prefix; size_t prefix_n; /* "archive/" */
    struct legacy_storage *legacy; size_t n_legacy;
    bool big_endian;
    PARE_VEC(int64_t) seen; size_t n_seen;   /* hash of views: tensor + 1, 0 = free */
    pare_str path;
    size_t walked;
    pare_err *err;
} reader;

/* --------------------------------------------------------------------------------------------------------- storages */

static pare_status find_in_zip(reader *r, const pare_pk_storage *s, struct pare_tensor_source *out, uint64_t bytes, const char *name)
{
    pare_str path = {0};
    pare_str_addn(&path, r->prefix, r->prefix_n);
    pare_str_add(&path, "data/");
    pare_str_addn(&path, s->key, s->key_n);
    if (path.failed) {
        pare_str_clear(&path);
        return pare_no_memory(r->err, "storage name", s->key_n);
    }
    const pare_zip_member *m = pare_zip_find(r->zip, path.at);
    pare_str_clear(&path);
    if (!m) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of tensor '%s' is missing", r->where, (int)(s->key_n < 64 ? s->key_n : 64), s->key, name);
    if (m->size != bytes)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%s' of tensor '%s' has %llu bytes, %llu are needed", r->where, m->name, name,
                         (unsigned long long)m->size, (unsigned long long)bytes);
    out->zip = r->zip;
    out->member = m;
    if (!m->deflated) out->bytes = r->zip->bytes + m->at;
    return PARE_OK;
}

/* Bytewise, shorter first when one begins the other. */
static int compare_keys(const char *a, size_t a_n, const char *b, size_t b_n)
{
    size_t n = a_n < b_n ? a_n : b_n;
    int order = n ? memcmp(a, b, n) : 0;
    return order ? order : (a_n > b_n) - (a_n < b_n);
}

static const struct legacy_storage *find_legacy(const reader *r, const char *key, size_t key_n)
{
    for (size_t low = 0, high = r->n_legacy; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = compare_keys(key, key_n, r->legacy[middle].key, r->legacy[middle].key_n);
        if (order == 0) return &r->legacy[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

static pare_status find_storage(reader *r, const pare_pk_storage *s, struct pare_tensor_source *out, const char *name)
{
    uint64_t bytes, unit = s->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes(s->dtype, 1);
    if (!pare_mul_u64(s->numel, unit, &bytes))
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the storage of tensor '%s' has %llu elements", r->where, name, (unsigned long long)s->numel);
    if (r->zip) {
        pare_status st = find_in_zip(r, s, out, bytes, name);
        if (st != PARE_OK) return st;
    } else {
        const struct legacy_storage *l = find_legacy(r, s->key, s->key_n);
        if (!l) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of tensor '%s' is missing", r->where, (int)(s->key_n < 64 ? s->key_n : 64), s->key, name);
        out->bytes = l->bytes;
    }
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

/* Elements from the first to behind the last; 0 when there are none. */
static bool span_of(const pare_pk_tensor *t, uint64_t *span)
{
    uint64_t last = 0;
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] == 0) {
            *span = 0;
            return true;
        }
    for (int i = 0; i < t->ndim; i++) {
        uint64_t reach;
        if (!pare_mul_u64((uint64_t)t->shape[i] - 1, (uint64_t)t->strides[i], &reach) || !pare_add_u64(last, reach, &last)) return false;
    }
    return pare_add_u64(last, 1, span);
}

/* The view must lie inside its storage (or inside the part that a legacy view covers). first: in elements of the tensor. */
static pare_status check_range(reader *r, const pare_pk_tensor *t, const char *name, uint64_t *first, uint64_t *span)
{
    const pare_pk_storage *s = t->storage;
    uint64_t size = pare_dtype_bytes(t->dtype, 1), unit = s->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes(s->dtype, 1), end, have;
    if (!pare_mul_u64(s->view_numel, unit, &have)) have = 0;
    have /= size;
    if (!span_of(t, span) || !pare_add_u64((uint64_t)t->offset, *span, &end) || end > have)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: tensor '%s' reaches beyond the %llu elements of its storage (offset %lld)", r->where, name,
                         (unsigned long long)have, (long long)t->offset);
    *first = s->view_offset * unit / size + (uint64_t)t->offset;
    if (s->view_offset * unit % size) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: tensor '%s' begins inside an element", r->where, name);
    return PARE_OK;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}

static bool same_view(const pare_tensor *a, const pare_tensor *b)
{
    const struct pare_tensor_source *x = a->source, *y = b->source;
    return a->dtype == b->dtype && a->ndim == b->ndim && a->file == b->file && x->member == y->member && x->bytes == y->bytes && x->first == y->first &&
           x->contiguous == y->contiguous && !memcmp(a->shape, b->shape, sizeof a->shape) && !memcmp(x->strides, y->strides, sizeof x->strides);
}

static pare_status grow_seen(reader *r)
{
    size_t n = r->seen.cap ? r->seen.cap * 4 : 256;
    int64_t *slots = pare_alloc_zero(n, sizeof *slots), *old = r->seen.at;
    if (!slots) return pare_no_memory(r->err, "tensor views", n * sizeof *slots);
    for (size_t i = 0; i < r->seen.cap; i++) {
        if (!old[i]) continue;
        const pare_tensor *t = &r->store->tensors[old[i] - 1];
        size_t k = mix(mix((uint64_t)(uintptr_t)t->source->bytes, (uint64_t)(uintptr_t)t->source->member), t->source->first) & (n - 1);
        while (slots[k]) k = (k + 1) & (n - 1);
        slots[k] = old[i];
    }
    pare_dealloc(old);
    r->seen.at = slots;
    r->seen.cap = n;
    return PARE_OK;
}

/* Finds an earlier tensor that is the same view, or remembers this one under the index that it will get. */
static pare_status find_alias(reader *r, pare_tensor *t)
{
    if (r->n_seen * 2 >= r->seen.cap) {
        pare_status st = grow_seen(r);
        if (st != PARE_OK) return st;
    }
    size_t mask = r->seen.cap - 1;
    size_t k = mix(mix((uint64_t)(uintptr_t)t->source->bytes, (uint64_t)(uintptr_t)t->source->member), t->source->first) & mask;
    for (; r->seen.at[k]; k = (k + 1) & mask)
        if (same_view(&r->store->tensors[r->seen.at[k] - 1], t)) {
            t->alias_of = r->seen.at[k] - 1;
            return PARE_OK;
        }
    r->seen.at[k] = r->store->n_tensors + 1;
    r->n_seen++;
    return PARE_OK;
}

static pare_status check_name(reader *r, const char *name, size_t n)
{
    if (pare_utf8_valid(name, n) && !memchr(name, 0, n)) return PARE_OK;
    return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the name of a tensor is not UTF-8 text", r->where);
}

static pare_status add_tensor(reader *r, const pare_pk_tensor *from)
{
    struct pare_tensor_source *source = pare_arena_alloc(&r->store->arena, sizeof *source);
    const char *name = r->path.n ? r->path.at : "";
    uint64_t span;
    pare_status st = PARE_OK;
    if (!source) return pare_no_memory(r->err, "tensor views", sizeof *source);
    memset(source, 0, sizeof *source);
    PARE_TRY(check_name(r, name, r->path.n));
    pare_tensor t = {.name = name, .dtype = from->dtype, .ndim = from->ndim, .file = r->file, .alias_of = -1, .source = source};
    memcpy(t.shape, from->shape, sizeof t.shape);
    PARE_TRY(pare_shape_bytes(r->where, name, t.dtype, t.ndim, t.shape, &t.numel, &t.bytes, r->err));
    PARE_TRY(find_storage(r, from->storage, source, name));
    PARE_TRY(check_range(r, from, name, &source->first, &span));
    if (t.numel > span && t.bytes > expand_max)
        PARE_FAIL(r->err, PARE_ERR_UNSUPPORTED, "%s: tensor '%s' repeats %llu elements to %llu bytes", r->where, name, (unsigned long long)span,
                  (unsigned long long)t.bytes);
    source->span = span * pare_dtype_bytes(t.dtype, 1);
    source->contiguous = pare_is_contiguous(t.ndim, t.shape, from->strides);
    if (!source->contiguous) memcpy(source->strides, from->strides, sizeof source->strides);
    source->swap = r->big_endian && pare_dtype_unit(t.dtype) > 1;
    if (t.numel == 0) {
        source->contiguous = true;
        t.data = r->store->files[r->file].map.at;
    } else {
        PARE_TRY(find_alias(r, &t));
        if (source->contiguous && !source->swap && source->bytes) t.data = source->bytes + source->first * pare_dtype_bytes(t.dtype, 1);
    }
    st = pare_store_add_tensor(r->store, &t, r->err);
out:
    return st;
}

static pare_status load(pare_store *s, const pare_tensor *t, uint8_t *dst, pare_err *err)
{
    (void)s;
    const struct pare_tensor_source *from = t->source;
    size_t size = pare_dtype_bytes(t->dtype, 1);
    const uint8_t *src = from->bytes ? from->bytes + from->first * size : NULL;
    uint8_t *inflated = NULL;
    pare_status st = PARE_OK;
    if (!src && from->contiguous) PARE_TRY(pare_zip_read(from->zip, from->member, from->first * size, dst, t->bytes, false, err));
    if (!src && !from->contiguous) {
        PARE_TRY(pare_alloc_try((size_t)from->span, t->name, (void **)&inflated, err));
        PARE_TRY(pare_zip_read(from->zip, from->member, from->first * size, inflated, from->span, false, err));
        src = inflated;
    }
    if (src && from->contiguous) memcpy(dst, src, (size_t)t->bytes);
    else if (src) pare_strided_copy(dst, src, size, t->ndim, t->shape, from->strides);
    if (from->swap) pare_swap_elements(t->dtype, dst, t->bytes);
out:
    pare_dealloc(inflated);
    return st;
}

/* ----------------------------------------------------------------------------------------------- walking the object */

static bool is_container(const pare_pk_value *v) { return v->type == PARE_PK_DICT || v->type == PARE_PK_LIST || v->type == PARE_PK_TUPLE; }

static pare_status count_step(reader *r, int depth, size_t items)
{
    if (depth > DEPTH_MAX) return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: containers are nested deeper than %d", r->where, DEPTH_MAX);
    r->walked += items;
    if (r->walked > WALK_MAX) return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: the object has more than %d parts", r->where, WALK_MAX);
    return PARE_OK;
}

/* Is there a tensor in v or below it? Lets *found alone when not. */
static pare_status has_tensor(reader *r, const pare_pk_value *v, int depth, bool *found)
{
    if (v->type == PARE_PK_TENSOR) *found = true;
    if (*found || !is_container(v)) return PARE_OK;
    pare_status st = count_step(r, depth, v->is.items.n + 1);
    size_t step = v->type == PARE_PK_DICT ? 2 : 1;
    for (size_t i = step - 1; st == PARE_OK && !*found && i < v->is.items.n; i += step) st = has_tensor(r, v->is.items.at[i], depth + 1, found);
    return st;
}

static void add_number(pare_str *s, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) digits[--at] = '-';
    pare_str_addn(s, digits + at, sizeof digits - at);
}

/* Appends a key to the path; *known says whether it can be part of a name. */
static void add_key(reader *r, const pare_pk_value *key, bool *known)
{
    *known = key->type == PARE_PK_TEXT || key->type == PARE_PK_INT;
    if (r->path.n && *known) pare_str_add(&r->path, ".");
    if (key->type == PARE_PK_TEXT) pare_str_addn(&r->path, key->is.text.at, key->is.text.n);
    if (key->type == PARE_PK_INT) add_number(&r->path, key->is.whole);
}

static pare_status walk(reader *r, const pare_pk_value *v, int depth)
{
    if (v->type == PARE_PK_TENSOR) return add_tensor(r, v->is.tensor);
    if (!is_container(v)) return PARE_OK;
    pare_status st = count_step(r, depth, v->is.items.n + 1);
    bool is_dict = v->type == PARE_PK_DICT;
    for (size_t i = 0; st == PARE_OK && i < v->is.items.n; i += is_dict ? 2 : 1) {
        const pare_pk_value *value = v->is.items.at[is_dict ? i + 1 : i], index = {.type = PARE_PK_INT, .is.whole = (int64_t)i};
        size_t before = r->path.n;
        bool known = true, found = false;
        if (value->type != PARE_PK_TENSOR && !is_container(value)) continue;
        add_key(r, is_dict ? v->is.items.at[i] : &index, &known);
        if (r->path.failed) return pare_no_memory(r->err, "tensor name", r->path.n);
        if (!known) {
            if ((st = has_tensor(r, value, depth + 1, &found)) == PARE_OK && found)
                st = pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: a tensor lies under a key that is neither text nor a number", r->where);
        } else st = walk(r, value, depth + 1);
        r->path.n = before;
        if (r->path.at) r->path.at[before] = 0;
    }
    return st;
}

/*
 * {"state_dict": {...}, "epoch": 1}: when exactly one of the usual wrappers holds tensors, and none lies beside it, its
 * content is the checkpoint.
 */
static pare_status unwrap(reader *r, const pare_pk_value *root, const pare_pk_value **out)
{
    static const char *const wrappers[] = {"state_dict", "model_state_dict", "model", "module", "params", "net", "ema"};
    const pare_pk_value *only = NULL;
    int holders = 0;
    *out = root;
    if (root->type != PARE_PK_DICT) return PARE_OK;
    for (size_t i = 1; i < root->is.items.n; i += 2)
        if (root->is.items.at[i]->type == PARE_PK_TENSOR) return PARE_OK;
    for (size_t k = 0; k < sizeof wrappers / sizeof *wrappers; k++) {
        const pare_pk_value *v = pare_pk_get(root, wrappers[k]);
        bool found = false;
        if (!v || v->type != PARE_PK_DICT) continue;
        pare_status st = has_tensor(r, v, 1, &found);
        if (st != PARE_OK) return st;
        holders += found;
        if (found) only = v;
    }
    if (holders == 1) *out = only;
    return PARE_OK;
}

static pare_status add_object(reader *r, const pare_pk_value *root)
{
    const char *stem = NULL;
    pare_status st = unwrap(r, root, &root);
    if (st == PARE_OK && root->type == PARE_PK_TENSOR) { /* torch.save(tensor): named after the file */
        stem = pare_store_stem(r->store, r->file);
        if (!stem) return pare_no_memory(r->err, "tensor name", 1);
        pare_str_add(&r->path, stem);
        if (r->path.failed) return pare_no_memory(r->err, "tensor name", 1);
    }
    if (st == PARE_OK) st = walk(r, root, 0);
    if (st == PARE_OK && r->store->n_tensors == 0) st = pare_fail(r->err, PARE_ERR_FORMAT, "%s: holds no tensor", r->where);
    return st;
}

/* --------------------------------------------------------------------------------------------------------- ZIP form */

static bool ends_with_part(const char *name, const char *part)
{
    return pare_str_ends(name, part) && (strlen(name) == strlen(part) || name[strlen(name) - strlen(part) - 1] == '/');
}

/* The folder that holds data.pkl. */
static pare_status find_prefix(reader *r, const char *where, const pare_zip_member **pickle)
{
    *pickle = NULL;
    for (size_t i = 0; i < r->zip->n_members; i++) {
        const pare_zip_member *m = &r->zip->members[i];
        if (ends_with_part(m->name, "constants.pkl"))
            return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: is a TorchScript archive, which is not read; save its state_dict", where);
        if (!ends_with_part(m->name, "data.pkl")) continue;
        if (*pickle) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: has two pickles, '%s' and '%s'", where, (*pickle)->name, m->name);
        *pickle = m;
    }
    if (!*pickle) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: is a ZIP archive without data.pkl, so not torch's", where);
    r->prefix = (*pickle)->name;
    r->prefix_n = strlen((*pickle)->name) - strlen("data.pkl");
    return PARE_OK;
}

/* A small text member, or "" when it is not there. */
static pare_status read_small(reader *r, const char *where, const char *part, char out[16])
{
    char name[256];
    memset(out, 0, 16);
    if (r->prefix_n + strlen(part) >= sizeof name) return PARE_OK;
    memcpy(name, r->prefix, r->prefix_n);
    memcpy(name + r->prefix_n, part, strlen(part) + 1);
    const pare_zip_member *m = pare_zip_find(r->zip, name);
    if (!m) return PARE_OK;
    if (m->size > 15) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: member '%s' has %llu bytes", where, name, (unsigned long long)m->size);
    return pare_zip_read(r->zip, m, 0, (uint8_t *)out, m->size, false, r->err);
}

static pare_status read_zip(reader *r, const pare_store_file *f)
{
    char order[16];
    const pare_zip_member *m;
    uint8_t *unpacked = NULL;
    const pare_pk_value *root;
    size_t used;
    pare_status st;
    pare_zip *zip = pare_arena_alloc(&r->store->arena, sizeof *zip);
    if (!zip) return pare_no_memory(r->err, "ZIP directory", sizeof *zip);
    r->zip = zip;
    PARE_TRY(pare_zip_open(f->name, f->map.at, f->map.n, &r->store->arena, zip, r->err));
    PARE_TRY(find_prefix(r, f->name, &m));
    PARE_TRY(read_small(r, f->name, "byteorder", order));
    r->big_endian = !strcmp(order, "big");
    if (*order && !r->big_endian && strcmp(order, "little") != 0) PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: byte order '%s'", f->name, order);
    r->where = pare_arena_printf(&r->store->arena, "%s/%s", f->name, m->name);
    if (!r->where) return pare_no_memory(r->err, "file name", 1);
    if (m->size > PICKLE_MAX) PARE_FAIL(r->err, PARE_ERR_UNSUPPORTED, "%s: a pickle of %llu bytes", r->where, (unsigned long long)m->size);
    const uint8_t *bytes = zip->bytes + m->at;
    if (m->deflated) {
        PARE_TRY(pare_alloc_try((size_t)m->size, "pickle", (void **)&unpacked, r->err));
        PARE_TRY(pare_zip_read(zip, m, 0, unpacked, m->size, true, r->err));
        bytes = unpacked;
    }
    PARE_TRY(pare_pickle_run(r->where, bytes, (size_t)m->size, &r->store->arena, NULL, &used, &root, r->err));
    if (used != m->size) PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: %llu bytes follow the pickle", r->where, (unsigned long long)(m->size - used));
    st = add_object(r, root);
out:
    pare_dealloc(unpacked);
    return st;
}

/* ------------------------------------------------------------------------------------------------------ legacy form */

/* The next of the consecutive pickles. */
static pare_status next_pickle(reader *r, pare_rd *in, pare_pk_storages *storages, const pare_pk_value **out)
{
    size_t used = 0;
    pare_status st = pare_pickle_run(r->where, in->at + in->pos, in->n - in->pos, &r->store->arena, storages, &used, out, r->err);
    if (st == PARE_OK && !pare_rd_skip(in, used)) st = pare_fail(r->err, PARE_ERR_FORMAT, "%s: the pickle ends in the middle", r->where);
    return st;
}

static pare_status read_prologue(reader *r, pare_rd *in)
{
    static const uint8_t magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    const pare_pk_value *v, *little;
    pare_status st = next_pickle(r, in, NULL, &v);
    if (st != PARE_OK) return st;
    if (v->type != PARE_PK_LONG || v->is.text.n != sizeof magic || memcmp(v->is.text.at, magic, sizeof magic) != 0)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: is a pickle, but not one that torch.save wrote", r->where);
    if ((st = next_pickle(r, in, NULL, &v)) != PARE_OK) return st;
    if (v->type != PARE_PK_INT || v->is.whole != 1001) return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: the protocol of this file is not 1001", r->where);
    if ((st = next_pickle(r, in, NULL, &v)) != PARE_OK) return st;
    little = pare_pk_get(v, "little_endian");
    if (v->type != PARE_PK_DICT) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the third pickle is no dict of system facts", r->where);
    r->big_endian = little && little->type == PARE_PK_BOOL && !little->is.whole;
    return PARE_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct legacy_storage *x = a, *y = b;
    return compare_keys(x->key, x->key_n, y->key, y->key_n);
}

static int by_storage_key(const void *a, const void *b)
{
    const pare_pk_storage *x = *(const pare_pk_storage *const *)a, *y = *(const pare_pk_storage *const *)b;
    return compare_keys(x->key, x->key_n, y->key, y->key_n);
}

/* Every mention of a storage must agree about it. Leaves one mention a key. */
static pare_status unite_storages(reader *r, pare_pk_storages *s)
{
    size_t n = 0;
    if (s->n) qsort(s->at, s->n, sizeof *s->at, by_storage_key);
    for (size_t i = 0; i < s->n; i++) {
        if (n && by_storage_key(&s->at[n - 1], &s->at[i]) == 0) {
            if (s->at[n - 1]->dtype != s->at[i]->dtype || s->at[n - 1]->numel != s->at[i]->numel)
                return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' is described in two ways", r->where,
                                 (int)(s->at[i]->key_n < 64 ? s->at[i]->key_n : 64), s->at[i]->key);
        } else s->at[n++] = s->at[i];
    }
    s->n = n;
    return PARE_OK;
}

/* One storage at the reader's position: i64 elements, bytes. */
static pare_status place_storage(reader *r, pare_rd *in, const pare_pk_value *key, const pare_pk_storages *s, struct legacy_storage *out)
{
    uint64_t numel, bytes;
    if (key->type != PARE_PK_TEXT) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: a storage key that is no text", r->where);
    int shown = (int)(key->is.text.n < 64 ? key->is.text.n : 64);
    pare_pk_storage probe = {.key = key->is.text.at, .key_n = key->is.text.n};
    const pare_pk_storage *p = &probe, *const *hit = s->n ? bsearch(&p, s->at, s->n, sizeof *s->at, by_storage_key) : NULL;
    if (!hit) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: no tensor uses storage '%.*s', so its size is unknown", r->where, shown, probe.key);
    if (!pare_rd_u64(in, &numel)) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' is cut off", r->where, shown, probe.key);
    if (numel != (*hit)->numel)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' has %llu elements, its tensors say %llu", r->where, shown, probe.key,
                         (unsigned long long)numel, (unsigned long long)(*hit)->numel);
    *out = (struct legacy_storage){probe.key, probe.key_n, in->at + in->pos};
    if (!pare_mul_u64(numel, (*hit)->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes((*hit)->dtype, 1), &bytes) || bytes > in->n - in->pos)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of %llu elements does not fit into the %zu bytes that are left", r->where,
                         shown, probe.key, (unsigned long long)numel, in->n - in->pos);
    pare_rd_skip(in, (size_t)bytes);
    return PARE_OK;
}

static pare_status read_legacy(reader *r, const pare_store_file *f)
{
    pare_rd in = {f->map.at, f->map.n, 0};
    pare_pk_storages storages = {0};
    const pare_pk_value *root, *keys;
    pare_status st;
    r->where = f->name;
    PARE_TRY(read_prologue(r, &in));
    PARE_TRY(next_pickle(r, &in, &storages, &root));
    PARE_TRY(next_pickle(r, &in, NULL, &keys));
    PARE_TRY(unite_storages(r, &storages));
    if (keys->type != PARE_PK_LIST) PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: the list of storage keys is no list", r->where);
    r->legacy = pare_alloc_zero(keys->is.items.n + 1, sizeof *r->legacy);
    if (!r->legacy) {
        st = pare_no_memory(r->err, "storages", keys->is.items.n * sizeof *r->legacy);
        goto out;
    }
    for (size_t i = 0; i < keys->is.items.n; i++) PARE_TRY(place_storage(r, &in, keys->is.items.at[i], &storages, &r->legacy[i]));
    if (in.pos != in.n) PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: %zu bytes follow the last storage", r->where, in.n - in.pos);
    r->n_legacy = keys->is.items.n;
    if (r->n_legacy) qsort(r->legacy, r->n_legacy, sizeof *r->legacy, by_key);
    for (size_t i = 1; i < r->n_legacy; i++)
        if (by_key(&r->legacy[i - 1], &r->legacy[i]) == 0)
            PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' is there twice", r->where, (int)(r->legacy[i].key_n < 64 ? r->legacy[i].key_n : 64),
                      r->legacy[i].key);
    st = add_object(r, root);
out:
    PARE_VEC_CLEAR(&storages);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ entry */

static bool probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size)
{
    (void)file_size;
    if (n >= 4 && !memcmp(head, "PK", 2)) return true;
    if (n >= 2 && head[0] == 0x80 && head[1] >= 1 && head[1] <= 5) return true;
    return n > 0 && head[0] != 'v' && (pare_str_ends(name, ".pt") || pare_str_ends(name, ".pth") || pare_str_ends(name, ".th") || pare_str_ends(name, ".ckpt"));
}

static bool is_tar(const pare_map *m) { return m->n >= 512 && !memcmp(m->at + 257, "ustar", 5); }

static pare_status read(pare_store *s, int file, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    reader r = {.store = s, .file = file, .where = f->name, .err = err};
    pare_status st;
    if (is_tar(&f->map)) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is the tar form that torch wrote before 0.1.10, which is not read", f->name);
        pare_hint(err, "load it with torch and save it again");
        return PARE_ERR_UNSUPPORTED;
    }
    if (f->map.n >= 2 && !memcmp(f->map.at, "PK", 2)) st = read_zip(&r, f);
    else if (f->map.n >= 2 && f->map.at[0] == 0x80) st = read_legacy(&r, f);
    else st = pare_fail(err, PARE_ERR_FORMAT, "%s: is neither a ZIP archive nor a pickle, so not torch's", f->name);
    pare_dealloc(r.legacy);
    pare_dealloc(r.seen.at);
    pare_str_clear(&r.path);
    return st;
}

const pare_format pare_format_torch = {
    .name = "torch",
    .help = "PyTorch checkpoints (.bin, .pt, .pth), ZIP and legacy form; read without running anything",
    .extensions = ".bin .pt .pth .th .ckpt",
    .probe = probe,
    .read = read,
    .load = load,
};
