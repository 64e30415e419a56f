/* SPDX-License-Identifier: Apache-2.0 */
/* Quantizes a small matrix to 4 bits per channel and prints codes, scales and the error. */
#include <pare/pare.h>
#include <stdio.h>

int main(void) {
    const float w[2][4] = {{0.12f, -0.90f, 0.33f, 0.05f}, {1.50f, 0.25f, -0.75f, -1.10f}};
    const int64_t shape[2] = {2, 4};
    pare_scheme scheme;
    pare_qtensor *q = NULL;
    pare_error error;
    pare_err err = {0};
    float back[8];
    int8_t codes[8];

    pare_scheme_init(&scheme); /* 8 bit, symmetric, one scale a row ... */
    scheme.bits = 4;           /* ... but with 4 bits */
    scheme.name[0] = '\0';
    if (pare_quantize(NULL, w, PARE_F32, 2, shape, &scheme, &q, &err) != PARE_OK || pare_dequantize(q, back, &err) != PARE_OK) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    pare_qtensor_signed_codes(q, codes);
    pare_measure(&w[0][0], back, 8, &error);
    int64_t n;
    const float *scales = pare_qtensor_scales(q, &n);
    for (int r = 0; r < 2; r++) {
        printf("scale %.6f  codes", scales[r]);
        for (int c = 0; c < 4; c++) printf(" %3d", codes[4 * r + c]);
        printf("  values");
        for (int c = 0; c < 4; c++) printf(" %7.4f", back[4 * r + c]);
        printf("\n");
    }
    printf("mean squared error %.3g, signal to noise %.2f dB, %.2f bits per weight\n", error.mse, error.sqnr_db, pare_qtensor_bits_per_weight(q));
    pare_qtensor_free(q);
    return 0;
}
