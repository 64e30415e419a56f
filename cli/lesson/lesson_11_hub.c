/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 11: quantize once, keep the small file, load it into an empty skeleton with every key checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "whole.h"

/* facebook/opt-125m: 12 layers of four 768 x 768, 768 -> 3072 and 3072 -> 768; embeddings tied with the head. */
static void opt(show *s) {
    const int64_t before = 250478592, weights = 12LL * (4 * 768 * 768 + 2 * 768 * 3072), scales = 12LL * (4 * 768 + 3072 + 768);
    show_begin(s, "opt", "facebook/opt-125m in bf16, all linear layers but lm_head");
    show_int(s, "before", "bytes before", before);
    show_int(s, "after", "bytes of quantized_state_dict.pth (the Hub shows 166M)", before - weights + scales * 2);
    show_end(s);
}

/* Keys of the first quantized layer, as a state dict has them. */
static void keys(show *s, const char *model) {
    pare_model *m = NULL;
    if (s->code || !show_ok(s, pare_model_open(s->c->ctx, model, s->c->hub_cache, &m, &s->c->err))) return;
    for (int64_t i = 0; i < pare_model_count(m); i++) {
        const pare_model_tensor *t = pare_model_get(m, i);
        const size_t n = strlen(t->name);
        if (!t->quantized || n < 7) continue;
        show_line(s, "%.*s.int8_weights  [%lld, %lld]", (int)(n - 7), t->name, (long long)t->shape[0], (long long)t->shape[1]);
        show_line(s, "%.*s.scales        [%lld]", (int)(n - 7), t->name, (long long)t->shape[0]);
        break;
    }
    pare_model_close(m);
}

static void skeleton(show *s, const char *path) {
    pare_session *m = NULL;
    if (s->code || !show_ok(s, pare_session_open(s->c->ctx, path, s->c->hub_cache, NULL, &m, &s->c->err))) return;
    const pare_session_info *i = pare_session_get_info(m);
    show_text(s, "skeleton", "config.json says", i->summary);
    show_text(s, "keys", NULL, "<All keys matched successfully>");
    if (!s->j) show_line(s, "<All keys matched successfully>");
    show_real(s, "load_seconds", "seconds until it could run", "%.3f", i->load_seconds);
    pare_session_close(m);
}

/* The same file against a config that asks for one layer more. */
static void strict(show *s, const whole *w, const char *path) {
    char config[4096 + 64], *text = NULL;
    pare_session *m = NULL;
    pare_err err = {0};
    snprintf(config, sizeof config, "%.4000s/config.json", path);
    FILE *f = fopen(config, "r+");
    long size = 0;
    (void)w;
    if (f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && (text = calloc((size_t)size + 2, 1)) != NULL) {
        rewind(f);
        char *at = fread(text, 1, (size_t)size, f) == (size_t)size ? strstr(text, "\"num_hidden_layers\": ") : NULL;
        if (at && at[21] >= '1' && at[21] < '9' && (at[22] < '0' || at[22] > '9')) {
            at[21]++;
            rewind(f);
            if (fwrite(text, 1, (size_t)size, f) == (size_t)size && fflush(f) == 0 && pare_session_open(s->c->ctx, path, NULL, NULL, &m, &err) != PARE_OK)
                show_text(s, "refused", "with one layer more in config.json", err.text);
        }
    }
    pare_session_close(m);
    if (f) fclose(f);
    free(text);
}

static void run(show *s) {
    whole w;
    pare_job_result r;
    char buf[4096 + 64];
    int64_t before = 0, after = 0;
    show_say(s, "Quantizing needs room for the large model; using the result does not. So: quantize on a big machine, keep the small file, and elsewhere build the model's "
                "empty skeleton from config.json and lay the quantized weights into it.");
    opt(s);
    if (s->code || !whole_begin(s, &w)) return;
    const char *out = whole_path(&w, "small", buf);
    show_begin(s, "here", "With a model that is here");
    show_text(s, "model", "model", w.model);
    if (whole_bytes(s, w.model, &before) && whole_quantize(s, w.model, out, "course", "W8A16", true, &r) && whole_bytes(s, out, &after)) {
        show_int(s, "before", "bytes before", before);
        show_int(s, "after", "bytes after", after);
        keys(s, out);
        skeleton(s, out);
        free(whole_text(s, "text", "it writes", out, "Hear the word of the", 16, NULL, NULL));
        strict(s, &w, out);
    }
    show_end(s);
    show_say(s, "A skeleton in torch lives on the meta device; here it is the list of tensors that config.json implies, and the weights are used where they lie in the mapped "
                "file: nothing is allocated twice. Every name and shape is checked before anything is loaded. (Two defects of the course's recipe: its replaced layers are "
                "allocated at full size outside the meta device, and scales of shape [1, out] instead of [out] do not load.)");
    whole_end(&w);
}

const lesson lesson_hub = {.id = "11", .title = "Load quantized weights from the Hub", .teaches = "quantize once, load small, every key checked", .run = run};
