/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what a user names: a folder, one file, or an index of shards. In a folder the usual names win, in this order;
 * else exactly one file of a known container must be there. The set of names in an index must equal the set in the files.
 */
#include <string.h>
#include "file/file.h"

enum { INDEX_BYTES_MAX = 256 << 20, CONFIG_BYTES_MAX = 64 << 20 };

static const char *const usual_names[] = {
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
};

/* ------------------------------------------------------------------------------------------------------- one file */

static pare_status read_file(pare_store *s, const char *path, const char *name, pare_err *err)
{
    int file = 0;
    const pare_format *format = NULL;
    pare_status st = pare_store_add_file(s, path, &file, err);
    if (st != PARE_OK) return st;
    if (name) {
        s->files[file].name = pare_arena_strdup(&s->arena, name);
        if (!s->files[file].name) return pare_no_memory(err, "file name", strlen(name) + 1);
    }
    const pare_store_file *f = &s->files[file];
    st = pare_format_probe(f->name, f->map.at, f->map.n < 64 ? f->map.n : 64, f->map.n, &format, err);
    if (st != PARE_OK) return st;
    if (s->format && s->format != format)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: is %s, but '%s' is %s", f->name, format->name, s->files[0].name, s->format->name);
    s->format = format;
    return format->read(s, file, err);
}

/* ---------------------------------------------------------------------------------------------------------- shards */

static pare_status check_shards_exist(const char *folder, const char *where, const pare_shard_index *x, pare_err *err)
{
    const char *first = NULL;
    int missing = 0;
    for (int i = 0; i < x->n_files; i++) {
        char *path = pare_path_join(folder, x->files[i]);
        if (!path) return pare_no_memory(err, "file name", strlen(folder) + strlen(x->files[i]) + 2);
        if (!pare_path_exists(path) && missing++ == 0) first = x->files[i];
        pare_dealloc(path);
    }
    if (!missing) return PARE_OK;
    if (missing == 1) return pare_fail(err, PARE_ERR_IO, "%s: shard '%s' is missing (1 of %d)", where, first, x->n_files);
    return pare_fail(err, PARE_ERR_IO, "%s: shard '%s' is missing (and %d more of %d)", where, first, missing - 1, x->n_files);
}

/* Both directions: every entry is in the file it names, every tensor of the files has an entry. */
static pare_status check_against_index(const pare_store *s, const char *where, const pare_shard_index *x, pare_err *err)
{
    for (int64_t i = 0; i < x->n_entries; i++) {
        const pare_shard_entry *e = &x->entries[i];
        int64_t at = pare_store_find(s, e->tensor);
        if (at < 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' is not in '%s'", where, e->tensor, x->files[e->file]);
        if (s->tensors[at].file != e->file)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' is said to be in '%s' but is in '%s'", where, e->tensor,
                             x->files[e->file], x->files[s->tensors[at].file]);
    }
    if (s->n_tensors == x->n_entries) return PARE_OK;
    uint8_t *seen = pare_alloc_zero((size_t)s->n_tensors, 1);
    if (!seen) return pare_no_memory(err, "shard index", (size_t)s->n_tensors);
    for (int64_t i = 0; i < x->n_entries; i++) seen[pare_store_find(s, x->entries[i].tensor)] = 1;
    int64_t extra = 0;
    while (seen[extra]) extra++;
    pare_dealloc(seen);
    return pare_fail(err, PARE_ERR_FORMAT, "%s: tensor '%s' of '%s' is not in the index (%lld tensors in the files, %lld in the index)",
                     where, s->tensors[extra].name, s->files[s->tensors[extra].file].name, (long long)s->n_tensors,
                     (long long)x->n_entries);
}

static pare_status read_shards(pare_store *s, const char *index_path, pare_err *err)
{
    pare_status st;
    pare_shard_index x = {0};
    char *text = NULL, *folder = pare_path_folder(index_path);
    const char *where = pare_path_name(index_path);
    size_t n = 0;
    if (!folder) return pare_no_memory(err, "folder name", strlen(index_path));
    PARE_TRY(pare_read_file(index_path, INDEX_BYTES_MAX, &text, &n, err));
    PARE_TRY(pare_shard_index_parse(text, n, where, &x, err));
    PARE_TRY(check_shards_exist(folder, where, &x, err));
    for (int i = 0; i < x.n_files; i++) {
        char *path = pare_path_join(folder, x.files[i]);
        st = path ? read_file(s, path, x.files[i], err) : pare_no_memory(err, "file name", strlen(folder));
        pare_dealloc(path);
        if (st != PARE_OK) goto out;
    }
    st = check_against_index(s, where, &x, err);
out:
    pare_shard_index_clear(&x);
    pare_dealloc(text);
    pare_dealloc(folder);
    return st;
}

/* --------------------------------------------------------------------------------------------------------- folders */

static bool has_container_extension(const char *name)
{
    for (const pare_format *const *f = pare_formats(); *f; f++)
        for (const char *e = (*f)->extensions; *e; e += strspn(e, " ")) {
            size_t n = strcspn(e, " "), m = strlen(name);
            if (m > n && !memcmp(name + m - n, e, n)) return true;
            e += n;
        }
    return pare_str_ends(name, ".gguf") || pare_str_ends(name, ".onnx");
}

/* A file counts when its extension promises a container and its first bytes keep the promise ("tok512.bin" does not). */
static pare_status is_candidate(const char *folder, const char *name, bool *yes, pare_err *err)
{
    pare_map map = {0};
    const pare_format *format = NULL;
    *yes = false;
    if (!has_container_extension(name)) return PARE_OK;
    char *path = pare_path_join(folder, name);
    if (!path) return pare_no_memory(err, "file name", strlen(folder));
    pare_status st = pare_map_open(path, &map, err);
    if (st == PARE_OK) {
        pare_err ignored;
        bool foreign = pare_str_ends(name, ".gguf") || pare_str_ends(name, ".onnx"); /* to be named in the error */
        *yes = foreign || pare_format_probe(name, map.at, map.n < 64 ? map.n : 64, map.n, &format, &ignored) == PARE_OK;
        pare_map_close(&map);
    }
    pare_dealloc(path);
    return st;
}

/* "-00001-of-00002." somewhere in the name. */
static bool is_shard_name(const char *name)
{
    const char *of = strstr(name, "-of-");
    return of && of - name >= 6 && of[-6] == '-' && strspn(of - 5, "0123456789") >= 5 && strspn(of + 4, "0123456789") >= 5;
}

static pare_status several_found(const char *folder, const char *list, int n, bool shards, pare_err *err)
{
    pare_fail(err, PARE_ERR_FORMAT, "%s: holds %d weight files and none has a usual name: %s", folder, n, list);
    pare_hint(err, "%s",
              shards ? "they look like shards: the index file (model.safetensors.index.json) is missing" : "give the path of one of them");
    return PARE_ERR_FORMAT;
}

static pare_status find_only_file(const char *folder, char **out, pare_err *err)
{
    pare_status st;
    pare_names names = {0};
    pare_str list = {0};
    const char *only = NULL;
    int found = 0;
    bool shards = false;
    PARE_TRY(pare_list_folder(folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        bool yes;
        PARE_TRY(is_candidate(folder, names.at[i], &yes, err));
        if (!yes) continue;
        only = names.at[i];
        shards = shards || is_shard_name(only);
        if (found++ < 6) pare_str_printf(&list, "%s%s", list.n ? ", " : "", only);
    }
    if (found == 0)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: holds no weight file (model.safetensors, pytorch_model.bin, or one file of a known container)",
                  folder);
    if (found > 1) {
        if (found > 6) pare_str_add(&list, ", ...");
        st = several_found(folder, list.failed ? "" : list.at, found, shards, err);
        goto out;
    }
    *out = pare_path_join(folder, only);
    if (!*out) st = pare_no_memory(err, "file name", strlen(folder));
out:
    pare_str_clear(&list);
    pare_names_clear(&names);
    return st;
}

static pare_status resolve_folder(const char *folder, char **out, pare_err *err)
{
    for (size_t i = 0; i < sizeof usual_names / sizeof *usual_names; i++) {
        char *path = pare_path_join(folder, usual_names[i]);
        if (!path) return pare_no_memory(err, "file name", strlen(folder));
        if (pare_file_size(path) >= 0) {
            *out = path;
            return PARE_OK;
        }
        pare_dealloc(path);
    }
    return find_only_file(folder, out, err);
}

/* ------------------------------------------------------------------------------------------------------------ entry */

/* config.json beside the weights. A folder without one is fine; one that is no JSON object is an error. */
static pare_status read_companions(pare_store *s, const char *file_path, bool keep_folder, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t n = 0;
    char *folder = pare_path_folder(file_path), *path = folder ? pare_path_join(folder, "config.json") : NULL;
    if (!path) {
        st = pare_no_memory(err, "file name", strlen(file_path));
        goto out;
    }
    if (pare_file_size(path) >= 0) {
        keep_folder = true;
        PARE_TRY(pare_read_file(path, CONFIG_BYTES_MAX, &s->config_text, &n, err));
        PARE_TRY(pare_jdoc_parse(s->config_text, n, path, &s->config, err));
        if (pare_j_type(pare_jdoc_root(s->config)) != PARE_J_OBJECT) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: is not a JSON object", path);
    }
    if (keep_folder) {
        s->folder = folder;
        folder = NULL;
    }
out:
    pare_dealloc(path);
    pare_dealloc(folder);
    return st;
}

pare_status pare_store_open(const char *path, pare_store **out, pare_err *err)
{
    pare_status st;
    pare_store *s = NULL;
    char *resolved = NULL;
    bool is_folder = pare_path_is_folder(path);
    *out = NULL;
    if (!pare_path_exists(path)) return pare_fail(err, PARE_ERR_IO, "%s: no such file or folder", path);
    PARE_TRY(pare_store_new(NULL, &s, err));
    if (is_folder) PARE_TRY(resolve_folder(path, &resolved, err));
    const char *file = resolved ? resolved : path;
    bool is_index = pare_str_ends(file, ".index.json");
    PARE_TRY(is_index ? read_shards(s, file, err) : read_file(s, file, NULL, err));
    PARE_TRY(read_companions(s, file, is_folder || is_index, err));
    *out = s;
    s = NULL;
out:
    pare_store_close(s);
    pare_dealloc(resolved);
    return st;
}
