/* SPDX-License-Identifier: Apache-2.0 */
/* The activation functions of nn.h on one element, and a switch over them that stands outside the loops. */
#ifndef PARE_KERNEL_REF_ACTIVATIONS_H
#define PARE_KERNEL_REF_ACTIVATIONS_H
#include "kernel/nn.h"
#include "kernel/ref/vmath.h"

PARE_INLINE float pare_act_identity(float x) { return x; }
PARE_INLINE float pare_act_relu(float x) { return x < 0.0f ? 0.0f : x; }
PARE_INLINE float pare_act_relu2(float x) { return x < 0.0f ? 0.0f : x * x; }
PARE_INLINE float pare_act_silu(float x) { return x * pare_sigmoid(x); }
PARE_INLINE float pare_act_gelu(float x) { return x * pare_phi(x); }
/* (1 + tanh u) / 2 = sigmoid(2 u); 2 sqrt(2 / pi) = 1.5957691, times 0.044715 = 0.07135481 */
PARE_INLINE float pare_act_gelu_tanh(float x) { return x * pare_sigmoid(x * (1.5957691216f + 0.0713548162726f * (x * x))); }
PARE_INLINE float pare_act_gelu_quick(float x) { return x * pare_sigmoid(1.702f * x); }

/* LOOP(function) for the function of `kind` */
#define PARE_ACTIVATE(kind, LOOP)                                  \
    switch (kind) {                                                \
    case PARE_ACT_FN_IDENTITY: LOOP(pare_act_identity) break;      \
    case PARE_ACT_FN_RELU: LOOP(pare_act_relu) break;              \
    case PARE_ACT_FN_RELU2: LOOP(pare_act_relu2) break;            \
    case PARE_ACT_FN_SILU: LOOP(pare_act_silu) break;              \
    case PARE_ACT_FN_GELU: LOOP(pare_act_gelu) break;              \
    case PARE_ACT_FN_GELU_TANH: LOOP(pare_act_gelu_tanh) break;    \
    case PARE_ACT_FN_GELU_QUICK: LOOP(pare_act_gelu_quick) break;  \
    case PARE_ACT_FN_TANH: LOOP(pare_tanh) break;                  \
    case PARE_ACT_FN_SIGMOID: LOOP(pare_sigmoid) break;            \
    }
#endif
