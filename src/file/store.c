/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: named tensors over mapped files. Formats build it with pare_store_add_*(), everybody else finds tensors by
 * name (open-addressing hash, so that a header of 50,000 names stays fast) and asks for their bytes.
 *
 * Invariants: names are unique; every tensor with data != NULL lies wholly inside its file's map; a heap copy exists only
 * between pare_store_data() and pare_store_release(), so that memory is bounded by the tensors held at one time.
 */
#include <assert.h>
#include <string.h>
#include "file/file.h"

struct name_slot { uint64_t hash; int64_t tensor; };             /* tensor + 1; 0 = free */
struct tensor_state { uint8_t *copy; bool checked; };

struct pare_name_index {
    struct name_slot *slots; size_t n_slots;                      /* a power of two, at most half full */
    uint64_t seed;                                                /* differs between runs: hostile names cannot aim at collisions */
    struct tensor_state *state; size_t state_cap;
    size_t tensors_cap, files_cap, metadata_cap;
};

/* ------------------------------------------------------------------------------------------------------- name index */

static uint64_t hash_name(uint64_t seed, const char *name, size_t n)
{
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15u);
    while (n) {
        uint64_t word = 0;
        size_t take = n < 8 ? n : 8;
        memcpy(&word, name, take);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        name += take;
        n -= take;
    }
    return h ^ (h >> 29);
}

static struct name_slot *find_slot(const pare_store *s, const char *name, uint64_t hash)
{
    struct pare_name_index *x = s->index;
    for (size_t i = hash & (x->n_slots - 1);; i = (i + 1) & (x->n_slots - 1)) {
        struct name_slot *slot = &x->slots[i];
        if (!slot->tensor) return slot;
        if (slot->hash == hash && !strcmp(s->tensors[slot->tensor - 1].name, name)) return slot;
    }
}

static pare_status index_reserve(pare_store *s, pare_err *err)
{
    struct pare_name_index *x = s->index;
    if (x->n_slots > (size_t)(s->n_tensors + 1) * 2) return PARE_OK;
    size_t n = x->n_slots ? x->n_slots * 4 : 256;
    struct name_slot *slots = pare_alloc_zero(n, sizeof *slots);
    if (!slots) return pare_no_memory(err, "tensor names", n * sizeof *slots);
    for (size_t i = 0; i < x->n_slots; i++) {
        if (!x->slots[i].tensor) continue;
        size_t k = x->slots[i].hash & (n - 1);
        while (slots[k].tensor) k = (k + 1) & (n - 1);
        slots[k] = x->slots[i];
    }
    pare_dealloc(x->slots);
    x->slots = slots;
    x->n_slots = n;
    return PARE_OK;
}

int64_t pare_store_find(const pare_store *store, const char *name)
{
    if (!store->index->n_slots) return -1;
    return find_slot(store, name, hash_name(store->index->seed, name, strlen(name)))->tensor - 1;
}

/* --------------------------------------------------------------------------------------------------------- building */

pare_status pare_store_new(const struct pare_format *format, pare_store **out, pare_err *err)
{
    pare_store *s = pare_alloc_zero(1, sizeof *s);
    struct pare_name_index *x = pare_alloc_zero(1, sizeof *x);
    *out = NULL;
    if (!s || !x) {
        pare_dealloc(s);
        pare_dealloc(x);
        return pare_no_memory(err, "checkpoint", sizeof *s + sizeof *x);
    }
    s->format = format;
    s->index = x;
    x->seed = (uint64_t)(uintptr_t)s * 0xc4ceb9fe1a85ec53u;
    *out = s;
    return PARE_OK;
}

static bool have_room(void **at, size_t *cap, size_t need, size_t size) { return need <= *cap || pare_vec_grow(at, cap, need, size); }

/* Room for one more file with its path and name set; the map is still empty. */
static pare_status new_file(pare_store *s, const char *path, int *file, pare_err *err)
{
    if (!have_room((void **)&s->files, &s->index->files_cap, (size_t)s->n_files + 1, sizeof *s->files))
        return pare_no_memory(err, "file list", sizeof *s->files);
    pare_store_file *f = &s->files[s->n_files];
    memset(f, 0, sizeof *f);
    f->path = pare_arena_strdup(&s->arena, path);
    if (!f->path) return pare_no_memory(err, "file name", strlen(path) + 1);
    f->name = pare_path_name(f->path);
    *file = s->n_files;
    return PARE_OK;
}

pare_status pare_store_add_file(pare_store *s, const char *path, int *file, pare_err *err)
{
    pare_status st = new_file(s, path, file, err);
    if (st != PARE_OK) return st;
    st = pare_map_open(path, &s->files[*file].map, err);
    if (st == PARE_OK) s->n_files++;
    return st;
}

static pare_status add_memory(pare_store *s, const char *name, const void *bytes, size_t n, int *file, pare_err *err)
{
    pare_status st = new_file(s, name, file, err);
    if (st != PARE_OK) return st;
    s->files[*file].borrowed = true;
    s->files[*file].map.at = bytes;
    s->files[*file].map.n = n;
    s->n_files++;
    return PARE_OK;
}

pare_status pare_shape_bytes(const char *where, const char *name, pare_dtype dtype, int ndim, const int64_t *shape, uint64_t *numel,
                             uint64_t *bytes, pare_err *err) {
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    int64_t n = 1;
    uint64_t bits = 0;
    bool overflow = false, empty = false;
    if (!info) return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' has no known dtype", where, name);
    if (ndim < 0 || ndim > PARE_MAX_DIMS)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: tensor '%s' has %d dimensions, at most %d are read", where, name, ndim,
                         PARE_MAX_DIMS);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' has size %lld in dimension %d", where, name, (long long)shape[i], i);
        empty = empty || shape[i] == 0;
        overflow = overflow || __builtin_mul_overflow(n, shape[i] ? shape[i] : 1, &n); /* whatever else is 0: strides must fit too */
    }
    if (overflow || !pare_mul_u64((uint64_t)n, (uint64_t)info->bits, &bits))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s': the product of its shape is too large", where, name);
    if (empty) n = 0, bits = 0;
    if (bits % 8)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s': %lld elements of %d bits do not end on a whole byte", where, name,
                         (long long)n, info->bits);
    *numel = (uint64_t)n;
    *bytes = bits / 8;
    return PARE_OK;
}

static pare_status check_inside(const pare_store *s, const pare_tensor *t, pare_err *err)
{
    const pare_map *m = &s->files[t->file].map;
    uintptr_t at = (uintptr_t)t->data, begin = (uintptr_t)m->at;
    if (at >= begin && at - begin <= m->n && t->bytes <= m->n - (at - begin)) return PARE_OK;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' of %llu bytes lies outside the file of %zu bytes", s->files[t->file].name,
                     t->name, (unsigned long long)t->bytes, m->n);
}

pare_status pare_store_add_tensor(pare_store *s, const pare_tensor *t, pare_err *err)
{
    struct pare_name_index *x = s->index;
    const char *where = s->files[t->file].name;
    size_t length = strlen(t->name), need = (size_t)s->n_tensors + 1;
    pare_tensor copy = *t;
    pare_status st = pare_shape_bytes(where, t->name, t->dtype, t->ndim, t->shape, &copy.numel, &copy.bytes, err);
    if (st != PARE_OK) return st;
    if (copy.data && (st = check_inside(s, &copy, err)) != PARE_OK) return st;
    if ((st = index_reserve(s, err)) != PARE_OK) return st;
    uint64_t hash = hash_name(x->seed, t->name, length);
    struct name_slot *slot = find_slot(s, t->name, hash);
    if (slot->tensor)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' is already in '%s'", where, t->name,
                         s->files[s->tensors[slot->tensor - 1].file].name);
    if (!have_room((void **)&s->tensors, &x->tensors_cap, need, sizeof *s->tensors) ||
        !have_room((void **)&x->state, &x->state_cap, need, sizeof *x->state) ||
        !(copy.name = pare_arena_strndup(&s->arena, t->name, length)))
        return pare_no_memory(err, "tensor list", need * sizeof *s->tensors);
    x->state[s->n_tensors] = (struct tensor_state){0};
    s->tensors[s->n_tensors++] = copy;
    slot->hash = hash;
    slot->tensor = s->n_tensors;
    return PARE_OK;
}

pare_status pare_store_add_metadata(pare_store *s, const char *key, const char *value, pare_err *err)
{
    struct pare_kv kv = {pare_arena_strdup(&s->arena, key), pare_arena_strdup(&s->arena, value)};
    if (!kv.key || !kv.value || !have_room((void **)&s->metadata, &s->index->metadata_cap, (size_t)s->n_metadata + 1, sizeof kv))
        return pare_no_memory(err, "metadata", strlen(key) + strlen(value) + 2);
    s->metadata[s->n_metadata++] = kv;
    return PARE_OK;
}

const char *pare_store_metadata(const pare_store *store, const char *key)
{
    for (int i = 0; i < store->n_metadata; i++)
        if (!strcmp(store->metadata[i].key, key)) return store->metadata[i].value;
    return NULL;
}

const char *pare_store_stem(pare_store *s, int file)
{
    const char *name = pare_path_name(s->files[file].name), *dot = strrchr(name, '.');
    return pare_arena_strndup(&s->arena, name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
}

/* ------------------------------------------------------------------------------------------------------------ bytes */

size_t pare_dtype_unit(pare_dtype dtype)
{
    const pare_dtype_info *info = pare_dtype_get_info(dtype);
    if (!info || info->bits < 8) return 1;
    return (size_t)info->bits / (info->kind == PARE_KIND_COMPLEX ? 16 : 8);
}

void pare_swap_elements(pare_dtype dtype, uint8_t *data, uint64_t bytes)
{
    size_t unit = pare_dtype_unit(dtype);
    for (uint64_t at = 0; unit > 1 && at < bytes; at += unit)
        for (size_t i = 0; i < unit / 2; i++) {
            uint8_t low = data[at + i];
            data[at + i] = data[at + unit - 1 - i];
            data[at + unit - 1 - i] = low;
        }
}

pare_status pare_store_data(pare_store *store, int64_t tensor, const uint8_t **data, pare_err *err)
{
    assert(tensor >= 0 && tensor < store->n_tensors);
    const pare_tensor *t = &store->tensors[tensor];
    struct tensor_state *state = &store->index->state[tensor];
    pare_status st = PARE_OK;
    *data = state->copy;
    if (state->copy) return PARE_OK;
    if (t->data && store->format->check && !state->checked) {
        if ((st = store->format->check(store, t, err)) != PARE_OK) return st;
        state->checked = true;
    }
    if (t->data && (uintptr_t)t->data % pare_dtype_unit(t->dtype) == 0) {
        *data = t->data;
        return PARE_OK;
    }
    if (t->bytes > SIZE_MAX - 64) return pare_no_memory(err, t->name, SIZE_MAX);
    uint8_t *copy = pare_alloc_aligned(64, t->bytes ? (size_t)t->bytes : 1);
    if (!copy) return pare_no_memory(err, t->name, (size_t)t->bytes);
    if (t->data) memcpy(copy, t->data, (size_t)t->bytes);
    else st = store->format->load(store, t, copy, err);
    if (st != PARE_OK) {
        pare_dealloc_aligned(copy);
        return st;
    }
    *data = state->copy = copy;
    return PARE_OK;
}

void pare_store_release(pare_store *store, int64_t tensor)
{
    assert(tensor >= 0 && tensor < store->n_tensors);
    const pare_tensor *t = &store->tensors[tensor];
    const pare_store_file *f = &store->files[t->file];
    struct tensor_state *state = &store->index->state[tensor];
    pare_dealloc_aligned(state->copy);
    state->copy = NULL;
    if (t->data && t->bytes && !f->borrowed) pare_map_drop(&f->map, (size_t)(t->data - f->map.at), (size_t)t->bytes);
}

/* ---------------------------------------------------------------------------------------------------- memory, close */

pare_status pare_store_open_memory(const char *name, const void *bytes, size_t n, const struct pare_format *format, pare_store **out,
                                   pare_err *err) {
    pare_store *s = NULL;
    pare_status st;
    int file = 0;
    *out = NULL;
    PARE_TRY(pare_store_new(format, &s, err));
    PARE_TRY(add_memory(s, name, bytes, n, &file, err));
    if (!format) PARE_TRY(pare_format_probe(s->files[file].name, bytes, n, n, &s->format, err));
    PARE_TRY(s->format->read(s, file, err));
    *out = s;
    return PARE_OK;
out:
    pare_store_close(s);
    return st;
}

void pare_store_close(pare_store *store)
{
    if (!store) return;
    if (store->format && store->format->close) store->format->close(store);
    for (int64_t i = 0; i < store->n_tensors; i++) pare_dealloc_aligned(store->index->state[i].copy);
    for (int i = 0; i < store->n_files; i++)
        if (!store->files[i].borrowed) pare_map_close(&store->files[i].map);
    pare_dealloc(store->files);
    pare_dealloc(store->tensors);
    pare_dealloc(store->metadata);
    pare_dealloc(store->folder);
    pare_dealloc(store->config_text);
    pare_jdoc_free(store->config);
    pare_dealloc(store->index->slots);
    pare_dealloc(store->index->state);
    pare_dealloc(store->index);
    pare_arena_clear(&store->arena);
    pare_dealloc(store);
}
