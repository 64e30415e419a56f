/* SPDX-License-Identifier: Apache-2.0 */
/* Shard indexes: every file that one names must be a plain relative name. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pare_err err = {0};
    pare_shard_index x;
    pare_status st = pare_shard_index_parse((const char *)data, size, "m.index.json", &x, &err);
    if (st != PARE_OK) {
        fuzz_check_error(st, &err);
        return 0;
    }
    FUZZ_CHECK(x.n_files > 0 && x.n_files <= x.n_entries);
    for (int i = 0; i < x.n_files; i++) {
        FUZZ_CHECK(pare_path_is_safe(x.files[i]) && x.files[i][0] != '/' && strcmp(x.files[i], "..") != 0 &&
                   strncmp(x.files[i], "../", 3) != 0);
        FUZZ_CHECK(!strstr(x.files[i], "/../") && !pare_str_ends(x.files[i], "/.."));
        FUZZ_CHECK(i == 0 || strcmp(x.files[i - 1], x.files[i]) < 0);
    }
    for (int64_t i = 0; i < x.n_entries; i++) FUZZ_CHECK(x.entries[i].file >= 0 && x.entries[i].file < x.n_files);
    pare_shard_index_clear(&x);
    return 0;
}
