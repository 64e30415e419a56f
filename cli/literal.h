/* SPDX-License-Identifier: Apache-2.0 */
/* A tensor written out on the command line: '[[191.6, -13.5], [92.1, 295.5]]', any rank up to 8. */
#ifndef PARE_CLI_LITERAL_H
#define PARE_CLI_LITERAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct literal {
    float *values; /* heap */
    int64_t n, cap;
    int ndim;
    int64_t shape[8];
    char wrong[160]; /* why literal_parse() failed */
} literal;

/* Lists must be equally long at every depth. False: see wrong. */
bool literal_parse(const char *text, literal *out);
void literal_clear(literal *l);
#endif
