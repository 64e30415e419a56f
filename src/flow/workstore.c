/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finished layers of a calibration, one file each in OUT.partial/.work. A file is written beside its place, flushed and renamed, so it is whole or
 * absent: what is there needs no journal. What it belongs to (plan, options, calibration text) is what the job's own journal guards.
 *
 *   offset  size  content
 *   0       8     "PAREWORK"
 *   8       8     bytes n of the body, little-endian as everything here
 *   16      n     body: of a layer its record and tensor, codes packed to their bits; of a fold its scales
 *   16 + n  32    XXH3-128 of the body, in hex
 */
#include <string.h>

#include "flow/calibrate.h"

enum { HEAD = 16, HASH = 32 };
static const char magic[8] = { 'P', 'A', 'R', 'E', 'W', 'O', 'R', 'K' };

struct pare_workstore { char *folder; };

/* --------------------------------------------------------------------------------------------------------- bytes in, out */

/* A body that is being made (at != NULL) or measured, or read (reading). */
typedef struct body { uint8_t *at; size_t n, end; bool reading, failed; } body;

static void bytes(body *b, void *data, size_t n)
{
    if (b->reading && (b->failed || n > b->end - b->n)) {
        b->failed = true;
        return;
    }
    if (b->reading && n) memcpy(data, b->at + b->n, n);
    else if (b->at && n) memcpy(b->at + b->n, data, n);
    b->n += n;
}

static void hash_of(const uint8_t *data, size_t n, char hex[33], pare_status *st, pare_err *err)
{
    pare_xxh128 *h = NULL;
    if ((*st = pare_xxh128_new(&h, err)) != PARE_OK) return;
    pare_xxh128_update(h, data, n);
    pare_xxh128_hex(h, hex);
    pare_xxh128_free(h);
}

static char *path_of(const pare_workstore *s, const char *kind, int64_t number)
{
    char name[64];
    pare_print(name, sizeof name, "%s-%lld", kind, (long long)number);
    return pare_path_join(s->folder, name);
}

typedef void (*fill_fn)(body *b, void *what);

static pare_status write_body(const pare_workstore *s, const char *kind, int64_t number, fill_fn fill, void *what, pare_err *err)
{
    body b = { 0 };
    char hex[33];
    char *path = path_of(s, kind, number);
    uint8_t *all = NULL;
    pare_status st = PARE_OK;
    fill(&b, what);
    const uint64_t n = b.n;
    if (!path || !(all = pare_alloc(HEAD + (size_t)n + HASH))) {
        st = pare_no_memory(err, "a finished layer", (size_t)n);
        goto out;
    }
    memcpy(all, magic, sizeof magic);
    memcpy(all + 8, &n, sizeof n);
    b = (body){ .at = all + HEAD };
    fill(&b, what);
    hash_of(all + HEAD, (size_t)n, hex, &st, err);
    if (st != PARE_OK) goto out;
    memcpy(all + HEAD + n, hex, HASH);
    st = pare_write_file_atomic(path, all, HEAD + (size_t)n + HASH, err);
out:
    pare_dealloc(all);
    pare_dealloc(path);
    return st;
}

/* Opens the file and checks it; *map stays open. */
static pare_status read_body(const pare_workstore *s, const char *kind, int64_t number, pare_map *map, body *b, pare_err *err)
{
    char hex[33];
    uint64_t n = 0;
    char *path = path_of(s, kind, number);
    pare_status st = path ? pare_map_open(path, map, err) : pare_no_memory(err, kind, 0);
    pare_dealloc(path);
    if (st != PARE_OK) return st;
    if (map->n >= HEAD + HASH) memcpy(&n, map->at + 8, sizeof n);
    if (map->n < HEAD + HASH || memcmp(map->at, magic, sizeof magic) || n != map->n - HEAD - HASH) {
        st = pare_fail(err, PARE_ERR_FORMAT, "%s: is no finished layer of an interrupted run", map->path);
    } else {
        hash_of(map->at + HEAD, (size_t)n, hex, &st, err);
        if (st == PARE_OK && memcmp(hex, map->at + HEAD + n, HASH)) st = pare_fail(err, PARE_ERR_DATA, "%s: has changed since it was written", map->path);
    }
    if (st != PARE_OK) {
        pare_hint(err, "--overwrite starts again from the beginning");
        pare_map_close(map);
        return st;
    }
    *b = (body){ .at = (uint8_t *)(uintptr_t)map->at + HEAD, .end = (size_t)n, .reading = true };
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- tensors */

typedef struct layer_file { pare_qtensor *q; pare_work_record record; const char *what; pare_err *err; pare_status st; } layer_file;

static void codes(body *b, pare_qtensor *q)
{
    const size_t packed = ((size_t)q->grid.numel * (size_t)q->scheme.bits + 7) / 8;
    if (b->reading) {
        if (b->failed || packed > b->end - b->n) b->failed = true;
        else pare_unpack_lsb_row(q->scheme.bits, q->grid.numel, b->at + b->n, q->codes);
    } else if (b->at)
        pare_pack_lsb_row(q->scheme.bits, q->grid.numel, q->codes, b->at + b->n);
    b->n += packed;
}

/* An array that may be absent; made when it is read. */
static void array(body *b, layer_file *f, void **at, size_t count, size_t size)
{
    uint8_t there = *at != NULL;
    bytes(b, &there, 1);
    if (b->failed || !there) return;
    if (!*at && !(*at = pare_alloc_zero(count + 1, size))) {
        f->st = pare_no_memory(f->err, f->what, count * size);
        b->failed = true;
        return;
    }
    bytes(b, *at, count * size);
}

static void nested(body *b, layer_file *f)
{
    pare_nested *n;
    uint8_t there = f->q->nested != NULL;
    bytes(b, &there, 1);
    if (b->failed || !there) return;
    if (!f->q->nested && !(f->q->nested = pare_alloc_zero(1, sizeof *f->q->nested))) {
        f->st = pare_no_memory(f->err, f->what, sizeof *f->q->nested);
        b->failed = true;
        return;
    }
    n = f->q->nested;
    bytes(b, &n->offset, sizeof n->offset);
    bytes(b, &n->block, sizeof n->block);
    bytes(b, &n->n, sizeof n->n);
    bytes(b, &n->n_scales, sizeof n->n_scales);
    if (b->reading && (n->n < 0 || n->n > f->q->grid.n_scales || n->n_scales < 0 || n->n_scales > n->n)) b->failed = true;
    if (b->failed) return;
    array(b, f, (void **)&n->codes, (size_t)n->n, 1);
    array(b, f, (void **)&n->scales, (size_t)n->n_scales, sizeof *n->scales);
}

static void layer(body *b, void *what)
{
    layer_file *f = what;
    pare_qtensor *q = f->q;
    const size_t scales = (size_t)q->grid.n_scales, cols = (size_t)(q->grid.ndim ? q->grid.shape[q->grid.ndim - 1] : 1);
    int32_t kind = q->zero_kind;
    bytes(b, &f->record, sizeof f->record);
    bytes(b, &kind, sizeof kind);
    if (b->reading && !b->failed) q->zero_kind = (pare_zero_kind)kind;
    bytes(b, &q->global_scale, sizeof q->global_scale);
    bytes(b, &q->input_scale, sizeof q->input_scale);
    codes(b, q);
    bytes(b, q->scales, scales * sizeof *q->scales);
    array(b, f, (void **)&q->zeros, scales, sizeof *q->zeros);
    array(b, f, (void **)&q->fzeros, scales, sizeof *q->fzeros);
    array(b, f, (void **)&q->shifts, scales, sizeof *q->shifts);
    array(b, f, (void **)&q->g_idx, cols, sizeof *q->g_idx);
    nested(b, f);
}

pare_status pare_workstore_put(pare_workstore *s, int64_t item, const pare_qtensor *q, const pare_work_record *record, pare_err *err)
{
    layer_file f = { .q = (pare_qtensor *)(uintptr_t)q, .record = *record };
    return write_body(s, "layer", item, layer, &f, err);
}

static pare_status check_tensor(const pare_qtensor *q, const char *path, pare_err *err)
{
    const bool whole = (q->zero_kind != PARE_ZERO_SHIFT || q->shifts) && (q->zero_kind != PARE_ZERO_FLOAT || q->fzeros) && (q->zero_kind != PARE_ZERO_INT || q->zeros);
    const int64_t cols = q->grid.shape[q->grid.ndim - 1], groups = q->grid.blocks[q->grid.ndim - 1];
    if (!whole || q->zero_kind < PARE_ZERO_SYM || q->zero_kind > PARE_ZERO_FLOAT) return pare_fail(err, PARE_ERR_DATA, "%s: zero points of kind %d are missing", path, (int)q->zero_kind);
    for (int64_t i = 0; q->g_idx && i < cols; i++)
        if (q->g_idx[i] < 0 || q->g_idx[i] >= groups) return pare_fail(err, PARE_ERR_DATA, "%s: column %lld is in group %d of %lld", path, (long long)i, q->g_idx[i], (long long)groups);
    return PARE_OK;
}

pare_status pare_workstore_get(const pare_workstore *s, int64_t item, const pare_scheme *scheme, int64_t rows, int64_t cols, pare_qtensor **q, pare_work_record *record,
                               pare_err *err)
{
    pare_map map = { 0 };
    body b;
    layer_file f = { .what = "a finished layer", .err = err };
    pare_status st;
    *q = NULL;
    if ((st = read_body(s, "layer", item, &map, &b, err)) != PARE_OK) return st;
    PARE_TRY(pare_qtensor_new(scheme, 2, (const int64_t[]){ rows, cols }, &f.q, err));
    layer(&b, &f);
    if (f.st != PARE_OK) {
        st = f.st;
        goto out;
    }
    if (b.failed || b.n != b.end) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: is of another layer than the plan's [%lld, %lld]", map.path, (long long)rows, (long long)cols);
    PARE_TRY(check_tensor(f.q, map.path, err));
    f.record.note[sizeof f.record.note - 1] = 0;
    if (record) *record = f.record;
    *q = f.q;
    f.q = NULL;
out:
    pare_qtensor_free(f.q);
    pare_map_close(&map);
    return st;
}

static bool exists(const pare_workstore *s, const char *kind, int64_t number)
{
    char *path = path_of(s, kind, number);
    const bool there = path && pare_path_exists(path);
    pare_dealloc(path);
    return there;
}

bool pare_workstore_has(const pare_workstore *s, int64_t item) { return exists(s, "layer", item); }

/* ----------------------------------------------------------------------------------------------------------------- folds */

typedef struct fold_file { float *scale; size_t n; char note[200]; } fold_file;

static void fold(body *b, void *what)
{
    fold_file *f = what;
    bytes(b, f->note, sizeof f->note);
    bytes(b, f->scale, f->n * sizeof *f->scale);
}

pare_status pare_workstore_put_scale(pare_workstore *s, int64_t number, const float *scale, int64_t n, const char *note, pare_err *err)
{
    fold_file f = { .scale = (float *)(uintptr_t)scale, .n = (size_t)n };
    pare_print(f.note, sizeof f.note, "%s", note);
    return write_body(s, "fold", number, fold, &f, err);
}

pare_status pare_workstore_get_scale(const pare_workstore *s, int64_t number, float *scale, int64_t n, char note[200], bool *found, pare_err *err)
{
    pare_map map = { 0 };
    body b;
    fold_file f = { .scale = scale, .n = (size_t)n };
    pare_status st = PARE_OK;
    *found = exists(s, "fold", number);
    if (!*found) return PARE_OK;
    if ((st = read_body(s, "fold", number, &map, &b, err)) != PARE_OK) return st;
    fold(&b, &f);
    if (b.failed || b.n != b.end) st = pare_fail(err, PARE_ERR_FORMAT, "%s: is of another fold than the plan's %lld columns", map.path, (long long)n);
    f.note[sizeof f.note - 1] = 0;
    memcpy(note, f.note, sizeof f.note);
    pare_map_close(&map);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- folder */

pare_status pare_workstore_open(const char *folder, bool resume, pare_workstore **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_workstore *s = pare_alloc_zero(1, sizeof *s);
    *out = NULL;
    if (!s || !(s->folder = pare_path_join(folder, PARE_WORK_NAME))) {
        pare_workstore_close(s);
        return pare_no_memory(err, PARE_WORK_NAME, 0);
    }
    if (!resume && pare_path_exists(s->folder)) PARE_TRY(pare_remove_tree(s->folder, err));
    PARE_TRY(pare_make_folder(s->folder, err));
    *out = s;
    return PARE_OK;
out:
    pare_workstore_close(s);
    return st;
}

const char *pare_workstore_folder(const pare_workstore *s) { return s->folder; }

void pare_workstore_close(pare_workstore *s)
{
    if (!s) return;
    pare_dealloc(s->folder);
    pare_dealloc(s);
}

pare_status pare_workstore_remove(const char *folder, pare_err *err)
{
    char *path = pare_path_join(folder, PARE_WORK_NAME);
    pare_status st = path ? PARE_OK : pare_no_memory(err, folder, 0);
    if (path && pare_path_exists(path)) st = pare_remove_tree(path, err);
    pare_dealloc(path);
    return st;
}
