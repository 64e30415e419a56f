/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of 16 values for the checks. */
#ifndef TABLE_CASE_H
#define TABLE_CASE_H
#include "kernel_check.h"

/* Random ascending values with shuffled codes; cuts are middles. Every second one divides. */
void table_make(int i, pare_table16 *t);
/* n values around the table's cuts times scale, ties and special values among them. */
void table_fill(float *x, int64_t n, float scale, const pare_table16 *t);
/* The code of x, by the definition. */
uint8_t table_plain(float x, float scale, const pare_table16 *t);
#endif
