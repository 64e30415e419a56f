/* SPDX-License-Identifier: Apache-2.0 */
/* npz, and with it the ZIP reader and inflating. The CRC of the input is not repaired: a wrong one is only seen when data is asked for. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("x.npz", "npz", data, size);
    return 0;
}
