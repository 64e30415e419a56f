/* SPDX-License-Identifier: Apache-2.0 */
/* Perplexity of a model, and its KL divergence to the one it was made from: evaluate MODEL REFERENCE TEXT-FILE. */
#include <pare/pare.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    *n = 0;
    if (!f) return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) >= 0 && (text = malloc((size_t)ftell(f) + 1)) != NULL) {
        const size_t size = (size_t)ftell(f);
        rewind(f);
        *n = fread(text, 1, size, f);
    }
    fclose(f);
    return text;
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: %s MODEL REFERENCE TEXT-FILE\n", argv[0]), 2;
    pare_ctx *ctx = NULL;
    pare_session *model = NULL, *reference = NULL;
    pare_eval_result r;
    pare_err err = {0};
    size_t n;
    char *text = read_file(argv[3], &n);
    if (!text) return fprintf(stderr, "error: cannot read %s\n", argv[3]), 1;
    pare_status st = pare_ctx_new(NULL, &ctx, &err);
    if (st == PARE_OK) st = pare_session_open(ctx, argv[1], NULL, NULL, &model, &err);
    if (st == PARE_OK) st = pare_session_open(ctx, argv[2], NULL, NULL, &reference, &err);
    if (st == PARE_OK) st = pare_evaluate(model, text, n, &(pare_eval_options){.against = reference}, &r, &err);
    if (st == PARE_OK)
        printf("perplexity %.3f (reference %.3f), KL divergence %.5f, same top token %.1f %%, %lld tokens\n", r.perplexity, r.perplexity_ref, r.kl_mean,
               100 * r.top1_agreement, (long long)r.tokens);
    else
        fprintf(stderr, "error: %s\n", err.text);
    pare_session_close(model);
    pare_session_close(reference);
    pare_ctx_free(ctx);
    free(text);
    return st == PARE_OK ? 0 : 1;
}
