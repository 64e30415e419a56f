/* SPDX-License-Identifier: Apache-2.0 */
/* See settings.h. */
#include "model/settings.h"

#include <math.h>
#include <string.h>

/* The value under the first of the keys that is there; *key: that key. Two that are there and differ fail the graph. */
static const pare_jval *find(pare_graph *g, const pare_jval *config, const char *keys, const char **key, char text[64]) {
    const pare_jval *found = NULL;
    *key = "";
    for (const char *at = keys; *at; at += *at == '|') {
        const size_t n = strcspn(at, "|");
        char name[64];
        if (n >= sizeof name) break;
        memcpy(name, at, n);
        name[n] = 0;
        at += n;
        const pare_jval *v = pare_j_get(config, name);
        if (pare_j_type(v) == PARE_J_NULL) {
            if (!found) memcpy(text, name, n + 1);
            continue;
        }
        if (found && pare_j_type(v) == PARE_J_INT && pare_j_type(found) == PARE_J_INT && pare_j_int(v, 0) != pare_j_int(found, 0))
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is %lld and '%s' is %lld", text, (long long)pare_j_int(found, 0), name, (long long)pare_j_int(v, 0));
        if (!found) memcpy(text, name, n + 1);
        if (!found) found = v;
    }
    *key = text;
    return found;
}

void pare_g_ints(pare_graph *g, const pare_jval *config, const pare_set_int *w) {
    for (; w->keys; w++) {
        const char *key;
        char text[64] = "";
        const pare_jval *v = find(g, config, w->keys, &key, text);
        *w->value = w->or_else;
        if (!v) continue;
        if (pare_j_type(v) != PARE_J_INT) {
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is not a whole number", key);
            continue;
        }
        const int64_t n = pare_j_int(v, 0);
        if (n < w->min || n > w->max)
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is %lld, not between %lld and %lld", key, (long long)n, (long long)w->min, (long long)w->max);
        else
            *w->value = n;
    }
}

double pare_g_real(pare_graph *g, const pare_jval *config, const char *keys, double or_else, double min, double max) {
    const char *key;
    char text[64] = "";
    const pare_jval *v = find(g, config, keys, &key, text);
    if (!v) return or_else;
    const double x = pare_j_real(v, NAN);
    if (pare_j_type(v) != PARE_J_INT && pare_j_type(v) != PARE_J_REAL)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is not a number", key);
    else if (!(x >= min && x <= max))
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is %g, not between %g and %g", key, x, min, max);
    else
        return x;
    return or_else;
}

bool pare_g_bool(pare_graph *g, const pare_jval *config, const char *key, bool or_else) {
    const pare_jval *v = pare_j_get(config, key);
    if (pare_j_type(v) != PARE_J_NULL && pare_j_type(v) != PARE_J_BOOL) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is neither true nor false", key);
    return pare_j_bool(v, or_else);
}

const char *pare_g_string(pare_graph *g, const pare_jval *config, const char *keys, const char *or_else) {
    const char *key;
    char text[64] = "";
    const pare_jval *v = find(g, config, keys, &key, text);
    if (v && pare_j_type(v) != PARE_J_TEXT) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' is not a text", key);
    return pare_j_text(v, or_else);
}

bool pare_config_is(const pare_jval *config, const char *ending) {
    return pare_str_ends(pare_j_text(pare_j_at(pare_j_get(config, "architectures"), 0), ""), ending);
}

bool pare_names_has(const pare_gnames *names, const char *name) { return names && names->has && names->has(names->user, name); }

void pare_g_old_norms(pare_graph *g, const pare_gnames *names) {
    static const char *const ends[2][2] = {{".weight", ".gamma"}, {".bias", ".beta"}};
    for (size_t i = 0; i < g->weights.n && names && names->has; i++) {
        pare_gweight *w = &g->weights.at[i];
        for (int k = 0; k < 2; k++) {
            if (w->role != PARE_GW_VECTOR || !pare_str_ends(w->name, ends[k][0]) || pare_names_has(names, w->name)) continue;
            const char *old = pare_g_text(g, "%.*s%s", (int)(strlen(w->name) - strlen(ends[k][0])), w->name, ends[k][1]);
            if (pare_names_has(names, old)) w->name = old;
        }
    }
}

int64_t pare_g_head_dim(pare_graph *g, int64_t hidden, int64_t heads) {
    if (heads > 0 && hidden >= heads && hidden % heads == 0) return hidden / heads;
    pare_g_fail(g, PARE_ERR_FORMAT, "config.json: hidden size %lld is not a multiple of %lld heads", (long long)hidden, (long long)heads);
    return 1;
}

pare_attention pare_attention_of(int64_t heads, int64_t kv_heads, int64_t dim, int cache) {
    return (pare_attention){.heads = heads, .kv_heads = kv_heads, .dim = dim, .v_dim = dim, .scale = (float)(1 / sqrt((double)dim)), .causal = true, .cache = cache};
}

pare_gv pare_g_mlp(pare_graph *g, pare_gv x, const char *up, const char *down, int64_t hidden, int64_t ffn, bool bias, pare_activation act) {
    const pare_gv h = pare_g_act(g, pare_g_linear(g, x, up, ffn, hidden, bias), act);
    return pare_g_linear(g, h, down, hidden, ffn, bias);
}

pare_gw pare_g_table(pare_graph *g, const char *name, int64_t n, int64_t dim) {
    return pare_g_weight(g, PARE_GW_TABLE, name, 2, (const int64_t[]){n, dim});
}

pare_gv pare_g_attend(pare_graph *g, const pare_gv qkv[3], const pare_attention *a, const char *dense, int64_t hidden, bool bias) {
    const pare_gv y = pare_g_attention(g, qkv[0], qkv[1], qkv[2], a, NULL, 0);
    return pare_g_linear(g, y, dense, hidden, a->heads * a->v_dim, bias);
}

pare_gw pare_g_stack_table(pare_graph *g, const pare_gnames *names, const char *own, const char *shared, const char *other, int64_t n, int64_t dim, pare_gw *head) {
    const bool has_own = pare_names_has(names, own), has_shared = pare_names_has(names, shared), has_other = pare_names_has(names, other);
    const pare_gw table = pare_g_table(g, has_own ? own : has_shared || !has_other ? shared : other, n, dim);
    *head = has_own && has_shared ? pare_g_table(g, shared, n, dim) : table;
    return table;
}
