/* SPDX-License-Identifier: Apache-2.0 */
/* Binary tokenizer files: a SentencePiece model, or (first byte 0xFF, dropped) a llama2.c tokenizer. They are read from a file. */
#include <unistd.h>
#include "fuzz.h"
#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[] = "/dev/shm/pare-fuzz-XXXXXX.model", other[] = "/dev/shm/pare-fuzz-XXXXXX.bin\0";
    pare_err err = {0};
    pare_tokenizer *t = NULL;
    pare_ids ids = {0};
    bool bin = size > 0 && data[0] == 0xFF;
    char *name = bin ? other : path;
    int fd = mkstemps(name, bin ? 4 : 6);
    if (fd < 0) return 0;
    bool written = write(fd, data + bin, size - bin) == (ssize_t)(size - bin);
    close(fd);
    pare_status st = written ? pare_tokenizer_open(name, &t, &err) : PARE_ERR_IO;
    unlink(name);
    if (st == PARE_OK) {
        st = pare_tokenizer_encode(t, "Hello w\xC3\xB6rld 12 \xF0\x9F\x98\x80", 20, true, NULL, &ids, &err);
        FUZZ_CHECK(st == PARE_OK || err.text[0]);
        for (size_t i = 0; i < ids.n; i++) FUZZ_CHECK(ids.at[i] >= 0);
    } else if (written) {
        FUZZ_CHECK(st == err.code && err.text[0]);
    }
    PARE_VEC_CLEAR(&ids);
    pare_tokenizer_free(t);
    return 0;
}
