/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson F4: quantize and freeze with quanto's layout: text before and after, the bytes of every module. */
#include <stdlib.h>

#include "whole.h"

/* Before: all parameters in fp32. After: a byte a weight of every linear layer, 4 a scale, 8 for the two activation scales of each, the rest in fp32. */
static void by_formula(show *s, const char *key, const char *heading, int64_t before, int64_t weights, int64_t scales, int64_t layers) {
    const int64_t after = before - weights * 3 + scales * 4 + layers * 8;
    show_begin(s, key, heading);
    show_int(s, "before", "bytes before", before);
    show_int(s, "after", "bytes after", after);
    show_real(s, "factor", "times smaller", "%.2f", (double)before / (double)after);
    show_end(s);
}

static void run(show *s) {
    whole w;
    pare_job_result r;
    char buf[4096 + 64];
    int64_t before = 0, after = 0;
    bool same = false;
    show_say(s, "quanto works in two steps. quantize() puts quantizing layers in place that still hold float weights: activations can be calibrated, the model can be trained. "
                "freeze() makes the integers final. pare has no state in between: it writes what freeze() leaves.");
    by_formula(s, "flan_t5_small", "google/flan-t5-small, every linear layer in int8", 307844608, 60489728, 113024, 145);
    by_formula(s, "pythia_410m", "EleutherAI/pythia-410m, every linear layer in int8", 1621336096, 353501184, 271488, 97);
    show_say(s, "Neither is four times smaller: embeddings and norms stay as they are.");
    if (s->code || !whole_begin(s, &w)) return;
    const char *out = whole_path(&w, "int8", buf);
    show_begin(s, "here", "With a model that is here");
    show_text(s, "model", "model", w.model);
    whole_bytes(s, w.model, &before);
    show_int(s, "before", "bytes before", before);
    char *text = whole_text(s, "text_before", "it writes", w.model, "Hear this word, ", 16, NULL, NULL);
    whole_sizes(s, "modules_before", w.model);
    if (whole_quantize(s, w.model, out, "quanto", "W8A16", false, &r)) {
        whole_bytes(s, out, &after);
        show_int(s, "after", "bytes after", after);
        free(whole_text(s, "text_after", "it writes", out, "Hear this word, ", 16, text, &same));
        show_text(s, "same_text", "the same text", same ? "yes" : "no");
        whole_sizes(s, "modules_after", out);
    }
    show_end(s);
    show_say(s, "Casting ends at 16 bits; linear quantization goes on below. What it costs is measured with pare eval.");
    free(text);
    whole_end(&w);
}

const lesson lesson_quanto = {.id = "F4", .title = "Linear quantization with quanto", .teaches = "quantize, freeze, and the size of every module", .run = run};
