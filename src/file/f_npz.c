/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NumPy archives (.npz): a ZIP whose members are npy files, "name.npy" for the array "name". Members may be stored (then
 * they are views) or deflated (np.savez_compressed: materialized, one at a time). The CRC of a member is checked the first
 * time its array is asked for.
 *
 * Writing streams stored members, each aligned so that the array's data begins at a multiple of 64 bytes. bf16 and 8-bit
 * floats have no numpy dtype and are refused.
 */
#include <string.h>
#include "file/npy.h"
#include "file/zip.h"

struct pare_tensor_source { const pare_zip *zip; const pare_zip_member *member; pare_npy npy; };

/* ---------------------------------------------------------------------------------------------------------- reading */

/* The first member's name is in the first bytes, unless it is long. */
static bool first_is_npy(const uint8_t *head, size_t n)
{
    size_t name_n = n >= 30 ? pare_le16(head + 26) : 0;
    return name_n >= 4 && name_n <= n - 30 && !memcmp(head + 30 + name_n - 4, ".npy", 4);
}

static bool probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size)
{
    (void)file_size;
    return n > 0 && (pare_str_ends(name, ".npz") || (n >= 4 && !memcmp(head, "PK\3\4", 4) && first_is_npy(head, n)));
}

static pare_status read_header(const pare_zip *zip, const pare_zip_member *m, const char *where, pare_npy *npy, pare_err *err)
{
    uint8_t prologue[PARE_NPY_PROLOGUE], *header = NULL;
    uint64_t n = m->size < sizeof prologue ? m->size : sizeof prologue, header_n = 0;
    pare_status st;
    PARE_TRY(pare_zip_read(zip, m, 0, prologue, n, false, err));
    PARE_TRY(pare_npy_measure(where, prologue, (size_t)n, &header_n, err));
    if (header_n > m->size)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: an npy header that ends at byte %llu does not fit into %llu", where,
                  (unsigned long long)header_n, (unsigned long long)m->size);
    PARE_TRY(pare_alloc_try((size_t)header_n, "npy header", (void **)&header, err));
    PARE_TRY(pare_zip_read(zip, m, 0, header, header_n, false, err));
    PARE_TRY(pare_npy_parse(where, header, (size_t)header_n, npy, err));
    st = pare_npy_check_size(where, npy, m->size, err);
out:
    pare_dealloc(header);
    return st;
}

static pare_status add_member(pare_store *s, int file, const pare_zip *zip, const pare_zip_member *m, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    struct pare_tensor_source *source = pare_arena_alloc(&s->arena, sizeof *source);
    size_t name_n = strlen(m->name);
    char *where = pare_arena_printf(&s->arena, "%s/%s", f->name, m->name);
    if (!source || !where) return pare_no_memory(err, "npz directory", sizeof *source);
    if (name_n < 4 || strcmp(m->name + name_n - 4, ".npy") != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: member '%s' is not an npy file", f->name, m->name);
    *source = (struct pare_tensor_source){.zip = zip, .member = m};
    pare_status st = read_header(zip, m, where, &source->npy, err);
    if (st != PARE_OK) return st;
    const pare_npy *npy = &source->npy;
    pare_tensor t = {.name = pare_arena_strndup(&s->arena, m->name, name_n - 4), .dtype = npy->dtype, .ndim = npy->ndim, .file = file,
                     .alias_of = -1, .source = source};
    if (!t.name) return pare_no_memory(err, "npz directory", name_n);
    memcpy(t.shape, npy->shape, sizeof t.shape);
    if (!m->deflated && !npy->swap && !npy->fortran) t.data = f->map.at + m->at + npy->data_at;
    return pare_store_add_tensor(s, &t, err);
}

static pare_status read(pare_store *s, int file, pare_err *err)
{
    const pare_store_file *f = &s->files[file];
    pare_zip *zip = pare_arena_alloc(&s->arena, sizeof *zip);
    if (!zip) return pare_no_memory(err, "npz directory", sizeof *zip);
    pare_status st = pare_zip_open(f->name, f->map.at, f->map.n, &s->arena, zip, err);
    for (size_t i = 0; st == PARE_OK && i < zip->n_members; i++) st = add_member(s, file, zip, &zip->members[i], err);
    return st;
}

static pare_status check(pare_store *s, const pare_tensor *t, pare_err *err)
{
    (void)s;
    return pare_zip_check(t->source->zip, t->source->member, err);
}

static pare_status load(pare_store *s, const pare_tensor *t, uint8_t *dst, pare_err *err)
{
    (void)s;
    const struct pare_tensor_source *from = t->source;
    const pare_npy *npy = &from->npy;
    uint8_t *stored = dst;
    if (npy->fortran && !(stored = pare_alloc((size_t)t->bytes))) return pare_no_memory(err, t->name, (size_t)t->bytes);
    /* A stored member is read without its header: its CRC then needs a look at the whole. */
    pare_status st = from->member->deflated ? PARE_OK : pare_zip_check(from->zip, from->member, err);
    if (st == PARE_OK) st = pare_zip_read(from->zip, from->member, npy->data_at, stored, t->bytes, from->member->deflated, err);
    if (st == PARE_OK) pare_npy_arrange(npy, dst, stored, t->bytes);
    if (stored != dst) pare_dealloc(stored);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- writing */

/* Header bytes of the member that holds spec, and of the npy inside. While writing, priv holds a pare_zip_out for each. */
static pare_status plan_member(const pare_spec *spec, const char *member, uint64_t at, pare_str *bytes, pare_str *npy, pare_err *err)
{
    pare_status st = pare_npy_header(npy, spec, err);
    if (st != PARE_OK) return st;
    if (strlen(member) > 60000) return pare_fail(err, PARE_ERR_UNSUPPORTED, "tensor '%s': the name is too long for npz", spec->name);
    pare_zip_out m = {member, at, npy->n + spec->bytes, 0};
    pare_zip_put_header(bytes, &m, UINT32_MAX);
    return bytes->failed ? pare_no_memory(err, "npz header", bytes->n) : PARE_OK;
}

static uint64_t descriptor_bytes(uint64_t size) { return size >= UINT32_MAX ? 24 : 16; }

static pare_status measure(const pare_spec *specs, int64_t n, const struct pare_kv *meta, int n_meta, uint64_t *file_bytes,
                           uint64_t *offsets, pare_err *err)
{
    (void)meta;
    (void)n_meta; /* npz has no place for metadata */
    pare_status st = PARE_OK;
    pare_arena arena = {0};
    pare_str bytes = {0}, npy = {0};
    uint64_t at = 0;
    pare_zip_out *members = pare_alloc_zero((size_t)n + 1, sizeof *members);
    if (!members) return pare_no_memory(err, "npz directory", (size_t)n * sizeof *members);
    for (int64_t i = 0; i < n; i++) {
        char *name = pare_arena_printf(&arena, "%s.npy", specs[i].name);
        if (!name) {
            st = pare_no_memory(err, "npz directory", strlen(specs[i].name));
            goto out;
        }
        bytes.n = npy.n = 0;
        PARE_TRY(plan_member(&specs[i], name, at, &bytes, &npy, err));
        members[i] = (pare_zip_out){name, at, npy.n + specs[i].bytes, 0};
        at += bytes.n + npy.n;
        if (offsets) offsets[i] = at;
        if (specs[i].bytes > INT64_MAX - at)
            PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "tensor '%s': the file would be too large", specs[i].name);
        at += specs[i].bytes + descriptor_bytes(members[i].size);
    }
    bytes.n = 0;
    pare_zip_put_directory(&bytes, members, (size_t)n, at, UINT32_MAX);
    if (bytes.failed) st = pare_no_memory(err, "npz directory", bytes.n);
    if (file_bytes) *file_bytes = at + bytes.n;
out:
    pare_dealloc(members);
    pare_str_clear(&bytes);
    pare_str_clear(&npy);
    pare_arena_clear(&arena);
    return st;
}

static pare_status begin(pare_writer *w, pare_err *err)
{
    w->priv = pare_alloc_zero((size_t)w->n + 1, sizeof(pare_zip_out));
    return w->priv ? PARE_OK : pare_no_memory(err, "npz directory", (size_t)w->n * sizeof(pare_zip_out));
}

static pare_status before(pare_writer *w, int64_t tensor, pare_err *err)
{
    pare_zip_out *m = (pare_zip_out *)w->priv + tensor;
    const pare_spec *spec = &w->specs[tensor];
    pare_str bytes = {0}, npy = {0};
    pare_status st;
    m->header_at = pare_writer_position(w);
    m->name = pare_arena_printf(&w->arena, "%s.npy", spec->name);
    if (!m->name) return pare_no_memory(err, "npz directory", strlen(spec->name));
    PARE_TRY(plan_member(spec, m->name, m->header_at, &bytes, &npy, err));
    m->size = npy.n + spec->bytes;
    m->crc = pare_crc32(0, npy.at, npy.n);
    PARE_TRY(pare_writer_raw(w, bytes.at, bytes.n, err));
    st = pare_writer_raw(w, npy.at, npy.n, err);
out:
    pare_str_clear(&bytes);
    pare_str_clear(&npy);
    return st;
}

static pare_status data(pare_writer *w, const void *bytes, size_t n)
{
    pare_zip_out *m = (pare_zip_out *)w->priv + w->tensor;
    m->crc = pare_crc32(m->crc, bytes, n);
    return PARE_OK;
}

static pare_status after(pare_writer *w, int64_t tensor, pare_err *err)
{
    pare_zip_out *m = (pare_zip_out *)w->priv + tensor;
    pare_str bytes = {0};
    /* When resuming the data is not seen again; its CRC is in the descriptor that stands here. */
    if (w->resume && w->resume_at + 8 <= w->resume->n) m->crc = pare_le32(w->resume->at + w->resume_at + 4);
    pare_zip_put_descriptor(&bytes, m, UINT32_MAX);
    pare_status st = bytes.failed ? pare_no_memory(err, "npz header", 24) : pare_writer_raw(w, bytes.at, bytes.n, err);
    pare_str_clear(&bytes);
    return st;
}

static pare_status end(pare_writer *w, pare_err *err)
{
    pare_str bytes = {0};
    pare_zip_put_directory(&bytes, w->priv, (size_t)w->n, pare_writer_position(w), UINT32_MAX);
    pare_status st = bytes.failed ? pare_no_memory(err, "npz directory", bytes.n) : pare_writer_raw(w, bytes.at, bytes.n, err);
    pare_str_clear(&bytes);
    return st;
}

const pare_format pare_format_npz = {
    .name = "npz",
    .help = "NumPy archive of arrays, stored or compressed",
    .extensions = ".npz",
    .can_write = true,
    .probe = probe,
    .read = read,
    .load = load,
    .check = check,
    .measure = measure,
    .begin = begin,
    .before = before,
    .data = data,
    .after = after,
    .end = end,
    .file_name = "model.npz",
};
