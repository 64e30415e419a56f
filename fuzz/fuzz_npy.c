/* SPDX-License-Identifier: Apache-2.0 */
/* npy. Input that begins with '{' is a header text: magic, version 1.0, length and 64 bytes of data are added. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || data[0] != '{' || size > 65535) {
        fuzz_file("x.npy", NULL, data, size);
        return 0;
    }
    uint8_t *file = calloc(1, 10 + size + 64);
    if (!file) return 0;
    memcpy(file, "\x93NUMPY\1\0", 8);
    pare_put_le16(file + 8, (uint16_t)size);
    memcpy(file + 10, data, size);
    for (size_t n = 0; n <= 64; n = n ? n * 2 : 1) fuzz_file("x.npy", "npy", file, 10 + size + n);
    free(file);
    return 0;
}
