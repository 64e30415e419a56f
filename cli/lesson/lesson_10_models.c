/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 10: the quantizer of lesson 8 and 9 on a whole model, whatever it is: text and bytes before and after. */
#include <stdio.h>
#include <stdlib.h>

#include "whole.h"

/* The two models of the course, by their shapes: what get_memory_footprint printed. */
static void codegen(show *s) {
    /* 356,712,448 parameters in bf16 and 20 causal masks of 2048 x 2048 bytes; 20 blocks of qkv [3072, 1024], out [1024, 1024], fc_in, fc_out */
    const int64_t parameters = 356712448, masks = 20LL * 2048 * 2048, weights = 20LL * 1024 * (3072 + 1024 + 4096 + 4096), scales = 20LL * (3072 + 1024 + 4096 + 1024);
    show_begin(s, "codegen", "Salesforce/codegen-350M-mono in bf16, all linear layers but lm_head");
    show_megabytes(s, "before", "before", parameters * 2 + masks);
    show_megabytes(s, "after", "after", parameters * 2 + masks - weights + scales * 2);
    show_end(s);
}

static void detr(show *s) {
    const int64_t before = 166524032, weights = 17301504, scales = 46080;
    show_begin(s, "detr", "facebook/detr-resnet-50 in fp32, all linear layers but the box and class heads");
    show_megabytes(s, "before", "before", before);
    show_megabytes(s, "after", "after", before - weights * 3 + scales * 4);
    show_megabytes(s, "saved", "saved", weights * 3 - scales * 4);
    show_say(s, "Convolutions are most of that model, and the course's quantizer replaces linear layers only: a third is saved, not three quarters.");
    show_end(s);
}

static void tree(show *s, const char *model) {
    pare_model *m = NULL;
    int64_t quantized = 0;
    if (s->code || !show_ok(s, pare_model_open(s->c->ctx, model, s->c->hub_cache, &m, &s->c->err))) return;
    for (int64_t i = 0; i < pare_model_count(m); i++) quantized += pare_model_get(m, i)->quantized;
    show_int(s, "replaced_layers", "replaced linear layers", quantized);
    show_int(s, "tensors", "of tensors", pare_model_count(m));
    pare_model_close(m);
}

static void run(show *s) {
    whole w;
    pare_job_result r;
    char buf[4096 + 64];
    int64_t before = 0, after = 0;
    bool same = false;
    show_say(s, "A quantizer that walks through modules does not care what the model is for. The course takes a code model and a detector; their bytes follow from their shapes:");
    codegen(s);
    detr(s);
    if (s->code || !whole_begin(s, &w)) return;
    const char *out = whole_path(&w, "w8a16", buf);
    show_begin(s, "here", "The same with a model that is here");
    show_text(s, "model", "model", w.model);
    whole_bytes(s, w.model, &before);
    show_megabytes(s, "before", "before", before);
    char *text = whole_text(s, "text_before", "it writes", w.model, "And God said", 20, NULL, NULL);
    if (whole_quantize(s, w.model, out, "course", "W8A16", true, &r)) {
        tree(s, out);
        whole_bytes(s, out, &after);
        show_megabytes(s, "after", "after", after);
        free(whole_text(s, "text_after", "it writes", out, "And God said", 20, text, &same));
        show_text(s, "same_text", "the same text", same ? "yes" : "no");
    }
    show_end(s);
    show_say(s, "The last layer stays: a language model feeds its output back, and an error there comes round again. Equal texts are a weak test; pare eval %s --text FILE "
                "--against %s measures what changed.", "OUT", "MODEL");
    free(text);
    whole_end(&w);
}

const lesson lesson_models = {.id = "10", .title = "Quantize any open-source model", .teaches = "a whole model, before and after: text and bytes", .run = run};
