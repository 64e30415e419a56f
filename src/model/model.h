/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/model: one arch_*.c a family, ending in a const pare_arch, plus one line in archs.def. An architecture builds
 * the graph that a config.json describes. The tensors that it implies (its skeleton) are what sizes are estimated from before any
 * weight is there: the graph's own weights, or a list where buffers count that no graph has.
 */
#ifndef PARE_MODEL_H
#define PARE_MODEL_H
#include "base/base.h"
#include "file/file.h"
#include "graph/graph.h"
#include "graph/walk.h"
#include "layout/layout.h"
#include "num/num.h"

typedef enum pare_skeleton_kind {
    PARE_SKEL_LINEAR = 1, /* weight of a dense layer */
    PARE_SKEL_HEAD,       /* weight of the output head */
    PARE_SKEL_PARAMETER,  /* any other float parameter; counted in the model's dtype */
    PARE_SKEL_BUFFER_FLOAT, /* float buffer: counted in the model's dtype */
    PARE_SKEL_BUFFER      /* buffer of a fixed dtype (masks, position ids) */
} pare_skeleton_kind;

typedef struct pare_skeleton_row {
    const char *name;
    pare_skeleton_kind kind;
    pare_dtype dtype;     /* BUFFER only */
    int ndim;
    int64_t shape[4];
    uint64_t numel;
    bool tied;            /* shares the storage of an earlier row: takes no bytes */
} pare_skeleton_row;

/* Sizes that the key-value cache needs. */
typedef struct pare_cache_shape { int64_t layers, kv_heads, head_dim; } pare_cache_shape;

typedef struct pare_skeleton {
    pare_arena arena;
    PARE_VEC(pare_skeleton_row) rows;
    pare_cache_shape cache;      /* zeros when the model generates nothing */
    bool failed;                 /* an allocation failed, or a size overflowed: checked once at the end */
} pare_skeleton;
void pare_skeleton_clear(pare_skeleton *s);

typedef struct pare_arch {
    const char *name, *help;
    const char *const *model_types; /* config.json model_type values, NULL-terminated */
    /*
     * Appends every tensor of the model that config describes. A missing or absurd value is one clear error. NULL where the graph's weights
     * say it all.
     */
    pare_status (*skeleton)(const pare_jval *config, pare_skeleton *out, pare_err *err);
    /*
     * Builds the computation into g (made for `kind`; the builder may add an encoder). names: what the checkpoint holds, or has == NULL.
     * Errors go to pare_g_fail(). NULL: this architecture is sized, not run.
     */
    void (*graph)(const pare_jval *config, const pare_gnames *names, pare_graph *g);
    pare_gkind kind;
} pare_arch;
const pare_arch *const *pare_archs(void);                 /* NULL-terminated */
const pare_arch *pare_arch_find(const char *model_type);  /* NULL when unknown */
/* Skeleton of a config; unknown model_type: PARE_ERR_UNSUPPORTED. */
pare_status pare_skeleton_of(const pare_jval *config, const char *where, pare_skeleton *out, pare_err *err);

/* ------------------------------------------------------------------------------------------- for arch_*.c */
/* name: printf with prefix and up to one layer number already formatted by the caller. */
void pare_skel_add(pare_skeleton *s, pare_skeleton_kind kind, pare_dtype dtype, const char *name, int ndim, const int64_t *shape);
void pare_skel_linear(pare_skeleton *s, const char *module, int64_t out, int64_t in, bool bias);     /* .weight [out,in], .bias [out] */
void pare_skel_head(pare_skeleton *s, const char *module, int64_t out, int64_t in, bool bias, bool tied);
void pare_skel_embedding(pare_skeleton *s, const char *module, int64_t n, int64_t dim);
void pare_skel_norm(pare_skeleton *s, const char *module, int64_t dim, bool bias);
void pare_skel_conv(pare_skeleton *s, const char *module, int64_t out, int64_t in, int64_t k, bool bias);
const char *pare_skel_name(pare_skeleton *s, const char *format, ...) __attribute__((format(printf, 2, 3))); /* arena text; "" when memory is gone */

/* ------------------------------------------------------------------------------------------------------------ running */
/* The graph of a config; unknown model_type: PARE_ERR_UNSUPPORTED that names it and says that quantizing still works. names may be NULL. */
pare_status pare_model_graph(const pare_jval *config, const char *where, const pare_gnames *names, pare_graph **out, pare_err *err);
/*
 * Source of a graph's weights over the logical weights of a checkpoint (borrowed: they must outlive it): float tensors in place, quantized
 * layers repacked rows at a time.
 */
pare_status pare_model_source(pare_ctx *ctx, const pare_weights *weights, pare_dtype dtype, pare_gsource *out, pare_err *err);
/* The graph of a checkpoint: its config and what it holds. */
pare_status pare_model_graph_of(const pare_weights *weights, pare_graph **out, pare_err *err);
/* Module of a cached attention, "model.layers.0.self_attn"; false: no layer makes its keys. */
bool pare_model_attention_name(const pare_graph *g, const pare_gnode *node, char out[256]);
/* The checkpoint's scales of the key/value cache, if it has any, into the graph's caches; pare_model_graph_of() calls it. */
pare_status pare_model_kv_scales(const pare_weights *weights, pare_graph *g, pare_err *err);
/* Both, and the engine. dtype: float matrices are held in it (f32, f16, bf16); NONE = as stored, in place. */
pare_status pare_model_engine(pare_ctx *ctx, const pare_weights *weights, pare_dtype dtype, const pare_engine_options *options, pare_engine **out, pare_err *err);
/* Both, and a walk (graph/walk.h): float matrices as stored. */
pare_status pare_model_walk(pare_ctx *ctx, const pare_weights *weights, const pare_walk_text *texts, int64_t n_texts, const pare_walk_options *options,
                            pare_walk **out, pare_err *err);

/* The first of the alternatives under which the checkpoint holds "<prefix><name>"; without names: the first. NULL-terminated. */
const char *pare_g_prefix(const pare_gnames *names, const char *const *alternatives, const char *name);
/*
 * Output head over x: head_module.weight [vocab, hidden] (with bias when `bias`), or the table `embedding` when tied and the checkpoint
 * has no head of its own. Only wanted rows are computed.
 */
pare_gv pare_g_head(pare_graph *g, const pare_gnames *names, pare_gv x, const char *head_module, int64_t vocab, int64_t hidden, bool bias, bool tied,
                    pare_gw embedding);
/* "silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "quick_gelu", ...; unknown: failure that names it. */
pare_activation pare_g_activation(pare_graph *g, const char *name);
/*
 * Rotary embedding as config says (rope_theta, partial_rotary_factor, rope_scaling or rope_parameters: linear, dynamic, yarn, longrope, llama3,
 * default). theta: used where the config has none. layer_type: picks the block where rope_parameters has one per kind of layer; NULL.
 * Fills all but heads. src/model/rope.c.
 */
void pare_g_rope_of(pare_graph *g, const pare_jval *config, const char *layer_type, int64_t head_dim, int64_t rotary_dim, double theta, pare_rope *out);
/* ALiBi slopes as BLOOM and MPT make them. */
const float *pare_g_alibi(pare_graph *g, int64_t heads, double max_bias);

/* Whole numbers of a config, with bounds, so that an absurd value is an error and not an overflow. */
typedef struct pare_config_int { const char *key; int64_t *value; int64_t or_else; /* < 0: required */ int64_t max; } pare_config_int;
pare_status pare_config_ints(const pare_jval *config, const pare_config_int *wanted, pare_err *err); /* ends with key NULL */
#endif
