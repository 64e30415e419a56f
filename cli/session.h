/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that run a model share: their flags, and opening it. */
#ifndef PARE_CLI_SESSION_H
#define PARE_CLI_SESSION_H
#include "cli.h"

#define CLI_SESSION_FLAGS                                                                                                          \
    {"exact", 0, NULL, "float activations: the truth within float rounding (default)", false},                                      \
    {"fast", 0, NULL, "int8 activations where weights are quantized: faster, a little less exact", false},                          \
    {"bf16", 0, NULL, "bf16 weights times activations rounded to bf16", false},                                                     \
    {"dtype", 0, "T", "hold float weights in f32, f16 or bf16 (default: as stored, used in place)", false},                         \
    {"kv-dtype", 0, "T", "key/value cache in f32, f16, bf16, i8 or fp8 (default: as the checkpoint says, else f32 when exact, f16)", false},                     \
    {"memory", 0, "SIZE", "limit for weights, cache and activations; a bigger model is streamed from its file", false},             \
    {"profile", 0, NULL, "time of every kind of operation, on stderr", false}

/* false = error printed, *code to return. */
bool cli_session_options(const cli *c, pare_session_options *o, int *code);
bool cli_session_open(cli *c, const char *model, const pare_session_options *o, pare_session **out, int *code);
/* The profile on stderr, when asked for. */
void cli_session_profile(const cli *c, const pare_session *s);
/* Whole file, or stdin for "-". NUL-terminated heap text; NULL = error printed. */
char *cli_read_text(const cli *c, const char *path, size_t *n);

/* An npy file of f32 rows whose count is known only at the end. */
typedef struct cli_npy cli_npy;
cli_npy *cli_npy_open(const cli *c, const char *path, int64_t cols); /* NULL = error printed */
bool cli_npy_row(cli_npy *f, const float *row);                      /* false = writing failed */
int cli_npy_close(const cli *c, cli_npy *f, bool keep);              /* exit code; keep false: the file is removed */
#endif
