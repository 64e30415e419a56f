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
 * ones stay views of the mapped file, others are materialized one at a time (torch_views.c). Two names for the same view are an alias.
 * Names are the path of keys to a tensor, joined by dots; one well-known wrapper ("state_dict", ...) is left out.
 * Everything else in the object is ignored. CRCs are not checked: torch itself ignores them and can leave them out.
 */
#include <stdlib.h>
#include <string.h>
#include "file/torch.h"

enum { PICKLE_MAX = 1 << 30 };

/* --------------------------------------------------------------------------------------------------------- ZIP form */

static bool ends_with_part(const char *name, const char *part)
{
    return pare_str_ends(name, part) && (strlen(name) == strlen(part) || name[strlen(name) - strlen(part) - 1] == '/');
}

/* The folder that holds data.pkl. */
static pare_status find_prefix(pare_torch_reader *r, const char *where, const pare_zip_member **pickle)
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
static pare_status read_small(pare_torch_reader *r, const char *where, const char *part, char out[16])
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

static pare_status read_zip(pare_torch_reader *r, const pare_store_file *f)
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
    if (used != m->size)
        PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: %llu bytes follow the pickle", r->where, (unsigned long long)(m->size - used));
    st = pare_torch_add_object(r, root);
out:
    pare_dealloc(unpacked);
    return st;
}

/* ------------------------------------------------------------------------------------------------------ legacy form */

/* The next of the consecutive pickles. */
static pare_status next_pickle(pare_torch_reader *r, pare_rd *in, pare_pk_storages *storages, const pare_pk_value **out)
{
    size_t used = 0;
    pare_status st = pare_pickle_run(r->where, in->at + in->pos, in->n - in->pos, &r->store->arena, storages, &used, out, r->err);
    if (st == PARE_OK && !pare_rd_skip(in, used)) st = pare_fail(r->err, PARE_ERR_FORMAT, "%s: the pickle ends in the middle", r->where);
    return st;
}

static pare_status read_prologue(pare_torch_reader *r, pare_rd *in)
{
    static const uint8_t magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    const pare_pk_value *v, *little;
    pare_status st = next_pickle(r, in, NULL, &v);
    if (st != PARE_OK) return st;
    if (v->type != PARE_PK_LONG || v->is.text.n != sizeof magic || memcmp(v->is.text.at, magic, sizeof magic) != 0)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: is a pickle, but not one that torch.save wrote", r->where);
    if ((st = next_pickle(r, in, NULL, &v)) != PARE_OK) return st;
    if (v->type != PARE_PK_INT || v->is.whole != 1001)
        return pare_fail(r->err, PARE_ERR_UNSUPPORTED, "%s: the protocol of this file is not 1001", r->where);
    if ((st = next_pickle(r, in, NULL, &v)) != PARE_OK) return st;
    little = pare_pk_get(v, "little_endian");
    if (v->type != PARE_PK_DICT) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: the third pickle is no dict of system facts", r->where);
    r->big_endian = little && little->type == PARE_PK_BOOL && !little->is.whole;
    return PARE_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct pare_torch_legacy *x = a, *y = b;
    return pare_torch_compare_keys(x->key, x->key_n, y->key, y->key_n);
}

static int by_storage_key(const void *a, const void *b)
{
    const pare_pk_storage *x = *(const pare_pk_storage *const *)a, *y = *(const pare_pk_storage *const *)b;
    return pare_torch_compare_keys(x->key, x->key_n, y->key, y->key_n);
}

/* Every mention of a storage must agree about it. Leaves one mention a key. */
static pare_status unite_storages(pare_torch_reader *r, pare_pk_storages *s)
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
static pare_status place_storage(pare_torch_reader *r, pare_rd *in, const pare_pk_value *key, const pare_pk_storages *s,
                                 struct pare_torch_legacy *out)
{
    uint64_t numel, bytes;
    if (key->type != PARE_PK_TEXT) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: a storage key that is no text", r->where);
    int shown = (int)(key->is.text.n < 64 ? key->is.text.n : 64);
    pare_pk_storage probe = {.key = key->is.text.at, .key_n = key->is.text.n};
    const pare_pk_storage *p = &probe, *const *hit = s->n ? bsearch(&p, s->at, s->n, sizeof *s->at, by_storage_key) : NULL;
    if (!hit)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: no tensor uses storage '%.*s', so its size is unknown", r->where, shown, probe.key);
    if (!pare_rd_u64(in, &numel)) return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' is cut off", r->where, shown, probe.key);
    if (numel != (*hit)->numel)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' has %llu elements, its tensors say %llu", r->where, shown, probe.key,
                         (unsigned long long)numel, (unsigned long long)(*hit)->numel);
    *out = (struct pare_torch_legacy){probe.key, probe.key_n, in->at + in->pos};
    if (!pare_mul_u64(numel, (*hit)->dtype == PARE_DTYPE_NONE ? 1 : pare_dtype_bytes((*hit)->dtype, 1), &bytes) || bytes > in->n - in->pos)
        return pare_fail(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' of %llu elements does not fit into the %zu bytes that are left",
                         r->where, shown, probe.key, (unsigned long long)numel, in->n - in->pos);
    pare_rd_skip(in, (size_t)bytes);
    return PARE_OK;
}

static pare_status read_legacy(pare_torch_reader *r, const pare_store_file *f)
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
            PARE_FAIL(r->err, PARE_ERR_FORMAT, "%s: storage '%.*s' is there twice", r->where,
                      (int)(r->legacy[i].key_n < 64 ? r->legacy[i].key_n : 64), r->legacy[i].key);
    st = pare_torch_add_object(r, root);
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
    return n > 0 &&
           (pare_str_ends(name, ".pt") || pare_str_ends(name, ".pth") || pare_str_ends(name, ".th") || pare_str_ends(name, ".ckpt"));
}

static bool is_tar(const pare_map *m) { return m->n >= 512 && !memcmp(m->at + 257, "ustar", 5); }

static pare_status read(pare_store *s, int file, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    pare_torch_reader r = {.store = s, .file = file, .where = f->name, .err = err};
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
    .load = pare_torch_load,
};
