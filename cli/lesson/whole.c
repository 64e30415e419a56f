/* SPDX-License-Identifier: Apache-2.0 */
/* What the lessons on whole models share. */
#include "whole.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------------------------------- model and folder */

bool whole_begin(show *s, whole *w) {
    const char *temp = getenv("TMPDIR");
    struct stat st;
    w->folder[0] = '\0';
    w->model = cli_text(s->c, "model");
    if (!w->model) w->model = "models/demo";
    if (!cli_text(s->c, "model") && stat(w->model, &st) != 0) {
        s->c->err = (pare_err){.code = PARE_ERR_IO};
        snprintf(s->c->err.text, sizeof s->c->err.text, "lesson %s: works on a model, and there is no %s here", s->lesson, w->model);
        snprintf(s->c->err.hint, sizeof s->c->err.hint, "run it in pare's source folder, or name a model: pare lesson %s --model FOLDER", s->lesson);
        return show_ok(s, PARE_ERR_IO);
    }
    snprintf(w->folder, sizeof w->folder, "%s/pare-lesson-XXXXXX", temp && *temp ? temp : "/tmp");
    if (mkdtemp(w->folder)) return true;
    s->c->err = (pare_err){.code = PARE_ERR_IO};
    snprintf(s->c->err.text, sizeof s->c->err.text, "%.300s: cannot make a folder: %s", w->folder, strerror(errno));
    w->folder[0] = '\0';
    return show_ok(s, PARE_ERR_IO);
}

const char *whole_path(const whole *w, const char *name, char buf[4096 + 64]) {
    snprintf(buf, 4096 + 64, "%s/%.60s", w->folder, name);
    return buf;
}

/* What the lesson made: folders of files, two deep. */
static void remove_folder(const char *path, int depth) {
    DIR *d = depth > 0 ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char sub[8192];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (snprintf(sub, sizeof sub, "%.7000s/%s", path, e->d_name) < 0) continue;
        if (unlink(sub) != 0) remove_folder(sub, depth - 1);
    }
    if (d) closedir(d);
    rmdir(path);
}

void whole_end(whole *w) {
    if (w->folder[0]) remove_folder(w->folder, 3);
    w->folder[0] = '\0';
}

/* ------------------------------------------------------------------------------------------------------------------ work */

bool whole_quantize(show *s, const char *model, const char *path, const char *format, const char *scheme, bool keep_head, pare_job_result *result) {
    static const char *const head[] = {"lm_head", "embed_out"};
    pare_quantize_options o = {.format = format, .scheme_name = scheme};
    if (s->code) return false;
    if (keep_head)
        o.ignore = head, o.n_ignore = 2;
    return show_ok(s, pare_quantize_model(s->c->ctx, model, path, &o, result, NULL, &s->c->err));
}

char *whole_text(show *s, const char *key, const char *label, const char *model, const char *prompt, int n, const char *before, bool *same) {
    pare_session *m = NULL;
    pare_generated g = {0};
    int32_t *ids = NULL;
    int64_t count = 0;
    char *text = NULL;
    if (s->code) return NULL;
    pare_status st = pare_session_open(s->c->ctx, model, s->c->hub_cache, NULL, &m, &s->c->err);
    if (st == PARE_OK) st = pare_session_tokenize(m, prompt, strlen(prompt), true, &ids, &count, &s->c->err);
    if (st == PARE_OK) st = pare_generate(m, ids, count, &(pare_generate_options){.max_tokens = n}, &g, &s->c->err);
    if (show_ok(s, st)) {
        const size_t size = strlen(prompt) + strlen(g.text) + 1;
        if ((text = malloc(size)) != NULL) snprintf(text, size, "%s%s", prompt, g.text);
        show_text(s, key, label, text ? text : "");
        if (same) *same = text && before && strcmp(text, before) == 0;
    }
    pare_generated_clear(&g);
    pare_free(ids);
    pare_session_close(m);
    return text;
}

/* Module of a tensor for the table of sizes: "model.layers.0.self_attn", "lm_head"; "" for those of later layers. */
static void module_of(const char *name, char out[256]) {
    int depth = 0, layer = -1;
    size_t n = 0;
    for (const char *at = name; *at && n < 255; at++) {
        if (*at == '.') {
            if (at[1] >= '0' && at[1] <= '9' && layer < 0)
                layer = at[1] - '0' + (at[2] != '.'), depth = -2; /* 0 only for the first layer */
            else if (++depth >= 2)
                break;
        }
        out[n++] = *at;
    }
    out[n] = '\0';
    if (layer > 0) out[0] = '\0';
    char *weight = strstr(out, ".weight");
    if (weight) *weight = '\0';
}

bool whole_sizes(show *s, const char *key, const char *model) {
    enum { MOST = 64 };
    static char names[MOST][256];
    int64_t bytes[MOST] = {0};
    int n = 0;
    pare_model *m = NULL;
    pare_table *t = NULL;
    if (s->code || !show_ok(s, pare_model_open(s->c->ctx, model, s->c->hub_cache, &m, &s->c->err))) return false;
    for (int64_t i = 0; i < pare_model_count(m); i++) {
        const pare_model_tensor *x = pare_model_get(m, i);
        char module[256];
        int k = 0;
        if (x->alias_of) continue;
        module_of(x->name, module);
        if (!module[0]) continue;
        while (k < n && strcmp(names[k], module) != 0) k++;
        if (k == MOST) continue;
        if (k == n) snprintf(names[n++], sizeof names[0], "%s", module);
        bytes[k] += (int64_t)x->bytes;
    }
    pare_status st = pare_table_new(&t, &s->c->err);
    if (st == PARE_OK) st = pare_table_column(t, "module", NULL, PARE_CELL_TEXT, NULL, &s->c->err);
    if (st == PARE_OK) st = pare_table_column(t, "bytes", NULL, PARE_CELL_INT, NULL, &s->c->err);
    for (int i = 0; i < n && st == PARE_OK; i++) {
        if ((st = pare_table_row(t, &s->c->err)) == PARE_OK) st = pare_table_text(t, "module", names[i], &s->c->err);
        if (st == PARE_OK) pare_table_int(t, "bytes", bytes[i]);
    }
    if (show_ok(s, st)) show_table(s, key, t);
    pare_table_free(t);
    pare_model_close(m);
    return !s->code;
}

bool whole_bytes(show *s, const char *model, int64_t *bytes) {
    pare_model *m = NULL;
    *bytes = 0;
    if (s->code || !show_ok(s, pare_model_open(s->c->ctx, model, s->c->hub_cache, &m, &s->c->err))) return false;
    *bytes = (int64_t)pare_model_get_info(m)->bytes;
    pare_model_close(m);
    return true;
}

void show_megabytes(show *s, const char *key, const char *label, int64_t bytes) {
    char text[48];
    if (s->j) {
        show_int(s, key, NULL, bytes);
        return;
    }
    snprintf(text, sizeof text, "%.6f MB", (double)bytes * 1e-6);
    show_text(s, key, label, text);
}
