/* SPDX-License-Identifier: Apache-2.0 */
/* c64: real and imaginary part as two f32. Stored and copied; converts to nothing but itself. */
#include "num/dtype.h"

const pare_dtype_case pare_dtype_c64 = {
    .info = { .name = "c64", .safetensors = "C64", .torch = "complex64", .about = "complex of two f32, copied only", .kind = PARE_KIND_COMPLEX, .bits = 64 },
    .also = "cfloat complex",
};
