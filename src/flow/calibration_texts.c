/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration data (calibration_data.h) as the texts of a walk, for the tokenizer and the graph of one checkpoint. */
#include <string.h>

#include "flow/calibrate.h"
#include "flow/calibration_data.h"

struct calibration_rows { pare_calibration_data data; };

void pare_calibration_texts_free(pare_calibration_texts *t)
{
    if (!t) return;
    if (t->rows) pare_calibration_clear(&t->rows->data);
    pare_dealloc(t->rows);
    pare_dealloc(t->texts);
    pare_dealloc(t);
}

/* Positions that the model has, encoder and decoder: 0 = no limit. */
static int64_t positions(const pare_graph *g)
{
    const int64_t a = g->max_positions, b = g->encoder ? g->encoder->max_positions : 0;
    return a > 0 && b > 0 ? (a < b ? a : b) : a + b;
}

static pare_status open_tokenizer(const pare_weights *weights, pare_tokenizer **out, pare_err *err)
{
    pare_err why = { 0 };
    *out = NULL;
    if (!weights->store->folder) return PARE_OK;
    const pare_status st = pare_tokenizer_open(weights->store->folder, out, &why);
    if (st == PARE_OK || st == PARE_ERR_IO) return PARE_OK; /* none: ids still work */
    if (err) *err = why;
    return st;
}

pare_status pare_calibration_texts_load(pare_ctx *ctx, const pare_weights *weights, const pare_quantize_options *o, pare_calibration_texts **out, pare_err *err)
{
    pare_tokenizer *tokenizer = NULL;
    pare_graph *g = NULL;
    pare_calibration_texts *t = pare_alloc_zero(1, sizeof *t);
    pare_status st = PARE_OK;
    *out = NULL;
    if (!t || !(t->rows = pare_alloc_zero(1, sizeof *t->rows))) {
        st = pare_no_memory(err, "calibration windows", sizeof *t);
        goto out;
    }
    PARE_TRY(pare_model_graph_of(weights, &g, err));
    PARE_TRY(open_tokenizer(weights, &tokenizer, err));
    const pare_calibration_options c = { .file = o->calibration, .samples = o->samples, .seq_len = o->seq_len, .seed = o->seed, .no_bos = o->no_bos,
                                         .vocab = g->vocab > 0 ? g->vocab : INT32_MAX, .max_positions = positions(g) };
    pare_calibration_data *d = &t->rows->data;
    PARE_TRY(pare_calibration_load(ctx, tokenizer, &c, d, err));
    t->n = d->windows;
    t->seq_len = d->len;
    t->tokens = d->windows * d->len;
    t->distinct = d->distinct;
    memcpy(t->hash, d->hash, sizeof t->hash);
    pare_print(t->source, sizeof t->source, "%s", d->what);
    if (!(t->texts = pare_alloc_zero((size_t)t->n + 1, sizeof *t->texts))) {
        st = pare_no_memory(err, "calibration windows", (size_t)t->n * sizeof *t->texts);
        goto out;
    }
    for (int64_t i = 0; i < t->n; i++) t->texts[i] = (pare_walk_text){ d->ids + i * d->len, d->len };
    *out = t;
    t = NULL;
out:
    pare_graph_free(g);
    pare_tokenizer_free(tokenizer);
    pare_calibration_texts_free(t);
    return st;
}
