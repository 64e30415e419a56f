/* SPDX-License-Identifier: Apache-2.0 */
/* pare sweep FILE:TENSOR or MODEL: what each mode, granularity and bit width would cost, before anything is written. */
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "lists.h"

/* MODEL, or MODEL:TENSOR when no such file exists. */
static int open_target(cli *c, char *target, pare_model **m, const char **name) {
    char *colon = strrchr(target, ':');
    *name = NULL;
    if (pare_model_open(c->ctx, target, c->hub_cache, m, &c->err) == PARE_OK) return 0;
    if (!colon) return cli_fail(c, &c->err);
    *colon = 0;
    *name = colon + 1;
    if (pare_model_open(c->ctx, target, c->hub_cache, m, &c->err) == PARE_OK) return 0;
    return cli_fail(c, &c->err);
}

static int run(cli *c) {
    pare_sweep_options o = {0};
    pare_model *m = NULL;
    pare_table *t = NULL;
    const char *name;
    int bits[8], code;
    if (!cli_bits(c, "bits", NULL, bits, &o.n_bits) || !cli_int(c, "group-size", 1, INT64_MAX, &o.group_size)) return 2;
    o.bits = bits;
    if ((code = open_target(c, c->argv[0], &m, &name))) return code;
    if (pare_sweep(c->ctx, m, name, &o, &t, &c->err) != PARE_OK)
        code = cli_fail(c, &c->err);
    else if (c->json || cli_has(c, "csv")) {
        char *text = NULL;
        cli_progress_end();
        if (pare_table_render(t, c->json ? PARE_TABLE_JSON : PARE_TABLE_CSV, 0, &text, &c->err) != PARE_OK)
            code = cli_fail(c, &c->err);
        else {
            cli_puts(text);
            if (text[0] && text[strlen(text) - 1] != '\n') cli_puts("\n");
        }
        pare_free(text);
    } else {
        cli_progress_end();
        code = cli_print_table(c, t);
    }
    pare_table_free(t);
    pare_model_close(m);
    return code;
}

static const cli_flag flags[] = {
    {"bits", 'b', "LIST", "bit widths (default 8,4,3,2)", false},
    {"group-size", 'g', "N", "only this group size (default 128, 64 and 32)", false},
    {"csv", 0, NULL, "as CSV", false},
    {0},
};

const cli_command cli_cmd_sweep = {
    .name = "sweep", .args = "MODEL[:TENSOR]", .summary = "Compare modes, granularities and bit widths before quantizing",
    .details = "Over one tensor, or over all dense and convolution weights together.\n\n  pare sweep MODEL:model.layers.0.mlp.up_proj.weight --bits 4,3",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
