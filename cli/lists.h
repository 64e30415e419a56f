/* SPDX-License-Identifier: Apache-2.0 */
/* Lists behind one flag: "--bits 4,3,2", "--methods rtn,gptq:damp=0.05,blocks=64". */
#ifndef PARE_CLI_LISTS_H
#define PARE_CLI_LISTS_H
#include "cli.h"

/* Up to 8 bit widths; or_else where the flag is absent (NULL: none). false = error printed, return 2. */
bool cli_bits(const cli *c, const char *flag, const char *or_else, int bits[8], size_t *n);
/* Methods are separated by commas, and so are the options of one: a comma before KEY=VALUE belongs to the method. Cuts text in place. */
bool cli_methods(const cli *c, const char *flag, char *text, const char **out, int most, size_t *n);
#endif
