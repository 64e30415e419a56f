/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of linear layers made ready: borrowed floats, a transposed copy, codes packed rows at a time, codes as a file has them.
 *
 *   bits 8 7 6 5   U8    code + 128 - 2^(bits-1), so that the middle of the range is 128, the zero of symmetric codes
 *   bits 4         U4    bits 3   U3
 *   bits 2 1       U2    code + 2 - 2^(bits-1)
 *   e2m1, NF4, FP4 T4    codes as they are; scales of 8 bits or two levels become f32
 *   float zeros    the kind of the bits, W = u * scale - zero * scale
 *   act-order      columns sorted by group; perm says where each came from
 */
#include "graph/linear.h"
#include <string.h>
#include "graph/linear_pack.h"
#include "num/num_inl.h"

enum { MAX_SIDE = 1 << 30 };

/* ---------------------------------------------------------------------------------------------------------------- memory */

static pare_status own(pare_linear *l, size_t bytes, const char *what, void *out, pare_err *err)
{
    void *memory = pare_alloc_aligned(64, bytes ? bytes : 1);
    if (!memory) return pare_no_memory(err, what, bytes);
    size_t i = 0;
    while (l->owned[i]) i++;
    l->owned[i] = memory;
    memcpy(out, &memory, sizeof memory);
    return PARE_OK;
}

static pare_status own_array(pare_linear *l, int64_t a, int64_t b, size_t size, const char *what, void *out, pare_err *err)
{
    size_t bytes;
    if (!pare_mul_size((size_t)a, (size_t)b, &bytes) || !pare_mul_size(bytes, size, &bytes)) return pare_no_memory(err, what, SIZE_MAX);
    return own(l, bytes, what, out, err);
}

void pare_linear_clear(pare_linear *l)
{
    if (!l) return;
    for (size_t i = 0; i < sizeof l->owned / sizeof *l->owned; i++) pare_dealloc_aligned(l->owned[i]);
    pare_qtensor_free(l->whole);
    memset(l, 0, sizeof *l);
}

pare_status pare_workspace_need(pare_workspace *ws, size_t bytes, void **out, pare_err *err)
{
    if (bytes > ws->bytes) {
        pare_workspace_clear(ws);
        const size_t room = (bytes + bytes / 8 + 4095) & ~(size_t)4095;
        ws->at = room > bytes ? pare_alloc_work(room) : NULL;
        if (!ws->at) return pare_no_memory(err, "a workspace", bytes);
        ws->bytes = room;
    }
    *out = ws->at;
    return PARE_OK;
}

void pare_workspace_clear(pare_workspace *ws)
{
    pare_dealloc_aligned(ws->at);
    *ws = (pare_workspace){ .split = ws->split };
}

/* ---------------------------------------------------------------------------------------------------------------- shapes */

static pare_status check_shape(int64_t rows, int64_t cols, pare_err *err)
{
    if (rows >= 1 && cols >= 1 && rows <= MAX_SIDE && cols <= MAX_SIDE) return PARE_OK;
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "a linear layer [%lld, %lld]: sides of 1 to %d are served", (long long)rows, (long long)cols, MAX_SIDE);
}

static int64_t bytes_of_row(pare_wkind kind, int64_t cols)
{
    switch (kind) {
    case PARE_W_F32: return cols * 4;
    case PARE_W_F16:
    case PARE_W_BF16: return cols * 2;
    case PARE_W_T4:
    case PARE_W_U4: return (cols + 1) / 2;
    case PARE_W_U2: return (cols + 3) / 4;
    case PARE_W_U3: return (cols + 255) / 256 * 96;
    default: return cols;
    }
}

static const pare_wkind kind_of_bits[9] = { 0, PARE_W_U2, PARE_W_U2, PARE_W_U3, PARE_W_U4, PARE_W_U8, PARE_W_U8, PARE_W_U8, PARE_W_U8 };

int64_t pare_linear_row_bytes(int bits, int64_t cols) { return bytes_of_row(kind_of_bits[bits], cols); }

static bool is_float(pare_wkind kind) { return kind == PARE_W_F32 || kind == PARE_W_F16 || kind == PARE_W_BF16; }

static int64_t scale_bytes(pare_dtype dtype) { return dtype == PARE_F32 ? 4 : 2; }

static int64_t scales_of(const pare_wmat *w) { return (w->rows + w->scale_rows - 1) / w->scale_rows * w->groups; }

static uint64_t bytes_of(const pare_wmat *w)
{
    uint64_t each = 0;
    if (!is_float(w->kind)) each = (uint64_t)scale_bytes(w->scale_dtype) + (w->zero ? 1 : 0) + (w->shift ? 4 : 0);
    return (uint64_t)w->rows * (uint64_t)bytes_of_row(w->kind, w->cols) + (each ? each * (uint64_t)scales_of(w) : 0);
}

/* ---------------------------------------------------------------------------------------------------------------- floats */

pare_status pare_linear_float(pare_linear *l, pare_dtype dtype, int64_t rows, int64_t cols, const void *data, pare_err *err)
{
    memset(l, 0, sizeof *l);
    const pare_status st = check_shape(rows, cols, err);
    if (st != PARE_OK) return st;
    const pare_wkind kind = dtype == PARE_F32 ? PARE_W_F32 : dtype == PARE_F16 ? PARE_W_F16 : PARE_W_BF16;
    if (dtype != PARE_F32 && dtype != PARE_F16 && dtype != PARE_BF16)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "a linear layer of %s: f32, f16 and bf16 are served", pare_dtype_get_info(dtype)->name);
    l->w = (pare_wmat){ .kind = kind, .rows = rows, .cols = cols, .row_bytes = bytes_of_row(kind, cols), .data = data, .group = cols, .groups = 1, .scale_rows = 1 };
    l->bytes = bytes_of(&l->w);
    return PARE_OK;
}

typedef struct turn { const uint8_t *src; uint8_t *dst; int64_t rows, cols, size; } turn;
enum { TURN = 64 };

/* Columns [i * TURN, ...) of [cols, rows] to rows of [rows, cols]; a tile of 64 x 64 stays in the first cache. */
static pare_status turn_rows(void *arg, int64_t i, int worker, pare_err *err)
{
    const turn *t = arg;
    const int64_t r0 = i * TURN, r1 = r0 + TURN < t->rows ? r0 + TURN : t->rows;
    (void)worker, (void)err;
    for (int64_t c0 = 0; c0 < t->cols; c0 += TURN) {
        const int64_t c1 = c0 + TURN < t->cols ? c0 + TURN : t->cols;
        for (int64_t r = r0; r < r1; r++)
            if (t->size == 4)
                for (int64_t c = c0; c < c1; c++) memcpy(t->dst + (r * t->cols + c) * 4, t->src + (c * t->rows + r) * 4, 4);
            else
                for (int64_t c = c0; c < c1; c++) memcpy(t->dst + (r * t->cols + c) * 2, t->src + (c * t->rows + r) * 2, 2);
    }
    return PARE_OK;
}

pare_status pare_linear_transposed(pare_ctx *ctx, pare_linear *l, pare_dtype dtype, int64_t rows, int64_t cols, const void *data, pare_err *err)
{
    pare_status st;
    uint8_t *copy = NULL;
    PARE_TRY(pare_linear_float(l, dtype, rows, cols, NULL, err));
    PARE_TRY(own_array(l, rows, l->w.row_bytes, 1, "a transposed weight", &copy, err));
    turn t = { .src = data, .dst = copy, .rows = rows, .cols = cols, .size = dtype == PARE_F32 ? 4 : 2 };
    PARE_TRY(pare_parallel(ctx, (rows + TURN - 1) / TURN, turn_rows, &t, err));
    l->w.data = copy;
out:
    if (st != PARE_OK) pare_linear_clear(l);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- act-order */

/*
 * g_idx to the order of columns that puts groups one after the other, or *perm = NULL where they are so. *regular is false when sorted
 * groups are not of the scheme's size.
 */
static pare_status sort_columns(pare_linear *l, const pare_qtensor *like, int32_t **perm, bool *regular, pare_err *err)
{
    pare_status st = PARE_OK;
    const int64_t cols = l->w.cols, groups = l->w.groups, group = l->w.group;
    const int32_t *g_idx = like->g_idx;
    bool sorted = true;
    int64_t *next = NULL;
    *regular = true;
    *perm = NULL;
    if (!(next = pare_alloc_zero((size_t)groups + 1, sizeof *next))) return pare_no_memory(err, "groups of columns", (size_t)groups * sizeof *next);
    for (int64_t c = 0; c < cols; c++) {
        if (g_idx[c] < 0 || g_idx[c] >= groups)
            PARE_FAIL(err, PARE_ERR_FORMAT, "g_idx[%lld] is %d; there are %lld groups", (long long)c, (int)g_idx[c], (long long)groups);
        next[g_idx[c] + 1]++;
        sorted = sorted && g_idx[c] == c / group;
    }
    if (sorted) goto out;
    for (int64_t g = 0; g < groups; g++) {
        *regular = *regular && next[g + 1] == (g + 1 < groups ? group : cols - (groups - 1) * group);
        next[g + 1] += next[g];
    }
    if (!*regular) goto out;
    PARE_TRY(own_array(l, cols, 1, sizeof **perm, "the order of columns", perm, err));
    for (int64_t c = 0; c < cols; c++) (*perm)[next[g_idx[c]]++] = (int32_t)c;
out:
    pare_dealloc(next);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- codes */

static int axis_of(const pare_scheme *s) { return s->axis < 0 ? s->axis + 2 : s->axis; }

/* Rows that share a scale, of the whole layer: the grid of a piece does not know where the layer ends. */
static int64_t rows_of_scale(const pare_scheme *s, int64_t rows)
{
    switch (s->granularity) {
    case PARE_PER_TENSOR: return rows;
    case PARE_PER_CHANNEL: return axis_of(s) == 0 ? 1 : rows;
    case PARE_PER_GROUP: return axis_of(s) == 0 ? s->group_size : 1;
    default: return s->block[0];
    }
}

/* W = u * scale - shift: quanto's, or a float zero times the scale. */
static bool is_shifted(const pare_qtensor *q) { return q->zero_kind == PARE_ZERO_SHIFT || q->zero_kind == PARE_ZERO_FLOAT; }

/* Scales as files have them are kept; those of 8 bits, of two levels and nested ones are made f32. */
static pare_dtype scale_dtype_of(const pare_scheme *s)
{
    return s->scale_dtype == PARE_F16 || s->scale_dtype == PARE_BF16 ? s->scale_dtype : PARE_F32;
}

static pare_status choose_kind(pare_linear *l, const pare_qtensor *like, int *offset, pare_err *err)
{
    const pare_scheme *s = &like->scheme;
    *offset = 0;
    if (s->kind == PARE_CODE_TABLE || (s->kind == PARE_CODE_FLOAT && s->code_dtype == PARE_F4_E2M1)) {
        l->w.kind = PARE_W_T4;
        return PARE_OK;
    }
    if (s->kind == PARE_CODE_FLOAT) {
        l->w.kind = PARE_W_F8;
        l->w.code_dtype = s->code_dtype;
        if (s->bits == 8) return PARE_OK;
    } else if (s->bits >= 1 && s->bits <= 8) {
        l->w.kind = kind_of_bits[s->bits];
        *offset = (s->bits == 1 ? 2 : s->bits > 4 ? 128 : 1 << (s->bits - 1)) - (1 << (s->bits - 1));
        if (is_shifted(like)) *offset = 0; /* W = u s - t: no middle */
        return PARE_OK;
    }
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "weights of %d bits are not computed with", s->bits);
}

pare_status pare_linear_begin(pare_linear *l, int64_t rows, int64_t cols, const pare_qtensor *like, pare_err *err)
{
    pare_status st;
    const pare_scheme *s = &like->scheme;
    pare_linear_store *store = NULL;
    bool regular = true;
    int offset;
    uint8_t *data;
    void *memory;
    memset(l, 0, sizeof *l);
    PARE_TRY(check_shape(rows, cols, err));
    if (like->grid.ndim != 2 || like->grid.shape[1] != cols)
        PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "a quantized linear layer of %d dimensions, %lld columns; expected 2, %lld", like->grid.ndim,
                  (long long)(like->grid.ndim == 2 ? like->grid.shape[1] : 0), (long long)cols);
    pare_wmat *w = &l->w;
    w->rows = rows;
    w->cols = cols;
    w->group = like->grid.block[1] < cols ? like->grid.block[1] : cols;
    w->groups = like->grid.blocks[1];
    w->scale_rows = rows_of_scale(s, rows);
    w->scale_dtype = scale_dtype_of(s);
    if (like->grid.flat != PARE_FLAT_NONE) PARE_FAIL(err, PARE_ERR_USAGE, "groups of the flattened tensor: such a layer is held whole");
    PARE_TRY(choose_kind(l, like, &offset, err));
    if (like->g_idx) {
        if (w->scale_rows != 1 || w->kind == PARE_W_F8 || w->kind == PARE_W_T4 || is_shifted(like))
            PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "g_idx: only for integer codes of a matrix with groups along a row");
        PARE_TRY(sort_columns(l, like, &l->perm, &regular, err));
    }
    PARE_TRY(own(l, sizeof *store, "a linear layer", &store, err));
    *store = (pare_linear_store){ .kind = w->kind, .round = w->scale_dtype, .offset = offset };
    l->rows_user = store;
    if (!regular) {
        int32_t *copy;
        PARE_TRY(own_array(l, cols, 1, sizeof *copy, "groups of columns", &copy, err));
        memcpy(copy, like->g_idx, (size_t)cols * sizeof *copy);
        store->g_idx = copy;
        store->offset = 0;
        w->kind = store->kind = PARE_W_ANY;
        l->rows = pare_linear_rows_index;
    }
    if (w->kind == PARE_W_T4) {
        float *table;
        PARE_TRY(own_array(l, 256, 1, sizeof *table, "a table of values", &table, err));
        pare_scheme_values(s, table);
        w->table = table;
    }
    w->row_bytes = bytes_of_row(w->kind, cols);
    PARE_TRY(own_array(l, rows, w->row_bytes, 1, "weights", &data, err));
    w->data = data;
    PARE_TRY(own_array(l, scales_of(w), scale_bytes(w->scale_dtype), 1, "scales", &memory, err));
    w->scale = memory;
    if (!regular) {
        PARE_TRY(own_array(l, scales_of(w), 1, sizeof *store->zero, "zero points", &memory, err));
        store->zero = memory;
    } else if (w->kind != PARE_W_F8 && like->zero_kind == PARE_ZERO_INT) {
        PARE_TRY(own_array(l, scales_of(w), 1, 1, "zero points", &memory, err));
        w->zero = memory;
    } else if (w->kind != PARE_W_F8 && is_shifted(like)) {
        PARE_TRY(own_array(l, scales_of(w), 1, sizeof *w->shift, "shifts", &memory, err));
        w->shift = memory;
        l->exact_rows = like->zero_kind == PARE_ZERO_SHIFT && w->scale_dtype != PARE_F32;
        if (like->zero_kind == PARE_ZERO_SHIFT) l->rows = pare_linear_rows_shift;
    }
    l->bytes = bytes_of(w);
out:
    if (st != PARE_OK) pare_linear_clear(l);
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- packing */

typedef struct packer { pare_linear *l; const pare_linear_store *store; const pare_kernels *k; const pare_qtensor *q; int64_t row0; uint8_t *line; } packer;

/* One row of codes, in order and with the offset added. */
static const uint8_t *codes_of_row(const packer *p, int64_t i)
{
    const int64_t cols = p->l->w.cols;
    const uint8_t *u = p->q->codes + i * cols;
    const int32_t *perm = p->l->perm;
    if (!perm && !p->store->offset) return u;
    if (perm)
        for (int64_t c = 0; c < cols; c++) p->line[c] = (uint8_t)(u[perm[c]] + p->store->offset);
    else
        for (int64_t c = 0; c < cols; c++) p->line[c] = (uint8_t)(u[c] + p->store->offset);
    return p->line;
}

/* 256 codes to a unit of W_U3. */
static void pack_u3(const uint8_t *restrict u, uint8_t *restrict dst)
{
    for (int j = 0; j < 32; j++) {
        uint32_t a, b; /* four codes of each block, the first lowest */
        memcpy(&a, u + 4 * j, 4);
        memcpy(&b, u + 128 + 4 * j, 4);
        dst[j] = (uint8_t)((a & 7u) | (a >> 21 & 0x18u) | (a >> 3 & 0xe0u));
        dst[32 + j] = (uint8_t)((b & 7u) | (b >> 21 & 0x18u) | (b >> 3 & 0xe0u));
        dst[64 + j] = (uint8_t)((a >> 16 & 7u) | (b >> 13 & 0x38u) | (a >> 20 & 0x40u) | (b >> 19 & 0x80u));
    }
}

static void pack_row(const packer *p, const uint8_t *u, uint8_t *dst)
{
    const int64_t cols = p->l->w.cols;
    switch (p->l->w.kind) {
    case PARE_W_T4:
    case PARE_W_U4: p->k->pack_lsb(4, cols, u, dst); return;
    case PARE_W_U2: p->k->pack_lsb(2, cols, u, dst); return;
    case PARE_W_U3: break;
    default: memcpy(dst, u, (size_t)cols); return;
    }
    for (int64_t c = 0; c < cols; c += 256, dst += 96) {
        uint8_t last[256] = { 0 };
        pack_u3(cols - c < 256 ? memcpy(last, u + c, (size_t)(cols - c)) : u + c, dst);
    }
}

static pare_status pack_scales(const packer *p, int64_t first, int64_t from, int64_t n, pare_err *err)
{
    const pare_wmat *w = &p->l->w;
    const float *s = p->q->scales + from;
    if (p->q->scheme.two_level) {
        float *to = (float *)(uintptr_t)w->scale + first;
        for (int64_t i = 0; i < n; i++) to[i] = s[i] * p->q->global_scale;
        return PARE_OK;
    }
    uint8_t *out = (uint8_t *)(uintptr_t)w->scale + first * scale_bytes(w->scale_dtype);
    for (int64_t i = 0; i < n; i++) {
        const uint16_t h = w->scale_dtype == PARE_F16 ? pare_f32_to_f16(s[i]) : pare_f32_to_bf16(s[i]);
        const float back = w->scale_dtype == PARE_F32 ? s[i] : w->scale_dtype == PARE_F16 ? pare_f16_to_f32(h) : pare_bf16_to_f32(h);
        if (back != s[i] && s[i] == s[i])
            return pare_fail(err, PARE_ERR_DATA, "scale %g is no %s", (double)s[i], pare_dtype_get_info(w->scale_dtype)->name);
        if (w->scale_dtype == PARE_F32) memcpy(out + i * 4, &s[i], 4);
        else memcpy(out + i * 2, &h, 2);
    }
    return PARE_OK;
}

/* Largest zero point for which the sums of the kernels stay in 32 bits. */
static int zero_most(pare_wkind kind) { return kind == PARE_W_U4 ? 16 : kind == PARE_W_U3 ? 8 : kind == PARE_W_U2 ? 4 : 255; }

static pare_status pack_zeros(const packer *p, int64_t first, int64_t from, int64_t n, pare_err *err)
{
    const pare_wmat *w = &p->l->w;
    if (w->kind == PARE_W_ANY) memcpy((int32_t *)(uintptr_t)p->store->zero + first, p->q->zeros + from, (size_t)n * sizeof(int32_t));
    float *shift = w->shift ? (float *)(uintptr_t)w->shift + first : NULL;
    if (shift && p->q->shifts) memcpy(shift, p->q->shifts + from, (size_t)n * sizeof *shift);
    for (int64_t i = 0; shift && !p->q->shifts && i < n; i++) shift[i] = p->q->fzeros[from + i] * p->q->scales[from + i];
    if (!w->zero) return PARE_OK;
    for (int64_t i = 0; i < n; i++) {
        const int64_t z = (int64_t)p->q->zeros[from + i] + p->store->offset;
        if (z < 0 || z > zero_most(w->kind))
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "zero point %d with codes of %d bits", (int)p->q->zeros[from + i], p->q->scheme.bits);
        ((uint8_t *)(uintptr_t)w->zero)[first + i] = (uint8_t)z;
    }
    return PARE_OK;
}

static pare_status check_piece(const pare_linear *l, int64_t row0, const pare_qtensor *q, pare_err *err)
{
    const pare_linear_store *store = l->rows_user;
    const pare_wmat *w = &l->w;
    const int64_t rows = q->grid.shape[0];
    if (q->grid.ndim != 2 || q->grid.shape[1] != w->cols || row0 < 0 || row0 > w->rows || rows > w->rows - row0)
        return pare_fail(err, PARE_ERR_USAGE, "rows %lld + %lld of a layer [%lld, %lld]", (long long)row0, (long long)rows, (long long)w->rows, (long long)w->cols);
    if (w->scale_rows > 1 && w->scale_rows < w->rows && row0 % w->scale_rows != 0)
        return pare_fail(err, PARE_ERR_USAGE, "rows from %lld on, but %lld rows share a scale", (long long)row0, (long long)w->scale_rows);
    const bool shift = is_shifted(q), zero = q->zero_kind == PARE_ZERO_INT;
    if (q->grid.blocks[1] != w->groups || (w->kind != PARE_W_ANY && w->kind != PARE_W_F8 && w->kind != PARE_W_T4 && (shift != (w->shift != NULL) || zero != (w->zero != NULL))))
        return pare_fail(err, PARE_ERR_FORMAT, "rows %lld + %lld have another scheme than the rest of the layer", (long long)row0, (long long)rows);
    for (int64_t c = 0; q->g_idx && c < w->cols; c++) {
        const int64_t column = l->perm ? l->perm[c] : c;
        if (q->g_idx[column] != (store->g_idx ? store->g_idx[c] : c / w->group))
            return pare_fail(err, PARE_ERR_FORMAT, "g_idx[%lld] is %d here and another group in other rows", (long long)column, (int)q->g_idx[column]);
    }
    return PARE_OK;
}

pare_status pare_linear_pack(pare_linear *l, const pare_kernels *k, int64_t row0, const pare_qtensor *q, pare_err *err)
{
    pare_status st;
    const pare_wmat *w = &l->w;
    packer p = { .l = l, .store = l->rows_user, .k = k, .q = q, .row0 = row0 };
    PARE_TRY(check_piece(l, row0, q, err));
    if ((l->perm || p.store->offset) && !(p.line = pare_alloc((size_t)w->cols))) PARE_FAIL(err, PARE_ERR_MEMORY, "a row of %lld codes: no memory", (long long)w->cols);
    const int64_t rows = q->grid.shape[0];
    uint8_t *dst = (uint8_t *)(uintptr_t)w->data + row0 * w->row_bytes;
    for (int64_t i = 0; i < rows; i++) pack_row(&p, codes_of_row(&p, i), dst + i * w->row_bytes);
    /* scales that rows share are written by the piece that has the first of these rows */
    const int64_t s0 = (row0 + w->scale_rows - 1) / w->scale_rows, s1 = (row0 + rows + w->scale_rows - 1) / w->scale_rows;
    if (s1 > s0) {
        PARE_TRY(pack_scales(&p, s0 * w->groups, 0, (s1 - s0) * w->groups, err));
        PARE_TRY(pack_zeros(&p, s0 * w->groups, 0, (s1 - s0) * w->groups, err));
    }
out:
    pare_dealloc(p.line);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------------ whole */

pare_status pare_linear_whole(pare_linear *l, int64_t row0, int64_t rows, pare_qtensor *q, pare_err *err)
{
    memset(l, 0, sizeof *l);
    l->whole = q;
    const int64_t cols = q->grid.ndim == 2 ? q->grid.shape[1] : 0;
    pare_status st = check_shape(rows, cols, err);
    if (st == PARE_OK && (row0 < 0 || row0 + rows > q->grid.shape[0]))
        st = pare_fail(err, PARE_ERR_USAGE, "rows %lld + %lld of a layer with %lld", (long long)row0, (long long)rows, (long long)q->grid.shape[0]);
    if (st != PARE_OK) {
        pare_linear_clear(l);
        return st;
    }
    l->w = (pare_wmat){ .kind = PARE_W_ANY, .rows = rows, .cols = cols, .row_bytes = cols, .data = q->codes + row0 * cols, .group = cols, .groups = 1,
                        .scale_rows = 1, .scale_dtype = PARE_F32 };
    l->whole_row0 = row0;
    l->rows = pare_linear_rows_whole;
    l->bytes = (uint64_t)(rows * cols) + (uint64_t)(q->grid.n_scales * rows / q->grid.shape[0]) * (q->fzeros ? 8 : 4);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ views */

pare_status pare_linear_view(pare_linear *l, const pare_wmat *w, pare_err *err)
{
    memset(l, 0, sizeof *l);
    const pare_status st = check_shape(w->rows, w->cols, err);
    if (st != PARE_OK) return st;
    if (w->kind < PARE_W_F32 || w->kind >= PARE_W_ANY || !w->data || w->row_bytes < bytes_of_row(w->kind, w->cols))
        return pare_fail(err, PARE_ERR_USAGE, "weights of kind %d with rows of %lld bytes for %lld columns", (int)w->kind, (long long)w->row_bytes, (long long)w->cols);
    if (!is_float(w->kind)) {
        if (w->group < 1 || w->groups != (w->cols + w->group - 1) / w->group || w->scale_rows < 1 || !w->scale || (w->zero && w->shift))
            return pare_fail(err, PARE_ERR_USAGE, "%lld groups of %lld columns for %lld, scales for %lld rows", (long long)w->groups, (long long)w->group,
                             (long long)w->cols, (long long)w->scale_rows);
        if (w->kind == PARE_W_T4 && !w->table) return pare_fail(err, PARE_ERR_USAGE, "table codes without a table");
        if (w->scale_dtype != PARE_F32 && w->scale_dtype != PARE_F16 && w->scale_dtype != PARE_BF16)
            return pare_fail(err, PARE_ERR_UNSUPPORTED, "scales of %s", pare_dtype_get_info(w->scale_dtype)->name);
        const int64_t n = w->zero ? scales_of(w) : 0;
        for (int64_t i = 0; i < n; i++)
            if (w->zero[i] > zero_most(w->kind)) return pare_fail(err, PARE_ERR_UNSUPPORTED, "zero point %d of row %lld", w->zero[i], (long long)(i / w->groups * w->scale_rows));
    }
    l->w = *w;
    l->bytes = bytes_of(w);
    return PARE_OK;
}
