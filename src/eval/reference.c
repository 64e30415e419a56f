/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference files: a model's distributions over a text, small enough to keep. Of each position the likeliest tokens are kept until they hold
 * all but 1e-5 of the probability; the rest is one number. KL(reference || model) is then computed over the kept tokens and "one of the
 * rest": a lower bound that misses at most 1e-5 times the mean log ratio inside the rest.
 *
 *   "PAREREF1"  key: protocol[16], u32 vocabulary, u32 ctx, u64 windows, text[16]
 *   blocks      u32 positions, u32 raw bytes, u32 packed bytes, then a zlib stream of that many positions:
 *                 u32 entries, f32 -ln p(next), u32 most likely id, f32 ln(rest) (-inf: nothing left out)
 *                 entries in rising id: varint of the step from the last id (first: id), u16 -ln p in steps of 1/2048
 * All little-endian. The file is written beside its name and renamed when complete.
 */
#include "eval/eval.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { KEY_BYTES = 48, HEAD_BYTES = 8 + KEY_BYTES, POSITION_BYTES = 16, MAX_BLOCK = 1 << 28 };
static const char magic[8] = "PAREREF1";
#define REST 1e-5
#define STEPS 2048.0

static void put_key(const pare_reference_key *key, uint8_t out[KEY_BYTES])
{
    memcpy(out, key->protocol, 16);
    pare_put_le32(out + 16, key->vocab);
    pare_put_le32(out + 20, key->ctx);
    pare_put_le64(out + 24, key->windows);
    memcpy(out + 32, key->text, 16);
}

static void put_f32(uint8_t *p, float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    pare_put_le32(p, u);
}

static float get_f32(const uint8_t *p)
{
    uint32_t u = pare_le32(p);
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* --------------------------------------------------------------------------------------------------------------- writing */

typedef struct packed { uint8_t *at; size_t n, cap; } packed;

struct pare_reference_writer {
    pare_out *out;
    char *path, *partial;
    uint32_t vocab;
    packed *rows; int64_t n_rows;   /* one buffer a position of the block at hand */
    struct entry **sorted; int n_sorted; /* one array a worker */
    uint8_t *raw, *zipped; size_t raw_cap, zipped_cap;
};

typedef struct entry { float logp; uint32_t id; } entry;

static int by_probability(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->logp != y->logp) return x->logp > y->logp ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static int by_id(const void *a, const void *b) { return ((const entry *)a)->id < ((const entry *)b)->id ? -1 : 1; }

/* Tokens that may be among the kept ones: all others together hold less than REST / e. */
static int64_t candidates(const float *logits, int64_t vocab, double lse, entry *out)
{
    int64_t n = 0;
    const float floor = (float)(lse + log(REST) - log((double)vocab) - 1);
    for (int64_t i = 0; i < vocab; i++)
        if (logits[i] >= floor) out[n++] = (entry){ (float)((double)logits[i] - lse), (uint32_t)i };
    return n;
}

typedef struct pack_job { pare_reference_writer *w; const float *logits; const int32_t *next; const pare_kernels *k; } pack_job;

static pare_status pack_position(void *arg, int64_t i, int worker, pare_err *err)
{
    const pack_job *j = arg;
    const int64_t vocab = j->w->vocab;
    const float *row = j->logits + i * vocab;
    entry *e = j->w->sorted[worker];
    packed *out = &j->w->rows[i];
    const double lse = j->k->log_sum_exp(row, vocab);
    if (!isfinite(lse)) return pare_fail(err, PARE_ERR_DATA, "the reference model's logits are not all finite");
    int64_t n = candidates(row, vocab, lse, e), kept = 0;
    double mass = 0;
    qsort(e, (size_t)n, sizeof *e, by_probability);
    const uint32_t top = e[0].id;
    while (kept < n && mass < 1 - REST) mass += exp((double)e[kept++].logp);
    const size_t need = POSITION_BYTES + (size_t)kept * 7;
    if (out->cap < need) {
        uint8_t *grown = pare_realloc(out->at, need);
        if (!grown) return pare_no_memory(err, "reference", need);
        out->at = grown;
        out->cap = need;
    }
    qsort(e, (size_t)kept, sizeof *e, by_id);
    /* What the file's reader will see of the kept ones decides the rest, so that all sums to 1. */
    mass = 0;
    uint8_t *p = out->at + POSITION_BYTES;
    uint32_t last = 0;
    for (int64_t c = 0; c < kept; c++) {
        const double code = rint(fmin(-(double)e[c].logp * STEPS, 65535));
        uint32_t step = e[c].id - last;
        last = e[c].id;
        for (; step >= 128; step >>= 7) *p++ = (uint8_t)(step | 128);
        *p++ = (uint8_t)step;
        pare_put_le16(p, (uint16_t)code);
        p += 2;
        mass += exp(-code / STEPS);
    }
    double rest = -INFINITY;
    if (kept < vocab) {
        double sum = 0;
        for (int64_t c = 0; c < vocab; c++) sum += exp((double)row[c] - lse);
        for (int64_t c = 0; c < kept; c++) sum -= exp((double)e[c].logp);
        rest = sum > 1e-300 ? log(sum) : -690;
    }
    pare_put_le32(out->at, (uint32_t)kept);
    put_f32(out->at + 4, (float)(lse - (double)row[j->next[i]]));
    pare_put_le32(out->at + 8, top);
    put_f32(out->at + 12, (float)rest);
    out->n = (size_t)(p - out->at);
    return PARE_OK;
}

pare_status pare_reference_create(const char *path, const pare_reference_key *key, pare_reference_writer **out, pare_err *err)
{
    uint8_t head[HEAD_BYTES];
    pare_status st;
    pare_str partial = { 0 };
    *out = NULL;
    pare_reference_writer *w = pare_alloc_zero(1, sizeof *w);
    if (!w) return pare_no_memory(err, path, sizeof *w);
    pare_str_printf(&partial, "%s.partial", path);
    w->partial = pare_str_take(&partial);
    w->path = pare_strdup(path);
    w->vocab = key->vocab;
    if (!w->partial || !w->path) {
        st = pare_no_memory(err, path, 0);
        goto out;
    }
    PARE_TRY(pare_out_open(w->partial, 0, 0, false, &w->out, err));
    memcpy(head, magic, 8);
    put_key(key, head + 8);
    PARE_TRY(pare_out_write(w->out, head, sizeof head, err));
    *out = w;
    return PARE_OK;
out:
    pare_reference_abort(w);
    return st;
}

static pare_status room(pare_reference_writer *w, int threads, int64_t n, pare_err *err)
{
    if (n > w->n_rows) {
        packed *rows = pare_realloc(w->rows, (size_t)n * sizeof *rows);
        if (!rows) return pare_no_memory(err, "reference", (size_t)n * sizeof *rows);
        memset(rows + w->n_rows, 0, (size_t)(n - w->n_rows) * sizeof *rows);
        w->rows = rows;
        w->n_rows = n;
    }
    if (w->sorted) return PARE_OK;
    if (!(w->sorted = pare_alloc_zero((size_t)threads, sizeof *w->sorted))) return pare_no_memory(err, "reference", 0);
    for (w->n_sorted = 0; w->n_sorted < threads; w->n_sorted++)
        if (!(w->sorted[w->n_sorted] = pare_alloc(w->vocab * sizeof(entry)))) return pare_no_memory(err, "reference", w->vocab * sizeof(entry));
    return PARE_OK;
}

static pare_status grow(uint8_t **at, size_t *cap, size_t need, pare_err *err)
{
    if (*cap >= need) return PARE_OK;
    uint8_t *p = pare_realloc(*at, need);
    if (!p) return pare_no_memory(err, "reference", need);
    *at = p;
    *cap = need;
    return PARE_OK;
}

pare_status pare_reference_add(pare_reference_writer *w, pare_ctx *ctx, const float *logits, const int32_t *next, int64_t n, pare_err *err)
{
    pack_job j = { w, logits, next, ctx->kernels };
    uint8_t head[12];
    size_t raw = 0;
    pare_status st;
    PARE_TRY(room(w, pare_ctx_threads(ctx), n, err));
    PARE_TRY(pare_parallel(ctx, n, pack_position, &j, err));
    for (int64_t i = 0; i < n; i++) raw += w->rows[i].n;
    if (raw > MAX_BLOCK) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: a block of %zu bytes of %lld positions is too large", w->path, raw, (long long)n);
    uLong bound = compressBound((uLong)raw);
    PARE_TRY(grow(&w->raw, &w->raw_cap, raw, err));
    PARE_TRY(grow(&w->zipped, &w->zipped_cap, bound, err));
    raw = 0;
    for (int64_t i = 0; i < n; i++) {
        memcpy(w->raw + raw, w->rows[i].at, w->rows[i].n);
        raw += w->rows[i].n;
    }
    if (compress2(w->zipped, &bound, w->raw, (uLong)raw, 1) != Z_OK) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: compressing %zu bytes failed", w->path, raw);
    pare_put_le32(head, (uint32_t)n);
    pare_put_le32(head + 4, (uint32_t)raw);
    pare_put_le32(head + 8, (uint32_t)bound);
    PARE_TRY(pare_out_write(w->out, head, sizeof head, err));
    PARE_TRY(pare_out_write(w->out, w->zipped, bound, err));
out:
    return st;
}

static void writer_free(pare_reference_writer *w)
{
    for (int64_t i = 0; i < w->n_rows; i++) pare_dealloc(w->rows[i].at);
    for (int i = 0; i < w->n_sorted; i++) pare_dealloc(w->sorted[i]);
    pare_dealloc(w->rows);
    pare_dealloc(w->sorted);
    pare_dealloc(w->raw);
    pare_dealloc(w->zipped);
    pare_dealloc(w->path);
    pare_dealloc(w->partial);
    pare_dealloc(w);
}

pare_status pare_reference_commit(pare_reference_writer *w, pare_err *err)
{
    pare_status st = pare_out_sync(w->out, err);
    if (st == PARE_OK) {
        st = pare_out_close(w->out, NULL, err);
        w->out = NULL;
    }
    if (st == PARE_OK) st = pare_rename_durable(w->partial, w->path, err);
    if (st != PARE_OK) {
        pare_reference_abort(w);
        return st;
    }
    writer_free(w);
    return PARE_OK;
}

void pare_reference_abort(pare_reference_writer *w)
{
    if (!w) return;
    if (w->out) pare_out_abort(w->out);
    if (w->partial) pare_remove_tree(w->partial, NULL);
    writer_free(w);
}

/* --------------------------------------------------------------------------------------------------------------- reading */

struct pare_reference {
    pare_map map;
    size_t pos;                /* of the next block */
    uint32_t vocab;
    uint8_t *raw; size_t cap;  /* the block at hand */
    size_t n, at;
    uint32_t left;             /* positions left in it */
};

pare_status pare_reference_open(const char *path, const pare_reference_key *key, pare_reference **out, pare_err *err)
{
    uint8_t want[KEY_BYTES];
    pare_status st;
    *out = NULL;
    pare_reference *r = pare_alloc_zero(1, sizeof *r);
    if (!r) return pare_no_memory(err, path, sizeof *r);
    PARE_TRY(pare_map_open(path, &r->map, err));
    if (r->map.n < HEAD_BYTES || memcmp(r->map.at, magic, 8) != 0) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: is no reference file of pare (%zu bytes)", path, r->map.n);
    const uint8_t *have = r->map.at + 8;
    put_key(key, want);
    if (pare_le32(have + 16) != key->vocab)
        PARE_FAIL(err, PARE_ERR_DATA, "%s: made by a model with a vocabulary of %u, this one has %u", path, pare_le32(have + 16), key->vocab);
    if (memcmp(have, want, KEY_BYTES) != 0)
        PARE_FAIL(err, PARE_ERR_DATA, "%s: made from another text or another cut: %.15s, ctx %u, %llu windows; this run: %s, ctx %u, %llu windows", path, (const char *)have,
                  pare_le32(have + 20), (unsigned long long)pare_le64(have + 24), key->protocol, key->ctx, (unsigned long long)key->windows);
    r->pos = HEAD_BYTES;
    r->vocab = key->vocab;
    *out = r;
    return PARE_OK;
out:
    pare_reference_close(r);
    return st;
}

void pare_reference_close(pare_reference *r)
{
    if (!r) return;
    pare_map_close(&r->map);
    pare_dealloc(r->raw);
    pare_dealloc(r);
}

void pare_reference_identify(const pare_reference *r, pare_xxh128 *hash)
{
    uint8_t size[8];
    pare_put_le64(size, r->map.n);
    pare_xxh128_update(hash, size, sizeof size);
    pare_xxh128_update(hash, r->map.at, r->map.n < 65536 ? r->map.n : 65536);
}

static pare_status broken(const pare_reference *r, pare_err *err)
{
    return pare_fail(err, PARE_ERR_FORMAT, "%s: damaged or cut off before byte %zu of %zu", r->map.path, r->pos, r->map.n);
}

static pare_status next_block(pare_reference *r, pare_err *err)
{
    pare_status st;
    if (r->map.n - r->pos < 12) return broken(r, err);
    const uint32_t positions = pare_le32(r->map.at + r->pos), raw = pare_le32(r->map.at + r->pos + 4), zipped = pare_le32(r->map.at + r->pos + 8);
    if (!positions || raw > MAX_BLOCK || positions > raw / POSITION_BYTES || zipped > r->map.n - r->pos - 12) return broken(r, err);
    if ((st = grow(&r->raw, &r->cap, raw, err)) != PARE_OK) return st;
    uLongf n = raw;
    if (uncompress(r->raw, &n, r->map.at + r->pos + 12, zipped) != Z_OK || n != raw) return broken(r, err);
    r->pos += 12 + (size_t)zipped;
    r->n = raw;
    r->at = 0;
    r->left = positions;
    return PARE_OK;
}

/* One position against logits (NULL: passed over). */
static pare_status compare_position(pare_reference *r, const pare_kernels *k, const float *logits, pare_score *s, pare_err *err)
{
    pare_status st;
    if (!r->left && (st = next_block(r, err)) != PARE_OK) return st;
    if (r->n - r->at < POSITION_BYTES) return broken(r, err);
    const uint8_t *p = r->raw + r->at, *end = r->raw + r->n;
    const uint32_t entries = pare_le32(p), top = pare_le32(p + 8);
    const double rest = (double)get_f32(p + 12);
    const double lse = logits ? k->log_sum_exp(logits, r->vocab) : 0;
    double kl = 0, model = 0, kept = 0;
    uint64_t id = 0;
    if (s) s->nll_ref = get_f32(p + 4);
    p += POSITION_BYTES;
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t step = 0;
        int shift = 0;
        for (;; shift += 7) {
            if (p == end || shift > 28) return broken(r, err);
            step |= (uint64_t)(*p & 127) << shift;
            if (!(*p++ & 128)) break;
        }
        id += step;
        if (end - p < 2 || id >= r->vocab) return broken(r, err);
        const double logp = -(double)pare_le16(p) / STEPS, prob = exp(logp);
        p += 2;
        kept += prob;
        if (!logits) continue;
        const double logq = (double)logits[id] - lse;
        kl += prob * (logp - logq);
        model += exp(logq);
    }
    r->at = (size_t)(p - r->raw);
    r->left--;
    if (!r->left && r->at != r->n) return broken(r, err);
    if (!logits) return PARE_OK;
    /* Codes are rounded: their sum is brought to what the kept ones hold, then "one of the rest". */
    const double tail = isinf(rest) ? 0 : exp(rest), mass = 1 - tail;
    kl = kept > 0 ? kl / kept * mass + mass * log(mass / kept) : 0;
    if (tail > 0) kl += tail * (rest - log(fmax(1 - model, 1e-30)));
    s->kl = (float)fmax(kl, 0);
    s->same_top = k->argmax_f32(logits, r->vocab) == (int64_t)top;
    return PARE_OK;
}

pare_status pare_reference_compare(pare_reference *r, pare_ctx *ctx, const float *logits, int64_t n, pare_score *scores, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < n && st == PARE_OK; i++) st = compare_position(r, ctx->kernels, logits + i * r->vocab, &scores[i], err);
    return st;
}

pare_status pare_reference_skip(pare_reference *r, int64_t n, pare_err *err)
{
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < n && st == PARE_OK; i++) st = compare_position(r, NULL, NULL, NULL, err);
    return st;
}
