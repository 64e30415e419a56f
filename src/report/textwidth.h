/* SPDX-License-Identifier: Apache-2.0 */
/* How many terminal cells a UTF-8 text takes, and how to cut it to fit: alignment of tables and titles depends on it. */
#ifndef PARE_REPORT_TEXTWIDTH_H
#define PARE_REPORT_TEXTWIDTH_H
#include "base/base.h"

/* Decodes one code point at text (n bytes left, n > 0) and returns the bytes taken; bad bytes give U+FFFD and 1. */
size_t pare_utf8_next(const char *text, size_t n, uint32_t *code);
/* Cells of one code point: 0 combining, 2 East Asian wide and emoji, else 1. */
int pare_code_width(uint32_t code);
/* Cells of a text as pare_text_add() would print it. */
int pare_text_width(const char *text);
/*
 * Appends text with control characters and bad bytes replaced by U+FFFD (names come from hostile files and a terminal
 * obeys escapes), padded to `width` cells. Longer text loses its middle to an ellipsis. width < 0: as long as it is.
 */
void pare_text_add(pare_str *s, const char *text, int width, bool right);
void pare_text_repeat(pare_str *s, const char *text, int times);
#endif
