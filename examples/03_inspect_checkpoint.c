/* SPDX-License-Identifier: Apache-2.0 */
/* Opens any checkpoint and finds the largest weight of each tensor, a few rows at a time. */
#include <math.h>
#include <pare/pare.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    pare_ctx *ctx = NULL;
    pare_model *model = NULL;
    pare_err err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return 2;
    }
    if (pare_ctx_new(NULL, &ctx, &err) != PARE_OK || pare_model_open(ctx, argv[1], NULL, &model, &err) != PARE_OK) goto failed;
    const pare_model_info *info = pare_model_get_info(model);
    printf("%s, %llu parameters\n", info->architecture ? info->architecture : "unknown architecture", (unsigned long long)info->parameters);
    for (int64_t i = 0; i < pare_model_count(model); i++) {
        const pare_model_tensor *t = pare_model_get(model, i);
        const int64_t rows = t->ndim ? t->shape[0] : 1;
        int64_t cols = 1;
        float most = 0;
        for (int d = 1; d < t->ndim; d++) cols *= t->shape[d];
        float *row = malloc(sizeof *row * (size_t)(cols ? cols : 1));
        if (!row) goto failed;
        for (int64_t r = 0; r < rows && cols; r++) {
            if (pare_model_read(model, i, r, 1, row, &err) != PARE_OK) {
                free(row);
                goto failed;
            }
            for (int64_t c = 0; c < cols; c++)
                if (fabsf(row[c]) > most) most = fabsf(row[c]);
        }
        free(row);
        printf("%-48s %-10s largest %g\n", t->name, t->quantized ? t->scheme.name : pare_dtype_get_info(t->dtype)->name, most);
    }
    pare_model_close(model);
    pare_ctx_free(ctx);
    return 0;
failed:
    fprintf(stderr, "error: %s\n", err.text);
    pare_model_close(model);
    pare_ctx_free(ctx);
    return 1;
}
