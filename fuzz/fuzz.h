/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: a file in memory is opened as one container, every tensor is read, everything is closed. */
#ifndef PARE_FUZZ_H
#define PARE_FUZZ_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the library that did not hold: makes the fuzzer stop. */
#define FUZZ_CHECK(condition)                                                   \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);     \
            abort();                                                            \
        }                                                                       \
    } while (0)

/* An error has a status and one sentence. */
static inline void fuzz_check_error(pare_status st, const pare_err *err)
{
    FUZZ_CHECK(st == err->code && err->text[0] && memchr(err->text, 0, sizeof err->text));
    FUZZ_CHECK(st == PARE_ERR_FORMAT || st == PARE_ERR_UNSUPPORTED);
}

static inline void fuzz_read_tensor(pare_store *s, int64_t i)
{
    pare_err err = {0};
    const pare_tensor *t = &s->tensors[i];
    const uint8_t *data = NULL;
    volatile uint8_t sum = 0;
    FUZZ_CHECK(pare_store_find(s, t->name) == i);
    FUZZ_CHECK(t->alias_of < i && t->alias_of >= -1);
    if (t->bytes > 1 << 22) return;
    pare_status st = pare_store_data(s, i, &data, &err);
    if (st != PARE_OK) fuzz_check_error(st, &err);
    for (uint64_t k = 0; st == PARE_OK && k < t->bytes; k++) sum = (uint8_t)(sum + data[k]);
    pare_store_release(s, i);
}

static inline void fuzz_file(const char *name, const char *format, const uint8_t *data, size_t size)
{
    pare_err err = {0};
    pare_store *s = NULL;
    pare_status st = pare_store_open_memory(name, data, size, format ? pare_format_find(format) : NULL, &s, &err);
    if (st != PARE_OK) fuzz_check_error(st, &err);
    for (int64_t i = 0; st == PARE_OK && i < s->n_tensors; i++) fuzz_read_tensor(s, i);
    pare_store_close(s);
}
#endif
