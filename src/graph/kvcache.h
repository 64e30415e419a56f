/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values that attention looks back at. One cache an attention layer; in it, for each sequence slot, keys
 * [kv_heads][cap / 16][k_dim][16] (panels of 16 positions, as kernel/nn.h wants them) and values [kv_heads][cap][v_dim]: a head's positions lie
 * together, so that attending to them is one stream. f32, f16, bf16, or
 *
 *   int8, static     q = clamp(rne(x / s), -128, 127), s of the checkpoint, one a head: found by calibration (NaN is kept as -128)
 *   int8, dynamic    without such scales: one a head and position, max |x| / 127
 *   float8 (e4m3)    x / s, saturating; s of the checkpoint, else 1
 *
 * Every position is kept, also where a window would let old ones go: forgetting the tail
 * (truncation) then needs nothing, and windows only skip them.
 *
 * Address space for all `cap` positions is taken when a slot is first used; the system gives pages as positions are written, so an unused context
 * costs nothing. When a sequence has come half the way the cache goes over to pages of 2 MiB: with small ones a token at depth 4096 looks up
 * thousands of pages, each through tables that the weights have driven out of the caches since the last token.
 */
#ifndef PARE_GRAPH_KVCACHE_H
#define PARE_GRAPH_KVCACHE_H
#include "graph/graph.h"

typedef struct pare_kvslot {
    int64_t cap;               /* positions there is room for, whole panels */
    uint8_t *k, *v;
    float *k_scale, *v_scale;  /* [kv_heads][cap], dynamic int8 only */
    bool settled;              /* in big pages as far as they fit */
} pare_kvslot;

typedef struct pare_kvcache {
    pare_dtype dtype;
    int64_t kv_heads, k_dim, v_dim;
    const float *k_static, *v_static; /* [kv_heads], the graph's; or NULL */
    bool cross;                /* holds an encoder's rows: sized by the text */
    int64_t n_slots;
    pare_kvslot *slots;
} pare_kvcache;

bool pare_kv_dtype_ok(pare_dtype dtype);
/* dtype NONE: as the shape says, else `otherwise`. */
pare_status pare_kv_init(pare_kvcache *c, const pare_gcache *shape, pare_dtype dtype, pare_dtype otherwise, int64_t slots, pare_err *err);
void pare_kv_clear(pare_kvcache *c);
/* Bytes of `positions` of one slot; false when they overflow. */
bool pare_kv_bytes(const pare_kvcache *c, int64_t positions, uint64_t *bytes);
/* Room for `positions` of a slot; what was there is lost when it has to grow. */
pare_status pare_kv_reserve(pare_kvcache *c, int64_t slot, int64_t positions, pare_err *err);
/* Puts a slot that will be full of positions into big pages; false when it is already. Takes milliseconds. */
bool pare_kv_settle(pare_kvcache *c, int64_t slot);
void pare_kv_forget(pare_kvcache *c, int64_t slot); /* gives the slot's memory back */
/* Rows of one head: k [n] rows k_stride apart, v likewise, to positions pos ... pos + n - 1. room: for a row of keys, as f32. */
void pare_kv_write(const pare_kvcache *c, const pare_kernels *kernels, int64_t slot, int64_t head, int64_t pos, int64_t n, const float *k, int64_t k_stride,
                   const float *v, int64_t v_stride, void *room);
#endif
