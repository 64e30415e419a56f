/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/layout/layout_support.h"
#include <math.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------------------------- checkpoints */

ckpt *ckpt_new(void)
{
    static int count;
    ckpt *c = calloc(1, sizeof *c);
    assert_non_null(c);
    snprintf(c->folder, sizeof c->folder, "%s/c%d", test_folder(), count++);
    assert_ok(pare_make_folder(c->folder, NULL));
    return c;
}

void ckpt_free(ckpt *c)
{
    for (int i = 0; i < c->n; i++) free(c->at[i].data);
    pare_remove_tree(c->folder, NULL);
    free(c);
}

ckpt_tensor *ckpt_add(ckpt *c, const char *name, pare_dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    assert_true(c->n < 64);
    ckpt_tensor *t = &c->at[c->n++];
    int64_t numel = 1;
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->dtype = dtype;
    t->ndim = ndim;
    for (int i = 0; i < ndim; i++) numel *= t->shape[i] = shape[i];
    t->bytes = pare_dtype_bytes(dtype, (uint64_t)numel);
    t->data = calloc(1, t->bytes ? t->bytes : 1);
    assert_non_null(t->data);
    if (data) memcpy(t->data, data, t->bytes);
    return t;
}

ckpt_tensor *ckpt_get(ckpt *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->at[i].name, name)) return &c->at[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

void ckpt_remove(ckpt *c, const char *name)
{
    ckpt_tensor *t = ckpt_get(c, name);
    free(t->data);
    memmove(t, t + 1, (size_t)(c->at + c->n - t - 1) * sizeof *t);
    c->n--;
}

void ckpt_file(ckpt *c, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", c->folder, name);
    test_write(path, text, strlen(text));
}

static void write_safetensors(const ckpt *c)
{
    pare_str header = { 0 };
    char path[512];
    size_t at = 0;
    pare_str_printf(&header, "{\"__metadata__\":{\"format\":\"pt\"%s%s}", *c->metadata ? "," : "", c->metadata);
    for (int i = 0; i < c->n; i++) {
        const ckpt_tensor *t = &c->at[i];
        pare_str_printf(&header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, pare_dtype_get_info(t->dtype)->safetensors);
        for (int d = 0; d < t->ndim; d++) pare_str_printf(&header, d ? ",%lld" : "%lld", (long long)t->shape[d]);
        pare_str_printf(&header, "],\"data_offsets\":[%zu,%zu]}", at, at + t->bytes);
        at += t->bytes;
    }
    pare_str_add(&header, "}");
    while (header.n % 8) pare_str_add(&header, " ");
    uint8_t *file = malloc(8 + header.n + at), *to = file + 8 + header.n;
    assert_non_null(file);
    pare_put_le64(file, header.n);
    memcpy(file + 8, header.at, header.n);
    for (int i = 0; i < c->n; i++) {
        memcpy(to, c->at[i].data, c->at[i].bytes);
        to += c->at[i].bytes;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", c->folder);
    test_write(path, file, 8 + header.n + at);
    free(file);
    pare_str_clear(&header);
}

pare_status ckpt_open(ckpt *c, pare_ctx *ctx, pare_store **store, pare_weights **w, pare_err *err)
{
    pare_status st;
    *w = NULL;
    write_safetensors(c);
    st = pare_store_open(c->folder, store, err);
    if (st != PARE_OK) return st;
    st = pare_weights_new(ctx, *store, w, err);
    if (st == PARE_OK) return st;
    pare_store_close(*store);
    *store = NULL;
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- layers */

uint64_t rnd(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

float rnd_float(uint64_t *state)
{
    return (float)((double)(int64_t)rnd(state) / 9223372036854775808.0);
}

/* Scales that are codes themselves, and what they stand for. */
static void nest(layer *l, uint64_t *seed)
{
    pare_nested *n = &l->nested;
    *n = (pare_nested){ .block = 256, .n = l->n_scales, .n_scales = (l->n_scales + 255) / 256, .offset = 0.25f };
    n->codes = malloc((size_t)n->n);
    n->scales = malloc((size_t)n->n_scales * sizeof *n->scales);
    for (int64_t i = 0; i < n->n_scales; i++) n->scales[i] = 0.1f + rnd_float(seed) / 16;
    for (int64_t i = 0; i < n->n; i++) {
        n->codes[i] = (uint8_t)rnd(seed);
        l->scales[i] = pare_dynamic_map()[n->codes[i]] * n->scales[i / 256] + n->offset;
    }
}

static float random_scale(const pare_scheme *s, uint64_t *seed)
{
    const float x = rnd_float(seed);
    if (s->scale_dtype == PARE_F8_E8M0) return ldexpf(1.0f, (int)(rnd(seed) % 20) - 10);
    if (s->act == PARE_ACT_OUTLIERS) return pare_round_to(PARE_BF16, fabsf(x)) / 127.0f; /* the row's largest value over 127 */
    return pare_round_to(s->scale_dtype, s->two_level ? fabsf(x) : x);
}

layer *layer_new(const pare_scheme *scheme, int64_t rows, int64_t cols, uint64_t seed)
{
    layer *l = calloc(1, sizeof *l);
    pare_grid grid;
    assert_non_null(l);
    l->scheme = *scheme;
    l->rows = rows;
    l->cols = cols;
    l->global = scheme->two_level ? 0.0078125f : 1.0f;
    assert_ok(pare_grid_init(scheme, 2, (int64_t[]){ rows, cols }, &grid, NULL));
    l->n_scales = grid.n_scales;
    l->codes = malloc((size_t)(rows * cols));
    l->scales = calloc((size_t)l->n_scales, sizeof *l->scales);
    l->fzeros = calloc((size_t)l->n_scales, sizeof *l->fzeros);
    l->zeros = calloc((size_t)l->n_scales, sizeof *l->zeros);
    for (int64_t i = 0; i < rows * cols; i++) {
        uint8_t v = (uint8_t)rnd(&seed);
        if (scheme->kind == PARE_CODE_FLOAT && scheme->bits == 8) l->codes[i] = (v & 0x7f) == 0x7f ? 0 : v; /* no NaN */
        else l->codes[i] = v & ((1u << scheme->bits) - 1);
    }
    for (int64_t i = 0; i < l->n_scales; i++) {
        uint64_t top = 1u << scheme->bits;
        l->scales[i] = random_scale(scheme, &seed);
        l->zeros[i] = scheme->symmetric ? (int32_t)(top / 2) : scheme->zero_min + (int32_t)(rnd(&seed) % (top - (uint64_t)scheme->zero_min));
        l->fzeros[i] = pare_round_to(scheme->scale_dtype, (rnd_float(&seed) + 1) * (float)top / 2);
    }
    if (scheme->nested) nest(l, &seed);
    return l;
}

void layer_free(layer *l)
{
    free(l->nested.codes);
    free(l->nested.scales);
    free(l->codes);
    free(l->scales);
    free(l->fzeros);
    free(l->zeros);
    free(l);
}

float layer_value(const layer *l, int64_t r, int64_t c)
{
    pare_grid grid;
    assert_ok(pare_grid_init(&l->scheme, 2, (int64_t[]){ l->rows, l->cols }, &grid, NULL));
    int64_t g = pare_grid_index(&grid, (int64_t[]){ r, c });
    uint8_t u = l->codes[r * l->cols + c];
    static const float e2m1[16] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6 };
    int n;
    if (l->shifted) return pare_round_to(PARE_BF16, pare_round_to(PARE_BF16, (float)u * l->scales[g]) - pare_round_to(PARE_BF16, (float)l->zeros[g] * l->scales[g]));
    if (l->scheme.kind == PARE_CODE_TABLE) return pare_codebook_values(l->scheme.codebook, &n)[u] * l->scales[g];
    if (l->scheme.kind == PARE_CODE_FLOAT && l->scheme.bits == 4) return e2m1[u] * (l->scales[g] * l->global);
    if (l->scheme.kind == PARE_CODE_FLOAT) return pare_f8_to_f32(l->scheme.code_dtype, u) * l->scales[g];
    if (l->scheme.float_zero) return ((float)u - l->fzeros[g]) * l->scales[g];
    return (float)(u - l->zeros[g]) * l->scales[g];
}

static void pack_piece(const pare_layout *layout, const layer *l, pare_dtype model_dtype, const pare_part *parts, int n, uint8_t *const buffers[], int64_t row0, int64_t rows)
{
    const pare_scheme *s = &l->scheme;
    pare_err err = { 0 };
    uint8_t *dst[PARE_MAX_PARTS];
    int64_t first = s->granularity == PARE_PER_TENSOR ? 0
                    : s->granularity == PARE_PER_BLOCK ? row0 / s->block[0] * ((l->cols + s->block[1] - 1) / s->block[1])
                                                       : row0 * pare_scheme_groups_per_row(s, l->cols);
    pare_pack_in in = { .scheme = s, .model_dtype = model_dtype, .fzeros = l->fzeros + first, .global_scale = l->global, .nested = s->nested ? &l->nested : NULL,
                        .input_scale = 0.25f, .rows_total = l->rows, .cols = l->cols, .row0 = row0, .rows = rows, .codes = l->codes + row0 * l->cols,
                        .scales = l->scales + first, .zeros = s->kind != PARE_CODE_INT || (s->symmetric && l->rows % 3 == 0) ? NULL : l->zeros + first };
    for (int p = 0; p < n; p++) dst[p] = buffers[p] + pare_part_offset(&parts[p], row0);
    if (layout->pack(pare_kernels_get(NULL), &in, parts, n, dst, &err) != PARE_OK) fail_msg("pack: %s", err.text);
}

void layer_pack(ckpt *c, const pare_layout *layout, const layer *l, const char *module, pare_dtype model_dtype, uint64_t seed)
{
    pare_part parts[PARE_MAX_PARTS];
    uint8_t *buffers[PARE_MAX_PARTS];
    int n = 0;
    int64_t shape[2] = { l->rows, l->cols };
    pare_err err = { 0 };
    if (layout->parts(&l->scheme, model_dtype, 2, shape, parts, &n, &err) != PARE_OK) fail_msg("parts: %s", err.text);
    for (int p = 0; p < n; p++) {
        buffers[p] = malloc((size_t)pare_part_bytes(&parts[p]));
        memset(buffers[p], 0xAA, (size_t)pare_part_bytes(&parts[p]));
    }
    int64_t align = pare_parts_align(parts, n), starts[1024], count = 0;
    if (!align || !seed) starts[count++] = 0;
    for (int64_t row = 0; align && seed && row < l->rows; row += align * (int64_t)(1 + rnd(&seed) % 4)) starts[count++] = row;
    for (int64_t done = 0, at = (int64_t)(rnd(&seed) % (uint64_t)count); done < count; done++, at = (at + 1) % count) /* not in order */
        pack_piece(layout, l, model_dtype, parts, n, buffers, starts[at], (at + 1 < count ? starts[at + 1] : l->rows) - starts[at]);
    for (int p = 0; p < n; p++) {
        char name[96];
        snprintf(name, sizeof name, "%.46s%.47s", module, parts[p].suffix);
        ckpt_add(c, name, parts[p].dtype, parts[p].ndim, parts[p].shape, buffers[p]);
        free(buffers[p]);
    }
}

/* ------------------------------------------------------------------------------------------------------ configuration */

char *config_text(const pare_layout *layout, const pare_layout_job *job)
{
    pare_json *j;
    char *text;
    pare_err err = { 0 };
    assert_ok(pare_json_new(2, &j, NULL));
    pare_json_object(j, NULL);
    if (layout->config) {
        pare_json_object(j, "quantization_config");
        if (layout->config(job, j, &err) != PARE_OK) fail_msg("config: %s", err.text);
        pare_json_end(j);
    }
    pare_json_end(j);
    assert_ok(pare_json_take(j, &text, NULL));
    pare_json_free(j);
    return text;
}

static pare_status emit(void *arg, const char *name, const char *text, pare_err *err)
{
    (void)err;
    ckpt_file(arg, name, text);
    return PARE_OK;
}

void write_config(ckpt *c, const pare_layout *layout, const char *const *modules, const layer *const *layers, int n, const char *const *kept,
                  int n_kept, pare_dtype model_dtype, const char *extra)
{
    const pare_scheme *schemes[16];
    int64_t shapes[16][2];
    pare_layout_job job = { .scheme = &layers[0]->scheme, .model_dtype = model_dtype, .quantized = modules, .n_quantized = n, .schemes = schemes,
                            .shapes = (const int64_t(*)[2])shapes, .kept = kept, .n_kept = n_kept };
    for (int i = 0; i < n; i++) {
        schemes[i] = &layers[i]->scheme;
        shapes[i][0] = layers[i]->rows;
        shapes[i][1] = layers[i]->cols;
    }
    char *text = config_text(layout, &job), all[8192];
    snprintf(all, sizeof all, "{%s%s%s", extra, *extra && layout->config ? "," : "", text + 1);
    ckpt_file(c, "config.json", all);
    pare_free(text);
    if (layout->files) assert_ok(layout->files(&job, emit, c, NULL));
}

pare_scheme scheme_int(int bits, bool symmetric, pare_granularity granularity, int64_t group)
{
    pare_scheme s;
    pare_scheme_init(&s);
    s.name[0] = 0;
    s.bits = bits;
    s.symmetric = symmetric;
    s.granularity = granularity;
    s.axis = granularity == PARE_PER_GROUP ? -1 : 0;
    s.group_size = granularity == PARE_PER_GROUP ? group : 0;
    pare_scheme_make_name(&s);
    return s;
}

pare_scheme scheme_fp8(pare_granularity granularity)
{
    pare_scheme s = scheme_int(8, true, granularity, 0);
    s.kind = PARE_CODE_FLOAT;
    s.code_dtype = PARE_F8_E4M3FN;
    s.block[0] = s.block[1] = granularity == PARE_PER_BLOCK ? 128 : 0;
    s.name[0] = 0;
    pare_scheme_make_name(&s);
    return s;
}
