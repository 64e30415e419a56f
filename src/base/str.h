/* SPDX-License-Identifier: Apache-2.0 */
/* Growable text buffer and small string helpers. */
#ifndef PARE_BASE_STR_H
#define PARE_BASE_STR_H
#include "base/alloc.h"

/* Appends keep the text NUL-terminated; after a failed allocation `failed` stays set and later appends do nothing. */
typedef struct pare_str { char *at; size_t n, cap; bool failed; } pare_str;
void pare_str_clear(pare_str *s);
void pare_str_add(pare_str *s, const char *text);
void pare_str_addn(pare_str *s, const char *text, size_t n);
void pare_str_printf(pare_str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *pare_str_take(pare_str *s);                         /* hands over the heap text (never NULL unless failed) */
char *pare_strdup(const char *text);
bool pare_str_starts(const char *text, const char *prefix);
bool pare_str_ends(const char *text, const char *suffix);
bool pare_str_same_nocase(const char *a, const char *b);  /* ASCII */
/* Edit distance, for "did you mean"; at most `limit`. */
int pare_str_distance(const char *a, const char *b, int limit);
bool pare_parse_i64(const char *text, int64_t *out);      /* whole text must be a number */
bool pare_parse_f64(const char *text, double *out);
bool pare_parse_size(const char *text, uint64_t *out);    /* "4GiB", "4GB", "500M", "123" */
void pare_format_bytes(uint64_t bytes, char out[32]);     /* "1.42 GiB" */
void pare_format_real(double value, char out[32]);        /* shortest text that reads back to the same double */
bool pare_utf8_valid(const char *text, size_t n);
#endif
