/* SPDX-License-Identifier: Apache-2.0 */
/* Face header of src/method: algorithms that choose codes and scales, over the quantizers. A method declares what it needs and its scope. */
#ifndef PARE_METHOD_H
#define PARE_METHOD_H
#include "base/base.h"
#include "quant/quant.h"

typedef enum pare_needs { PARE_NEEDS_NOTHING = 0 } pare_needs;  /* absmax, Hessian, raw inputs, gradients come with calibration */
typedef enum pare_scope { PARE_SCOPE_LINEAR = 1 } pare_scope;   /* groups that share an input and blocks likewise */

typedef struct pare_method {
    const char *name, *help, *paper;
    pare_needs needs;
    pare_scope scope;
    const pare_option *options;    /* ends with name NULL */
    /* Turns options into scheme fields (e.g. clip=mse), refuses schemes it cannot serve. */
    pare_status (*prepare)(const pare_params *params, pare_scheme *scheme, pare_err *err);
    /* Data-free methods work on rows as they stream by. */
    pare_status (*rows)(const pare_kernels *k, const pare_scheme *scheme, const pare_rows_in *in, void *scratch, pare_rows_out *out, pare_err *err);
    size_t (*scratch)(const pare_scheme *scheme, int64_t cols);
} pare_method;
const pare_method *pare_method_find(const char *name);   /* NULL when unknown */
const pare_method *const *pare_methods(void);            /* NULL-terminated */
#endif
