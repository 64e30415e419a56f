/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safetensors. Input that begins with '{' is a header, to which the length and 256 bytes of data are added. Where the fast
 * header reader takes a header, the general JSON parser must see the same in it.
 */
#include "fuzz.h"
#include "file/safetensors_scan.h"

static void check_entry(const pare_st_entry *e, const pare_jval *value)
{
    const pare_jval *shape = pare_j_get(value, "shape"), *offsets = pare_j_get(value, "data_offsets");
    const char *dtype = pare_j_text(pare_j_get(value, "dtype"), "");
    FUZZ_CHECK(pare_j_count(value) == 3);
    FUZZ_CHECK(pare_dtype_from_safetensors(dtype, strlen(dtype)) == e->dtype);
    FUZZ_CHECK(pare_j_type(shape) == PARE_J_ARRAY && (int)pare_j_count(shape) == e->ndim);
    for (int i = 0; i < e->ndim; i++) FUZZ_CHECK(pare_j_int(pare_j_at(shape, (size_t)i), -1) == e->shape[i]);
    FUZZ_CHECK(pare_j_int(pare_j_at(offsets, 0), -1) == (int64_t)e->begin && pare_j_int(pare_j_at(offsets, 1), -1) == (int64_t)e->end);
}

static void compare_readers(const char *text, size_t n)
{
    pare_err err = {0};
    pare_st_header h;
    pare_jdoc *doc = NULL;
    if (pare_st_scan(text, n, &h, &err) != PARE_OK) return;
    pare_status st = pare_jdoc_parse(text, n, "header", &doc, &err);
    FUZZ_CHECK(st == PARE_OK || strstr(err.text, "duplicate")); /* names that repeat are found later by the fast way */
    size_t tensors = 0;
    for (size_t i = 0; st == PARE_OK && i < pare_j_count(pare_jdoc_root(doc)); i++) {
        const char *name;
        const pare_jval *value = pare_j_member(pare_jdoc_root(doc), i, &name);
        if (!strcmp(name, "__metadata__")) {
            FUZZ_CHECK(pare_j_count(value) == h.metadata.n);
            continue;
        }
        FUZZ_CHECK(tensors < h.entries.n && !strcmp(h.entries.at[tensors].name, name));
        check_entry(&h.entries.at[tensors++], value);
    }
    FUZZ_CHECK(st != PARE_OK || tensors == h.entries.n);
    pare_jdoc_free(doc);
    pare_st_header_clear(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '{') {
        fuzz_file("x.safetensors", NULL, data, size);
        return 0;
    }
    compare_readers((const char *)data, size);
    uint8_t *file = calloc(1, size + 8 + 256);
    if (!file) return 0;
    pare_put_le64(file, size);
    memcpy(file + 8, data, size);
    fuzz_file("x.safetensors", "safetensors", file, size + 8 + 256);
    fuzz_file("x.safetensors", "safetensors", file, size + 8);
    free(file);
    return 0;
}
