/* SPDX-License-Identifier: Apache-2.0 */
/* Says how much it did: twice the rounds, twice the operations; nothing where there are no tiles. */
#include "kernel_check.h"

void check_roof_bf16_tile(const pare_kernels *ref, const pare_kernels *k)
{
    float sink = 1;
    const int64_t one = k->roof_bf16_tile(1, &sink), many = k->roof_bf16_tile(1000, &sink);
    assert_int_equal(k->roof_bf16_tile(0, &sink), 0);
    assert_int_equal(many, one * 1000);
    assert_int_equal(ref->roof_bf16_tile(0, &sink), 0);
    assert_true((one > 0) == (strcmp(k->isa, "amx") == 0));
}
