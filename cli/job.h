/* SPDX-License-Identifier: Apache-2.0 */
/* What quantize, dequantize and convert share on the command line. */
#ifndef PARE_CLI_JOB_H
#define PARE_CLI_JOB_H
#include <stdio.h>

#include "cli.h"

/* false = the error was printed, return 2 */
bool cli_job_options(cli *c, pare_quantize_options *o);
/* plan, a: NULL = not there. */
int cli_job_json(const cli *c, const pare_job_result *r, const pare_table *plan, const pare_assessment *a, const pare_assess_options *assess, bool dry);
/* Path of MODEL (a Hub id is looked up); NULL = the error was printed. Free with pare_free(). */
const char *cli_model_path(cli *c, const char *model);
#endif
