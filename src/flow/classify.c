/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tensor is, from its name and shape alone, so that a checkpoint of an unknown architecture can be quantized. The
 * tables hold path segments as the public model families name them.
 */
#include <string.h>

#include "flow/flow.h"

/* Output heads: their errors are fed back into the model, and loaders expect them in float. */
static const char *const heads[] = {"lm_head", "embed_out", "output_projection", "classifier", "score", "head", "output", "qa_outputs",
                                    "class_labels_classifier", "fc_out_head", NULL};
static const char *const embeddings[] = {"embed_tokens", "embed_positions", "wte", "wpe", "word_embeddings", "position_embeddings",
                                         "token_type_embeddings", "tok_embeddings", "token_embedding", "position_embedding", "embed_in",
                                         "embedding", "embeddings", "emb", "shared", "relative_attention_bias", "query_position_embeddings",
                                         "word_embeddings_layernorm", "token_embd", "embed", NULL};
static const char *const routers[] = {"router", "gate", "shared_expert_gate", NULL}; /* "gate" is a whole segment: gate_proj is none */
static const char *const conv1d[] = {"c_attn", "c_fc", "c_proj", "q_attn", NULL};

static bool in_table(const char *const *table, const char *segment, size_t n) {
    for (; *table; table++)
        if (strlen(*table) == n && strncmp(*table, segment, n) == 0) return true;
    return false;
}

/* Path segments of name, without the last one (".weight"), looked up from the end; depth: how many from the end count. */
static bool has_segment(const char *name, const char *const *table, int depth) {
    const char *end = strrchr(name, '.');
    while (end && depth-- > 0) {
        const char *start = end;
        while (start > name && start[-1] != '.') start--;
        if (in_table(table, start, (size_t)(end - start))) return true;
        end = start > name ? start - 1 : NULL;
    }
    return false;
}

static bool uses_conv1d(const char *model_type) {
    static const char *const types[] = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", NULL};
    return model_type && in_table(types, model_type, strlen(model_type));
}

pare_role pare_classify(const char *name, pare_dtype dtype, int ndim, const int64_t *shape, const char *model_type) {
    const bool is_weight = pare_str_ends(name, ".weight") || strcmp(name, "weight") == 0;
    if (!pare_dtype_is_float(dtype)) return PARE_ROLE_OTHER;
    if (ndim == 1 && (strstr(name, "norm") || strstr(name, "ln_") || strstr(name, ".bn"))) return PARE_ROLE_NORM;
    if (!is_weight || ndim < 2) return PARE_ROLE_OTHER;
    if (ndim == 2) {
        if (has_segment(name, heads, 1)) return PARE_ROLE_HEAD;
        if (has_segment(name, embeddings, 1)) return PARE_ROLE_EMBEDDING;
        if (has_segment(name, routers, 1)) return PARE_ROLE_ROUTER;
        if (strstr(name, "norm")) return PARE_ROLE_NORM;
        if (uses_conv1d(model_type) && has_segment(name, conv1d, 1)) return PARE_ROLE_CONV1D;
        return shape[0] > 0 && shape[1] > 0 ? PARE_ROLE_LINEAR : PARE_ROLE_OTHER;
    }
    if (ndim <= 5 && shape[0] > 0) return has_segment(name, embeddings, 1) && ndim == 3 ? PARE_ROLE_EMBEDDING : PARE_ROLE_CONV;
    return PARE_ROLE_OTHER;
}

const char *pare_role_reason(pare_role role) {
    switch (role) {
    case PARE_ROLE_HEAD: return "output head";
    case PARE_ROLE_EMBEDDING: return "embedding";
    case PARE_ROLE_ROUTER: return "router";
    case PARE_ROLE_NORM: return "norm";
    case PARE_ROLE_CONV1D: return "Conv1D (stored transposed): loaders replace Linear layers only";
    case PARE_ROLE_OTHER: return "not a dense or convolution weight";
    default: return "";
    }
}

pare_dtype pare_model_dtype(const pare_weights *weights) {
    uint64_t bytes[PARE_DTYPE_COUNT] = {0};
    pare_dtype best = PARE_F32;
    uint64_t most = 0;
    for (int64_t i = 0; i < weights->n; i++) {
        const pare_weight *w = &weights->at[i];
        if (w->alias_of < 0 && pare_dtype_is_float(w->dtype) && w->dtype < PARE_DTYPE_COUNT) bytes[w->dtype] += w->bytes;
    }
    for (int d = PARE_F64; d <= PARE_BF16; d++)
        if (bytes[d] > most) most = bytes[d], best = (pare_dtype)d;
    return best == PARE_F64 ? PARE_F32 : best;
}
