/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-J's graph, which CodeGen shares but for the layers that make q, k and v. Lives in arch_gptj.c. */
#ifndef PARE_MODEL_GPTJ_H
#define PARE_MODEL_GPTJ_H
#include "model/settings.h"

typedef struct pare_gptj_sizes { int64_t hidden, layers, heads, ffn, vocab, positions, rotary, dim; float eps; pare_activation act; pare_rope rope; } pare_gptj_sizes;
/* q, k and v [tokens, hidden] of layer module p out of its normed input. */
typedef void (*pare_gptj_heads)(pare_graph *g, const pare_gptj_sizes *z, const char *p, pare_gv x, pare_gv qkv[3]);
void pare_gptj_graph(const pare_jval *config, const pare_gnames *names, pare_graph *g, const char *family, pare_gptj_heads heads);
#endif
