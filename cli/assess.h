/* SPDX-License-Identifier: Apache-2.0 */
/* What quantize --evaluate and compare-methods share: the flags that say on what a smaller model is measured. */
#ifndef PARE_CLI_ASSESS_H
#define PARE_CLI_ASSESS_H
#include "cli.h"

#define CLI_ASSESS_FLAGS                                                                                              \
    {"protocol", 0, "P", "of the evaluation: gptq (default) or llamacpp", false},                                        \
    {"ctx", 0, "N", "tokens in a window of the evaluation", false},                                                      \
    {"windows", 0, "N", "how many windows are evaluated (default: all)", false},                                         \
    {"fast", 0, NULL, "the smaller model runs with int8 activations (default: exact)", false},                           \
    {"no-speed", 0, NULL, "tokens a second are not measured", false}

/* Reads the flags and the text (owned by *text, free()); false = error printed, *code to return. */
bool cli_assess_options(cli *c, const char *file, pare_assess_options *o, char **text, int *code);
#endif
