/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON facade: what it takes is walked, printed, and must be the same when read again. */
#include "fuzz.h"

static size_t walk(const pare_jval *v, int depth)
{
    size_t n = 1;
    if (depth > 600) abort();
    for (size_t i = 0; i < pare_j_count(v); i++) {
        const char *key = NULL;
        const pare_jval *item = pare_j_type(v) == PARE_J_OBJECT ? pare_j_member(v, i, &key) : pare_j_at(v, i);
        if (key) FUZZ_CHECK(pare_j_get(v, key) == item);
        n += walk(item, depth + 1);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_err err = {0};
    pare_jdoc *doc = NULL, *again = NULL;
    char *text = NULL;
    pare_status st = pare_jdoc_parse((const char *)data, size, "x.json", &doc, &err);
    if (st != PARE_OK) {
        fuzz_check_error(st, &err);
        return 0;
    }
    size_t n = walk(pare_jdoc_root(doc), 0);
    if (pare_j_dump(pare_jdoc_root(doc), 0, &text, &err) == PARE_OK) {
        FUZZ_CHECK(pare_jdoc_parse(text, strlen(text), "again", &again, &err) == PARE_OK);
        FUZZ_CHECK(walk(pare_jdoc_root(again), 0) == n);
    }
    pare_jdoc_free(again);
    pare_jdoc_free(doc);
    pare_dealloc(text);
    return 0;
}
