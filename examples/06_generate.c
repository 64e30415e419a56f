/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a model, quantized or not, and continues a text: generate MODEL PROMPT. */
#include <pare/pare.h>
#include <pare/report.h> /* pare_free */
#include <stdio.h>
#include <string.h>

static bool print(void *user, const char *text, size_t bytes) {
    (void)user;
    fwrite(text, 1, bytes, stdout);
    return fflush(stdout) == 0;
}

int main(int argc, char **argv) {
    const char *model = argc > 1 ? argv[1] : "models/demo", *prompt = argc > 2 ? argv[2] : "In the beginning";
    const pare_generate_options options = {.max_tokens = 40, .piece = print};
    pare_ctx *ctx = NULL;
    pare_session *s = NULL;
    pare_generated g = {0};
    int32_t *ids = NULL;
    int64_t n = 0;
    pare_err err = {0};
    pare_status st = pare_ctx_new(NULL, &ctx, &err);
    if (st == PARE_OK) st = pare_session_open(ctx, model, NULL, NULL, &s, &err);
    if (st == PARE_OK) st = pare_session_tokenize(s, prompt, strlen(prompt), true, &ids, &n, &err);
    if (st == PARE_OK) st = pare_generate(s, ids, n, &options, &g, &err);
    if (st == PARE_OK)
        printf("\n%lld tokens, %.1f a second\n", (long long)g.generated_tokens, (double)g.generated_tokens / g.decode_seconds);
    else
        fprintf(stderr, "error: %s\n", err.text);
    pare_generated_clear(&g);
    pare_free(ids);
    pare_session_close(s);
    pare_ctx_free(ctx);
    return st == PARE_OK ? 0 : 1;
}
