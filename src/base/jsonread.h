/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON behind a facade (the parser is a library). Duplicate keys, bad UTF-8, depth above 512 and trailing bytes are
 * errors that carry line and column. Members keep the order of the file. Writing is <pare/report.h>'s pare_json.
 */
#ifndef PARE_BASE_JSONREAD_H
#define PARE_BASE_JSONREAD_H
#include "base/status.h"

typedef struct pare_jdoc pare_jdoc;
typedef struct pare_jval pare_jval;   /* borrowed from its document */
typedef enum pare_jtype { PARE_J_NULL = 1, PARE_J_BOOL, PARE_J_INT, PARE_J_REAL, PARE_J_TEXT, PARE_J_ARRAY, PARE_J_OBJECT } pare_jtype;

pare_status pare_jdoc_parse(const char *text, size_t n, const char *where, pare_jdoc **out, pare_err *err);
pare_status pare_jdoc_load(const char *path, size_t max_bytes, pare_jdoc **out, pare_err *err); /* whole file */
void pare_jdoc_free(pare_jdoc *doc);
const pare_jval *pare_jdoc_root(const pare_jdoc *doc);

pare_jtype pare_j_type(const pare_jval *v);                       /* NULL value: PARE_J_NULL */
const pare_jval *pare_j_get(const pare_jval *object, const char *key); /* NULL when absent or not an object */
const pare_jval *pare_j_at(const pare_jval *array, size_t i);
size_t pare_j_count(const pare_jval *v);                          /* elements or members; 0 otherwise */
/* Iterates an object in file order: i in [0, count). O(1) each when walked forward. */
const pare_jval *pare_j_member(const pare_jval *object, size_t i, const char **key);
/* Typed reads with a default when absent (or null) or of another type. */
const char *pare_j_text(const pare_jval *v, const char *or_else);
int64_t pare_j_int(const pare_jval *v, int64_t or_else);
double pare_j_real(const pare_jval *v, double or_else);
bool pare_j_bool(const pare_jval *v, bool or_else);
/* Re-emits a value as JSON text (pretty, 2 spaces per level, starting at `level`). Free with pare_dealloc(). */
pare_status pare_j_dump(const pare_jval *v, int level, char **out, pare_err *err);
#endif
