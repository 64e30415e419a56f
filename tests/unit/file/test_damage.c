/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Good files, damaged everywhere: cut off at every length, every bit turned over, every 4 bytes made huge. Whatever comes
 * of it must be an error or a checkpoint that can be read through; sanitizers watch.
 */
#include "make.h"

static int opened, refused;

static void try_open(const char *name, const uint8_t *bytes, size_t n)
{
    pare_err err = {0};
    pare_store *s = NULL;
    uint8_t *exact = malloc(n ? n : 1);
    memcpy(exact, bytes, n);
    pare_status st = pare_store_open_memory(name, exact, n, NULL, &s, &err);
    for (int64_t i = 0; st == PARE_OK && i < s->n_tensors; i++) {
        const uint8_t *data;
        volatile uint8_t sum = 0;
        if (s->tensors[i].bytes > 1 << 20) continue;
        pare_err one = {0};
        if (pare_store_data(s, i, &data, &one) != PARE_OK) {
            assert_true(one.text[0]);
            continue;
        }
        for (uint64_t k = 0; k < s->tensors[i].bytes; k++) sum = (uint8_t)(sum + data[k]);
        pare_store_release(s, i);
    }
    if (st != PARE_OK) {
        assert_int_equal(st, err.code);
        assert_true(err.text[0]);
        assert_true(st == PARE_ERR_FORMAT || st == PARE_ERR_UNSUPPORTED);
    }
    opened += st == PARE_OK;
    refused += st != PARE_OK;
    pare_store_close(s);
    free(exact);
}

/* No prefix of a good file is a good file. */
static void damage(const char *name, const buf *good)
{
    buf b = {0};
    pare_err err;
    pare_store *s = NULL;
    if (pare_store_open_memory(name, good->at, good->n, NULL, &s, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_store_close(s);
    opened = 0;
    for (size_t n = 0; n < good->n; n++) try_open(name, good->at, n);
    assert_int_equal(opened, 0);
    for (size_t i = 0; i < good->n; i++) {
        static const uint32_t huge[] = {0xffffffff, 0x7fffffff, 0x80000000, 0};
        b.n = 0;
        buf_put(&b, good->at, good->n);
        for (int bit = 0; bit < 8; bit++) {
            b.at[i] = (uint8_t)(good->at[i] ^ 1 << bit);
            try_open(name, b.at, b.n);
        }
        for (int k = 0; k < 4 && i + 4 <= good->n; k++) {
            buf_set(&b, i, huge[k], 4);
            try_open(name, b.at, b.n);
        }
    }
    print_message("%s: %d damaged files opened, %d refused\n", name, opened, refused);
    buf_clear(&b);
}

static const char pickle[] =
    PK_DICT(PK_ITEM("a", PK_W) PK_ITEM("b", PK_W) PK_ITEM("t", PK_TENSOR("FloatStorage", "6", "I3\nI2\n", "I1\nI3\n")));

static void safetensors(void **state)
{
    (void)state;
    buf b = {0};
    make_safetensors(&b,
                     "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":"
                     "\"I8\",\"shape\":[],\"data_offsets\":[8,9]}} ",
                     9);
    damage("x.safetensors", &b);
    buf_clear(&b);
}

static void torch_zip(void **state)
{
    (void)state;
    buf b = {0};
    make_torch_zip(&b, pickle, sizeof pickle - 1, 24);
    damage("x.pt", &b);
    buf_clear(&b);
}

static void torch_legacy(void **state)
{
    (void)state;
    buf b = {0};
    make_torch_legacy(&b, pickle, sizeof pickle - 1, 6, 24);
    damage("x.pt", &b);
    buf_clear(&b);
}

static void npy(void **state)
{
    (void)state;
    buf b = {0};
    make_npy(&b, "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }  \n", "abcdefghijklmnopqrstuvwx", 24);
    damage("x.npy", &b);
    buf_clear(&b);
}

static void npz(void **state)
{
    (void)state;
    buf b = {0}, array = {0};
    zipper z = {.out = &b};
    make_npy(&array, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", "abcdefghijklmnopqrstuvwx", 24);
    zip_add(&z, "a.npy", array.at, array.n, true);
    zip_add(&z, "b.npy", array.at, array.n, false);
    zip_end(&z);
    damage("x.npz", &b);
    buf_clear(&b);
    buf_clear(&array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(safetensors), cmocka_unit_test(torch_zip), cmocka_unit_test(torch_legacy),
                                       cmocka_unit_test(npy), cmocka_unit_test(npz)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
