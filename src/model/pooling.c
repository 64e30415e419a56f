/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a sentence-transformers folder makes one vector of a text. modules.json: [{"path": "", "type": "....Transformer"}, {"path": "1_Pooling", "type":
 * "....Pooling"}, {"path": "2_Normalize", "type": "....Normalize"}]; 1_Pooling/config.json: {"pooling_mode_mean_tokens": true, ...}, in newer files
 * {"pooling_mode": "mean"}.
 */
#include <string.h>

#include "model/settings.h"

enum { MAX_MODULES = 16 };

static const struct { const char *flag, *word; pare_pooling kind; } modes[] = {
    {"pooling_mode_cls_token", "cls", PARE_POOL_CLS},
    {"pooling_mode_mean_tokens", "mean", PARE_POOL_MEAN},
    {"pooling_mode_max_tokens", "max", PARE_POOL_MAX},
    {"pooling_mode_lasttoken", "lasttoken", PARE_POOL_LAST},
};
enum { MODES = (int)(sizeof modes / sizeof *modes) };

/* A companion file; NULL (and perhaps a failed graph) when there is none. Free. */
static pare_jdoc *load(pare_graph *g, const pare_gnames *names, const char *file) {
    pare_err err = {0};
    pare_jdoc *doc = NULL;
    if (!names || !names->json) return NULL;
    const pare_status st = names->json(names->user, file, &doc, &err);
    if (st != PARE_OK) pare_g_fail(g, st, "%s", err.text);
    return doc;
}

/* Flags that are true and that no line of modes[] knows are an error, and so are two at once: their vectors would be joined. */
static pare_pooling by_flags(pare_graph *g, const pare_jval *c, const char *file) {
    pare_pooling found = 0;
    int count = 0;
    for (size_t i = 0; i < pare_j_count(c); i++) {
        const char *key;
        const pare_jval *v = pare_j_member(c, i, &key);
        if (!pare_str_starts(key, "pooling_mode_") || !pare_j_bool(v, false)) continue;
        int m = 0;
        while (m < MODES && strcmp(key, modes[m].flag)) m++;
        if (m == MODES) pare_g_fail(g, PARE_ERR_UNSUPPORTED, "%s: '%s' is not known (cls, mean, max, last token)", file, key);
        else found = modes[m].kind;
        count++;
    }
    if (count != 1) pare_g_fail(g, PARE_ERR_UNSUPPORTED, "%s: %d ways to pool at once, one is needed", file, count);
    return found;
}

static pare_pooling read_mode(pare_graph *g, const pare_gnames *names, const char *path) {
    const char *file = pare_g_text(g, "%s/config.json", path);
    pare_pooling kind = 0;
    if (!pare_path_is_safe(file)) {
        pare_g_fail(g, PARE_ERR_FORMAT, "modules.json: '%s' is no path inside the folder", path);
        return PARE_POOL_MEAN;
    }
    pare_jdoc *doc = load(g, names, file);
    const pare_jval *c = doc ? pare_jdoc_root(doc) : NULL;
    const char *word = pare_j_text(pare_j_get(c, "pooling_mode"), NULL);
    if (!doc) pare_g_fail(g, PARE_ERR_FORMAT, "modules.json: names '%s', which is not there", file);
    else if (!word) kind = by_flags(g, c, file);
    for (int m = 0; word && m < MODES; m++)
        if (strcmp(word, modes[m].word) == 0) kind = modes[m].kind;
    if (word && !kind) pare_g_fail(g, PARE_ERR_UNSUPPORTED, "%s: pooling '%s' is not known (cls, mean, max, lasttoken)", file, word);
    pare_jdoc_free(doc);
    return kind ? kind : PARE_POOL_MEAN;
}

static void read_modules(pare_graph *g, const pare_gnames *names, const pare_jval *list, pare_pooling *kind, bool *normalize) {
    bool pooled = false;
    const size_t n = pare_j_count(list);
    if (pare_j_type(list) != PARE_J_ARRAY || n > MAX_MODULES) pare_g_fail(g, PARE_ERR_FORMAT, "modules.json: is no list of at most %d modules", MAX_MODULES);
    for (size_t i = 0; i < n && !g->failed; i++) {
        const pare_jval *m = pare_j_at(list, i);
        const char *type = pare_j_text(pare_j_get(m, "type"), ""), *dot = strrchr(type, '.'), *last = dot ? dot + 1 : type;
        if (strcmp(last, "Transformer") == 0 && i == 0) continue;
        if (strcmp(last, "Pooling") == 0 && !pooled) {
            *kind = read_mode(g, names, pare_j_text(pare_j_get(m, "path"), ""));
            pooled = true;
        } else if (strcmp(last, "Normalize") == 0 && pooled)
            *normalize = true;
        else
            pare_g_fail(g, PARE_ERR_UNSUPPORTED, "modules.json: module %zu is '%s'; only Transformer, Pooling, Normalize, in this order, can be run", i, type);
    }
    if (!pooled) pare_g_fail(g, PARE_ERR_UNSUPPORTED, "modules.json: has no Pooling module");
}

void pare_g_pooling(pare_graph *g, const pare_gnames *names) {
    pare_pooling kind = PARE_POOL_MEAN;
    bool normalize = false;
    pare_jdoc *doc = load(g, names, "modules.json");
    if (doc) read_modules(g, names, pare_jdoc_root(doc), &kind, &normalize);
    pare_jdoc_free(doc);
    if (!g->failed) g->pooled = pare_g_pool(g, g->hidden_out, kind, normalize);
}
