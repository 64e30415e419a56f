/* SPDX-License-Identifier: Apache-2.0 */
/* Sensitivity measured: one layer is quantized, the whole model predicts a text, and is compared with itself. */
#include <math.h>
#include <unistd.h>

#include "flow/analyze.h"

static pare_status evaluate(analysis *a, const char *reference, const char *save, pare_eval_result *out, pare_err *err) {
    const pare_analyze_options *o = a->options;
    const pare_eval_options eo = {.ctx = o->ctx, .windows = o->windows, .reference = reference, .save_reference = save};
    return pare_evaluate(a->session, o->text, o->bytes, &eo, out, err);
}

/* The model's own predictions, once, into a file. */
pare_status pare_analyze_measure_begin(analysis *a, pare_err *err) {
    pare_eval_result r;
    pare_status st = pare_session_need_decoder(a->session, "KL divergence to measure", err);
    if (st != PARE_OK) return st;
    if (!a->options->work_file) return pare_fail(err, PARE_ERR_USAGE, "measuring needs a file to keep the model's own predictions in");
    if (!(a->reference = pare_strdup(a->options->work_file))) return pare_no_memory(err, "reference", 0);
    return evaluate(a, NULL, a->reference, &r, err);
}

static pare_status put(analysis *a, const pare_walk_reader *reader, pare_linear *l, pare_err *err) {
    const bool of_encoder = reader->graph != pare_walk_graph(a->walk);
    return pare_engine_replace(of_encoder ? pare_engine_encoder(a->session->engine) : a->session->engine, reader->weight, l, err);
}

pare_status pare_analyze_measure(analysis *a, const pare_walk_reader *reader, const float *wq, int64_t rows, int64_t cols, double *kl, pare_err *err) {
    const pare_gweight *w = &reader->graph->weights.at[reader->weight];
    pare_linear l = {0};
    pare_eval_result r;
    pare_err second = {0};
    pare_status st = PARE_OK;
    PARE_TRY(pare_linear_float(&l, PARE_F32, rows, cols, wq, err));
    PARE_TRY(put(a, reader, &l, err));
    st = evaluate(a, a->reference, NULL, &r, err);
    /* whatever came of it: the layer as it was */
    pare_linear back = {0};
    pare_status restored = a->stored.linear(a->stored.user, a->ctx, w, &back, &second);
    if (restored == PARE_OK) restored = put(a, reader, &back, &second);
    if (st == PARE_OK && restored != PARE_OK) {
        if (err) *err = second;
        st = restored;
    }
    if (st == PARE_OK) *kl = r.kl_mean;
out:
    return st;
}

void pare_analyze_measure_end(analysis *a) {
    if (a->reference) unlink(a->reference);
    pare_dealloc(a->reference);
    a->reference = NULL;
}
