/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of token ids for calibration. */
#include "flow/calibration_data.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "file/file.h"
#include "flow/bundled_text.h"

enum { DEFAULT_SAMPLES = 128, DEFAULT_LENGTH = 2048 };
#define MOST_BYTES ((size_t)1 << 31) /* of a file */

/* Tokens of one part, from which windows are cut. */
typedef struct part { const char *name; pare_ids ids; int64_t windows; } part;
typedef PARE_VEC(part) parts;

typedef struct loader {
    pare_ctx *ctx;
    const pare_tokenizer *tok;
    const pare_calibration_options *o;
    const char *where;           /* for messages */
    int64_t samples, len;
    int32_t bos;                 /* -1 = windows do not begin with it */
    parts parts;
    bool as_is;                  /* rows of a file of ids: no cutting */
    int64_t rows, cols;          /* of such a file; parts has those rows that count */
} loader;

static void clear_parts(parts *p) {
    for (size_t i = 0; i < p->n; i++) PARE_VEC_CLEAR(&p->at[i].ids);
    PARE_VEC_CLEAR(p);
}

/* --------------------------------------------------------------------------------------------------------------- text */

static pare_status need_tokenizer(const loader *l, pare_err *err) {
    if (l->tok) return PARE_OK;
    pare_fail(err, PARE_ERR_USAGE, "%s: there is no tokenizer beside the model's weights, so calibration text means nothing to it", l->where);
    return pare_hint(err, "--calibration FILE.npy or FILE.json with token ids");
}

/* The id that the tokenizer puts before a text, or -1. */
static pare_status find_bos(loader *l, pare_err *err) {
    pare_ids with = {0}, bare = {0};
    pare_status st = pare_tokenizer_encode(l->tok, "a", 1, true, NULL, &with, err);
    if (st == PARE_OK) st = pare_tokenizer_encode(l->tok, "a", 1, false, NULL, &bare, err);
    const int32_t bos = pare_tokenizer_bos(l->tok);
    if (st == PARE_OK && bos >= 0 && with.n > bare.n && with.at[0] == bos && !l->o->no_bos) l->bos = bos;
    PARE_VEC_CLEAR(&with);
    PARE_VEC_CLEAR(&bare);
    return st;
}

static pare_status add_text(loader *l, const char *name, const char *text, size_t n, pare_err *err) {
    part p = {.name = name};
    pare_status st = pare_check_cancel(l->ctx, err);
    if (st == PARE_OK) st = pare_tokenizer_encode(l->tok, text, n, false, NULL, &p.ids, err);
    if (st == PARE_OK && !PARE_VEC_PUSH(&l->parts, p)) st = pare_no_memory(err, name, sizeof p);
    if (st != PARE_OK) PARE_VEC_CLEAR(&p.ids);
    return st;
}

static pare_status load_bundled(loader *l, pare_err *err) {
    pare_status st = need_tokenizer(l, err);
    for (int i = 0; i < pare_n_bundled_texts && st == PARE_OK; i++) {
        const pare_bundled_text *b = &pare_bundled_texts[i];
        uLongf raw = b->raw;
        char *text = pare_alloc(b->raw);
        if (!text) return pare_no_memory(err, b->name, b->raw);
        if (uncompress((Bytef *)text, &raw, b->data, b->n) != Z_OK || raw != b->raw) st = pare_fail(err, PARE_ERR_DATA, "bundled text %s: is damaged in this library", b->name);
        if (st == PARE_OK) st = add_text(l, b->name, text, raw, err);
        pare_dealloc(text);
    }
    return st;
}

/* {"text": "..."} a line; joined by an empty line, as one text. */
static pare_status load_lines(loader *l, const char *text, size_t bytes, pare_err *err) {
    pare_str all = {0};
    int64_t line = 0;
    pare_status st = PARE_OK;
    for (const char *at = text, *end = text + bytes; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((stop ? stop : end) - at);
        char where[300];
        line++;
        if (strspn(at, " \t\r") < n) {
            pare_jdoc *doc = NULL;
            pare_print(where, sizeof where, "%s:%lld", l->where, (long long)line);
            PARE_TRY(pare_jdoc_parse(at, n, where, &doc, err));
            const char *value = pare_j_text(pare_j_get(pare_jdoc_root(doc), "text"), NULL);
            if (value && all.n) pare_str_add(&all, "\n\n");
            if (value) pare_str_add(&all, value);
            pare_jdoc_free(doc);
            if (!value) PARE_FAIL(err, PARE_ERR_DATA, "%s: has no \"text\" that is a string", where);
        }
        at += n + 1;
    }
    if (all.failed) {
        st = pare_no_memory(err, l->where, bytes);
        goto out;
    }
    st = add_text(l, "text", all.at ? all.at : "", all.n, err);
out:
    pare_str_clear(&all);
    return st;
}

static pare_status load_text(loader *l, pare_err *err) {
    char *text = NULL;
    size_t n = 0;
    pare_status st = need_tokenizer(l, err);
    if (st == PARE_OK) st = pare_read_file(l->o->file, MOST_BYTES, &text, &n, err);
    if (st == PARE_OK) st = pare_str_ends(l->o->file, ".jsonl") ? load_lines(l, text, n, err) : add_text(l, "text", text, n, err);
    pare_dealloc(text);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ token ids */

static pare_status add_id(loader *l, part *p, int64_t row, int64_t id, pare_err *err) {
    if (id < 0 || id >= l->o->vocab)
        return pare_fail(err, PARE_ERR_DATA, "%s: row %lld, token %zu: id %lld, and the model knows 0 to %lld", l->where, (long long)row, p->ids.n, (long long)id, (long long)l->o->vocab - 1);
    return PARE_VEC_PUSH(&p->ids, (int32_t)id) ? PARE_OK : pare_no_memory(err, l->where, p->ids.n * sizeof(int32_t));
}

/* A file of rows: how many there are, and of how many ids. All count unless a number was given. */
static pare_status begin_rows(loader *l, int64_t rows, int64_t cols, pare_err *err) {
    if (rows == 0 || cols < 2) return pare_fail(err, PARE_ERR_DATA, "%s: %lld rows of %lld ids: there is nothing to calibrate on", l->where, (long long)rows, (long long)cols);
    l->as_is = true;
    l->rows = rows;
    l->cols = cols;
    l->samples = l->o->samples && l->o->samples < rows ? l->o->samples : rows;
    return PARE_OK;
}

static pare_status take_part(loader *l, part *p, pare_err *err) {
    if (PARE_VEC_PUSH(&l->parts, *p)) return PARE_OK;
    PARE_VEC_CLEAR(&p->ids);
    return pare_no_memory(err, l->where, sizeof *p);
}

static pare_status load_npy(loader *l, pare_err *err) {
    pare_store *store = NULL;
    const uint8_t *data;
    pare_status st = pare_store_open(l->o->file, &store, err);
    if (st != PARE_OK) return st;
    const pare_tensor *t = store->n_tensors == 1 ? &store->tensors[0] : NULL;
    const pare_dtype_kind kind = t ? pare_dtype_get_info(t->dtype)->kind : PARE_KIND_NONE;
    if (!t || t->ndim < 1 || t->ndim > 2 || (kind != PARE_KIND_INT && kind != PARE_KIND_UINT))
        PARE_FAIL(err, PARE_ERR_DATA, "%s: is not one array of whole numbers with one or two dimensions", l->where);
    const int64_t cols = t->shape[t->ndim - 1];
    if (t->ndim == 2) PARE_TRY(begin_rows(l, t->shape[0], cols, err));
    PARE_TRY(pare_store_data(store, 0, &data, err));
    for (int64_t r = 0; r < (l->as_is ? l->samples : 1); r++) {
        part p = {.name = "ids"};
        for (int64_t c = 0; c < cols && st == PARE_OK; c++) {
            int64_t id = 0;
            st = pare_convert(&id, PARE_I64, data + (size_t)(r * cols + c) * pare_dtype_bytes(t->dtype, 1), t->dtype, 1, false, err);
            if (st == PARE_OK) st = add_id(l, &p, r, id, err);
        }
        if (st == PARE_OK)
            st = take_part(l, &p, err);
        else
            PARE_VEC_CLEAR(&p.ids);
        if (st != PARE_OK) break;
    }
out:
    pare_store_close(store);
    return st;
}

static pare_status load_row(loader *l, const pare_jval *row, int64_t number, pare_err *err) {
    part p = {.name = "ids"};
    pare_status st = PARE_OK;
    for (size_t i = 0; i < pare_j_count(row) && st == PARE_OK; i++) {
        const pare_jval *v = pare_j_at(row, i);
        st = pare_j_type(v) == PARE_J_INT ? add_id(l, &p, number, pare_j_int(v, -1), err) : pare_fail(err, PARE_ERR_DATA, "%s: row %lld, place %zu is not a whole number", l->where, (long long)number, i);
    }
    if (st == PARE_OK) return take_part(l, &p, err);
    PARE_VEC_CLEAR(&p.ids);
    return st;
}

static pare_status load_json(loader *l, pare_err *err) {
    pare_jdoc *doc = NULL;
    pare_status st = pare_jdoc_load(l->o->file, MOST_BYTES, &doc, err);
    if (st != PARE_OK) return st;
    const pare_jval *root = pare_jdoc_root(doc);
    if (pare_j_type(root) != PARE_J_ARRAY || pare_j_count(root) == 0) PARE_FAIL(err, PARE_ERR_DATA, "%s: is not a list of token ids, nor of lists of them", l->where);
    const pare_jval *first = pare_j_at(root, 0);
    if (pare_j_type(first) != PARE_J_ARRAY)
        PARE_TRY(load_row(l, root, 0, err));
    else
        PARE_TRY(begin_rows(l, (int64_t)pare_j_count(root), (int64_t)pare_j_count(first), err));
    for (size_t i = 0; l->as_is && i < pare_j_count(root); i++) {
        const pare_jval *row = pare_j_at(root, i);
        if (pare_j_type(row) != PARE_J_ARRAY) PARE_FAIL(err, PARE_ERR_DATA, "%s: row %zu is not a list", l->where, i);
        if (pare_j_count(row) != pare_j_count(first))
            PARE_FAIL(err, PARE_ERR_DATA, "%s: row %zu has %zu ids, row 0 has %zu: all must have the same number", l->where, i, pare_j_count(row), pare_j_count(first));
        if ((int64_t)i < l->samples) PARE_TRY(load_row(l, row, (int64_t)i, err));
    }
out:
    pare_jdoc_free(doc);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- windows */

/* All parts as one. */
static pare_status join_parts(loader *l, pare_err *err) {
    part *all = &l->parts.at[0];
    for (size_t i = 1; i < l->parts.n; i++) {
        pare_ids *ids = &l->parts.at[i].ids;
        for (size_t k = 0; k < ids->n; k++)
            if (!PARE_VEC_PUSH(&all->ids, ids->at[k])) return pare_no_memory(err, l->where, (all->ids.n + ids->n) * sizeof(int32_t));
        PARE_VEC_CLEAR(ids);
    }
    l->parts.n = 1;
    all->name = "text";
    return PARE_OK;
}

/* Windows that the parts hold, each by itself. */
static int64_t held(const loader *l, int64_t body) {
    int64_t n = 0;
    for (size_t i = 0; i < l->parts.n; i++) n += (int64_t)l->parts.at[i].ids.n / body;
    return n;
}

/* Windows of each part, in proportion to its tokens and no more than it holds: the part furthest behind its share gets the next one. */
static int64_t share_out(loader *l, int64_t body) {
    int64_t given = 0, tokens = 0;
    const int64_t total = held(l, body);
    for (size_t i = 0; i < l->parts.n; i++) tokens += (int64_t)l->parts.at[i].ids.n;
    for (const int64_t want = total < l->samples ? total : l->samples; given < want; given++) {
        part *best = NULL;
        double most = 0;
        for (size_t i = 0; i < l->parts.n; i++) {
            part *p = &l->parts.at[i];
            const double behind = (double)p->ids.n / (double)tokens * (double)want - (double)p->windows;
            if (p->windows < (int64_t)p->ids.n / body && (!best || behind > most)) best = p, most = behind;
        }
        best->windows++;
    }
    return given;
}

static int by_value(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Windows of one part: what they leave over is spread before them by sorted random numbers, so that every crop is as likely as another. */
static pare_status cut_part(const loader *l, const part *p, int64_t body, int32_t *out, pare_err *err) {
    const int64_t slack = (int64_t)p->ids.n - p->windows * body, head = l->bos >= 0;
    char name[120];
    int64_t *at = pare_alloc((size_t)(p->windows + 1) * sizeof *at);
    if (!at) return pare_no_memory(err, l->where, (size_t)p->windows * sizeof *at);
    pare_print(name, sizeof name, "calibration %s", p->name);
    const uint64_t key = pare_rng_key(l->o->seed, name);
    for (int64_t i = 0; i < p->windows; i++) at[i] = (int64_t)(pare_rng_uniform(key, (uint64_t)i) * (double)(slack + 1));
    qsort(at, (size_t)p->windows, sizeof *at, by_value);
    for (int64_t i = 0; i < p->windows; i++, out += l->len) {
        if (head) out[0] = l->bos;
        memcpy(out + head, p->ids.at + at[i] + i * body, (size_t)body * sizeof *out);
    }
    pare_dealloc(at);
    return PARE_OK;
}

/* A text shorter than a window: one window of everything. */
static int64_t one_short(const loader *l, int32_t *out) {
    const int64_t head = l->bos >= 0, n = (int64_t)l->parts.at[0].ids.n;
    if (head) out[0] = l->bos;
    memcpy(out + head, l->parts.at[0].ids.at, (size_t)n * sizeof *out);
    return head + n;
}

static pare_status cut_text(loader *l, pare_calibration_data *out, pare_err *err) {
    const int64_t body = l->len - (l->bos >= 0);
    pare_status st = PARE_OK;
    if (body < 1) return pare_fail(err, PARE_ERR_USAGE, "calibration windows of %lld tokens hold nothing but the beginning of a text", (long long)l->len);
    /* What the parts leave over may make a window too. */
    if (held(l, body) < l->samples && held(l, body) < out->source_tokens / body) PARE_TRY(join_parts(l, err));
    if (out->source_tokens < body) PARE_TRY(join_parts(l, err));
    const int64_t windows = share_out(l, body);
    out->windows = windows ? windows : 1;
    out->len = l->len;
    if (!(out->ids = pare_alloc((size_t)(out->windows * l->len) * sizeof *out->ids))) return pare_no_memory(err, "calibration windows", (size_t)(out->windows * l->len) * 4);
    int32_t *to = out->ids;
    for (size_t i = 0; windows && i < l->parts.n && st == PARE_OK; i++) {
        st = cut_part(l, &l->parts.at[i], body, to, err);
        to += l->parts.at[i].windows * l->len;
    }
    if (!windows) {
        out->len = one_short(l, out->ids);
        pare_log(l->ctx, PARE_LOG_WARNING, "%s: %lld tokens are less than one window of %lld: calibration sees one short window, which is too little to trust", l->where,
                 (long long)out->source_tokens, (long long)l->len);
    } else if (windows < l->samples)
        pare_log(l->ctx, PARE_LOG_WARNING, "%s: %lld tokens give %lld windows of %lld, not %lld", l->where, (long long)out->source_tokens, (long long)windows, (long long)l->len,
                 (long long)l->samples);
out:
    return st;
}

/* Whole rows, or as much as was asked for. */
static pare_status take_rows(const loader *l, pare_calibration_data *out, pare_err *err) {
    const pare_calibration_options *o = l->o;
    out->windows = (int64_t)l->parts.n;
    out->len = o->seq_len && o->seq_len < l->cols ? o->seq_len : l->cols;
    if (o->samples > l->rows || o->seq_len > l->cols)
        pare_log(l->ctx, PARE_LOG_WARNING, "%s: has %lld rows of %lld ids; %lld of %lld were asked for", l->where, (long long)l->rows, (long long)l->cols,
                 (long long)(o->samples ? o->samples : l->rows), (long long)(o->seq_len ? o->seq_len : l->cols));
    if (o->max_positions > 0 && out->len > o->max_positions) {
        pare_log(l->ctx, PARE_LOG_WARNING, "%s: of the %lld ids of each row only the first %lld are used: the model has no more positions", l->where, (long long)out->len,
                 (long long)o->max_positions);
        out->len = o->max_positions;
    }
    if (!(out->ids = pare_alloc((size_t)(out->windows * out->len) * sizeof *out->ids))) return pare_no_memory(err, "calibration windows", (size_t)(out->windows * out->len) * 4);
    for (int64_t r = 0; r < out->windows; r++) memcpy(out->ids + r * out->len, l->parts.at[r].ids.at, (size_t)out->len * sizeof *out->ids);
    return PARE_OK;
}

/* Hessians of a few tokens have a rank of a few: what is fitted to them is fitted to nothing else. */
static bool is_monotonous(const pare_calibration_data *d) {
    const int64_t tokens = d->windows * d->len;
    return d->distinct == 1 || (tokens >= 256 && d->distinct < 64 && d->distinct * 64 < tokens);
}

static pare_status count_distinct(const loader *l, pare_calibration_data *out, pare_err *err) {
    uint8_t *seen = pare_alloc_zero((size_t)l->o->vocab, 1);
    if (!seen) return pare_no_memory(err, "token counts", (size_t)l->o->vocab);
    for (int64_t i = 0; i < out->windows * out->len; i++) out->distinct += !seen[out->ids[i]], seen[out->ids[i]] = 1;
    pare_dealloc(seen);
    if (is_monotonous(out))
        pare_log(l->ctx, PARE_LOG_WARNING, "%s: only %lld different tokens in %lld: calibration learns next to nothing from so few", l->where, (long long)out->distinct,
                 (long long)(out->windows * out->len));
    return PARE_OK;
}

/* --------------------------------------------------------------------------------------------------------------- entry */

static pare_status settle(loader *l, pare_err *err) {
    const pare_calibration_options *o = l->o;
    if (o->samples < 0 || o->seq_len < 0 || o->seq_len == 1) return pare_fail(err, PARE_ERR_USAGE, "calibration: %lld windows of %lld tokens", (long long)o->samples, (long long)o->seq_len);
    l->samples = o->samples ? o->samples : DEFAULT_SAMPLES;
    l->len = o->seq_len ? o->seq_len : DEFAULT_LENGTH;
    return PARE_OK;
}

/* Of windows that are cut. A default that does not fit is no surprise, a number that was given and is not kept to is one. */
static void limit_length(loader *l) {
    const int64_t most = l->o->max_positions;
    if (most <= 0 || l->len <= most) return;
    pare_log(l->ctx, l->o->seq_len ? PARE_LOG_WARNING : PARE_LOG_INFO, "calibration: windows of %lld tokens, not %lld: the model has no more positions", (long long)most, (long long)l->len);
    l->len = most;
}

static pare_status load_source(loader *l, pare_err *err) {
    pare_status st;
    if (!l->o->file) st = load_bundled(l, err);
    else if (pare_str_ends(l->o->file, ".npy")) st = load_npy(l, err);
    else if (pare_str_ends(l->o->file, ".json")) st = load_json(l, err);
    else st = load_text(l, err);
    if (st != PARE_OK) return st;
    for (size_t i = 0; i < l->parts.n; i++)
        for (size_t k = 0; k < l->parts.at[i].ids.n; k++)
            if (l->parts.at[i].ids.at[k] < 0 || l->parts.at[i].ids.at[k] >= l->o->vocab)
                return pare_fail(err, PARE_ERR_DATA, "%s: the tokenizer makes id %d, and the model knows 0 to %lld", l->where, (int)l->parts.at[i].ids.at[k], (long long)l->o->vocab - 1);
    return PARE_OK;
}

pare_status pare_calibration_load(pare_ctx *ctx, const pare_tokenizer *tok, const pare_calibration_options *o, pare_calibration_data *out, pare_err *err) {
    loader l = {.ctx = ctx, .tok = tok, .o = o, .where = o->file ? pare_path_name(o->file) : "bundled text", .bos = -1};
    pare_status st = PARE_OK;
    memset(out, 0, sizeof *out);
    out->bundled = !o->file;
    PARE_TRY(settle(&l, err));
    PARE_TRY(load_source(&l, err));
    out->source_tokens = l.rows * l.cols;
    for (size_t i = 0; i < l.parts.n && !l.as_is; i++) out->source_tokens += (int64_t)l.parts.at[i].ids.n;
    if (!l.as_is) limit_length(&l);
    if (out->source_tokens < 2) PARE_FAIL(err, PARE_ERR_DATA, "%s: %lld tokens: there is nothing to calibrate on", l.where, (long long)out->source_tokens);
    if (l.tok && !l.as_is && !(o->file && (pare_str_ends(o->file, ".npy") || pare_str_ends(o->file, ".json")))) PARE_TRY(find_bos(&l, err));
    PARE_TRY(l.as_is ? take_rows(&l, out, err) : cut_text(&l, out, err));
    PARE_TRY(count_distinct(&l, out, err));
    PARE_TRY(pare_sha256_of(out->ids, (size_t)(out->windows * out->len) * sizeof *out->ids, out->hash, err));
    pare_print(out->what, sizeof out->what, "%.100s, %lld window%s of %lld tokens", l.where, (long long)out->windows, out->windows == 1 ? "" : "s", (long long)out->len);
    if (!l.as_is) {
        const size_t n = strlen(out->what);
        pare_print(out->what + n, sizeof out->what - n, ", seed %llu", (unsigned long long)o->seed);
    }
out:
    clear_parts(&l.parts);
    if (st != PARE_OK) pare_calibration_clear(out);
    return st;
}

void pare_calibration_clear(pare_calibration_data *data) {
    pare_dealloc(data->ids);
    memset(data, 0, sizeof *data);
}
