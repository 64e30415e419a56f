/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts, the manual page and shell completions: all from the command and flag tables. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_flags(const cli_flag *f) {
    for (; f && f->name; f++) {
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", f->letter ? "-" : "", f->letter ? f->letter : ' ', f->letter ? ", " : "   ", f->name,
                 f->arg ? " " : "", f->arg ? f->arg : "");
        cli_print("  %-28s %s%s\n", left, f->help, f->repeats ? " (may repeat)" : "");
    }
}

static void print_method_options(void) {
    pare_table *t = NULL;
    if (pare_list(NULL, "options", &t, NULL) != PARE_OK) return;
    if (pare_table_rows(t) > 0) cli_puts("\nOptions of methods:\n");
    for (int64_t r = 0; r < pare_table_rows(t); r++) {
        const char *owner = "", *key = "", *range = "", *def = "", *help = "";
        char left[64], head[96];
        pare_table_cell(t, r, 0, &owner, NULL, NULL);
        pare_table_cell(t, r, 1, &key, NULL, NULL);
        pare_table_cell(t, r, 2, &range, NULL, NULL);
        pare_table_cell(t, r, 3, &def, NULL, NULL);
        pare_table_cell(t, r, 4, &help, NULL, NULL);
        snprintf(left, sizeof left, "    --%s %s", key, range ? range : "VALUE");
        snprintf(head, sizeof head, "(%s, default %s)", owner, def ? def : "none");
        cli_print("  %-28s %s %s\n", left, help, head);
    }
    pare_table_free(t);
}

int cli_help_command(const cli_command *c) {
    cli_print("%s\n\nUsage: pare %s %s%s\n", c->summary, c->name, c->args, c->flags && c->flags->name ? " [flags]" : "");
    if (c->details) cli_print("\n%s\n", c->details);
    if (c->flags && c->flags->name) {
        cli_puts("\nFlags:\n");
        print_flags(c->flags);
    }
    if (c->method_options_of) print_method_options();
    cli_puts("\nEverywhere:\n");
    print_flags(cli_global_flags());
    return 0;
}

int cli_help_all(void) {
    cli_print("pare %s: makes neural networks smaller, and says what it cost.\n\nUsage: pare COMMAND [arguments] [flags]\n\nCommands:\n", pare_version());
    for (int i = 0; cli_commands()[i]; i++) cli_print("  %-12s %s\n", cli_commands()[i]->name, cli_commands()[i]->summary);
    cli_puts("\nEverywhere:\n");
    print_flags(cli_global_flags());
    cli_puts("\nFirst steps:\n"
             "  pare inspect MODEL\n"
             "  pare quantize MODEL -o OUT --scheme W4A16\n"
             "  pare compare MODEL OUT\n"
             "\nMODEL is a Hugging Face folder, one file of a known container, a *.index.json, or a Hub id in the local cache.\n"
             "Exit codes: 0 done, 1 the work failed, 2 wrong usage.\n");
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- manual page */

/* Escapes what troff would read as its own. */
static void roff(const char *text) {
    for (const char *p = text; *p; p++) {
        if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\'')) cli_puts("\\&");
        if (*p == '\\')
            cli_puts("\\e");
        else if (*p == '-')
            cli_puts("\\-");
        else
            cli_print("%c", *p);
    }
}

static void roff_flags(const cli_flag *f) {
    for (; f && f->name; f++) {
        cli_puts(".TP\n.B ");
        if (f->letter) cli_print("\\-%c\\fR, \\fB", f->letter);
        cli_puts("\\-\\-");
        roff(f->name);
        if (f->arg) cli_print(" \\fI%s\\fR", f->arg);
        cli_puts("\n");
        roff(f->help);
        cli_puts("\n");
    }
}

int cli_help_man(void) {
    cli_print(".TH PARE 1 \"\" \"pare %s\" \"User Commands\"\n.SH NAME\npare \\- make neural networks smaller, and say what it cost\n", pare_version());
    cli_puts(".SH SYNOPSIS\n.B pare\n.I COMMAND\n[arguments] [flags]\n.SH COMMANDS\n");
    for (int i = 0; cli_commands()[i]; i++) {
        const cli_command *c = cli_commands()[i];
        cli_print(".SS pare %s ", c->name);
        roff(c->args);
        cli_puts("\n");
        roff(c->summary);
        cli_puts(".\n");
        if (c->details) {
            cli_puts(".PP\n.nf\n");
            roff(c->details);
            cli_puts("\n.fi\n");
        }
        roff_flags(c->flags);
    }
    cli_puts(".SH FLAGS OF EVERY COMMAND\n");
    roff_flags(cli_global_flags());
    cli_puts(".SH EXIT STATUS\n0 done; 1 the work failed (bad input, I/O, out of memory, a check that did not hold); 2 wrong usage.\n"
             ".SH ENVIRONMENT\n.TP\n.B HF_HUB_CACHE, HF_HOME\nwhere the local Hub cache is\n.TP\n.B NO_COLOR\nno colours in the terminal\n");
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- completions */

static void words_of_flags(const cli_flag *f, const char *format) {
    for (; f && f->name; f++) cli_print(format, f->name);
}

static int completion_bash(void) {
    cli_puts("# bash completion for pare\n_pare() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words=\n  if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"");
    for (int i = 0; cli_commands()[i]; i++) cli_print("%s ", cli_commands()[i]->name);
    cli_puts("--help --version\"\n  else case ${COMP_WORDS[1]} in\n");
    for (int i = 0; cli_commands()[i]; i++) {
        cli_print("    %s) words=\"", cli_commands()[i]->name);
        words_of_flags(cli_commands()[i]->flags, "--%s ");
        words_of_flags(cli_global_flags(), "--%s ");
        cli_puts("\";;\n");
    }
    cli_puts("  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n}\ncomplete -o filenames -F _pare pare\n");
    return 0;
}

static int completion_zsh(void) {
    cli_puts("#compdef pare\nlocal -a commands\ncommands=(\n");
    for (int i = 0; cli_commands()[i]; i++) cli_print("  '%s:%s'\n", cli_commands()[i]->name, cli_commands()[i]->summary);
    cli_puts(")\nif (( CURRENT == 2 )); then _describe command commands; else case $words[2] in\n");
    for (int i = 0; cli_commands()[i]; i++) {
        cli_print("  %s) _arguments '*:file:_files'", cli_commands()[i]->name);
        words_of_flags(cli_commands()[i]->flags, " '--%s'");
        words_of_flags(cli_global_flags(), " '--%s'");
        cli_puts(";;\n");
    }
    cli_puts("esac; fi\n");
    return 0;
}

static int completion_fish(void) {
    for (int i = 0; cli_commands()[i]; i++) {
        const cli_command *c = cli_commands()[i];
        cli_print("complete -c pare -n __fish_use_subcommand -a %s -d \"%s\"\n", c->name, c->summary);
        for (const cli_flag *f = c->flags; f && f->name; f++)
            cli_print("complete -c pare -n \"__fish_seen_subcommand_from %s\" -l %s%s\n", c->name, f->name, f->arg ? " -r" : "");
    }
    words_of_flags(cli_global_flags(), "complete -c pare -l %s\n");
    return 0;
}

int cli_help_completion(const char *shell) {
    if (strcmp(shell, "bash") == 0) return completion_bash();
    if (strcmp(shell, "zsh") == 0) return completion_zsh();
    if (strcmp(shell, "fish") == 0) return completion_fish();
    return cli_usage(NULL, "help: --completion: '%s' is not one of bash, zsh, fish", shell);
}
