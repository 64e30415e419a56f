/* SPDX-License-Identifier: Apache-2.0 */
/* pare list WHAT: the registries. */
#include <string.h>

#include "cli.h"

static int run(cli *c) {
    pare_table *table = NULL;
    int code;
    if (pare_list(c->ctx, c->argv[0], &table, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (c->json || cli_has(c, "markdown")) {
        char *text = NULL;
        if (pare_table_render(table, c->json ? PARE_TABLE_JSON : PARE_TABLE_MARKDOWN, 0, &text, &c->err) != PARE_OK)
            code = cli_fail(c, &c->err);
        else {
            cli_puts(text);
            if (c->json && text[0] && text[strlen(text) - 1] != '\n') cli_puts("\n");
            code = 0;
        }
        pare_free(text);
    } else
        code = cli_print_table(c, table);
    pare_table_free(table);
    return code;
}

static const cli_flag flags[] = {{"markdown", 0, NULL, "as a Markdown table", false}, {0}};

const cli_command cli_cmd_list = {
    .name = "list", .args = "WHAT", .summary = "Show what this version knows",
    .details = "WHAT is one of: schemes methods quantizers formats layouts archs kernels ops tokenizers dtypes options support",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
