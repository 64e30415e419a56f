/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention modules by name, and the scales that a checkpoint has for what they cache. A graph knows no modules: the name is what comes before the last
 * part of the layer that makes the keys, through rotation, norms and slices ("model.layers.0.self_attn" of ...self_attn.k_proj.weight).
 */
#include <string.h>

#include "graph/op.h"
#include "model/model.h"

bool pare_model_attention_name(const pare_graph *g, const pare_gnode *node, char out[256])
{
    for (pare_gv v = node->in[1]; v >= 0 && g->values.at[v].node >= 0;) {
        const pare_gnode *maker = &g->nodes.at[g->values.at[v].node];
        if (maker->op != &pare_gop_linear) {
            if (maker->n_in < 1) return false;
            v = maker->in[0];
            continue;
        }
        const char *name = g->weights.at[maker->w[g->values.at[v].out]].name;
        const int n = pare_print(out, 256, "%s", name);
        for (int parts = 0; n > 0 && n < 256 && parts < 2; parts++) { /* ".weight", then the layer's own name */
            char *dot = strrchr(out, '.');
            if (!dot || dot == out) return false;
            *dot = 0;
        }
        return n > 0 && n < 256;
    }
    return false;
}

pare_status pare_model_kv_scales(const pare_weights *weights, pare_graph *g, pare_err *err)
{
    char module[256];
    pare_status st = PARE_OK;
    for (size_t i = 0; weights->kv.dtype != PARE_DTYPE_NONE && i < g->nodes.n && st == PARE_OK; i++) {
        const pare_gnode *node = &g->nodes.at[i];
        const pare_attention *a = node->op == &pare_gop_attention ? node->attr : NULL;
        if (!a || a->cross || a->cache < 0 || !pare_model_attention_name(g, node, module)) continue;
        float *scales = pare_arena_alloc(&g->arena, (size_t)a->kv_heads * 2 * sizeof *scales);
        if (!scales) return pare_no_memory(err, module, (size_t)a->kv_heads * 2 * sizeof *scales);
        if ((st = pare_weights_kv_scales(weights, module, a->kv_heads, scales, scales + a->kv_heads, err)) != PARE_OK) return st;
        pare_gcache *c = &g->caches.at[a->cache];
        c->stored = weights->kv.dtype;
        c->k_scale = scales;
        c->v_scale = scales + a->kv_heads;
    }
    return st;
}
