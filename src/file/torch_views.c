/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the object of a torch checkpoint to named tensors: walking it, finding each tensor's storage, checking that the view
 * stays inside, aliases, and materializing what is not contiguous little-endian bytes. See f_torch.c.
 *
 * Invariant: what is added has been checked in full; loading cannot run out of a storage.
 */
#include <string.h>
#include "file/strided.h"
#include "file/torch.h"

/* WALK_MAX: a few bytes of pickle can describe a graph with an exponential number of paths. */
enum { DEPTH_MAX = 64, WALK_MAX = 1 << 22 };
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

/* --------------------------------------------------------------------------------------------------------- storages */

static pare_status find_in_zip(pare_torch_reader *r, const pare_pk_storage *s, struct pare_tensor_source *out, uint64_t bytes,
                               const char *name)
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
    if (!m)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of tensor '%s' is missing", r->where,
                         (int)(s->key_n < 64 ? s->key_n : 64), s->key, name);
    if (m->size != bytes)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%s' of tensor '%s' has %llu bytes, %llu are needed", r->where, m->name,
                         name, (unsigned long long)m->size, (unsigned long long)bytes);
    out->zip = r->zip;
    out->member = m;
    if (!m->deflated) out->bytes = r->zip->bytes + m->at;
    return PARE_OK;
}

int pare_torch_compare_keys(const char *a, size_t a_n, const char *b, size_t b_n)
{
    size_t n = a_n < b_n ? a_n : b_n;
    int order = n ? memcmp(a, b, n) : 0;
    return order ? order : (a_n > b_n) - (a_n < b_n);
}

static const struct pare_torch_legacy *find_legacy(const pare_torch_reader *r, const char *key, size_t key_n)
{
    for (size_t low = 0, high = r->n_legacy; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = pare_torch_compare_keys(key, key_n, r->legacy[middle].key, r->legacy[middle].key_n);
        if (order == 0) return &r->legacy[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

static pare_status find_storage(pare_torch_reader *r, const pare_pk_storage *s, struct pare_tensor_source *out, const char *name)
{
    uint64_t bytes, unit = s->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes(s->dtype, 1);
    if (!pare_mul_u64(s->numel, unit, &bytes))
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the storage of tensor '%s' has %llu elements", r->where, name,
                         (unsigned long long)s->numel);
    if (r->zip) {
        pare_status st = find_in_zip(r, s, out, bytes, name);
        if (st != PARE_OK) return st;
    } else {
        const struct pare_torch_legacy *l = find_legacy(r, s->key, s->key_n);
        if (!l)
            return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of tensor '%s' is missing", r->where,
                             (int)(s->key_n < 64 ? s->key_n : 64), s->key, name);
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
static pare_status check_range(pare_torch_reader *r, const pare_pk_tensor *t, const char *name, uint64_t *first, uint64_t *span)
{
    const pare_pk_storage *s = t->storage;
    uint64_t size = pare_dtype_bytes(t->dtype, 1), unit = s->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes(s->dtype, 1), end, have;
    if (!pare_mul_u64(s->view_numel, unit, &have)) have = 0;
    have /= size;
    if (!span_of(t, span) || !pare_add_u64((uint64_t)t->offset, *span, &end) || end > have)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: tensor '%s' reaches beyond the %llu elements of its storage (offset %lld)", r->where,
                         name, (unsigned long long)have, (long long)t->offset);
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
    return a->dtype == b->dtype && a->ndim == b->ndim && a->file == b->file && x->member == y->member && x->bytes == y->bytes &&
           x->first == y->first && x->contiguous == y->contiguous && !memcmp(a->shape, b->shape, sizeof a->shape) &&
           !memcmp(x->strides, y->strides, sizeof x->strides);
}

static pare_status grow_seen(pare_torch_reader *r)
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
static pare_status find_alias(pare_torch_reader *r, pare_tensor *t)
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

static pare_status check_name(pare_torch_reader *r, const char *name, size_t n)
{
    if (pare_utf8_valid(name, n) && !memchr(name, 0, n)) return PARE_OK;
    return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the name of a tensor is not UTF-8 text", r->where);
}

static pare_status add_tensor(pare_torch_reader *r, const pare_pk_tensor *from)
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
        PARE_FAIL(r->err, PARE_ERR_UNSUPPORTED, "%s: tensor '%s' repeats %llu elements to %llu bytes", r->where, name,
                  (unsigned long long)span, (unsigned long long)t.bytes);
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

pare_status pare_torch_load(pare_store *s, const pare_tensor *t, uint8_t *dst, pare_err *err)
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

static pare_status count_step(pare_torch_reader *r, int depth, size_t items)
{
    if (depth > DEPTH_MAX) return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: containers are nested deeper than %d", r->where, DEPTH_MAX);
    r->walked += items;
    if (r->walked > WALK_MAX) return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: the object has more than %d parts", r->where, WALK_MAX);
    return PARE_OK;
}

/* Is there a tensor in v or below it? Lets *found alone when not. */
static pare_status has_tensor(pare_torch_reader *r, const pare_pk_value *v, int depth, bool *found)
{
    if (v->type == PARE_PK_TENSOR) *found = true;
    if (*found || !is_container(v)) return PARE_OK;
    pare_status st = count_step(r, depth, v->is.items.n + 1);
    size_t step = v->type == PARE_PK_DICT ? 2 : 1;
    for (size_t i = step - 1; st == PARE_OK && !*found && i < v->is.items.n; i += step)
        st = has_tensor(r, v->is.items.at[i], depth + 1, found);
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
static void add_key(pare_torch_reader *r, const pare_pk_value *key, bool *known)
{
    *known = key->type == PARE_PK_TEXT || key->type == PARE_PK_INT;
    if (r->path.n && *known) pare_str_add(&r->path, ".");
    if (key->type == PARE_PK_TEXT) pare_str_addn(&r->path, key->is.text.at, key->is.text.n);
    if (key->type == PARE_PK_INT) add_number(&r->path, key->is.whole);
}

static pare_status walk(pare_torch_reader *r, const pare_pk_value *v, int depth)
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
static pare_status unwrap(pare_torch_reader *r, const pare_pk_value *root, const pare_pk_value **out)
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

pare_status pare_torch_add_object(pare_torch_reader *r, const pare_pk_value *root)
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
