/* SPDX-License-Identifier: Apache-2.0 */
/* What arch_*.c share when they build a graph: names as the checkpoint has them, the output head, activations, ALiBi; and the entry that picks one. */
#include <math.h>
#include <string.h>

#include "model/model.h"

enum { NAME_MAX_CHARS = 512 };

static bool has(const pare_gnames *names, const char *prefix, const char *name, const char *end)
{
    char text[NAME_MAX_CHARS];
    const int n = pare_print(text, sizeof text, "%s%s%s", prefix, name, end);
    return n >= 0 && (size_t)n < sizeof text && names->has(names->user, text);
}

const char *pare_g_prefix(const pare_gnames *names, const char *const *alternatives, const char *name)
{
    for (const char *const *p = alternatives; names && names->has && *p; p++)
        if (has(names, *p, name, "")) return *p;
    return alternatives[0];
}

pare_gv pare_g_head(pare_graph *g, const pare_gnames *names, pare_gv x, const char *head_module, int64_t vocab, int64_t hidden, bool bias, bool tied,
                    pare_gw embedding)
{
    const int64_t shape[] = {vocab, hidden};
    const bool known = names && names->has;
    /*
     * A head in the checkpoint counts even where the config says "tied": transformers does not tie two tensors that differ. One that is missing
     * is an error unless the config says so: the embedding in its place would write nonsense.
     */
    const bool own = !tied || embedding == PARE_G_NONE || (known && has(names, "", head_module, ".weight"));
    pare_gw w, b = PARE_G_NONE;
    pare_gv y = PARE_G_NONE;
    if (own) {
        w = pare_g_weight(g, PARE_GW_HEAD, pare_g_text(g, "%s.weight", head_module), 2, shape);
        /* Tied the other way round: only the head is stored, and the embedding reads its rows from it. */
        pare_gweight *table = embedding != PARE_G_NONE ? pare_g_w(g, embedding) : NULL;
        if (tied && known && table && table->name && !names->has(names->user, table->name)) table->name = pare_g_w(g, w)->name;
    } else {
        const char *name = pare_g_w(g, embedding)->name;
        w = pare_g_weight(g, PARE_GW_HEAD, name ? name : "", 2, shape);
        pare_g_w(g, w)->tied = embedding;
    }
    if (bias) b = pare_g_vector(g, pare_g_text(g, "%s.bias", head_module), vocab);
    pare_g_linears_w(g, pare_g_rows_last(g, x), 1, &w, &b, &y);
    return y;
}

pare_activation pare_g_activation(pare_graph *g, const char *name)
{
    static const struct { const char *name; pare_activation kind; } known[] = {
        {"silu", PARE_ACT_FN_SILU},
        {"swish", PARE_ACT_FN_SILU},
        {"gelu", PARE_ACT_FN_GELU},
        {"gelu_python", PARE_ACT_FN_GELU},
        {"gelu_new", PARE_ACT_FN_GELU_TANH},
        {"gelu_pytorch_tanh", PARE_ACT_FN_GELU_TANH},
        {"gelu_python_tanh", PARE_ACT_FN_GELU_TANH},
        {"gelu_fast", PARE_ACT_FN_GELU_TANH},
        {"gelu_accurate", PARE_ACT_FN_GELU_TANH},
        {"quick_gelu", PARE_ACT_FN_GELU_QUICK},
        {"relu", PARE_ACT_FN_RELU},
        {"relu2", PARE_ACT_FN_RELU2},
        {"tanh", PARE_ACT_FN_TANH},
        {"sigmoid", PARE_ACT_FN_SIGMOID},
        {"linear", PARE_ACT_FN_IDENTITY},
    };
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].kind;
    pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: activation '%s' is not known (silu, gelu, gelu_new, quick_gelu, relu, relu2, ...)", name ? name : "");
    return PARE_ACT_FN_IDENTITY;
}

/*
 * Press, Smith and Lewis, "Train Short, Test Long": a geometric series of slopes that ends at 2^-max_bias. For a number of heads that is no power
 * of two the series of the next power: every second slope first, then those between them. BLOOM (max_bias 8) and MPT agree on that.
 */
const float *pare_g_alibi(pare_graph *g, int64_t heads, double max_bias)
{
    int64_t power = 1;
    if (heads < 1 || heads > 1 << 20) {
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: %lld heads with ALiBi", (long long)heads);
        return NULL;
    }
    while (power < heads) power *= 2;
    float *slopes = pare_arena_alloc(&g->arena, (size_t)heads * sizeof *slopes);
    if (!slopes) {
        pare_g_fail(g, PARE_ERR_MEMORY, "ALiBi slopes: no memory");
        return NULL;
    }
    for (int64_t i = 0; i < heads; i++) {
        const int64_t half = power / 2, step = power == heads ? i + 1 : i < half ? 2 * (i + 1) : 2 * (i - half) + 1;
        slopes[i] = (float)exp2(-(double)step * max_bias / (double)power);
    }
    return slopes;
}

pare_status pare_model_graph(const pare_jval *config, const char *where, const pare_gnames *names, pare_graph **out, pare_err *err)
{
    const char *type = pare_j_text(pare_j_get(config, "model_type"), NULL);
    const pare_arch *arch = pare_arch_find(type);
    *out = NULL;
    if (!type) return pare_fail(err, PARE_ERR_FORMAT, "%s: has no 'model_type'", where);
    if (!arch || !arch->graph) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: model_type '%s' can be quantized, but this version does not know how to run it", where, type);
        return pare_hint(err, "pare list archs");
    }
    pare_graph *g = pare_graph_new(arch->kind, err);
    if (!g) return PARE_ERR_MEMORY;
    arch->graph(config, names, g);
    const pare_status st = pare_graph_finish(g, err);
    if (st != PARE_OK) {
        pare_graph_free(g);
        return pare_context(err, st, "%s", where);
    }
    *out = g;
    return PARE_OK;
}
