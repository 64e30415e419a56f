/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of malformed files. Each function hands its cases to emit(), one by one. */
#ifndef PARE_TEST_BAD_H
#define PARE_TEST_BAD_H
#include "make.h"
typedef struct bad_case {
    const char *file;      /* name that the reader is told; its extension matters */
    const char *what;      /* what is wrong with it */
    const void *bytes; size_t n;
    const char *expected;  /* part of the message */
} bad_case;
typedef void bad_emit(const bad_case *c);
void bad_safetensors(bad_emit *emit);
void bad_npy(bad_emit *emit);
void bad_zip(bad_emit *emit);
void bad_pickle(bad_emit *emit);
void bad_torch(bad_emit *emit);
void bad_index(bad_emit *emit);   /* file ends in .index.json */
void bad_other(bad_emit *emit);
#endif
