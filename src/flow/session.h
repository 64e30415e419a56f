/* SPDX-License-Identifier: Apache-2.0 */
/* A model that runs: what pare_session_*, generate and evaluate share. */
#ifndef PARE_FLOW_SESSION_H
#define PARE_FLOW_SESSION_H
#include "flow/flow.h"
#include "graph/graph.h"
#include "model/model.h"
#include "text/text.h"

struct pare_session {
    pare_ctx *ctx;
    pare_model *model;
    pare_engine *engine;
    const pare_graph *graph;
    pare_tokenizer *tokenizer; /* NULL = none */
    char *folder;              /* of the companion files, or NULL */
    int32_t eos[16]; int n_eos;
    pare_session_options options;
    pare_session_info info;
};

/* PARE_ERR_USAGE saying what the model is when it predicts no next token. */
pare_status pare_session_need_decoder(const pare_session *s, const char *what, pare_err *err);
bool pare_session_is_eos(const pare_session *s, int32_t id);
#endif
