/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_analyze: which layers a model can afford to have quantized, before anything is written. The float model is walked once over the calibration text; at
 * each layer: ranges of weights and inputs, input channels that stand out, and for each candidate (method x bits) the error of the layer's output,
 *     tr(E H E^T) / tr(W H W^T),   E = W - Wq, H = sum x x^T,
 * which is the squared error of y = W x over all calibration tokens in parts of its energy. With a text to measure on, also what the whole model loses
 * when this layer alone is quantized.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow/analyze.h"

enum { PARE_ANALYZE_SAMPLES = 32, PARE_ANALYZE_LENGTH = 512 };

/* ---------------------------------------------------------------------------------------------------------- candidates */

static pare_status add_candidate(analysis *a, const pare_analyze_options *o, const char *name, int bits, pare_err *err) {
    const char *asym = o->asymmetric ? "_ASYM" : "";
    candidate c = {.method = pare_method_find(name)};
    char scheme[40];
    pare_status st;
    if (!c.method) {
        pare_fail(err, PARE_ERR_USAGE, "there is no method '%s'", name);
        return pare_hint(err, "pare list methods");
    }
    if (o->per_channel)
        pare_print(scheme, sizeof scheme, "W%dA16%s:channel", bits, asym);
    else if (o->group_size > 0)
        pare_print(scheme, sizeof scheme, "W%dA16%s:g%lld", bits, asym, (long long)o->group_size);
    else
        pare_print(scheme, sizeof scheme, "W%dA16%s", bits, asym);
    PARE_TRY(pare_scheme_parse(scheme, &c.scheme, err));
    if (c.scheme.scale_dtype == PARE_DTYPE_NONE) c.scheme.scale_dtype = PARE_F16;
    PARE_TRY(pare_params_init(&c.params, c.method->options, err));
    st = c.method->prepare(&c.params, &c.scheme, err);
    pare_print(c.key, sizeof c.key, "error_%s_w%d", c.method->name, bits);
    pare_print(c.title, sizeof c.title, "%s %d bit", c.method->name, bits);
    if (st == PARE_OK && !PARE_VEC_PUSH(&a->candidates, c)) st = pare_no_memory(err, "candidates", sizeof c);
    if (st != PARE_OK) pare_params_clear(&c.params);
out:
    return st;
}

static pare_status make_candidates(analysis *a, const pare_analyze_options *o, pare_err *err) {
    static const char *const default_methods[] = {"rtn"};
    static const int default_bits[] = {8, 4, 3, 2};
    const char *const *methods = o->n_methods ? o->methods : default_methods;
    const int *bits = o->n_bits ? o->bits : default_bits;
    const size_t n_methods = o->n_methods ? o->n_methods : 1, n_bits = o->n_bits ? o->n_bits : 4;
    pare_status st = PARE_OK;
    a->needs = PARE_NEEDS_MOMENTS | PARE_NEEDS_HESSIAN;
    for (size_t m = 0; m < n_methods && st == PARE_OK; m++)
        for (size_t b = 0; b < n_bits && st == PARE_OK; b++) st = add_candidate(a, o, methods[m], bits[b], err);
    for (size_t i = 0; i < a->candidates.n; i++) a->needs |= a->candidates.at[i].method->needs & ~PARE_NEEDS_DRIFT; /* nothing is quantized before: no drift */
    return st;
}

/* ------------------------------------------------------------------------------------------------------------ one layer */

/* Spread, heaviest value and tail weight of a matrix, in f64. */
static void weigh(const float *w, int64_t n, layer_row *row) {
    double sum = 0, sq = 0, fourth = 0, most = 0;
    for (int64_t i = 0; i < n; i++) sum += w[i], most = fmax(most, fabs((double)w[i]));
    const double mean = n ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = w[i] - mean, d2 = d * d;
        sq += d2;
        fourth += d2 * d2;
    }
    const double variance = n ? sq / (double)n : 0;
    row->w_absmax = most;
    row->w_std = sqrt(variance);
    row->w_kurtosis = variance > 0 ? fourth / (double)n / (variance * variance) : 0;
}

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Channels of the input whose largest value is far above the middle one's: what makes activations hard to quantize. */
static pare_status look_at_inputs(const pare_stats *s, layer_row *row, pare_err *err) {
    float *sorted = pare_alloc((size_t)s->cols * sizeof *sorted);
    if (!sorted) return pare_no_memory(err, row->name, (size_t)s->cols * sizeof *sorted);
    memcpy(sorted, s->absmax, (size_t)s->cols * sizeof *sorted);
    qsort(sorted, (size_t)s->cols, sizeof *sorted, by_value);
    row->tokens = s->tokens;
    row->x_median = sorted[s->cols / 2];
    row->x_absmax = sorted[s->cols - 1];
    pare_dealloc(sorted);
    for (int64_t c = 0; c < s->cols; c++) {
        if (s->absmax[c] == (float)row->x_absmax && row->worst_channel < 0) row->worst_channel = c;
        row->outliers += s->absmax[c] > PARE_OUTLIER_RATIO * row->x_median;
        row->dead += s->absmax[c] == 0;
    }
    return PARE_OK;
}

/* sum over rows of v H v^T, v the rows of d [rows, cols] */
static pare_status energy(pare_ctx *ctx, const float *d, int64_t rows, int64_t cols, const float *h, double *out, pare_err *err) {
    enum { BLOCK = 512 };
    const int64_t most = rows < BLOCK ? rows : BLOCK;
    float *t = pare_alloc_aligned(64, (size_t)(most * cols) * sizeof *t);
    pare_status st = t ? PARE_OK : pare_no_memory(err, "output error", (size_t)(most * cols) * sizeof *t);
    *out = 0;
    for (int64_t r = 0; st == PARE_OK && r < rows; r += most) {
        const int64_t n = rows - r < most ? rows - r : most;
        const pare_product p = {.m = n, .n = cols, .k = cols, .a = d + r * cols, .a_row = cols, .a_col = 1, .b = h, .b_row = cols, .b_col = 1, .alpha = 1, .c = t, .c_stride = cols};
        st = pare_multiply(ctx, &p, err);
        for (int64_t i = 0; st == PARE_OK && i < n; i++) {
            double sum = 0;
            for (int64_t c = 0; c < cols; c++) sum += (double)t[i * cols + c] * d[(r + i) * cols + c];
            *out += sum;
        }
    }
    pare_dealloc_aligned(t);
    return st;
}

/* One candidate on one layer: its error, and its dequantized weight in `wq`. */
static pare_status try_candidate(analysis *a, const candidate *c, layer_row *row, const float *w, float *wq, const pare_stats *s, double whole, double *error, pare_err *err) {
    const int64_t n = row->rows * row->cols;
    pare_layer_result r = {0};
    pare_status st = PARE_OK;
    memcpy(wq, w, (size_t)n * sizeof *w);
    const pare_layer_job job = {.name = row->name, .scheme = &c->scheme, .params = &c->params, .seed = a->options->seed, .rows = row->rows, .cols = row->cols, .w = wq, .stats = s};
    PARE_TRY(pare_method_apply(a->ctx, c->method, &job, &r, err));
    PARE_TRY(pare_dequantize(r.q, wq, err));
    for (int64_t i = 0; i < n; i++) a->difference[i] = w[i] - wq[i];
    PARE_TRY(energy(a->ctx, a->difference, row->rows, row->cols, s->hessian, error, err));
    *error = whole > 0 ? *error / whole : 0;
out:
    pare_qtensor_free(r.q);
    return st;
}

static pare_status analyze_weight(analysis *a, const pare_walk_site *site, const pare_walk_reader *reader, const pare_stats *s, pare_err *err) {
    const pare_gweight *gw = &reader->graph->weights.at[reader->weight];
    layer_row row = {.layer = site->layer, .rows = gw->shape[0], .cols = gw->shape[1], .worst_channel = -1, .kl = NAN};
    const size_t n = (size_t)(row.rows * row.cols);
    pare_linear l = {0};
    float *wq = NULL;
    double whole;
    pare_status st = PARE_OK;
    row.name = pare_arena_printf(&a->arena, "%s", gw->name);
    row.error = pare_arena_alloc(&a->arena, a->candidates.n * sizeof *row.error);
    wq = pare_alloc_aligned(64, n * sizeof *wq);
    a->difference = pare_alloc_aligned(64, n * sizeof *wq);
    if (!row.name || !row.error || !wq || !a->difference) {
        st = pare_no_memory(err, gw->name, n * sizeof *wq);
        goto out;
    }
    if (gw->of_rows > 0 || gw->of_count > 0) row.name = pare_arena_printf(&a->arena, "%s[%lld]", gw->name, (long long)(gw->of_count > 0 ? gw->of_index : gw->row0));
    if (!row.name) {
        st = pare_no_memory(err, gw->name, 0);
        goto out;
    }
    pare_report_progress(a->ctx, "analyze", row.name, (uint64_t)a->rows.n, (uint64_t)a->expected, "layers");
    PARE_TRY(a->floats.linear(a->floats.user, a->ctx, gw, &l, err));
    const float *w = (const float *)(const void *)l.w.data;
    weigh(w, (int64_t)n, &row);
    PARE_TRY(look_at_inputs(s, &row, err));
    PARE_TRY(energy(a->ctx, w, row.rows, row.cols, s->hessian, &whole, err));
    for (size_t i = 0; i < a->candidates.n; i++) {
        PARE_TRY(pare_check_cancel(a->ctx, err));
        PARE_TRY(try_candidate(a, &a->candidates.at[i], &row, w, wq, s, whole, &row.error[i], err));
        if (i == 0 && a->options->measure) PARE_TRY(pare_analyze_measure(a, reader, wq, row.rows, row.cols, &row.kl, err));
    }
    if (!PARE_VEC_PUSH(&a->rows, row)) st = pare_no_memory(err, gw->name, sizeof row);
out:
    pare_linear_clear(&l);
    pare_dealloc_aligned(wq);
    pare_dealloc_aligned(a->difference);
    a->difference = NULL;
    return st;
}

/* ---------------------------------------------------------------------------------------------------------------- walk */

static pare_status analyze_site(analysis *a, const pare_walk_site *site, pare_collect *collect, pare_err *err) {
    pare_stats s;
    pare_status st = pare_collect_finish(collect, &s, err);
    if (st != PARE_OK) return st;
    if (s.tokens == 0) { /* an expert that no token of the text reached */
        a->starved += site->n_readers;
        return PARE_OK;
    }
    for (int i = 0; i < site->n_readers && st == PARE_OK; i++) st = analyze_weight(a, site, &site->readers[i], &s, err);
    return st;
}

static pare_status value_site(analysis *a, const pare_walk_site *site, pare_err *err) {
    pare_collect *collect = NULL;
    pare_status st = pare_collect_new(a->ctx, a->needs, site->cols, a->texts->tokens, NULL, site->readers[0].graph->weights.at[site->readers[0].weight].name, &collect, err);
    for (int64_t t = 0; t < a->texts->n && st == PARE_OK; t++) {
        const float *x;
        int64_t n;
        pare_walk_rows(a->walk, 0, site, t, &x, &n);
        st = pare_collect_add(collect, t, x, NULL, n, err);
    }
    if (st == PARE_OK) st = analyze_site(a, site, collect, err);
    pare_collect_free(collect);
    return st;
}

/* All experts of one stage of one mixture: as many collections side by side. */
typedef struct mixture { pare_collect **collect; const pare_walk_site *const *site; int64_t n; } mixture;

static pare_status see_expert(void *user, int64_t text, int which, const float *x, int64_t n, int64_t cols, const int32_t *tokens, pare_err *err) {
    const mixture *m = user;
    (void)cols, (void)tokens;
    for (int64_t i = 0; i < m->n; i++)
        if (m->site[i]->readers[0].which == which) return pare_collect_add(m->collect[i], text, x, NULL, n, err); /* of gate and up the first */
    return PARE_OK;
}

static pare_status mixture_stage(analysis *a, const pare_walk_site *const *sites, int64_t n, pare_err *err) {
    mixture m = {.site = sites, .n = n, .collect = pare_alloc_zero((size_t)n, sizeof(pare_collect *))};
    pare_status st = PARE_OK;
    if (!m.collect) return pare_no_memory(err, "experts", (size_t)n * sizeof *m.collect);
    for (int64_t i = 0; i < n; i++)
        PARE_TRY(pare_collect_new(a->ctx, a->needs, sites[i]->cols, a->texts->tokens, NULL, sites[i]->readers[0].graph->weights.at[sites[i]->readers[0].weight].name, &m.collect[i], err));
    PARE_TRY(pare_walk_observe(a->walk, 0, sites[0]->node, sites[0]->stage, see_expert, &m, err));
    for (int64_t i = 0; i < n; i++) PARE_TRY(analyze_site(a, sites[i], m.collect[i], err));
out:
    for (int64_t i = 0; i < n; i++) pare_collect_free(m.collect[i]);
    pare_dealloc(m.collect);
    return st;
}

static pare_status piece_sites(analysis *a, const pare_walk_site *sites, int64_t n_sites, int64_t *next, int piece, pare_err *err) {
    PARE_VEC(const pare_walk_site *) group = {0};
    pare_status st = PARE_OK;
    while (*next < n_sites && sites[*next].piece == piece && st == PARE_OK) {
        const pare_walk_site *first = &sites[*next];
        if (first->node < 0) {
            st = value_site(a, first, err);
            ++*next;
            continue;
        }
        group.n = 0;
        for (; *next < n_sites && sites[*next].piece == piece && sites[*next].node == first->node && sites[*next].stage == first->stage; ++*next)
            if (!PARE_VEC_PUSH(&group, &sites[*next])) st = pare_no_memory(err, "experts", sizeof first);
        if (st == PARE_OK) st = mixture_stage(a, group.at, (int64_t)group.n, err);
    }
    PARE_VEC_CLEAR(&group);
    return st;
}

static pare_status walk_model(analysis *a, pare_err *err) {
    int64_t n_sites, next = 0;
    const pare_walk_site *sites = pare_walk_sites(a->walk, &n_sites);
    pare_status st = PARE_OK;
    for (int64_t i = 0; i < n_sites; i++) a->expected += sites[i].n_readers;
    for (int piece = 0; piece < pare_walk_pieces(a->walk) && st == PARE_OK; piece++) {
        st = piece_sites(a, sites, n_sites, &next, piece, err);
        if (st == PARE_OK) st = pare_walk_run(a->walk, 0, err);
    }
    return st;
}

/* --------------------------------------------------------------------------------------------------------------- entry */

typedef struct scored { const pare_kernels *k; const pare_walk_text *text; int64_t vocab; double sum; int64_t n; } scored;

static pare_status score_row(void *user, int64_t token, const float *row, pare_err *err) {
    scored *s = user;
    (void)err;
    if (token + 1 >= s->text->n) return PARE_OK;
    s->sum += s->k->log_sum_exp(row, s->vocab) - (double)row[s->text->ids[token + 1]];
    s->n++;
    return PARE_OK;
}

/* Perplexity of the calibration text, from the logits that the walk ends with anyway; of at most 16 windows. */
static pare_status score_text(analysis *a, pare_err *err) {
    enum { MOST = 16 };
    const pare_graph *g = pare_walk_graph(a->walk);
    scored s = {.k = a->ctx->kernels, .vocab = g->vocab};
    pare_status st = PARE_OK;
    a->text_perplexity = NAN;
    if (g->kind != PARE_G_DECODER || g->encoder || g->logits == PARE_G_NONE) return PARE_OK;
    for (int64_t i = 0; i < a->texts->n && i < MOST && st == PARE_OK; i++) {
        s.text = &a->texts->texts[i];
        st = pare_walk_result(a->walk, 0, i, score_row, &s, err);
    }
    if (st == PARE_OK && s.n) a->text_perplexity = exp(s.sum / (double)s.n);
    return st;
}

static pare_status open_walk(analysis *a, const char *model, pare_err *err) {
    const pare_analyze_options *o = a->options;
    const pare_session_options so = {.ctx = o->ctx, .memory = o->memory};
    const pare_walk_options wo = {.streams = 1};
    const pare_quantize_options qo = {.calibration = o->calibration, .samples = o->samples ? o->samples : PARE_ANALYZE_SAMPLES,
                                      .seq_len = o->seq_len ? o->seq_len : PARE_ANALYZE_LENGTH, .seed = o->seed};
    pare_status st = PARE_OK;
    PARE_TRY(pare_session_open(a->ctx, model, o->hub_cache, &so, &a->session, err));
    PARE_TRY(pare_calibration_texts_load(a->ctx, a->session->model->weights, &qo, &a->texts, err));
    PARE_TRY(pare_model_walk(a->ctx, a->session->model->weights, a->texts->texts, a->texts->n, &wo, &a->walk, err));
    PARE_TRY(pare_model_source(a->ctx, a->session->model->weights, PARE_F32, &a->floats, err));
    PARE_TRY(pare_model_source(a->ctx, a->session->model->weights, PARE_DTYPE_NONE, &a->stored, err));
out:
    return st;
}

static void clear(analysis *a) {
    for (size_t i = 0; i < a->candidates.n; i++) pare_params_clear(&a->candidates.at[i].params);
    PARE_VEC_CLEAR(&a->candidates);
    PARE_VEC_CLEAR(&a->rows);
    pare_walk_free(a->walk);
    if (a->floats.close) a->floats.close(a->floats.user);
    if (a->stored.close) a->stored.close(a->stored.user);
    pare_session_close(a->session);
    pare_analyze_measure_end(a);
    pare_calibration_texts_free(a->texts);
    pare_arena_clear(&a->arena);
}

pare_status pare_analyze(pare_ctx *ctx, const char *model, const pare_analyze_options *options, pare_table **layers, pare_table **findings, pare_err *err) {
    analysis a = {.ctx = ctx, .options = options};
    pare_status st = PARE_OK;
    *layers = *findings = NULL;
    PARE_TRY(make_candidates(&a, options, err));
    PARE_TRY(open_walk(&a, model, err));
    if (options->measure) PARE_TRY(pare_analyze_measure_begin(&a, err));
    PARE_TRY(walk_model(&a, err));
    PARE_TRY(score_text(&a, err));
    PARE_TRY(pare_analyze_layers_table(&a, layers, err));
    PARE_TRY(pare_analyze_findings_table(&a, findings, err));
out:
    if (st != PARE_OK) {
        pare_table_free(*layers);
        *layers = NULL;
    }
    clear(&a);
    return st;
}
