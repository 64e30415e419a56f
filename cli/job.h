/* SPDX-License-Identifier: Apache-2.0 */
/* What quantize, dequantize and convert share on the command line. */
#ifndef PARE_CLI_JOB_H
#define PARE_CLI_JOB_H
#include <stdio.h>

#include "cli.h"

#define CLI_CALIBRATION_FLAGS                                                                                            \
    {"calibration", 0, "FILE", "text, JSON lines or token ids for methods that look at activations (default: the text that comes with pare)", false}, \
    {"samples", 0, "N", "calibration windows (default 128)", false},                                                        \
    {"seq-len", 0, "L", "tokens of a calibration window (default 2048, or as many as the model has positions)", false},      \
    {"no-bos", 0, NULL, "calibration windows do not begin with the beginning-of-sequence token", false}
bool cli_calibration_options(const cli *c, pare_quantize_options *o);
/* false = the error was printed, return 2 */
bool cli_job_options(cli *c, pare_quantize_options *o);
/* plan, a: NULL = not there. */
int cli_job_json(const cli *c, const pare_job_result *r, const pare_table *plan, const pare_assessment *a, const pare_assess_options *assess, bool dry);
/* Path of MODEL (a Hub id is looked up); NULL = the error was printed. Free with pare_free(). */
const char *cli_model_path(cli *c, const char *model);
#endif
