/* SPDX-License-Identifier: Apache-2.0 */
/* Growable text buffer and small string helpers. */
#ifndef PARE_BASE_STR_H
#define PARE_BASE_STR_H
#include <stdarg.h>
#include "base/alloc.h"

/*
 * vsnprintf in the C locale whatever the program has set: numbers in our text always have a '.'. Text that does not fit is
 * cut before a UTF-8 character, never inside it. Returns the length the whole text would have had, or -1.
 */
int pare_vformat(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
int pare_print(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

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
bool pare_parse_f64(const char *text, double *out);       /* '.' is the decimal point in every locale */
bool pare_parse_size(const char *text, uint64_t *out);    /* "4GiB" (2^30), "4GB" or "4G" (10^9), "500M", "1.5TB", "123" */
void pare_format_bytes(uint64_t bytes, char out[32]);     /* "1.42 GiB" */
void pare_format_real(double value, char out[32]);        /* shortest text that reads back to the same double */
bool pare_utf8_valid(const char *text, size_t n);
size_t pare_utf8_length(const char *text, size_t n);      /* bytes of the character at text, 0 when malformed or n = 0 */
#endif
