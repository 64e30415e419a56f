/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Malformed files: every one must be refused with the expected words, whatever it claims. The tables are in bad_*.c.
 * test_bad_files --dump FOLDER writes all of them there, with messages.tsv (file, what is wrong, part of the message).
 */
#include <sys/stat.h>
#include "bad.h"

static pare_err err;
static int n_cases, n_wrong;
static const char *dump_folder;
static FILE *dump_list;

/* Exactly as many bytes as there are, so that a read behind them is seen. */
static pare_status open_case(const bad_case *c, const uint8_t *bytes)
{
    pare_store *store = NULL;
    pare_shard_index index;
    if (pare_str_ends(c->file, ".index.json")) {
        pare_status st = pare_shard_index_parse((const char *)bytes, c->n, c->file, &index, &err);
        if (st == PARE_OK) pare_shard_index_clear(&index);
        return st;
    }
    pare_status st = pare_store_open_memory(c->file, bytes, c->n, NULL, &store, &err);
    for (int64_t i = 0; st == PARE_OK && i < store->n_tensors; i++) {
        const uint8_t *data;
        st = pare_store_data(store, i, &data, &err);
        pare_store_release(store, i);
    }
    pare_store_close(store);
    return st;
}

/* Says what is wrong and goes on, so that one run shows all that changed. */
static void complain(const bad_case *c, const char *why, const char *expected)
{
    n_wrong++;
    print_error("%s (%s): %s '%s', got %s: '%s'\n", c->file, c->what, why, expected, pare_status_name(err.code), err.text);
}

static void refuse(const bad_case *c)
{
    uint8_t *bytes = malloc(c->n ? c->n : 1);
    memcpy(bytes, c->bytes, c->n);
    memset(&err, 0, sizeof err);
    n_cases++;
    pare_status st = open_case(c, bytes);
    free(bytes);
    if (st == PARE_OK) complain(c, "was taken; expected", c->expected);
    else if (!strstr(err.text, c->expected)) complain(c, "expected", c->expected);
    else if (st != err.code || (st != PARE_ERR_FORMAT && st != PARE_ERR_UNSUPPORTED))
        complain(c, "expected a status of", "format or unsupported");
}

static void dump(const bad_case *c)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%03d-%s", dump_folder, ++n_cases, c->file);
    test_write(path, c->bytes, c->n);
    fprintf(dump_list, "%03d-%s\t%s\t%s\n", n_cases, c->file, c->what, c->expected);
}

static void all(bad_emit *emit)
{
    bad_safetensors(emit);
    bad_npy(emit);
    bad_zip(emit);
    bad_pickle(emit);
    bad_torch(emit);
    bad_index(emit);
    bad_other(emit);
}

static void check_table(void (*table)(bad_emit *emit))
{
    n_wrong = 0;
    table(refuse);
    assert_int_equal(n_wrong, 0);
}

static void safetensors_files(void **state) { (void)state, check_table(bad_safetensors); }
static void npy_files(void **state) { (void)state, check_table(bad_npy); }
static void zip_files(void **state) { (void)state, check_table(bad_zip); }
static void pickle_files(void **state) { (void)state, check_table(bad_pickle); }
static void torch_files(void **state) { (void)state, check_table(bad_torch); }
static void index_files(void **state) { (void)state, check_table(bad_index); }
static void other_files(void **state) { (void)state, check_table(bad_other); }
static void enough(void **state)
{
    (void)state;
    print_message("%d malformed files were refused\n", n_cases);
    assert_true(n_cases >= 200);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_files), cmocka_unit_test(npy_files),   cmocka_unit_test(zip_files),   cmocka_unit_test(pickle_files),
        cmocka_unit_test(torch_files),       cmocka_unit_test(index_files), cmocka_unit_test(other_files), cmocka_unit_test(enough),
    };
    if (argc == 3 && !strcmp(argv[1], "--dump")) {
        char list[600];
        dump_folder = argv[2];
        mkdir(dump_folder, 0777);
        snprintf(list, sizeof list, "%s/messages.tsv", dump_folder);
        dump_list = fopen(list, "w");
        if (!dump_list) return 1;
        all(dump);
        return fclose(dump_list) != 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
