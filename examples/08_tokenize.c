/* SPDX-License-Identifier: Apache-2.0 */
/* Text to token ids, ids to text, and the logits of the next token: tokenize MODEL TEXT. */
#include <pare/pare.h>
#include <pare/report.h> /* pare_free */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *model = argc > 1 ? argv[1] : "models/demo", *text = argc > 2 ? argv[2] : "And it came to";
    pare_ctx *ctx = NULL;
    pare_session *s = NULL;
    int32_t *ids = NULL;
    int64_t n = 0;
    float *logits = NULL;
    char *piece = NULL;
    pare_err err = {0};
    pare_status st = pare_ctx_new(NULL, &ctx, &err);
    if (st == PARE_OK) st = pare_session_open(ctx, model, NULL, NULL, &s, &err);
    if (st == PARE_OK) st = pare_session_tokenize(s, text, strlen(text), true, &ids, &n, &err);
    for (int64_t i = 0; st == PARE_OK && i < n; i++) {
        st = pare_session_detokenize(s, &ids[i], 1, false, &piece, &err);
        if (st == PARE_OK) printf("%6d  '%s'\n", (int)ids[i], piece);
        pare_free(piece);
        piece = NULL;
    }
    const int64_t vocab = s ? pare_session_get_info(s)->vocab : 0;
    if (st == PARE_OK && (logits = malloc(sizeof *logits * (size_t)vocab)) != NULL) {
        int32_t best = 0;
        st = pare_session_forward(s, ids, n, false, logits, &err);
        for (int32_t i = 1; st == PARE_OK && i < vocab; i++)
            if (logits[i] > logits[best]) best = i;
        if (st == PARE_OK) st = pare_session_detokenize(s, &best, 1, false, &piece, &err);
        if (st == PARE_OK) printf("next: '%s'\n", piece);
        pare_free(piece);
    }
    if (st != PARE_OK) fprintf(stderr, "error: %s\n", err.text);
    free(logits);
    pare_free(ids);
    pare_session_close(s);
    pare_ctx_free(ctx);
    return st == PARE_OK ? 0 : 1;
}
