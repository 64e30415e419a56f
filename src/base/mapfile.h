/* SPDX-License-Identifier: Apache-2.0 */
/* A file mapped read-only. Truncation by another process while mapped raises SIGBUS, as for every mmap reader. */
#ifndef PARE_BASE_MAPFILE_H
#define PARE_BASE_MAPFILE_H
#include "base/status.h"
typedef struct pare_map { const uint8_t *at; size_t n; char *path; int64_t mtime_ns; } pare_map;
pare_status pare_map_open(const char *path, pare_map *out, pare_err *err);  /* an empty file maps to at="" n=0 */
void pare_map_close(pare_map *map);
void pare_map_sequential(const pare_map *map);                              /* hint */
void pare_map_drop(const pare_map *map, size_t offset, size_t n);           /* give pages back (MADV_DONTNEED); content stays readable */
/* Whole small file into heap memory, NUL-terminated. Fails above max_bytes. Free with pare_dealloc. */
pare_status pare_read_file(const char *path, size_t max_bytes, char **out, size_t *n, pare_err *err);
#endif
