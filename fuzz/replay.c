/* SPDX-License-Identifier: Apache-2.0 */
/* Runs files, or every file of folders, through a fuzz target once: the corpus as a test, without libFuzzer. */
#include "fuzz.h"

static int replay_file(const char *path)
{
    pare_err err;
    char *text = NULL;
    size_t n = 0;
    if (pare_read_file(path, (size_t)1 << 30, &text, &n, &err) != PARE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    uint8_t *exact = malloc(n ? n : 1); /* no byte more, so that sanitizers see a read behind the end */
    if (exact) {
        memcpy(exact, text, n);
        LLVMFuzzerTestOneInput(exact, n);
    }
    free(exact);
    pare_dealloc(text);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        pare_names names = {0};
        if (!pare_path_is_folder(argv[i])) {
            failed += pare_path_exists(argv[i]) ? replay_file(argv[i]) : 0;
            count += pare_path_exists(argv[i]);
            continue;
        }
        if (pare_list_folder(argv[i], &names, NULL) != PARE_OK) return 1;
        for (size_t k = 0; k < names.n; k++, count++) {
            char *path = pare_path_join(argv[i], names.at[k]);
            failed += path ? replay_file(path) : 1;
            pare_dealloc(path);
        }
        pare_names_clear(&names);
    }
    printf("%zu inputs\n", count);
    if (failed) return 1;
    return count ? 0 : 77; /* 77: nothing to run, skipped */
}
