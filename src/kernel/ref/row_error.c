/* SPDX-License-Identifier: Apache-2.0 */
/* Error sums of y against x in canonical order; see rows.h. */
#include "kernel/level.h"
#include "kernel/ref/rows.h"

void PARE_REF(row_error)(const float *x, const float *y, int64_t n, pare_row_error *out)
{
    pare_error_lanes lanes = { 0 };
    pare_error_lanes_add(&lanes, x, y, n);
    pare_error_lanes_finish(&lanes, out);
}
