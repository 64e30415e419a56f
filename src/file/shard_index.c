/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a sharded checkpoint (Hugging Face transformers, save_pretrained):
 *
 *   {"metadata": {"total_size": 123}, "weight_map": {"tensor.name": "model-00001-of-00002.safetensors", ...}}
 *
 * File names come from a hostile file: only plain relative names without ".." pass.
 */
#include <stdlib.h>
#include <string.h>
#include "file/file.h"

static int compare_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Tensor and file name of every member; files[] gets one (not yet unique) name for each. */
static pare_status read_map(pare_shard_index *x, const pare_jval *map, const char *where, pare_err *err)
{
    for (int64_t i = 0; i < x->n_entries; i++) {
        const pare_jval *value = pare_j_member(map, (size_t)i, &x->entries[i].tensor);
        const char *file = pare_j_type(value) == PARE_J_TEXT ? pare_j_text(value, NULL) : NULL;
        if (!file) return pare_fail(err, PARE_ERR_FORMAT, "%s: the file of tensor '%s' is not a string", where, x->entries[i].tensor);
        if (!pare_path_is_safe(file))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' is said to be in '%s', which is not a plain relative file name", where,
                             x->entries[i].tensor, file);
        x->files[i] = file;
    }
    return PARE_OK;
}

/* Sorts files[], drops repeats, and turns each entry's name into an index. */
static void number_files(pare_shard_index *x, const pare_jval *map)
{
    int n = 0;
    qsort(x->files, (size_t)x->n_entries, sizeof *x->files, compare_text);
    for (int64_t i = 0; i < x->n_entries; i++)
        if (n == 0 || strcmp(x->files[n - 1], x->files[i]) != 0) x->files[n++] = x->files[i];
    x->n_files = n;
    for (int64_t i = 0; i < x->n_entries; i++) {
        const char *key, *file = pare_j_text(pare_j_member(map, (size_t)i, &key), "");
        const char **hit = bsearch(&file, x->files, (size_t)n, sizeof *x->files, compare_text);
        x->entries[i].file = hit ? (int)(hit - x->files) : 0;
    }
}

pare_status pare_shard_index_parse(const char *text, size_t n, const char *where, pare_shard_index *out, pare_err *err)
{
    pare_status st;
    pare_shard_index x = {0};
    memset(out, 0, sizeof *out);
    PARE_TRY(pare_jdoc_parse(text, n, where, &x.doc, err));
    const pare_jval *map = pare_j_get(pare_jdoc_root(x.doc), "weight_map");
    if (pare_j_type(map) != PARE_J_OBJECT) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: has no object 'weight_map'", where);
    if (pare_j_count(map) == 0) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: 'weight_map' names no tensor", where);
    if (pare_j_count(map) > 10000000) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: 'weight_map' has %zu entries", where, pare_j_count(map));
    x.n_entries = (int64_t)pare_j_count(map);
    x.entries = pare_alloc_zero((size_t)x.n_entries, sizeof *x.entries);
    x.files = pare_alloc_zero((size_t)x.n_entries, sizeof *x.files);
    if (!x.entries || !x.files) {
        st = pare_no_memory(err, "shard index", (size_t)x.n_entries * (sizeof *x.entries + sizeof *x.files));
        goto out;
    }
    PARE_TRY(read_map(&x, map, where, err));
    number_files(&x, map);
    *out = x;
    return PARE_OK;
out:
    pare_shard_index_clear(&x);
    return st;
}

void pare_shard_index_clear(pare_shard_index *index)
{
    pare_jdoc_free(index->doc);
    pare_dealloc(index->files);
    pare_dealloc(index->entries);
    memset(index, 0, sizeof *index);
}
