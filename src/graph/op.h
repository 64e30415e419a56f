/* SPDX-License-Identifier: Apache-2.0 */
/* What the op_*.c files share: shape rules, and attributes that the engine looks at. */
#ifndef PARE_GRAPH_OP_H
#define PARE_GRAPH_OP_H
#include "graph/graph.h"

#define PARE_GOP(x) extern const pare_gop pare_gop_##x;
#include "graph/gops.def"
#undef PARE_GOP

/* A node of one input and one output whose sizes are floats: what elementwise ops are. */
typedef struct pare_op_floats { float a, b; } pare_op_floats;
typedef struct pare_op_linear { int count; } pare_op_linear; /* weights: count matrices, then count biases (or PARE_G_NONE) */
typedef struct pare_op_offset { int64_t offset; } pare_op_offset;

/* "[tokens, 2048]"; "none" for PARE_G_NONE. */
const char *pare_g_shape_text(const pare_graph *g, pare_gv v, char out[96]);
const char *pare_g_weight_shape_text(const pare_gweight *w, char out[96]);
const pare_gvalue *pare_g_value(const pare_graph *g, pare_gv v); /* of a node that was checked: never NULL */
int64_t pare_g_cols(const pare_graph *g, pare_gv v);             /* product of the dimensions after the first */
void pare_g_set_shape(pare_graph *g, pare_gv v, int ndim, const int64_t *shape);

/* Counts and dtypes: n_in f32 inputs of rank >= 1, n_out outputs, n_w weights (-1: any). */
pare_status pare_op_arity(const pare_graph *g, const pare_gnode *node, int n_in, int n_w, int n_out, pare_err *err);
/* Every input has the shape of input 0, and so has output 0. */
pare_status pare_op_same_shape(pare_graph *g, pare_gnode *node, pare_err *err);
/* Weight i of the node is a vector with n elements. */
pare_status pare_op_vector(const pare_graph *g, const pare_gnode *node, int i, int64_t n, pare_err *err);
bool pare_op_always(const pare_gnode *node);                     /* for pare_gop.inplace */
/* Rows of output 0 of the node. */
static inline int64_t pare_op_rows(const pare_exec *x, const pare_gnode *node) { return pare_x_rows(x, node->out[0]); }
#endif
