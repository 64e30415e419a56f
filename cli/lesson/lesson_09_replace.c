/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 9: replacing every linear layer of a model, except those on a list. */
#include <stdio.h>
#include <string.h>

#include "lesson.h"

typedef enum kind { EMBEDDING, LINEAR, QUANTIZED } kind;

typedef struct module {
    const char *name;
    kind kind;
    bool bias;
    float weight; /* 1 x 1 */
    int8_t code;
    float scale;
} module;

enum { MODULES = 4 };
static const module dummy[MODULES] = {{.name = "emb", .kind = EMBEDDING}, {.name = "linear_1", .kind = LINEAR, .bias = true, .weight = 0.5f},
                                      {.name = "linear_2", .kind = LINEAR, .weight = -0.25f}, {.name = "lm_head", .kind = LINEAR, .weight = 2}};

/* Replaces (and quantizes) the linear layers whose own name is not excluded. */
static void replace(show *s, module *m, const char *exclude) {
    const int64_t shape[2] = {1, 1};
    for (int i = 0; i < MODULES && !s->code; i++) {
        pare_scheme scheme;
        pare_qtensor *q = NULL;
        int64_t n;
        if (m[i].kind != LINEAR || (exclude && strcmp(m[i].name, exclude) == 0)) continue;
        pare_scheme_init(&scheme); /* W8A16 */
        if (!show_ok(s, pare_quantize(s->c->ctx, &m[i].weight, PARE_F32, 2, shape, &scheme, &q, &s->c->err))) return;
        m[i].kind = QUANTIZED;
        pare_qtensor_signed_codes(q, &m[i].code);
        m[i].scale = pare_qtensor_scales(q, &n)[0];
        pare_qtensor_free(q);
    }
}

static void class_of(const module *m, char out[80]) {
    if (m->kind == EMBEDDING)
        snprintf(out, 80, "Embedding(1, 1)");
    else if (m->kind == LINEAR)
        snprintf(out, 80, "Linear(in_features=1, out_features=1, bias=%s)", m->bias ? "True" : "False");
    else
        snprintf(out, 80, "W8A16LinearLayer()");
}

static void show_tree(show *s, const char *key, const module *m) {
    if (s->j) pare_json_object(s->j, key);
    show_line(s, "DummyModel(");
    for (int i = 0; i < MODULES; i++) {
        char text[80];
        class_of(&m[i], text);
        if (s->j) pare_json_text(s->j, m[i].name, text);
        show_line(s, "  (%s): %s", m[i].name, text);
    }
    show_line(s, ")");
    if (s->j) pare_json_end(s->j);
}

static void variant(show *s, const char *key, const char *heading, const char *exclude) {
    module m[MODULES];
    memcpy(m, dummy, sizeof m);
    show_begin(s, key, heading);
    replace(s, m, exclude);
    show_tree(s, "after", m);
    show_end(s);
}

static void run(show *s) {
    show_say(s, "Walk through the model, and wherever a module is a plain linear layer, put a quantized one in its place. Some layers had better stay: "
                "the last one (lm_head) above all, because a language model feeds its output back and errors there pile up.");
    show_begin(s, "original", "Before");
    show_tree(s, "before", dummy);
    show_end(s);
    variant(s, "exclude_lm_head", "After, with the exclusion list [\"lm_head\"]", "lm_head");
    variant(s, "exclude_nothing", "After, with an empty exclusion list", NULL);
    show_say(s, "A defect: the course compares a layer's own name only, so \"0\" excludes every layer called 0 anywhere in the model. pare's patterns see the full path: "
                "--ignore lm_head (a whole path segment), --ignore 'model.layers.0.*' (glob), --ignore 're:.*bbox.*' (regular expression). Try it without writing "
                "anything: pare quantize MODEL -o OUT --ignore lm_head --dry-run.");
}

const lesson lesson_replace = {.id = "9", .title = "Replacing the linear layers of a model", .teaches = "which layers to quantize and which to leave", .run = run};
