/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/model/model_golden.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------------------- reading */

int golden_names(const char **names, int max)
{
    static pare_names files;
    static char room[GOLDEN_MAX_NAMES][64];
    int n = 0;
    if (!files.at && pare_list_folder(PARE_SOURCE_DIR "/tests/golden/archs", &files, NULL) != PARE_OK) return 0;
    for (size_t i = 0; i < files.n && n < max && n < GOLDEN_MAX_NAMES; i++) {
        if (!pare_str_ends(files.at[i], ".json")) continue;
        snprintf(room[n], sizeof room[n], "%.*s", (int)(strlen(files.at[i]) - 5), files.at[i]);
        names[n] = room[n];
        n++;
    }
    pare_names_clear(&files);
    return n;
}

static int64_t read_ids(const pare_jval *array, int32_t *out)
{
    const int64_t n = (int64_t)pare_j_count(array);
    assert_true(n <= GOLDEN_MAX_ROWS);
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)pare_j_int(pare_j_at(array, (size_t)i), -1);
    return n;
}

golden *golden_open(const char *name)
{
    pare_err err = { 0 };
    char path[512];
    golden *g = calloc(1, sizeof *g);
    assert_non_null(g);
    snprintf(g->name, sizeof g->name, "%s", name);
    snprintf(path, sizeof path, "%s/tests/golden/archs/%s.json", PARE_SOURCE_DIR, name);
    if (pare_jdoc_load(path, 1 << 20, &g->doc, &err) != PARE_OK) fail_msg("%s", err.text);
    snprintf(path, sizeof path, "%s/tests/golden/archs/%s.safetensors", PARE_SOURCE_DIR, name);
    if (pare_store_open(path, &g->numbers, &err) != PARE_OK) fail_msg("%s", err.text);
    g->json = pare_jdoc_root(g->doc);
    g->n_prompt = read_ids(pare_j_get(g->json, "ids"), g->ids);
    g->n_steps = read_ids(pare_j_get(g->json, "continuation"), g->ids + g->n_prompt);
    g->has_types = read_ids(pare_j_get(g->json, "types"), g->types) > 0;
    g->n_source = read_ids(pare_j_get(g->json, "source"), g->source);
    g->tolerance = pare_j_real(pare_j_get(g->json, "tolerance"), 0);
    g->chunks = pare_j_bool(pare_j_get(g->json, "chunks"), true);
    const int64_t positions = pare_j_int(pare_j_get(pare_j_get(g->json, "config"), "max_position_embeddings"), GOLDEN_MAX_ROWS);
    g->ctx = positions < g->n_prompt + g->n_steps ? GOLDEN_MAX_ROWS : 0;
    assert_true(g->n_prompt > 0 && g->n_prompt + g->n_steps <= GOLDEN_MAX_ROWS && g->tolerance > 0);
    return g;
}

void golden_free(golden *g)
{
    if (!g) return;
    pare_store_close(g->numbers);
    pare_jdoc_free(g->doc);
    free(g);
}

const float *golden_numbers(const golden *g, const char *what, int64_t *rows, int64_t *cols)
{
    const uint8_t *data = NULL;
    int64_t i = pare_store_find(g->numbers, what);
    if (i < 0) return NULL;
    const pare_tensor *t = &g->numbers->tensors[i];
    assert_int_equal(t->ndim, 2);
    assert_int_equal(t->dtype, PARE_F32);
    assert_ok(pare_store_data(g->numbers, i, &data, NULL));
    *rows = t->shape[0];
    *cols = t->shape[1];
    return (const float *)(const void *)data;
}

/* ---------------------------------------------------------------------------------------------------------------- weights */

/* The numbers of make_archs.py: base + amplitude * u, u in [-1, 1) from the top 24 bits of splitmix64(fnv1a64(name) + seed + index). */
static void fill(float *out, int64_t n, const char *name, uint64_t seed, double base, double amplitude)
{
    uint64_t key = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++) key = (key ^ (uint8_t)*c) * 0x100000001b3u;
    key += seed * 0x632be59bd9b4e019u;
    for (int64_t i = 0; i < n; i++) {
        uint64_t z = key += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z = z ^ (z >> 31);
        out[i] = (float)(base + amplitude * ((double)(z >> 40) / 8388608.0 - 1.0));
    }
}

static int64_t numel_of(const pare_spec *s)
{
    int64_t n = 1;
    for (int d = 0; d < s->ndim; d++) n *= s->shape[d];
    return n;
}

static void write_weights(const golden *g, const char *folder, const golden_write_options *o)
{
    const pare_format *format = pare_format_find("safetensors");
    const pare_jval *rows = pare_j_get(g->json, "tensors");
    const uint64_t seed = (uint64_t)pare_j_int(pare_j_get(g->json, "seed"), 0);
    const int64_t n = (int64_t)pare_j_count(rows);
    pare_dtype dtype = o && o->dtype != PARE_DTYPE_NONE ? o->dtype : PARE_F32;
    const char *stored = pare_j_text(pare_j_get(g->json, "dtype"), "f32");
    if (!o || o->dtype == PARE_DTYPE_NONE) dtype = !strcmp(stored, "bf16") ? PARE_BF16 : !strcmp(stored, "f16") ? PARE_F16 : PARE_F32;
    pare_spec *specs = calloc((size_t)n, sizeof *specs);
    int64_t *row_of = calloc((size_t)n, sizeof *row_of), kept = 0;
    pare_writer *w = NULL;
    pare_err err = { 0 };
    char path[512], hex[65];
    assert_non_null(specs);
    assert_non_null(row_of);
    for (int64_t i = 0; i < n; i++) {
        const pare_jval *row = pare_j_at(rows, (size_t)i), *shape = pare_j_at(row, 1);
        pare_spec *s = &specs[kept];
        *s = (pare_spec){ .name = pare_j_text(pare_j_at(row, 0), ""), .dtype = dtype, .ndim = (int)pare_j_count(shape) };
        for (int d = 0; d < s->ndim; d++) s->shape[d] = pare_j_int(pare_j_at(shape, (size_t)d), 0);
        if (o && o->edit && !o->edit(o->user, s)) continue;
        s->bytes = pare_dtype_bytes(s->dtype, (uint64_t)numel_of(s));
        row_of[kept++] = i;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (pare_writer_open(format, path, specs, kept, NULL, 0, 0, &w, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int64_t i = 0; i < kept; i++) {
        const pare_jval *row = pare_j_at(rows, (size_t)row_of[i]);
        const int64_t m = numel_of(&specs[i]);
        float *values = malloc((size_t)(m > 0 ? m : 1) * sizeof *values);
        uint8_t *bytes = malloc(specs[i].bytes + 1);
        assert_non_null(values);
        assert_non_null(bytes);
        fill(values, m, pare_j_text(pare_j_at(row, 0), ""), seed, pare_j_real(pare_j_at(row, 2), 0), pare_j_real(pare_j_at(row, 3), 0));
        assert_ok(pare_convert(bytes, specs[i].dtype, values, PARE_F32, m, false, &err));
        if (pare_writer_append(w, bytes, specs[i].bytes, &err) != PARE_OK) fail_msg("%s", err.text);
        free(values);
        free(bytes);
    }
    if (pare_writer_close(w, hex, NULL, &err) != PARE_OK) fail_msg("%s", err.text);
    free(specs);
    free(row_of);
}

/* ----------------------------------------------------------------------------------------------------------------- folder */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512], *end;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    end = strrchr(path, '/');
    *end = '\0';
    assert_ok(pare_make_folder(path, NULL));
    *end = '/';
    test_write(path, text, strlen(text));
}

const char *golden_write(const golden *g, const golden_write_options *o)
{
    static char room[8][300];
    static int count;
    char *folder = room[count % 8];
    const pare_jval *files = pare_j_get(g->json, "files");
    char *text = NULL;
    snprintf(folder, sizeof room[0], "%s/%d-%s", test_folder(), count++, g->name);
    assert_ok(pare_make_folder(folder, NULL));
    if (o && o->config) write_file(folder, "config.json", o->config);
    else {
        assert_ok(pare_j_dump(pare_j_get(g->json, "config"), 0, &text, NULL));
        write_file(folder, "config.json", text);
        pare_dealloc(text);
    }
    for (size_t i = 0; i < pare_j_count(files); i++) {
        const char *name;
        const pare_jval *file = pare_j_member(files, i, &name);
        assert_ok(pare_j_dump(file, 0, &text, NULL));
        write_file(folder, name, text);
        pare_dealloc(text);
    }
    write_weights(g, folder, o);
    return folder;
}

char *golden_config(const golden *g, const char *key, const char *value)
{
    const pare_jval *config = pare_j_get(g->json, "config");
    pare_str s = { 0 };
    bool first = true, found = false;
    pare_str_add(&s, "{");
    for (size_t i = 0; i <= pare_j_count(config); i++) {
        const bool last = i == pare_j_count(config);
        const char *name = key;
        const pare_jval *v = last ? NULL : pare_j_member(config, i, &name);
        const bool here = !strcmp(name, key);
        char *text = NULL;
        if (here && (!*value || found)) continue;
        found = found || here;
        if (!here) assert_ok(pare_j_dump(v, 0, &text, NULL));
        pare_str_printf(&s, "%s\"%s\": %s", first ? "" : ",\n", name, here ? value : text);
        first = false;
        pare_dealloc(text);
    }
    pare_str_add(&s, "}\n");
    assert_false(s.failed);
    return pare_str_take(&s);
}

/* ---------------------------------------------------------------------------------------------------------------- running */

pare_status running_open(pare_ctx *ctx, const char *folder, pare_dtype dtype, const pare_engine_options *options, running *r, pare_err *err)
{
    memset(r, 0, sizeof *r);
    pare_status st = pare_store_open(folder, &r->store, err);
    if (st == PARE_OK) st = pare_weights_new(ctx, r->store, &r->weights, err);
    if (st == PARE_OK) st = pare_model_engine(ctx, r->weights, dtype, options, &r->engine, err);
    if (st != PARE_OK) running_close(r);
    return st;
}

void running_close(running *r)
{
    pare_engine_free(r->engine);
    pare_weights_free(r->weights);
    pare_store_close(r->store);
    memset(r, 0, sizeof *r);
}

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static double median_row(const float *want, const float *got, int64_t rows, int64_t cols)
{
    double row[GOLDEN_MAX_ROWS] = { 0 };
    const int64_t n = rows < GOLDEN_MAX_ROWS ? rows : GOLDEN_MAX_ROWS;
    for (int64_t i = 0; i < n * cols; i++) row[i / cols] += ((double)want[i] - (double)got[i]) * ((double)want[i] - (double)got[i]);
    qsort(row, (size_t)n, sizeof *row, by_size);
    return sqrt(row[n / 2] / (double)cols);
}

distance distance_of(const float *want, const float *got, int64_t rows, int64_t cols)
{
    distance d = { 0 };
    float low = want[0], high = want[0];
    double sum = 0;
    for (int64_t i = 0; i < rows * cols; i++) {
        const double diff = fabs((double)want[i] - (double)got[i]);
        low = want[i] < low ? want[i] : low;
        high = want[i] > high ? want[i] : high;
        sum += diff * diff;
        if (diff > d.max || diff != diff) { /* a NaN stays */
            d.max = diff;
            d.row = i / cols;
            d.col = i % cols;
            if (diff != diff) break;
        }
    }
    const double range = (double)high - (double)low;
    d.max /= range;
    d.median = median_row(want, got, rows, cols) / range;
    d.rms = sqrt(sum / (double)(rows * cols)) / range;
    return d;
}

int64_t best_of(const float *row, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (row[i] > row[best]) best = i;
    return best;
}
