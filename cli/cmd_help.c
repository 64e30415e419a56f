/* SPDX-License-Identifier: Apache-2.0 */
/* pare help [COMMAND] */
#include "cli.h"

static int run(cli *c) {
    if (cli_has(c, "man")) return cli_help_man();
    if (cli_has(c, "completion")) return cli_help_completion(cli_text(c, "completion"));
    if (c->argc == 0) return cli_help_all();
    const cli_command *cmd = cli_command_find(c->argv[0]);
    if (!cmd) return cli_usage(c, "there is no command '%s'", c->argv[0]);
    return cli_help_command(cmd);
}

static const cli_flag flags[] = {
    {"man", 0, NULL, "the manual page, as troff", false},
    {"completion", 0, "SHELL", "completion script for bash, zsh or fish", false},
    {0},
};

const cli_command cli_cmd_help = {
    .name = "help", .args = "[COMMAND]", .summary = "Show help for a command", .flags = flags, .max_args = 1, .run = run};
