/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the ops in ops_nn.def. */
#ifndef PARE_KERNEL_NN_H
#define PARE_KERNEL_NN_H
#include "num/num.h"

typedef enum pare_activation {
    PARE_ACT_FN_IDENTITY = 0,
    PARE_ACT_FN_RELU,
    PARE_ACT_FN_RELU2,      /* relu(x)^2 */
    PARE_ACT_FN_SILU,       /* x * sigmoid(x) */
    PARE_ACT_FN_GELU,       /* 0.5 x (1 + erf(x / sqrt 2)) */
    PARE_ACT_FN_GELU_TANH,  /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): "gelu_new", "gelu_pytorch_tanh" */
    PARE_ACT_FN_GELU_QUICK, /* x * sigmoid(1.702 x) */
    PARE_ACT_FN_TANH,
    PARE_ACT_FN_SIGMOID
} pare_activation;

/*
 * softmax(scale * q k^T + ...) v for the query heads that share one key/value head (grouped-query attention). For query t and head h:
 *   s[j] = scale * <q, k_j>;  s = softcap > 0 ? softcap * tanh(s / softcap) : s;  s += alibi[h] * (key_pos[j] - q_pos[t]) + bias[h][t][j]
 *   over the keys j in [first[t], last[t]);  out = sum_j softmax(s)_j v_j;  with a sink, exp(sink[h]) joins the denominator.
 * An empty range gives zeros, and so does one whose scores are all -inf. NaN in a query's scores gives NaN in its result only; NaN or inf
 * in a value may reach queries of the call that do not see it. Sums run over blocks of keys in f32 (online softmax). A query's bits do not
 * depend on which heads are in the call, and on the number of queries only in whether it is small: heads may be shared out among threads.
 *
 * Keys lie as rows, or (k_panels) in panels of 16 keys, element by element, so that scores of 16 keys are made without a sum across a vector:
 * element d of key j at (j / 16 * dim + d) * 16 + j % 16. The memory of the last panel is there whole; what stands for keys that nobody sees
 * may be anything.
 */
enum { PARE_KEY_PANEL = 16 };
typedef struct pare_attend {
    int64_t queries, heads, dim, v_dim;
    const float *q; int64_t q_stride, q_head;      /* floats from token to token, head to head */
    const void *k, *v; pare_dtype dtype;           /* f32, f16, bf16, i8, f8_e4m3fn */
    int64_t k_stride, v_stride;                    /* elements from key to key; k_stride not for panels */
    bool k_panels;
    const float *k_scale, *v_scale;                /* factors of stored elements, one a key; both or neither; NULL = 1 */
    int64_t keys;                                  /* keys that exist; every last[t] <= keys */
    const int32_t *first, *last;                   /* [queries] */
    const int32_t *q_pos; const int32_t *key_pos;  /* alibi only; key_pos NULL: key j is at position j */
    float scale, softcap;
    const float *alibi;                            /* [heads] or NULL */
    const float *bias; int64_t bias_head, bias_query; /* NULL = none; floats from head to head, query to query */
    const float *sink;                             /* [heads] or NULL */
    float *out; int64_t out_stride, out_head;
    float *scratch;                                /* PARE_ATTEND_SCRATCH(keys) floats of the caller's thread */
} pare_attend;
/* Whatever the number of keys: work goes by blocks of keys. dim + v_dim <= 32768. */
#define PARE_ATTEND_SCRATCH(keys) ((keys) * 0 + 65536)
#endif
