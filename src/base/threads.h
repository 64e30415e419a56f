/* SPDX-License-Identifier: Apache-2.0 */
/* The worker pool behind pare_parallel(), for base only. It is made when the first parallel loop needs it. */
#ifndef PARE_BASE_THREADS_H
#define PARE_BASE_THREADS_H
#include "base/ctx.h"
void pare_pool_free(struct pare_pool *pool); /* NULL is fine */
#endif
