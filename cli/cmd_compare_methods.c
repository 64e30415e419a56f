/* SPDX-License-Identifier: Apache-2.0 */
/* pare compare-methods MODEL: one model made small in many ways, each measured on one text. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assess.h"
#include "job.h"
#include "lists.h"

enum { MOST_METHODS = 32, MOST_SERIES = MOST_METHODS + 1 };

/* ---------------------------------------------------------------------------------------------------------- picture */

static int column_of(const pare_table *t, const char *key) {
    for (int i = 0; i < pare_table_columns(t); i++)
        if (strcmp(pare_table_key(t, i), key) == 0) return i;
    return -1;
}

/* Points of a line from small to large. */
static void sort_points(double *x, double *y, int64_t n) {
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = i; k > 0 && x[k] < x[k - 1]; k--) {
            const double tx = x[k], ty = y[k];
            x[k] = x[k - 1], y[k] = y[k - 1];
            x[k - 1] = tx, y[k - 1] = ty;
        }
}

/* Size of the weight files against KL divergence, a line a method. */
static int plot(cli *c, const pare_table *t, const char *path) {
    const int method = column_of(t, "method"), bytes = column_of(t, "bytes"), kl = column_of(t, "kl_mean");
    const int64_t rows = pare_table_rows(t);
    double *x = calloc((size_t)rows * MOST_SERIES, sizeof *x), *y = calloc((size_t)rows * MOST_SERIES, sizeof *y);
    pare_series series[MOST_SERIES];
    int n = 0, code = 0;
    for (int64_t r = 0; x && y && r < rows; r++) {
        const char *name = NULL, *none;
        int64_t size = 0, unused;
        double value = 0, real;
        pare_table_cell(t, r, method, &name, &unused, &real);
        if (pare_table_cell(t, r, kl, &none, &unused, &value) != PARE_CELL_REAL || !(value > 0)) continue;
        pare_table_cell(t, r, bytes, &none, &size, &real);
        int s = 0;
        while (s < n && strcmp(series[s].name, name) != 0) s++;
        if (s == MOST_SERIES) continue;
        if (s == n) series[n++] = (pare_series){.name = name, .x = x + s * rows, .y = y + s * rows};
        x[s * rows + series[s].n] = (double)size / 1e6;
        y[s * rows + series[s].n++] = value;
    }
    for (int s = 0; s < n; s++) sort_points(x + s * rows, y + s * rows, series[s].n);
    const pare_chart chart = {.kind = PARE_CHART_LINES, .title = "what each method loses at its size", .x_label = "weight files, MB", .y_label = "KL divergence, nats", .log_y = true,
                              .series = series, .n_series = n};
    if (!x || !y) {
        snprintf(c->err.text, sizeof c->err.text, "%s: out of memory", path);
        c->err.code = PARE_ERR_MEMORY;
        code = cli_fail(c, &c->err);
    } else if (n == 0)
        cli_warn(c, "--plot: no way has a KL divergence, so there is nothing to draw");
    else if (pare_plot_chart(path, &chart, &c->err) != PARE_OK)
        code = cli_fail(c, &c->err);
    else if (!c->json && !c->quiet)
        cli_print("picture: %s\n", path);
    free(x);
    free(y);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------ entry */

static int print_table(cli *c, const pare_table *t) {
    char *text = NULL;
    int code = 0;
    if (!c->json && !cli_has(c, "csv")) return cli_print_table(c, t);
    if (pare_table_render(t, c->json ? PARE_TABLE_JSON : PARE_TABLE_CSV, 0, &text, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    cli_puts(text);
    if (text[0] && text[strlen(text) - 1] != '\n') cli_puts("\n");
    pare_free(text);
    return code;
}

static int compare(cli *c, const char *model, pare_compare_methods_options *o) {
    pare_table *t = NULL;
    int code;
    if (pare_compare_methods(c->ctx, model, o, &t, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    cli_progress_end();
    code = print_table(c, t);
    if (!code && cli_text(c, "plot")) code = plot(c, t, cli_text(c, "plot"));
    pare_table_free(t);
    return code;
}

static bool read_job(cli *c, pare_quantize_options *o) {
    int64_t seed = 0;
    *o = (pare_quantize_options){.format = cli_text(c, "format")};
    o->n_ignore = cli_list(c, "ignore", &o->ignore);
    o->n_only = cli_list(c, "only", &o->only);
    if (!cli_size(c, "memory", &o->memory) || !cli_int(c, "seed", 0, INT64_MAX, &seed) || !cli_calibration_options(c, o)) return false;
    o->seed = (uint64_t)seed;
    return true;
}

static int run(cli *c) {
    static const char usual[] = "rtn,rtn:clip=mse,hqq,awq,gptq";
    const char *methods[MOST_METHODS], *model = NULL, *list = cli_text(c, "methods"), *folder = cli_text(c, "output"), *base = getenv("TMPDIR");
    pare_compare_methods_options o = {.methods = methods, .keep = folder != NULL, .per_channel = cli_has(c, "per-channel"), .asymmetric = cli_has(c, "asymmetric")};
    char *names = NULL, *text = NULL, temporary[4096];
    int bits[8], code = 2;
    if (!cli_text(c, "text")) return cli_usage(c, "what to measure on: --text FILE");
    if (!cli_bits(c, "bits", "4,3,2", bits, &o.n_bits) || !read_job(c, &o.quantize) || !cli_int(c, "group-size", 1, INT64_MAX, &o.group_size)) return 2;
    o.bits = bits;
    if (!(names = strdup(list ? list : usual)) || !cli_methods(c, "methods", names, methods, MOST_METHODS, &o.n_methods)) goto out;
    if (!cli_assess_options(c, cli_text(c, "text"), &o.assess, &text, &code)) goto out;
    code = 1;
    if (!folder) {
        snprintf(temporary, sizeof temporary, "%s/pare-methods-XXXXXX", base && *base ? base : "/tmp");
        if (!mkdtemp(temporary)) {
            snprintf(c->err.text, sizeof c->err.text, "%.400s: cannot make a folder", temporary);
            c->err.code = PARE_ERR_IO;
            cli_fail(c, &c->err);
            goto out;
        }
    }
    o.folder = folder ? folder : temporary;
    if ((model = cli_model_path(c, c->argv[0])) != NULL) code = compare(c, model, &o);
    if (!folder && rmdir(temporary) != 0) cli_warn(c, "%s: cannot be removed", temporary);
out:
    pare_free((void *)model);
    free(names);
    free(text);
    return code;
}

static const cli_flag flags[] = {
    {"text", 't', "FILE", "text to measure on ('-': standard input)", false},
    {"methods", 'm', "LIST", "METHOD[:KEY=VALUE,...][@SCHEME] (default rtn,rtn:clip=mse,hqq,awq,gptq)", false},
    {"bits", 'b', "LIST", "bit widths (default 4,3,2)", false},
    {"group-size", 'g', "N", "input channels a scale (default 128)", false},
    {"per-channel", 0, NULL, "a scale an output channel, no groups", false},
    {"asymmetric", 0, NULL, "with zero points", false},
    {"output", 'o', "DIR", "keep the models there, a folder each (default: measured, then removed)", false},
    {"plot", 0, "FILE", "size against KL divergence: .png, .svg or .pdf", false},
    {"csv", 0, NULL, "as CSV", false},
    {"format", 0, "NAME", "layout of the results", false},
    {"ignore", 0, "PATTERN", "leave these tensors as they are", true},
    {"only", 0, "PATTERN", "quantize these tensors and no others", true},
    {"memory", 0, "SIZE", "working memory to aim at", false},
    {"seed", 0, "S", "for methods that use randomness", false},
    CLI_CALIBRATION_FLAGS,
    CLI_ASSESS_FLAGS,
    {0},
};

const cli_command cli_cmd_compare_methods = {
    .name = "compare-methods", .args = "MODEL --text FILE", .summary = "Make a model smaller in many ways and measure each",
    .details = "Every method at every bit width, then perplexity, KL divergence, agreement, bytes and speed against the original.\n\n"
               "  pare compare-methods MODEL --text wiki.txt --windows 20 --plot methods.svg\n"
               "  pare compare-methods MODEL --text wiki.txt --methods gptq,gptq:correct=none,rtn@NF4 --bits 4,3",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
