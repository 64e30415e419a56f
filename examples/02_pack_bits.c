/* SPDX-License-Identifier: Apache-2.0 */
/* Packs 2-bit codes into bytes, first code in the lowest bits, and takes them out again. */
#include <pare/pare.h>
#include <stdio.h>

int main(void) {
    const uint8_t codes[8] = {1, 0, 3, 2, 3, 3, 3, 3};
    uint8_t packed[2], again[8];
    size_t bytes;
    pare_err err = {0};
    if (pare_packed_bytes(PARE_PACK_LSB, 2, 1, 8, &bytes, &err) != PARE_OK || bytes != sizeof packed ||
        pare_pack(PARE_PACK_LSB, 2, 1, 8, codes, packed, &err) != PARE_OK || pare_unpack(PARE_PACK_LSB, 2, 1, 8, packed, again, &err) != PARE_OK) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    printf("packed: %u %u\nback:  ", packed[0], packed[1]); /* 177 255 */
    for (int i = 0; i < 8; i++) printf(" %u", again[i]);
    printf("\n");
    return 0;
}
