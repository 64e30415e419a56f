/* SPDX-License-Identifier: Apache-2.0 */
/* The main job from C: a Hugging Face folder in, a smaller one out, with progress and Ctrl-C. */
#include <pare/pare.h>
#include <signal.h>
#include <stdio.h>

static pare_ctx *ctx;
static void on_signal(int sig) {
    (void)sig;
    pare_ctx_cancel(ctx); /* async-signal-safe */
}

static void on_progress(void *user, const pare_progress *p) {
    (void)user;
    if (p->total) fprintf(stderr, "\r%s %3.0f %%", p->what, 100.0 * (double)p->done / (double)p->total);
}

int main(int argc, char **argv) {
    const pare_ctx_options options = {.progress = on_progress};
    pare_quantize_options job = {.scheme_name = "W4A16", .ignore = (const char *const[]){"lm_head"}, .n_ignore = 1, .overwrite = true};
    pare_job_result result;
    pare_err err = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL OUT\n", argv[0]);
        return 2;
    }
    if (pare_ctx_new(&options, &ctx, &err) != PARE_OK) goto failed;
    signal(SIGINT, on_signal);
    if (pare_quantize_model(ctx, argv[1], argv[2], &job, &result, NULL, &err) != PARE_OK) goto failed;
    printf("\n%llu -> %llu bytes, %.3f bits per quantized weight, %.2f dB, %.2f s\n", (unsigned long long)result.input_bytes,
           (unsigned long long)result.output_bytes, result.bits_per_weight, result.sqnr_db, result.seconds);
    pare_ctx_free(ctx);
    return 0;
failed:
    fprintf(stderr, "\nerror: %s\n", err.text);
    if (err.hint[0]) fprintf(stderr, "hint: %s\n", err.hint);
    pare_ctx_free(ctx);
    return 1;
}
