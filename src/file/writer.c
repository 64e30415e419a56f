/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing one file, strictly forwards: begin, then for every tensor before / data / after, then end. The format emits its
 * own bytes through pare_writer_raw(); data goes straight to base/outfile.h (direct I/O, running SHA-256).
 *
 * Resuming: the same calls are replayed over the finished tensors, but raw bytes are compared with the file instead of
 * being written and data is skipped. What the file must hold follows from the specs alone, so a file that was begun with
 * another plan is noticed before anything is appended to it.
 */
#include <stdlib.h>
#include <string.h>
#include "file/file.h"

uint64_t pare_writer_position(const pare_writer *w) { return w->resume || !w->out ? w->resume_at : pare_out_position(w->out); }
int64_t pare_writer_tensor(const pare_writer *w) { return w->tensor; }

static pare_status compare_raw(pare_writer *w, const void *data, size_t n, pare_err *err)
{
    const pare_map *m = w->resume;
    if (w->resume_at > m->n || n > m->n - w->resume_at)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: cannot resume: the file has %zu bytes, %llu are needed", w->path, m->n,
                         (unsigned long long)(w->resume_at + n));
    if (n && memcmp(m->at + w->resume_at, data, n) != 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: cannot resume: the bytes at %llu differ from this plan, another run began the file",
                         w->path, (unsigned long long)w->resume_at);
    w->resume_at += n;
    return PARE_OK;
}

pare_status pare_writer_raw(pare_writer *w, const void *data, size_t n, pare_err *err)
{
    return w->resume ? compare_raw(w, data, n, err) : pare_out_write(w->out, data, n, err);
}

/* ------------------------------------------------------------------------------------------------- tensor by tensor */

static pare_status begin_tensor(pare_writer *w, pare_err *err)
{
    pare_status st = w->format->before ? w->format->before(w, w->tensor, err) : PARE_OK;
    if (st == PARE_OK && pare_writer_position(w) != w->offsets[w->tensor])
        st = pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' would begin at byte %llu instead of %llu", w->path, w->specs[w->tensor].name,
                       (unsigned long long)pare_writer_position(w), (unsigned long long)w->offsets[w->tensor]);
    return st;
}

static pare_status end_tensor(pare_writer *w, pare_err *err)
{
    pare_status st = w->format->after ? w->format->after(w, w->tensor, err) : PARE_OK;
    w->tensor++;
    w->filled = 0;
    return st;
}

/* Stops at the first tensor that still wants bytes, or at the end; tensors of no bytes are done as they come. */
static pare_status settle(pare_writer *w, pare_err *err)
{
    pare_status st = PARE_OK;
    while (st == PARE_OK && w->tensor < w->n) {
        st = begin_tensor(w, err);
        if (st != PARE_OK || w->specs[w->tensor].bytes) break;
        st = end_tensor(w, err);
    }
    return st;
}

pare_status pare_writer_append(pare_writer *w, const void *data, size_t n, pare_err *err)
{
    if (n == 0) return PARE_OK;
    if (w->tensor >= w->n)
        return pare_fail(err, PARE_ERR_USAGE, "%s: %zu bytes beyond the last of %lld tensors", w->path, n, (long long)w->n);
    const pare_spec *spec = &w->specs[w->tensor];
    if (n > spec->bytes - w->filled)
        return pare_fail(err, PARE_ERR_USAGE, "%s: tensor '%s' takes %llu bytes, %llu were given", w->path, spec->name,
                         (unsigned long long)spec->bytes, (unsigned long long)(w->filled + n));
    pare_status st = pare_out_write(w->out, data, n, err);
    if (st == PARE_OK && w->format->data) st = w->format->data(w, data, n);
    w->filled += n;
    if (st != PARE_OK || w->filled < spec->bytes) return st;
    st = end_tensor(w, err);
    return st == PARE_OK ? settle(w, err) : st;
}

/* ----------------------------------------------------------------------------------------------------------- opening */

static int compare_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Two tensors of one name would make a file that no reader takes. */
static pare_status check_names(const pare_writer *w, pare_err *err)
{
    pare_status st = PARE_OK;
    const char **names = pare_alloc_zero((size_t)w->n + 1, sizeof *names);
    if (!names) return pare_no_memory(err, "output plan", (size_t)w->n * sizeof *names);
    for (int64_t i = 0; i < w->n; i++) names[i] = w->specs[i].name;
    qsort(names, (size_t)w->n, sizeof *names, compare_text);
    for (int64_t i = 1; st == PARE_OK && i < w->n; i++)
        if (!strcmp(names[i - 1], names[i])) st = pare_fail(err, PARE_ERR_USAGE, "%s: two tensors are named '%s'", w->path, names[i]);
    pare_dealloc(names);
    return st;
}

static pare_status copy_plan(pare_writer *w, const pare_spec *specs, const struct pare_kv *meta, pare_err *err)
{
    size_t n = (size_t)w->n, n_meta = (size_t)w->n_meta;
    pare_spec *copies = pare_arena_alloc(&w->arena, n * sizeof *copies);
    struct pare_kv *kvs = pare_arena_alloc(&w->arena, n_meta * sizeof *kvs);
    if (!copies || !kvs) return pare_no_memory(err, "output plan", n * sizeof *copies);
    for (size_t i = 0; i < n; i++) {
        uint64_t numel, bytes;
        pare_status st = pare_shape_bytes(w->path, specs[i].name, specs[i].dtype, specs[i].ndim, specs[i].shape, &numel, &bytes, err);
        if (st != PARE_OK) return st;
        if (bytes != specs[i].bytes)
            return pare_fail(err, PARE_ERR_USAGE, "%s: tensor '%s' takes %llu bytes, its plan says %llu", w->path, specs[i].name,
                             (unsigned long long)bytes, (unsigned long long)specs[i].bytes);
        copies[i] = specs[i];
        copies[i].name = pare_arena_strdup(&w->arena, specs[i].name);
        if (!copies[i].name) return pare_no_memory(err, "output plan", strlen(specs[i].name));
    }
    for (size_t i = 0; i < n_meta; i++) {
        kvs[i] = (struct pare_kv){pare_arena_strdup(&w->arena, meta[i].key), pare_arena_strdup(&w->arena, meta[i].value)};
        if (!kvs[i].key || !kvs[i].value) return pare_no_memory(err, "output plan", strlen(meta[i].key) + strlen(meta[i].value));
    }
    w->specs = copies;
    w->meta = kvs;
    return check_names(w, err);
}

/* Replays the finished tensors against the file; leaves resume_at at the first byte that is still to be written. */
static pare_status replay(pare_writer *w, int64_t tensors, pare_err *err)
{
    pare_map map = {0};
    pare_status st;
    PARE_TRY(pare_map_open(w->path, &map, err));
    w->resume = &map;
    PARE_TRY(w->format->begin(w, err));
    while (w->tensor < tensors) {
        uint64_t bytes = w->specs[w->tensor].bytes;
        PARE_TRY(begin_tensor(w, err));
        if (w->resume_at > map.n || bytes > map.n - w->resume_at)
            PARE_FAIL(err, PARE_ERR_FORMAT, "%s: cannot resume: the file has %zu bytes, %lld finished tensors take %llu", w->path, map.n,
                      (long long)tensors, (unsigned long long)(w->resume_at + bytes));
        w->resume_at += bytes;
        PARE_TRY(end_tensor(w, err));
    }
out:
    w->resume = NULL;
    pare_map_close(&map);
    return st;
}

pare_status pare_writer_open(const pare_format *format, const char *path, const pare_spec *specs, int64_t n, const struct pare_kv *meta,
                             int n_meta, int64_t resume_tensor, pare_writer **out, pare_err *err)
{
    pare_status st;
    *out = NULL;
    if (!format->can_write) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s files are read but not written", path, format->name);
    pare_writer *w = pare_alloc_zero(1, sizeof *w);
    if (!w) return pare_no_memory(err, "output file", sizeof *w);
    w->format = format;
    w->n = n;
    w->n_meta = n_meta;
    w->path = pare_strdup(path);
    w->offsets = pare_alloc_zero((size_t)n + 1, sizeof *w->offsets);
    if (!w->path || !w->offsets) {
        st = pare_no_memory(err, "output plan", (size_t)n * sizeof *w->offsets);
        goto out;
    }
    PARE_TRY(copy_plan(w, specs, meta, err));
    PARE_TRY(format->measure(w->specs, n, w->meta, n_meta, &w->file_bytes, w->offsets, err));
    if (resume_tensor > n)
        PARE_FAIL(err, PARE_ERR_USAGE, "%s: cannot resume after %lld of %lld tensors", path, (long long)resume_tensor, (long long)n);
    if (resume_tensor > 0) PARE_TRY(replay(w, resume_tensor, err));
    PARE_TRY(pare_out_open(path, w->resume_at, w->file_bytes, true, &w->out, err));
    if (resume_tensor <= 0) PARE_TRY(format->begin(w, err));
    PARE_TRY(settle(w, err));
    *out = w;
    return PARE_OK;
out:
    pare_writer_abort(w);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------- closing */

pare_status pare_writer_sync(pare_writer *w, pare_err *err) { return pare_out_sync(w->out, err); }

static void free_writer(pare_writer *w)
{
    pare_dealloc(w->priv);
    pare_dealloc(w->offsets);
    pare_dealloc(w->path);
    pare_arena_clear(&w->arena);
    pare_dealloc(w);
}

pare_status pare_writer_close(pare_writer *w, char hex[65], uint64_t *bytes, pare_err *err)
{
    pare_status st;
    if (w->tensor < w->n)
        PARE_FAIL(err, PARE_ERR_USAGE, "%s: tensor '%s' got %llu of %llu bytes (%lld of %lld tensors are done)", w->path,
                  w->specs[w->tensor].name, (unsigned long long)w->filled, (unsigned long long)w->specs[w->tensor].bytes,
                  (long long)w->tensor, (long long)w->n);
    if (w->format->end) PARE_TRY(w->format->end(w, err));
    if (pare_out_position(w->out) != w->file_bytes)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %llu bytes were written, %llu were planned", w->path,
                  (unsigned long long)pare_out_position(w->out), (unsigned long long)w->file_bytes);
    if (bytes) *bytes = w->file_bytes;
    st = pare_out_close(w->out, hex, err);
    w->out = NULL;
out:
    pare_writer_abort(w);
    return st;
}

void pare_writer_abort(pare_writer *w)
{
    if (!w) return;
    pare_out_abort(w->out);
    free_writer(w);
}
