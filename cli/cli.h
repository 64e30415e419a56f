/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command's frame: a subcommand is one cmd_*.c that ends in a const cli_command, plus one line in commands.def. Flags are
 * declared in tables, from which parsing, --help, the manual page and shell completions are made.
 */
#ifndef PARE_CLI_H
#define PARE_CLI_H
#include <pare/pare.h>
#include <pare/report.h>

typedef struct cli_flag {
    const char *name;      /* without dashes; a table ends with name NULL */
    char letter;           /* short form, 0 = none */
    const char *arg;       /* "FILE" when it takes a value, NULL for a switch */
    const char *help;      /* one line */
    bool repeats;
} cli_flag;

typedef struct cli cli;

typedef struct cli_command {
    const char *name;
    const char *args;      /* "MODEL -o OUT" */
    const char *summary;   /* one line */
    const char *details;   /* paragraphs and examples, or NULL */
    const cli_flag *flags;
    int min_args, max_args;             /* positional; max -1 = any */
    const char *method_options_of;      /* not NULL: options that methods declare are flags here, too */
    int (*run)(cli *c);    /* returns the exit code */
} cli_command;

struct cli {
    const cli_command *command;
    pare_ctx *ctx;
    bool json, quiet, verbose, color, tty_out;
    int width;             /* columns of the terminal on stdout */
    int argc;              /* positional arguments */
    char **argv;
    struct { const char *name, *value; } *given; /* flags in order of appearance */
    int n_given;
    void **owned;          /* heap pieces that live as long as c */
    int n_owned;
    const char *hub_cache; /* resolved from HF_HUB_CACHE, HF_HOME or the home folder; NULL when there is none */
    pare_err err;          /* for cli_fail */
};

/* Flags as given. Text flags: last one wins; NULL when absent. */
const char *cli_text(const cli *c, const char *flag);
bool cli_has(const cli *c, const char *flag);
/* All values of a repeating flag; returns the count. The array lives as long as c. */
size_t cli_list(cli *c, const char *flag, const char *const **out);
/* Parse helpers: wrong text is a usage error that names the flag; false = error was printed, return 2. */
bool cli_int(const cli *c, const char *flag, int64_t min, int64_t max, int64_t *value); /* value untouched when absent */
bool cli_size(const cli *c, const char *flag, uint64_t *value);
bool cli_real(const cli *c, const char *flag, double *value);

/* Prints "pare: error: TEXT" and the hint; returns the exit code that belongs to the status (2 usage, else 1). */
int cli_fail(const cli *c, const pare_err *err);
int cli_usage(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Output on stdout; a closed or full stdout is an error at exit. */
void cli_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_puts(const char *text);
int cli_print_table(const cli *c, const pare_table *table);                 /* text to the terminal's width */
int cli_print_json(const cli *c, pare_json *j);                             /* takes and frees j; prints one document */
void cli_format_bytes(uint64_t bytes, char out[32]);
int cli_print_panels(const cli *c, const pare_panel *panels, int n);        /* heat maps in the terminal */

/* Flags that describe a scheme, shared by quantize, tensor and sweep; and their reading. false = error printed, return 2. */
#define CLI_SCHEME_FLAGS                                                                                              \
    {"scheme", 0, "NAME", "W8A16, W4A16, W4A16_ASYM:g64, INT8, FP8_DYNAMIC, ... (pare list schemes)", false},           \
    {"bits", 'b', "B", "bits per code, 1 to 8", false},                                                                 \
    {"granularity", 0, "HOW", "what shares a scale: tensor, channel or group", false},                                  \
    {"group-size", 'g', "N", "elements per group", false},                                                              \
    {"axis", 0, "K", "channel: axis with its own scales; group: axis along which groups run", false},                   \
    {"symmetric", 0, NULL, "zero point fixed in the middle", false},                                                    \
    {"asymmetric", 0, NULL, "an integer zero point per scale", false},                                                  \
    {"scale-dtype", 0, "T", "f32, f16 or bf16", false},                                                                 \
    {"range", 0, "R", "symmetric range: full or narrow", false}
bool cli_scheme(const cli *c, pare_scheme *scheme, bool *given);

const cli_command *cli_command_find(const char *name);
const cli_command *const *cli_commands(void); /* NULL-terminated */
const cli_flag *cli_global_flags(void);
/* help.c */
int cli_help_command(const cli_command *command);
int cli_help_all(void);
int cli_help_man(void);
int cli_help_completion(const char *shell);
/* progress.c */
void cli_progress_begin(bool quiet);
void cli_progress(void *user, const pare_progress *p);
void cli_progress_end(void);
#endif
