/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a calibration is going to take, before it starts. For n texts of t tokens:
 *
 *   memory = block + text + layer + states
 *     block    4 bytes a weight of the largest piece (rounded weights that the stream goes on with), norms and biases of the model
 *     text     activations of one text, keys and values of one text in one layer
 *     layer    statistics of the greediest site (4 cols^2 each for Hessian and drift), its largest weight in f32, twice, with its codes, and
 *              8 cols^2 for a method that works with the Hessian
 *     states   streams * n * t * 4 * (columns of the values alive at the widest cut); on disk when they would pass half of --memory
 *   disk = bits of all calibrated weights + spilled states
 *   time = multiply-adds (streams * forward + t n cols^2 / 2 a Hessian + t n cols^2 a drift + rows cols^2 + cols^3 a layer that uses one)
 *          / what this machine does in a product of [768, 768] matrices, tried for a tenth of a second
 *
 * A model twice as deep needs the same memory: none of it grows with the number of layers but norms and biases.
 */
#include "flow/calibrate_parts.h"
#include "linalg/linalg.h"

#define SPEED_SECONDS 0.1
enum { SPEED_SIDE = 768 };

/* ------------------------------------------------------------------------------------------------------------------ size */

typedef struct site_cost { uint64_t bytes; double macs; } site_cost;

static site_cost cost_of(const calibrate *c, const pare_walk_site *site, double rows)
{
    const double square = (double)site->cols * (double)site->cols;
    pare_needs needs = PARE_NEEDS_NOTHING;
    uint64_t most = 0;
    double macs = 0;
    for (int i = 0; i < site->n_readers; i++) {
        const pare_plan_item *item = calibrate_item(c->plan, c->weights, site->graph, site->readers[i].weight);
        if (!item->calibrated) continue; /* only a cut */
        const pare_needs own = calibrate_needs(c->plan, item);
        const uint64_t bytes = (uint64_t)item->rows * (uint64_t)item->cols * 9 + (own & PARE_NEEDS_HESSIAN ? (uint64_t)(8 * square) : 0);
        needs |= own;
        if (bytes > most) most = bytes;
        if (own & PARE_NEEDS_HESSIAN) macs += ((double)item->rows + (double)item->cols) * square;
    }
    if (needs & PARE_NEEDS_HESSIAN) macs += rows * square / 2;
    if (needs & PARE_NEEDS_DRIFT) macs += rows * square;
    return (site_cost){ most + pare_collect_bytes(needs, site->cols), macs };
}

/* Experts share the rows; those that are collected side by side share the memory for them. */
static void add_sites(const calibrate *c, const pare_walk *w, pare_preflight *p)
{
    int64_t n;
    const pare_walk_site *sites = pare_walk_sites(w, &n);
    uint64_t experts = 0;
    for (int64_t i = 0; i < n; i++) {
        double rows = (double)c->texts->tokens;
        if (sites[i].expert >= 0) {
            const pare_moe *m = sites[i].graph->nodes.at[sites[i].node].attr;
            rows *= (double)m->top / (double)m->experts;
        }
        const site_cost cost = cost_of(c, &sites[i], rows);
        experts = sites[i].expert > 0 ? experts + cost.bytes : sites[i].expert == 0 ? cost.bytes : 0;
        const uint64_t limit = calibrate_expert_bytes(c->options), side = experts > limit ? (cost.bytes > limit ? cost.bytes : limit) : experts;
        uint64_t bytes = sites[i].expert >= 0 ? side : cost.bytes;
        if (sites[i].expert >= 0 && c->drift >= 0) { /* the float model's rows of one text: inputs, gate and up */
            const pare_gnode *node = &sites[i].graph->nodes.at[sites[i].node];
            const pare_moe *m = node->attr;
            const int64_t in = sites[i].graph->weights.at[node->w[1]].shape[1];
            bytes += (uint64_t)(c->texts->seq_len * (in + (sites[i].stage ? 2 * m->ffn : 0))) * sizeof(float);
            p->macs += sites[i].stage ? 2 * rows * (double)in * (double)m->ffn : 0;
        }
        if (bytes > p->layer) p->layer = bytes;
        p->macs += cost.macs;
    }
}

static uint64_t widest_block(const calibrate *c, const pare_walk *w)
{
    int64_t n;
    const pare_walk_site *sites = pare_walk_sites(w, &n);
    uint64_t most = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || sites[i].piece != sites[i - 1].piece) sum = 0;
        for (int k = 0; k < sites[i].n_readers; k++) {
            const pare_plan_item *item = calibrate_item(c->plan, c->weights, sites[i].graph, sites[i].readers[k].weight);
            sum += !item->calibrated ? 0 : (uint64_t)item->rows * (uint64_t)item->cols * sizeof(float);
        }
        if (sum > most) most = sum;
    }
    return most;
}

pare_status calibrate_measure(calibrate *c, pare_preflight *out, pare_err *err)
{
    pare_walk_options o = calibrate_walk_options(c);
    pare_walk *w = NULL;
    pare_walk_memory m;
    pare_status st;
    *out = (pare_preflight){ 0 };
    o.plan_only = true;
    PARE_TRY(pare_model_walk(c->ctx, c->weights, c->texts->texts, c->texts->n, &o, &w, err));
    PARE_TRY(pare_walk_get_memory(w, &m, err));
    out->block = widest_block(c, w) + m.vectors;
    out->text = m.activations + m.cache;
    out->states = m.states;
    out->macs = m.macs * o.streams;
    add_sites(c, w, out);
    out->spilled = c->options->memory && out->states > c->options->memory / 2;
    out->memory = out->block + out->text + out->layer + (out->spilled ? 0 : out->states);
    for (int64_t i = 0; i < c->plan->n_items; i++)
        if (c->plan->items[i].calibrated)
            out->disk += ((uint64_t)c->plan->items[i].rows * (uint64_t)c->plan->items[i].cols * (uint64_t)c->plan->items[i].scheme.bits + 7) / 8;
    out->disk += out->spilled ? out->states : 0;
out:
    pare_walk_free(w);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- speed */

static pare_status try_speed(pare_ctx *ctx, double *macs_per_s, pare_err *err)
{
    const int64_t n = SPEED_SIDE;
    float *m = pare_alloc_zero((size_t)(3 * n * n), sizeof *m);
    pare_status st = m ? PARE_OK : pare_no_memory(err, "a trial of speed", (size_t)(3 * n * n) * sizeof *m);
    double best = 0;
    for (const double start = pare_now(); st == PARE_OK && pare_now() - start < SPEED_SECONDS;) {
        const pare_product p = { .m = n, .n = n, .k = n, .a = m, .a_row = n, .a_col = 1, .b = m + n * n, .b_row = n, .b_col = 1, .alpha = 1, .split = true, .c = m + 2 * n * n, .c_stride = n };
        const double begin = pare_now();
        st = pare_multiply(ctx, &p, err);
        const double speed = (double)n * (double)n * (double)n / (pare_now() - begin + 1e-9);
        if (speed > best) best = speed;
    }
    *macs_per_s = best;
    pare_dealloc(m);
    return st;
}

pare_status pare_calibrate_preflight(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const pare_calibration_texts *texts, const pare_quantize_options *options,
                                     pare_preflight *out, pare_err *err)
{
    calibrate c = { .ctx = ctx, .plan = plan, .weights = weights, .texts = texts, .options = options };
    pare_status st;
    PARE_TRY(calibrate_folds_begin(&c, err));
    PARE_TRY(calibrate_measure(&c, out, err));
    PARE_TRY(try_speed(ctx, &out->macs_per_s, err));
    out->seconds = out->macs / out->macs_per_s;
out:
    calibrate_folds_end(&c);
    return st;
}

void pare_preflight_say(const pare_ctx *ctx, const pare_calibration_texts *texts, const pare_preflight *p)
{
    char memory[32], block[32], text[32], layer[32], states[32], disk[32], time[48];
    pare_format_bytes(p->memory, memory);
    pare_format_bytes(p->block, block);
    pare_format_bytes(p->text, text);
    pare_format_bytes(p->layer, layer);
    pare_format_bytes(p->states, states);
    pare_format_bytes(p->disk, disk);
    if (p->seconds < 90) pare_print(time, sizeof time, "%.0f seconds", p->seconds < 1 ? 1.0 : p->seconds);
    else pare_print(time, sizeof time, "%.0f minutes", p->seconds / 60);
    pare_log(ctx, PARE_LOG_NOTE, "calibration on %s: %s of memory (block %s, text %s, layer %s, states %s%s), %s of disk meanwhile, about %s", texts->source, memory, block, text,
             layer, states, p->spilled ? " on disk" : "", disk, time);
}
