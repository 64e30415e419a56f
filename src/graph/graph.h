/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/graph: a computation as nodes over a small set of ops, and the engine that runs it. A graph is made by one
 * arch_*.c of src/model from config.json (or, later, from an ONNX file); it knows shapes and weight names, no bytes. Binding gives
 * it weights; the engine runs it: prefill, decode with a key/value cache, observers, times. An op is one op_*.c file that ends in a
 * const pare_gop, plus one line in gops.def.
 *
 * Values are f32 matrices [rows, cols] unless an op says otherwise (rank up to PARE_MAX_DIMS, for convolutions and images to come).
 * The rows of a text model are the tokens of the step: PARE_DIM_TOKENS. Weights and nodes carry the number of their layer, so that
 * layers can be loaded, dropped, calibrated and resumed one by one.
 */
#ifndef PARE_GRAPH_H
#define PARE_GRAPH_H
#include "base/base.h"
#include "graph/linear.h"
#include "kernel/kernel.h"
#include "num/num.h"
#include "quant/quant.h"

/* ------------------------------------------------------------------------------------------------------------- the graph */
/* Sizes that are known only when a step runs. */
enum {
    PARE_DIM_TOKENS = -1,
    PARE_DIM_MEMORY = -2,    /* rows of the encoder's result */
    PARE_DIM_SEQUENCES = -3, /* texts of the step */
    PARE_DIM_WANTED = -4     /* tokens whose logits are wanted: what pare_g_rows_last() leaves */
};

typedef int32_t pare_gv;              /* a value: index into graph->values; -1 = none */
typedef int32_t pare_gw;              /* a weight: index into graph->weights; -1 = none */
#define PARE_G_NONE (-1)

typedef struct pare_gvalue {
    const char *name;                 /* for profiles and errors; may be "" */
    pare_dtype dtype;                 /* f32, or i32 for ids */
    int ndim;
    int64_t shape[PARE_MAX_DIMS];     /* PARE_DIM_* where only the step knows */
    int32_t node, out;                /* who makes it; node -1: an input of the graph */
} pare_gvalue;

typedef enum pare_gw_role {
    PARE_GW_LINEAR = 1,               /* a matrix that quantizers take: [out, in] */
    PARE_GW_HEAD,                     /* the output head, [vocab, in] */
    PARE_GW_TABLE,                    /* embedding [n, dim]: rows are looked up */
    PARE_GW_VECTOR,                   /* norms, biases, small tables: read as f32 */
} pare_gw_role;
typedef struct pare_gweight {
    const char *name;                 /* tensor in the checkpoint, e.g. "model.layers.0.mlp.up_proj.weight" */
    pare_gw_role role;
    int layer;                        /* -1: outside the layers */
    int ndim;
    int64_t shape[4];                 /* as the graph uses it: [out, in] also where `transposed` */
    bool transposed;                  /* stored as [in, out] (GPT-2's Conv1D) */
    bool optional;                    /* absent in the checkpoint: zeros (biases), or ones (norm weights) when `ones` */
    bool ones;
    int64_t row0, of_rows;            /* a slice of the checkpoint tensor's rows (of_rows > 0: tensor has of_rows rows; fused experts) */
    int64_t row_step;                 /* > 1, `transposed` only: every so many-th of them (gate and up of gpt-oss take turns) */
    int64_t of_index, of_count;       /* of_count > 0: the tensor is [of_count, ...] and this is slice of_index of it (stacked experts) */
    pare_gw tied;                     /* the same storage as that weight (head = embedding), or PARE_G_NONE */
} pare_gweight;

struct pare_graph;
struct pare_gnode;
struct pare_exec;
/* How an output that is divided column by column is made: by other numbers in a weight of the node, or by an input divided in the same way. */
typedef struct pare_gdivide {
    bool here;
    pare_gw weight, bias;             /* here: elements (norm) or rows (linear layer) that are divided; bias or PARE_G_NONE */
    bool rows;
    float add;                        /* a norm's weight w stands for w + add */
    int in;                           /* not here: this input's columns ... */
    int64_t (*column)(const struct pare_gnode *node, int64_t c); /* ... column(c) makes output column c; NULL: the same one */
} pare_gdivide;
/*
 * An op. shape() checks inputs, weights and attributes, and sets the shapes of the outputs (already added, dtype f32). forward() computes
 * the rows of one step. backward() is the gradient's place: NULL while nothing trains.
 */
typedef struct pare_gop {
    const char *name, *help;
    pare_status (*shape)(struct pare_graph *g, struct pare_gnode *node, pare_err *err);
    pare_status (*forward)(struct pare_exec *x, const struct pare_gnode *node, pare_err *err);
    pare_status (*backward)(struct pare_exec *x, const struct pare_gnode *node, pare_err *err);
    bool (*inplace)(const struct pare_gnode *node); /* may output 0 share the memory of input 0? NULL = no */
    /* Bytes that a run over so many rows needs in exec.scratch; false: the size overflows. NULL = none. */
    bool (*scratch)(const struct pare_graph *g, const struct pare_gnode *node, int64_t rows, size_t *bytes);
    /* Can output `out` be divided by a positive number a column, exactly, and how? NULL or false = no. fold.c. */
    bool (*divide)(const struct pare_graph *g, const struct pare_gnode *node, int out, pare_gdivide *how);
} pare_gop;
const pare_gop *const *pare_gops(void); /* NULL-terminated */
const pare_gop *pare_gop_find(const char *name);

typedef struct pare_gnode {
    const pare_gop *op;
    int layer;                        /* -1: outside the layers */
    int n_in, n_w, n_out;
    pare_gv *in, *out;
    pare_gw *w;
    const void *attr;                 /* the op's own struct (below), in the graph's arena */
} pare_gnode;

/* One key/value cache that attention nodes write and read. */
typedef struct pare_gcache {
    int64_t kv_heads, k_dim, v_dim, window; /* 0 = every position is kept */
    pare_dtype stored;                /* i8 or f8_e4m3fn: the checkpoint says so; NONE = it says nothing */
    const float *k_scale, *v_scale;   /* then [kv_heads], arena: what a code is multiplied by */
} pare_gcache;

typedef enum pare_gkind { PARE_G_DECODER = 1 /* ids -> logits */, PARE_G_ENCODER /* ids -> hidden rows (and pooled) */ } pare_gkind;

typedef struct pare_graph {
    pare_arena arena;
    pare_gkind kind;
    PARE_VEC(pare_gvalue) values;
    PARE_VEC(pare_gweight) weights;
    PARE_VEC(pare_gnode) nodes;
    PARE_VEC(pare_gcache) caches;
    int layers;
    int64_t vocab, hidden, max_positions; /* 0 = no limit of its own */
    pare_gv ids, types;               /* inputs: token ids; token types (BERT), or PARE_G_NONE */
    pare_gv memory;                   /* input of a decoder that listens to an encoder: [PARE_DIM_MEMORY, hidden] */
    pare_gv hidden_out;               /* last hidden rows (after the final norm) */
    pare_gv logits;                   /* [tokens, vocab], or PARE_G_NONE */
    pare_gv pooled;                   /* encoders: [sequences, dim], or PARE_G_NONE */
    struct pare_graph *encoder;       /* encoder-decoder models: run first, fills `memory` */
    int64_t decoder_start;            /* encoder-decoder: first id of the decoder; -1 */
    const char *prefix;               /* what the checkpoint's names begin with, see pare_g_prefix() */
    const char *summary;              /* "llama: 22 layers, 32/4 heads of 64, ffn 5632" */
    bool failed; pare_err error;      /* sticky: builders need no check on every line */
    bool finished;
    int layer;                        /* of what is made now, see pare_g_layer() */
    pare_gweight spare;               /* what pare_g_w() gives when there is no such weight */
} pare_graph;

/* ------------------------------------------------------------------------------------------------- building (for arch_*.c) */
/* Does the checkpoint hold this tensor? NULL function: nothing is known yet (estimate). */
typedef struct pare_gnames {
    bool (*has)(void *user, const char *name);
    void *user;
    /* A companion file of the checkpoint ("1_Pooling/config.json"), for the caller to free; *out NULL when there is none. May be NULL. */
    pare_status (*json)(void *user, const char *file, pare_jdoc **out, pare_err *err);
} pare_gnames;

pare_graph *pare_graph_new(pare_gkind kind, pare_err *err);
void pare_graph_free(pare_graph *g);  /* the encoder, too */
/* Arena text; "" and failed when memory is gone. */
const char *pare_g_text(pare_graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* First failure wins. */
void pare_g_fail(pare_graph *g, pare_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The layer that nodes and weights made from now on belong to; -1 = none. */
void pare_g_layer(pare_graph *g, int layer);

pare_gw pare_g_weight(pare_graph *g, pare_gw_role role, const char *name, int ndim, const int64_t *shape);
pare_gw pare_g_vector(pare_graph *g, const char *name, int64_t n);            /* PARE_GW_VECTOR [n] */
pare_gweight *pare_g_w(pare_graph *g, pare_gw w);                             /* to set optional, transposed, ...; never NULL */
/* The general form: appends a node, checks shapes, returns output 0. attr is copied. */
pare_gv pare_g_node(pare_graph *g, const char *op, const pare_gv *in, int n_in, const pare_gw *w, int n_w, const void *attr, size_t attr_bytes,
                    pare_gv *out, int n_out);

/* Inputs; each is made once, later calls give the same value. */
pare_gv pare_g_ids(pare_graph *g);                         /* [tokens] i32 */
pare_gv pare_g_types(pare_graph *g);                       /* [tokens] i32: token types; zeros when the batch has none. pare_g_embed() looks them up */
pare_gv pare_g_memory(pare_graph *g, int64_t hidden);      /* [memory, hidden]: result of g->encoder, for the k and v of cross-attention */
pare_gv pare_g_embed(pare_graph *g, pare_gv ids, pare_gw table, float scale);           /* row ids[t] of table, times scale */
pare_gv pare_g_embed_positions(pare_graph *g, pare_gw table, int64_t offset);           /* row position[t] + offset */
/* Dense layer: module.weight [out, in], module.bias [out] when bias. */
pare_gv pare_g_linear(pare_graph *g, pare_gv x, const char *module, int64_t out, int64_t in, bool bias);
/* Several that share their input: one node, `count` outputs: q k v, gate up. Methods scale them together. bias: per module. */
void pare_g_linears(pare_graph *g, pare_gv x, int count, const char *const *modules, const int64_t *outs, int64_t in, const bool *bias, pare_gv *out);
/* The same with weights made by the caller (transposed, sliced, tied): bias[i] may be PARE_G_NONE; NULL = none. */
void pare_g_linears_w(pare_graph *g, pare_gv x, int count, const pare_gw *w, const pare_gw *bias, pare_gv *out);
pare_gv pare_g_rms_norm(pare_graph *g, pare_gv x, const char *weight, float eps, float add); /* weight NULL = none; add 1 for Gemma */
/* Norm of each head's `dim` columns alone with one weight [dim] (Qwen3), or over all columns. */
pare_gv pare_g_rms_norm_heads(pare_graph *g, pare_gv x, const char *weight, int64_t dim, float eps, float add);
pare_gv pare_g_layer_norm(pare_graph *g, pare_gv x, const char *module, float eps, bool weight, bool bias); /* module.weight, module.bias */
pare_gv pare_g_layer_norm_heads(pare_graph *g, pare_gv x, const char *module, int64_t heads, int64_t dim, float eps, bool bias); /* weight [heads, dim] */
/* The same with one weight [dim] a head (StableLM: module.norms.0.weight ...): modules[heads]. */
pare_gv pare_g_layer_norm_each(pare_graph *g, pare_gv x, const char *const *modules, int64_t heads, int64_t dim, float eps, bool bias);
pare_gv pare_g_add(pare_graph *g, pare_gv a, pare_gv b);
pare_gv pare_g_mul(pare_graph *g, pare_gv a, pare_gv b);                                 /* b may have one column: it multiplies every column of a */
pare_gv pare_g_scale(pare_graph *g, pare_gv x, float s);
pare_gv pare_g_scale_add(pare_graph *g, pare_gv a, float s, pare_gv b);                 /* a * s + b */
pare_gv pare_g_clamp(pare_graph *g, pare_gv x, float low, float high);
pare_gv pare_g_softcap(pare_graph *g, pare_gv x, float cap);
pare_gv pare_g_act(pare_graph *g, pare_gv x, pare_activation kind);
pare_gv pare_g_act_mul(pare_graph *g, pare_gv a, pare_gv b, pare_activation kind);      /* act(a) * b */
/*
 * Columns of x picked in blocks: output = for i in [0, count): x[offset + i * stride ... + block). Takes fused q k v apart, whatever their order
 * (GPT-NeoX [heads, 3, dim]: offset j*dim, block dim, stride 3*dim, count heads).
 */
pare_gv pare_g_columns(pare_graph *g, pare_gv x, int64_t offset, int64_t block, int64_t stride, int64_t count);
pare_gv pare_g_rows_last(pare_graph *g, pare_gv x);                                      /* only rows whose logits are wanted */

/* Rotary embedding: the frequencies are worked out by the architecture (src/model/rope.c). */
typedef struct pare_rope {
    int64_t heads, head_dim;          /* x is [tokens, heads * head_dim] */
    int64_t dim;                      /* rotated columns of each head, from `first` on */
    int64_t first;
    bool pairs;                       /* (2i, 2i+1) as GPT-J; else (i, i + dim/2) */
    const float *inv_freq;            /* [dim / 2], arena */
    const float *long_inv_freq;       /* LongRoPE: used when the sequence is longer than `original`; else NULL */
    int64_t original;
    float theta; bool dynamic;        /* dynamic NTK: frequencies are made anew from the sequence length beyond `original` */
    float factor;                     /* of dynamic */
    float scale, long_scale;          /* factor on cos and sin (YaRN, LongRoPE); 1 */
} pare_rope;
pare_gv pare_g_rope(pare_graph *g, pare_gv x, const pare_rope *rope);

typedef struct pare_attention {
    int64_t heads, kv_heads, dim, v_dim;
    float scale, softcap;             /* softcap 0 = none */
    bool causal;
    int64_t window;                   /* query p sees key j when p - j < window (itself included); 0 = all. Not causal: |p - j| < window */
    int64_t chunk;                    /* chunked attention: only keys of the query's own p / chunk; 0 = none */
    int cache;                        /* index of a pare_gcache; -1: keys and values of this step only (encoders; never in a decoder) */
    bool cross;                       /* k, v come from `memory` rows and are kept by pare_engine_encode(); cache may be -1: it is made */
    const float *alibi;               /* [heads] slopes, arena; or NULL */
    float alibi_bf16;                 /* Falcon: the bias of the key at position j is instead alibi_bf16 * bf16(bf16(slope) * bf16(j)); 0 = no */
    /* T5: bias[h][q][k] = table[bucket(k - q)][h]; the table is weight 0 of the node */
    int64_t rel_buckets, rel_distance; bool rel_bidirectional;
    bool sink;                        /* last weight of the node: [heads] */
} pare_attention;
/* q [T, heads*dim], k [*, kv_heads*dim], v [*, kv_heads*v_dim] -> [T, heads*v_dim] */
pare_gv pare_g_attention(pare_graph *g, pare_gv q, pare_gv k, pare_gv v, const pare_attention *a, const pare_gw *w, int n_w);
int pare_g_cache(pare_graph *g, int64_t kv_heads, int64_t k_dim, int64_t v_dim, int64_t window);

/* Mixture of experts: router [experts, in], then for each token the `top` experts' act(gate x) * (up x) -> down, weighted. */
typedef struct pare_moe {
    int64_t experts, top, ffn;
    pare_activation act;
    bool renormalize;                 /* weights of the chosen ones sum to 1 */
    bool softmax_first;               /* softmax over all before the choice; else over the chosen */
    bool sigmoid;                     /* sigmoid instead of softmax */
    float scale;
    bool bias;                        /* three more weights: of the router [experts], of gate and up in turns [experts, 2 ffn], of down [experts, in] */
    float limit, alpha;               /* limit > 0, gpt-oss: (clamp(up) + 1) * g * sigmoid(alpha g), g = min(gate, limit), up within +-limit */
} pare_moe;
/* Weights in this order: router, then for each expert gate, up, down; biases last. */
pare_gv pare_g_moe(pare_graph *g, pare_gv x, const pare_moe *moe, const pare_gw *w, int n_w);

typedef enum pare_pooling { PARE_POOL_CLS = 1, PARE_POOL_MEAN, PARE_POOL_MAX, PARE_POOL_LAST } pare_pooling;
pare_gv pare_g_pool(pare_graph *g, pare_gv x, pare_pooling kind, bool normalize);            /* [sequences, cols] */

/* Last step: no failure, every value made before it is used, outputs set. Returns the sticky error. */
pare_status pare_graph_finish(pare_graph *g, pare_err *err);

/* --------------------------------------------------------------------------------------------------------------- binding */
/*
 * Where weights come from; made by src/model over pare_weights, or by tests from arrays. All calls from one thread at a time. What linear()
 * fills may borrow mapped memory until close.
 */
typedef struct pare_gsource {
    void *user;
    /* Present, and of this shape? The sentence names both shapes. Called for every weight before anything is loaded. */
    pare_status (*check)(void *user, const pare_gweight *w, bool *present, pare_err *err);
    pare_status (*linear)(void *user, pare_ctx *ctx, const pare_gweight *w, pare_linear *out, pare_err *err);
    pare_status (*vector)(void *user, const pare_gweight *w, float *out, pare_err *err);                        /* all elements as f32 */
    pare_status (*table)(void *user, const pare_gweight *w, int64_t row, float *out, pare_err *err);            /* one row as f32 */
    void (*drop)(void *user, const pare_gweight *w);    /* may be NULL: its mapped pages are not needed for now */
    uint64_t (*bytes)(void *user, const pare_gweight *w); /* stored bytes, for plans of memory */
    void (*close)(void *user);
} pare_gsource;

/* ---------------------------------------------------------------------------------------------------------------- engine */
typedef struct pare_engine pare_engine;

typedef struct pare_engine_options {
    pare_compute compute;
    /*
     * f32, f16, bf16; i8: the checkpoint's scales, else one a head and position; f8_e4m3fn: the checkpoint's scales, else 1. NONE = what the checkpoint
     * says, else f32 when exact, else f16.
     */
    pare_dtype kv_dtype;
    int64_t ctx;                      /* positions kept for each sequence; 0 = the model's own limit, at most 4096 */
    int64_t sequences;                /* that run side by side; 0 = 1 */
    int64_t chunk;                    /* tokens computed at once; 0 = 512 */
    uint64_t memory;                  /* limit in bytes for weights held + cache + activations; 0 = none. Smaller than the model: layers are
                                         loaded for every step and dropped after it; too small for one layer: PARE_ERR_MEMORY with the numbers */
    bool profile;
} pare_engine_options;

/* Takes graph and source over, also when it fails. Checks every weight first, loads what memory allows. */
pare_status pare_engine_new(pare_ctx *ctx, pare_graph *graph, const pare_gsource *source, const pare_engine_options *options, pare_engine **out,
                            pare_err *err);
void pare_engine_free(pare_engine *e);
const pare_graph *pare_engine_graph(const pare_engine *e);
pare_engine *pare_engine_encoder(pare_engine *e);                   /* of an encoder-decoder: the engine of graph->encoder, borrowed; else NULL */
int64_t pare_engine_ctx(const pare_engine *e);                      /* positions that each sequence may have */

/*
 * Tokens of one step, of one or several sequences; a sequence's tokens follow each other, at its next positions. Encoders keep nothing: every
 * run of tokens with the same seq is a text of its own, at positions from 0.
 */
typedef struct pare_batch {
    int64_t n;
    const int32_t *ids;
    const int32_t *types;             /* BERT's token types, or NULL */
    const int32_t *seq;               /* [n] slot of each token, < sequences; NULL = all slot 0 */
    const uint8_t *want;              /* [n] logits wanted; NULL = of every token */
} pare_batch;
/*
 * Runs a step (in chunks when n is large). out: rows in token order of what is wanted: logits [wanted, vocab], or hidden rows of an encoder; may be
 * NULL. An id outside the vocabulary, a full cache: one clear error, the sequences are as before.
 */
pare_status pare_engine_step(pare_engine *e, const pare_batch *batch, float *out, pare_err *err);
/* The same with a callback for each wanted row, so that no [tokens, vocab] array exists: token index, row. */
typedef pare_status (*pare_row_fn)(void *user, int64_t token, const float *row, pare_err *err);
pare_status pare_engine_step_rows(pare_engine *e, const pare_batch *batch, pare_row_fn fn, void *user, pare_err *err);
/* Encoder-decoder: runs the encoder over a source text; the decoder's cross-attention of that slot listens to it. */
pare_status pare_engine_encode(pare_engine *e, int64_t seq, const int32_t *ids, int64_t n, pare_err *err);
/* Encoders: pooled vectors [sequences in batch order of first appearance, dim]. */
pare_status pare_engine_pool(pare_engine *e, const pare_batch *batch, float *out, pare_err *err);
int64_t pare_engine_length(const pare_engine *e, int64_t seq);      /* positions in the cache */
void pare_engine_truncate(pare_engine *e, int64_t seq, int64_t n);  /* forget all but the first n positions */

/* Sees input [n, cols] and output [n, rows] (bias included) of every linear layer in graph order; an error stops the run. */
typedef struct pare_observer {
    void *user;
    pare_status (*linear)(void *user, const pare_gnode *node, int which, const pare_gweight *w, const float *x, int64_t n, int64_t cols, const float *y,
                          int64_t rows, pare_err *err);
} pare_observer;
void pare_engine_observe(pare_engine *e, const pare_observer *observer); /* NULL = none; copied */
/* Puts another weight in the place of a linear one (the engine takes it over); methods try candidates this way. */
pare_status pare_engine_replace(pare_engine *e, pare_gw w, pare_linear *weight, pare_err *err);

/* What ran: one row an op and layer kind (seconds, calls, bytes of weights read, multiply-adds). */
typedef struct pare_profile_row { const char *op, *what; double seconds; uint64_t calls, bytes, macs; } pare_profile_row;
int64_t pare_engine_profile(const pare_engine *e, pare_profile_row *rows, int64_t max); /* returns the count */
void pare_engine_profile_reset(pare_engine *e);
double pare_engine_macs(const pare_engine *e); /* multiply-adds of one token in matrices: those of every layer, without the head */

typedef struct pare_engine_memory {
    uint64_t weights, weights_owned;  /* bytes read in place (mapped) or repacked; of that repacked */
    uint64_t cache, activations;
    uint64_t streamed_per_step;       /* bytes loaded again for every chunk of a step (a decoded token is one); 0 = all is held */
    uint64_t per_token;               /* bytes of weights that one decoded token reads */
} pare_engine_memory;
void pare_engine_get_memory(const pare_engine *e, pare_engine_memory *out);

/* ------------------------------------------------------------------------------------------------- running (for op_*.c) */
/* Rows of the chunk that belong to one sequence: rows [row0, row0 + n) at positions pos0 ... */
typedef struct pare_run {
    int64_t seq, row0, n, pos0;
    int64_t total;                    /* positions of the sequence when the whole step is done (a step may be several chunks) */
} pare_run;

/* The state of one chunk. Values are contiguous: a row has pare_x_cols() floats and begins right after the one before. */
typedef struct pare_exec {
    pare_ctx *ctx;
    const pare_kernels *k;
    pare_engine *engine;
    const pare_graph *graph;
    pare_compute compute;
    int64_t tokens, memory_rows, sequences, wanted;
    const int32_t *ids, *types;       /* [tokens]; types may be NULL */
    const int32_t *pos;               /* [tokens] */
    const int32_t *want_rows;         /* [wanted] rows of the chunk */
    const pare_run *runs;             /* [sequences], in order of rows */
    pare_workspace *ws;
    void *scratch;                    /* what the op's scratch() asked for, 64-aligned */
} pare_exec;
int64_t pare_x_rows(const pare_exec *x, pare_gv v);
int64_t pare_x_cols(const pare_exec *x, pare_gv v);                 /* product of the dimensions after the first */
float *pare_x_value(const pare_exec *x, pare_gv v);
const float *pare_x_vector(const pare_exec *x, pare_gw w);          /* PARE_GW_VECTOR; NULL for PARE_G_NONE */
const pare_linear *pare_x_linear(const pare_exec *x, pare_gw w);
pare_status pare_x_table_row(const pare_exec *x, pare_gw w, int64_t row, float *out, pare_err *err);
/* Calls the observer, if any, with n rows. */
pare_status pare_x_observe(const pare_exec *x, const pare_gnode *node, int which, pare_gw w, int64_t n, const float *in, const float *out, pare_err *err);
/* fn over rows [0, rows) in blocks: on the caller's thread where the whole is small, else in parallel. */
typedef void (*pare_rows_fn)(const void *arg, int64_t row0, int64_t rows);
pare_status pare_x_each(const pare_exec *x, int64_t rows, int64_t cols, pare_rows_fn fn, const void *arg, pare_err *err);
#endif
