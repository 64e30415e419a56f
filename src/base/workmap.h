/* SPDX-License-Identifier: Apache-2.0 */
/* Working memory that may lie in a file: for what is too large to stay in memory and is gone with the job. */
#ifndef PARE_BASE_WORKMAP_H
#define PARE_BASE_WORKMAP_H
#include "base/status.h"
typedef struct pare_workmap { uint8_t *at; size_t n; char *path; bool mapped; } pare_workmap;
/* n bytes, 64-aligned. path NULL: memory. Else a file of that size, made (or replaced), its space reserved, mapped shared. */
pare_status pare_workmap_open(const char *path, size_t n, const char *what, pare_workmap *out, pare_err *err);
void pare_workmap_close(pare_workmap *m); /* removes the file */
#endif
