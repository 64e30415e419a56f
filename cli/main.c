/* SPDX-License-Identifier: Apache-2.0 */
/* Entry of the `pare` command: finds the subcommand, parses its flags, makes the context, maps results to exit codes. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

#define CLI_COMMAND(name) extern const cli_command cli_cmd_##name;
#include "commands.def"
#undef CLI_COMMAND

static const cli_command *const commands[] = {
#define CLI_COMMAND(name) &cli_cmd_##name,
#include "commands.def"
#undef CLI_COMMAND
    NULL,
};

static const cli_flag global_flags[] = {
    {"json", 0, NULL, "one JSON document on stdout and nothing else there", false},
    {"threads", 'j', "N", "worker threads (default: the cores this process may use)", false},
    {"isa", 0, "LEVEL", "force a kernel level: ref, avx2, avx512, amx (pare list kernels)", false},
    {"quiet", 'q', NULL, "no progress, no notes", false},
    {"verbose", 'v', NULL, "say more", false},
    {"help", 'h', NULL, "this text", false},
    {NULL, 0, NULL, NULL, false},
};

const cli_flag *cli_global_flags(void) { return global_flags; }
const cli_command *const *cli_commands(void) { return commands; }

const cli_command *cli_command_find(const char *name) {
    for (int i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------ errors */

static int exit_code(pare_status st) { return st == PARE_OK ? 0 : st == PARE_ERR_USAGE ? 2 : 1; }

int cli_fail(const cli *c, const pare_err *err) {
    (void)c;
    cli_progress_end();
    fflush(stdout);
    fprintf(stderr, "pare: error: %s\n", err->text[0] ? err->text : pare_status_name(err->code));
    if (err->hint[0]) fprintf(stderr, "hint: %s\n", err->hint);
    return exit_code(err->code == PARE_OK ? PARE_ERR_IO : err->code);
}

int cli_usage(const cli *c, const char *format, ...) {
    va_list ap;
    fputs("pare: error: ", stderr);
    if (c && c->command) fprintf(stderr, "%s: ", c->command->name);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (c && c->command)
        fprintf(stderr, "hint: pare %s --help\n", c->command->name);
    return 2;
}

void cli_warn(const cli *c, const char *format, ...) {
    va_list ap;
    if (c->quiet) return;
    cli_progress_end();
    fputs("pare: warning: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static void on_log(void *user, pare_log_level level, const char *text) {
    const cli *c = user;
    if (level == PARE_LOG_WARNING)
        cli_warn(c, "%s", text);
    else if (c->verbose || (level == PARE_LOG_NOTE && !c->quiet)) {
        cli_progress_end();
        fprintf(stderr, "pare: %s\n", text);
    }
}

/* ------------------------------------------------------------------------------------------------------------- flags */

/* Edit distance small enough for "did you mean". */
static int distance(const char *a, const char *b) {
    int row[64], n = (int)strlen(b);
    if (n > 62 || strlen(a) > 62) return 99;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diag = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = diag + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diag = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

static const cli_flag *find_flag(const cli_flag *table, const char *name, size_t n, char letter) {
    for (; table && table->name; table++) {
        if (letter ? table->letter == letter : strlen(table->name) == n && strncmp(table->name, name, n) == 0) return table;
    }
    return NULL;
}

static const char *nearest_flag(const cli_command *cmd, const char *name) {
    const cli_flag *tables[2] = {cmd->flags, global_flags};
    const char *best = NULL;
    int best_d = 4;
    for (int t = 0; t < 2; t++)
        for (const cli_flag *f = tables[t]; f && f->name; f++) {
            const int d = distance(name, f->name);
            if (d < best_d) best_d = d, best = f->name;
        }
    return best;
}

/* Options that methods declare become flags of the commands that run methods; values travel as "--set key=value". */
static const cli_flag *method_flag(const cli *c, const char *name, size_t n) {
    static cli_flag flag;
    static char text[64];
    pare_table *table = NULL;
    bool found = false;
    if (!c->command->method_options_of || n >= sizeof text || pare_list(NULL, "options", &table, NULL) != PARE_OK) return NULL;
    for (int64_t r = 0; r < pare_table_rows(table) && !found; r++) {
        const char *owner = NULL, *key = NULL;
        pare_table_cell(table, r, 0, &owner, NULL, NULL);
        pare_table_cell(table, r, 1, &key, NULL, NULL);
        found = key && strlen(key) == n && strncmp(key, name, n) == 0;
    }
    pare_table_free(table);
    if (!found) return NULL;
    memcpy(text, name, n);
    text[n] = 0;
    flag = (cli_flag){text, 0, "VALUE", "", false};
    return &flag;
}

/* Gives p to c, which frees it at the end; NULL when that cannot be noted (p is freed then). */
static void *own(cli *c, void *p) {
    void **more = p ? realloc(c->owned, (size_t)(c->n_owned + 1) * sizeof *more) : NULL;
    if (!more) {
        free(p);
        return NULL;
    }
    c->owned = more;
    return c->owned[c->n_owned++] = p;
}

static void give(cli *c, const char *name, const char *value) {
    c->given[c->n_given].name = name;
    c->given[c->n_given++].value = value;
}

static int unknown_flag(const cli *c, const char *arg, size_t n) {
    char name[80];
    snprintf(name, sizeof name, "%.*s", (int)(n < 79 ? n : 79), arg);
    const char *near = nearest_flag(c->command, name);
    fprintf(stderr, "pare: error: %s: unknown flag --%s\n", c->command->name, name);
    if (near)
        fprintf(stderr, "hint: did you mean --%s?\n", near);
    else
        fprintf(stderr, "hint: pare %s --help\n", c->command->name);
    return 2;
}

/* One "--name", "--name=value" or "-x" at argv[*i]; returns 0 or the exit code. */
static int parse_flag(cli *c, int argc, char **argv, int *i) {
    const char *arg = argv[*i];
    const bool is_long = arg[1] == '-';
    const char *name = arg + (is_long ? 2 : 1), *eq = is_long ? strchr(name, '=') : NULL;
    const size_t n = eq ? (size_t)(eq - name) : strlen(name);
    const char letter = is_long ? 0 : name[0];
    const cli_flag *f = find_flag(c->command->flags, name, n, letter);
    bool of_method = false;
    if (!f) f = find_flag(global_flags, name, n, letter);
    if (!f && is_long) of_method = (f = method_flag(c, name, n)) != NULL;
    if (!f) return is_long ? unknown_flag(c, name, n) : cli_usage(c, "unknown flag -%c", letter);
    const char *value = NULL;
    if (f->arg) {
        if (eq)
            value = eq + 1;
        else if (!is_long && name[1])
            value = name + 1;
        else if (*i + 1 < argc)
            value = argv[++*i];
        else
            return cli_usage(c, "--%s needs a value (%s)", f->name, f->arg);
    } else if (eq || (!is_long && name[1]))
        return cli_usage(c, "--%s takes no value", f->name);
    if (of_method) {
        char *pair = own(c, malloc(n + strlen(value) + 2));
        if (!pair) return cli_usage(c, "out of memory");
        snprintf(pair, n + strlen(value) + 2, "%.*s=%s", (int)n, name, value);
        give(c, "set", pair);
    } else
        give(c, f->name, value ? value : "");
    return 0;
}

/* A lone "-" or a negative number is an argument, not a flag. */
static bool looks_like_flag(const char *arg) { return arg[0] == '-' && arg[1] && !(arg[1] >= '0' && arg[1] <= '9') && arg[1] != '.'; }

static int parse(cli *c, int argc, char **argv) {
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0)
            only_args = true;
        else if (!only_args && looks_like_flag(argv[i])) {
            const int code = parse_flag(c, argc, argv, &i);
            if (code) return code;
        } else
            c->argv[c->argc++] = argv[i];
    }
    return 0;
}

const char *cli_text(const cli *c, const char *flag) {
    for (int i = c->n_given - 1; i >= 0; i--)
        if (strcmp(c->given[i].name, flag) == 0) return c->given[i].value;
    return NULL;
}

bool cli_has(const cli *c, const char *flag) { return cli_text(c, flag) != NULL; }

size_t cli_list(cli *c, const char *flag, const char *const **out) {
    const char **list = own(c, malloc((size_t)(c->n_given + 1) * sizeof *list));
    size_t n = 0;
    for (int i = 0; list && i < c->n_given; i++)
        if (strcmp(c->given[i].name, flag) == 0) list[n++] = c->given[i].value;
    *out = list;
    return n;
}

bool cli_int(const cli *c, const char *flag, int64_t min, int64_t max, int64_t *value) {
    const char *text = cli_text(c, flag);
    char *end;
    if (!text) return true;
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max) {
        cli_usage(c, "--%s: '%s' is not a whole number from %lld to %lld", flag, text, (long long)min, (long long)max);
        return false;
    }
    *value = v;
    return true;
}

bool cli_real(const cli *c, const char *flag, double *value) {
    const char *text = cli_text(c, flag);
    char *end;
    if (!text) return true;
    *value = strtod(text, &end);
    if (end == text || *end || *value != *value) {
        cli_usage(c, "--%s: '%s' is not a number", flag, text);
        return false;
    }
    return true;
}

bool cli_size(const cli *c, const char *flag, uint64_t *value) {
    static const struct { const char *unit; double factor; } units[] = {
        {"", 1}, {"B", 1}, {"K", 1e3}, {"KB", 1e3}, {"kB", 1e3}, {"M", 1e6}, {"MB", 1e6}, {"G", 1e9}, {"GB", 1e9}, {"T", 1e12}, {"TB", 1e12},
        {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
    const char *text = cli_text(c, flag);
    char *end;
    if (!text) return true;
    const double v = strtod(text, &end);
    for (size_t i = 0; end != text && v >= 0 && i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && v * units[i].factor < 1.8e19) {
            *value = (uint64_t)(v * units[i].factor);
            return true;
        }
    cli_usage(c, "--%s: '%s' is not a size such as 4GiB, 4GB or 500M", flag, text);
    return false;
}

static bool scheme_words(const cli *c, pare_scheme *s) {
    const char *t;
    if ((t = cli_text(c, "granularity"))) {
        if (strcmp(t, "tensor") == 0) s->granularity = PARE_PER_TENSOR;
        else if (strcmp(t, "channel") == 0) s->granularity = PARE_PER_CHANNEL, s->axis = 0;
        else if (strcmp(t, "group") == 0) s->granularity = PARE_PER_GROUP, s->axis = -1;
        else return cli_usage(c, "--granularity: '%s' is not one of tensor, channel, group", t), false;
    }
    if ((t = cli_text(c, "scale-dtype"))) {
        s->scale_dtype = pare_dtype_parse(t);
        if (s->scale_dtype == PARE_DTYPE_NONE) return cli_usage(c, "--scale-dtype: '%s' is not one of f32, f16, bf16", t), false;
    }
    if ((t = cli_text(c, "range"))) {
        if (strcmp(t, "full") == 0) s->range = PARE_RANGE_FULL;
        else if (strcmp(t, "narrow") == 0) s->range = PARE_RANGE_NARROW;
        else return cli_usage(c, "--range: '%s' is not one of full, narrow", t), false;
    }
    return true;
}

bool cli_scheme(const cli *c, pare_scheme *s, bool *given) {
    static const char *const fields[] = {"bits", "granularity", "group-size", "axis", "symmetric", "asymmetric", "scale-dtype", "range"};
    const char *name = cli_text(c, "scheme");
    pare_err err = {0};
    int64_t v;
    bool fields_given = false;
    pare_scheme_init(s);
    if (name && pare_scheme_parse(name, s, &err) != PARE_OK) return cli_fail(c, &err), false;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) fields_given |= cli_has(c, fields[i]);
    *given = name || fields_given;
    if (!fields_given) return true;
    s->name[0] = 0;
    v = s->bits;
    if (!cli_int(c, "bits", 1, 8, &v)) return false;
    s->bits = (int)v;
    if (cli_has(c, "symmetric") && cli_has(c, "asymmetric")) return cli_usage(c, "--symmetric and --asymmetric exclude each other"), false;
    if (cli_has(c, "symmetric")) s->symmetric = true;
    if (cli_has(c, "asymmetric")) s->symmetric = false;
    if (!scheme_words(c, s)) return false;
    if (cli_has(c, "group-size")) {
        v = 0;
        if (!cli_int(c, "group-size", -1, INT64_MAX, &v)) return false;
        if (v == 0) return cli_usage(c, "--group-size: 0 is not a size"), false;
        if (v < 0) s->granularity = PARE_PER_CHANNEL, s->axis = 0;
        else if (!cli_has(c, "granularity") && s->granularity != PARE_PER_GROUP) s->granularity = PARE_PER_GROUP, s->axis = -1;
        if (v > 0) s->group_size = v;
    } else if (s->granularity == PARE_PER_GROUP && s->group_size == 0)
        s->group_size = 128;
    v = s->axis;
    if (!cli_int(c, "axis", -8, 7, &v)) return false;
    s->axis = (int)v;
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ output */

void cli_print(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
}

void cli_puts(const char *text) { fputs(text, stdout); }

int cli_print_table(const cli *c, const pare_table *table) {
    pare_err err = {0};
    char *text = NULL;
    if (pare_table_render(table, PARE_TABLE_TEXT, c->tty_out ? c->width : 0, &text, &err) != PARE_OK) return cli_fail(c, &err);
    cli_puts(text);
    pare_free(text);
    return 0;
}

int cli_print_json(const cli *c, pare_json *j) {
    pare_err err = {0};
    char *text = NULL;
    const pare_status st = pare_json_take(j, &text, &err);
    pare_json_free(j);
    if (st != PARE_OK) return cli_fail(c, &err);
    cli_puts(text);
    if (text[0] && text[strlen(text) - 1] != '\n') cli_puts("\n");
    pare_free(text);
    return 0;
}

int cli_print_panels(const cli *c, const pare_panel *panels, int n) {
    pare_err err = {0};
    char *text = NULL;
    if (pare_draw_panels(panels, n, c->width, c->color, &text, &err) != PARE_OK) return cli_fail(c, &err);
    cli_puts(text);
    pare_free(text);
    return 0;
}

void cli_format_bytes(uint64_t bytes, char out[32]) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 4) v /= 1024, u++;
    snprintf(out, 32, u ? "%.2f %s" : "%.0f %s", v, unit[u]);
}

/* -------------------------------------------------------------------------------------------------------------- main */

static pare_ctx *running; /* for the signal handler */

static void on_signal(int sig) {
    pare_ctx_cancel(running);
    signal(sig, SIG_DFL); /* a second Ctrl-C ends the process at once */
}

static const char *hub_cache(void) {
    static char path[4096];
    const char *v;
    if ((v = getenv("HF_HUB_CACHE")) && *v) return v;
    if ((v = getenv("HF_HOME")) && *v)
        snprintf(path, sizeof path, "%s/hub", v);
    else if ((v = getenv("XDG_CACHE_HOME")) && *v)
        snprintf(path, sizeof path, "%s/huggingface/hub", v);
    else if ((v = getenv("HOME")) && *v)
        snprintf(path, sizeof path, "%s/.cache/huggingface/hub", v);
    else
        return NULL;
    return path;
}

static void look_at_terminal(cli *c) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"), *columns = getenv("COLUMNS");
    struct winsize ws;
    c->tty_out = isatty(STDOUT_FILENO) != 0;
    c->color = c->tty_out && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
    c->width = 80;
    if (c->tty_out && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20) c->width = ws.ws_col;
    if (columns && strtol(columns, NULL, 10) > 20) c->width = (int)strtol(columns, NULL, 10);
}

static int make_context(cli *c) {
    int64_t threads = 0;
    if (!cli_int(c, "threads", 1, 1024, &threads)) return 2;
    const pare_ctx_options options = {.threads = (int)threads, .isa = cli_text(c, "isa"), .log = on_log, .progress = cli_progress, .user = c};
    cli_progress_begin(c->quiet);
    if (pare_ctx_new(&options, &c->ctx, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    running = c->ctx;
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    return 0;
}

static int run_command(const cli_command *cmd, int argc, char **argv) {
    cli c = {.command = cmd, .hub_cache = hub_cache()};
    int code;
    c.argv = malloc((size_t)(argc + 1) * sizeof *c.argv);
    c.given = malloc((size_t)(argc + 1) * sizeof *c.given);
    if (!c.argv || !c.given) return cli_usage(NULL, "out of memory");
    if ((code = parse(&c, argc, argv))) goto out;
    if (cli_has(&c, "help")) {
        code = cli_help_command(cmd);
        goto out;
    }
    c.json = cli_has(&c, "json");
    c.quiet = cli_has(&c, "quiet");
    c.verbose = cli_has(&c, "verbose");
    look_at_terminal(&c);
    if (c.argc < cmd->min_args)
        code = cli_usage(&c, "needs %s", cmd->args);
    else if (cmd->max_args >= 0 && c.argc > cmd->max_args)
        code = cli_usage(&c, "too many arguments, first extra one: '%s'", c.argv[cmd->max_args]);
    else if ((code = make_context(&c)) == 0)
        code = cmd->run(&c);
    cli_progress_end();
    running = NULL;
    pare_ctx_free(c.ctx);
out:
    free(c.argv);
    free(c.given);
    for (int i = 0; i < c.n_owned; i++) free(c.owned[i]);
    free(c.owned);
    return code;
}

static int unknown_command(const char *name) {
    const char *best = NULL;
    int best_d = 4;
    for (int i = 0; commands[i]; i++) {
        const int d = distance(name, commands[i]->name);
        if (d < best_d) best_d = d, best = commands[i]->name;
    }
    fprintf(stderr, "pare: error: unknown command '%s'\n", name);
    if (best)
        fprintf(stderr, "hint: did you mean 'pare %s'?\n", best);
    else
        fputs("hint: pare --help\n", stderr);
    return 2;
}

int main(int argc, char **argv) {
    int code;
    if (argc < 2) {
        cli_help_all();
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        cli_print("pare %s\n", pare_version());
        code = 0;
    } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        code = cli_help_all();
    else {
        const cli_command *cmd = cli_command_find(argv[1]);
        code = cmd ? run_command(cmd, argc - 2, argv + 2) : unknown_command(argv[1]);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (code == 0) fprintf(stderr, "pare: error: standard output: %s\n", strerror(errno));
        return code ? code : 1;
    }
    return code;
}
