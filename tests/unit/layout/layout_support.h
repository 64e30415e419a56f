/* SPDX-License-Identifier: Apache-2.0 */
/* Help for the tests of src/layout: checkpoints made of given tensors, layers made of given codes. */
#ifndef LAYOUT_SUPPORT_H
#define LAYOUT_SUPPORT_H
#include "support/support.h"
#include "layout/layout.h"

/* A checkpoint folder in the making: tensors in the order given, written as model.safetensors by code of its own. */
typedef struct ckpt_tensor { char name[96]; pare_dtype dtype; int ndim; int64_t shape[8]; uint8_t *data; size_t bytes; } ckpt_tensor;
typedef struct ckpt {
    char folder[256];
    ckpt_tensor at[64]; int n;
    char metadata[512];           /* members of __metadata__, JSON */
} ckpt;
ckpt *ckpt_new(void);
void ckpt_free(ckpt *c);          /* removes the folder too */
ckpt_tensor *ckpt_add(ckpt *c, const char *name, pare_dtype dtype, int ndim, const int64_t *shape, const void *data); /* data NULL = zeros */
ckpt_tensor *ckpt_get(ckpt *c, const char *name);       /* fails the test when absent */
void ckpt_remove(ckpt *c, const char *name);
void ckpt_file(ckpt *c, const char *name, const char *text);
/* Writes, opens, binds. On failure *store and *w are NULL. */
pare_status ckpt_open(ckpt *c, pare_ctx *ctx, pare_store **store, pare_weights **w, pare_err *err);

/* Deterministic numbers. */
uint64_t rnd(uint64_t *state);
float rnd_float(uint64_t *state);   /* in [-1, 1) */

/* One layer of random codes, scales of scale_dtype, zero points the scheme allows. */
typedef struct layer { pare_scheme scheme; int64_t rows, cols, n_scales; uint8_t *codes; float *scales; int32_t *zeros; bool shifted; /* stored with a bf16 shift: quanto's rule */
                       float *fzeros, global; pare_nested nested; } layer;
layer *layer_new(const pare_scheme *scheme, int64_t rows, int64_t cols, uint64_t seed);
void layer_free(layer *l);
/* Its value at row r, column c. */
float layer_value(const layer *l, int64_t r, int64_t c);
/* Packs it under `layout` in pieces (shuffled, sizes from seed; 0 = one piece) and adds the parts as "<module><suffix>". */
void layer_pack(ckpt *c, const pare_layout *layout, const layer *l, const char *module, pare_dtype model_dtype, uint64_t seed);
/* Writes config.json (with `extra` members, may be "") and the layout's files for these modules. */
void write_config(ckpt *c, const pare_layout *layout, const char *const *modules, const layer *const *layers, int n, const char *const *kept,
                  int n_kept, pare_dtype model_dtype, const char *extra);
char *config_text(const pare_layout *layout, const pare_layout_job *job); /* {"quantization_config": ...}; pare_free */

pare_scheme scheme_int(int bits, bool symmetric, pare_granularity granularity, int64_t group);
pare_scheme scheme_fp8(pare_granularity granularity);
#endif
