/* SPDX-License-Identifier: Apache-2.0 */
/* pare analyze MODEL: which layers can afford what, before anything is quantized. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job.h"
#include "lists.h"
#include "session.h"

enum { MOST_METHODS = 8, MOST_KINDS = 24 };

/* ---------------------------------------------------------------------------------------------------------- pictures */

/* "model.layers.3.mlp.up_proj.weight" -> 3 and "mlp.up_proj": layers of one kind make one line. */
static bool split_name(const char *name, int *layer, char kind[64]) {
    for (const char *p = name; (p = strchr(p, '.')) != NULL; p++) {
        char *end;
        const long v = strtol(p + 1, &end, 10);
        if (end == p + 1 || *end != '.') continue;
        *layer = (int)v;
        snprintf(kind, 64, "%s", end + 1);
        char *tail = strstr(kind, ".weight");
        if (tail) *tail = 0;
        return true;
    }
    return false;
}

static int column_of(const pare_table *t, const char *key) {
    for (int i = 0; i < pare_table_columns(t); i++)
        if (strcmp(pare_table_key(t, i), key) == 0) return i;
    return -1;
}

/* One column of the table over the number of the layer, a line a kind of layer. */
static int plot_column(cli *c, const pare_table *t, const char *folder, const char *key, const char *title, const char *label) {
    static char kinds[MOST_KINDS][64];
    const int64_t rows = pare_table_rows(t);
    const int column = column_of(t, key), name_column = column_of(t, "name");
    double *x = calloc((size_t)(rows * MOST_KINDS), sizeof *x), *y = calloc((size_t)(rows * MOST_KINDS), sizeof *y);
    pare_series series[MOST_KINDS];
    int n = 0, code = 0;
    char path[4096];
    for (int64_t r = 0; x && y && column >= 0 && r < rows; r++) {
        const char *name, *unused;
        int64_t i;
        double value, none;
        int layer;
        char kind[64];
        pare_table_cell(t, r, name_column, &name, &i, &none);
        if (pare_table_cell(t, r, column, &unused, &i, &value) != PARE_CELL_REAL || !(value > 0) || !split_name(name, &layer, kind)) continue;
        int s = 0;
        while (s < n && strcmp(kinds[s], kind) != 0) s++;
        if (s == MOST_KINDS) continue; /* mixtures have hundreds of experts: the table has them */
        if (s == n) {
            snprintf(kinds[s], sizeof kinds[s], "%s", kind);
            series[n++] = (pare_series){.name = kinds[s], .x = x + s * rows, .y = y + s * rows};
        }
        x[s * rows + series[s].n] = layer;
        y[s * rows + series[s].n++] = value;
    }
    const pare_chart chart = {.kind = PARE_CHART_LINES, .title = title, .x_label = "layer", .y_label = label, .log_y = true, .series = series, .n_series = n};
    snprintf(path, sizeof path, "%s/%s.svg", folder, key);
    if (n > 0 && pare_plot_chart(path, &chart, &c->err) != PARE_OK) code = cli_fail(c, &c->err);
    else if (n > 0 && !c->json && !c->quiet) cli_print("picture: %s\n", path);
    free(x);
    free(y);
    return code;
}

static int plot(cli *c, const pare_table *t, const char *folder) {
    int code = 0;
    if (mkdir(folder, 0777) != 0 && access(folder, W_OK) != 0) {
        snprintf(c->err.text, sizeof c->err.text, "%s: cannot make the folder", folder);
        c->err.code = PARE_ERR_IO;
        return cli_fail(c, &c->err);
    }
    code = plot_column(c, t, folder, "weight_ratio", "how far the largest weight is out", "max |w| / standard deviation");
    if (!code) code = plot_column(c, t, folder, "input_ratio", "how far the largest input channel is out", "max |x| / that of the middle channel");
    for (int i = 0; i < pare_table_columns(t) && !code; i++)
        if (strncmp(pare_table_key(t, i), "error_", 6) == 0) code = plot_column(c, t, folder, pare_table_key(t, i), pare_table_key(t, i) + 6, "error of the layer's output, part of its energy");
    if (!code && column_of(t, "kl_mean") >= 0) code = plot_column(c, t, folder, "kl_mean", "what the model loses when one layer is quantized", "KL divergence, nats");
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- output */

static int print_findings(const cli *c, const pare_table *findings) {
    const int64_t n = pare_table_rows(findings);
    if (n == 0) {
        cli_print("\nNothing stands out.\n");
        return 0;
    }
    cli_print("\n%lld finding%s:\n", (long long)n, n == 1 ? "" : "s");
    for (int64_t r = 0; r < n; r++) {
        const char *text[4];
        int64_t i;
        double real;
        for (int k = 0; k < 4; k++) pare_table_cell(findings, r, k, &text[k], &i, &real);
        cli_print("  %s: %s\n    %s\n    -> %s\n", text[0], text[1], text[2], text[3]);
    }
    (void)c;
    return 0;
}

static int print(cli *c, const pare_table *layers, const pare_table *findings) {
    if (!c->json) {
        const int code = cli_print_table(c, layers);
        return code ? code : print_findings(c, findings);
    }
    pare_json *j = NULL;
    if (pare_json_new(2, &j, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    pare_json_object(j, NULL);
    pare_json_table(j, "layers", layers);
    pare_json_table(j, "findings", findings);
    pare_json_end(j);
    return cli_print_json(c, j);
}

/* -------------------------------------------------------------------------------------------------------------- entry */

static int analyze(cli *c, const pare_analyze_options *o) {
    pare_table *layers = NULL, *findings = NULL;
    int code;
    if (pare_analyze(c->ctx, c->argv[0], o, &layers, &findings, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    cli_progress_end();
    code = print(c, layers, findings);
    if (!code && cli_text(c, "plot")) code = plot(c, layers, cli_text(c, "plot"));
    pare_table_free(layers);
    pare_table_free(findings);
    return code;
}

static bool read_options(cli *c, pare_analyze_options *o, const char *methods[MOST_METHODS], char *names, int bits[8]) {
    int64_t seed = 0;
    if (!cli_bits(c, "bits", NULL, bits, &o->n_bits) || !cli_int(c, "group-size", 1, INT64_MAX, &o->group_size) || !cli_int(c, "samples", 1, INT64_MAX, &o->samples) ||
        !cli_int(c, "seq-len", 2, INT64_MAX, &o->seq_len) || !cli_int(c, "seed", 0, INT64_MAX, &seed) || !cli_int(c, "ctx", 2, INT32_MAX, &o->ctx) ||
        !cli_int(c, "windows", 0, INT64_MAX, &o->windows) || !cli_size(c, "memory", &o->memory))
        return false;
    if (names && !cli_methods(c, "methods", names, methods, MOST_METHODS, &o->n_methods)) return false;
    o->methods = methods;
    o->bits = bits;
    o->seed = (uint64_t)seed;
    o->measure = cli_has(c, "measure");
    return true;
}

static int run(cli *c) {
    const char *methods[MOST_METHODS], *base = getenv("TMPDIR");
    char *names = cli_text(c, "methods") ? strdup(cli_text(c, "methods")) : NULL, *text = NULL, work[4096];
    int bits[8], code = 2;
    pare_analyze_options o = {.hub_cache = c->hub_cache, .calibration = cli_text(c, "calibration"), .per_channel = cli_has(c, "per-channel"), .asymmetric = cli_has(c, "asymmetric")};
    if (!read_options(c, &o, methods, names, bits)) goto out;
    if (o.measure && !cli_text(c, "text")) {
        code = cli_usage(c, "--measure needs a text to measure on: --text FILE");
        goto out;
    }
    code = 1;
    if (o.measure) {
        if (!(text = cli_read_text(c, cli_text(c, "text"), &o.bytes))) goto out;
        snprintf(work, sizeof work, "%s/pare-analyze-XXXXXX", base && *base ? base : "/tmp");
        const int f = mkstemp(work);
        if (f < 0) {
            snprintf(c->err.text, sizeof c->err.text, "%.400s: cannot make a file", work);
            c->err.code = PARE_ERR_IO;
            code = cli_fail(c, &c->err);
            goto out;
        }
        close(f);
        o.text = text;
        o.work_file = work;
    }
    code = analyze(c, &o);
    if (o.work_file) unlink(work);
out:
    free(names);
    free(text);
    return code;
}

static const cli_flag flags[] = {
    {"methods", 'm', "LIST", "methods to try (default rtn)", false},
    {"bits", 'b', "LIST", "bit widths to try (default 8,4,3,2)", false},
    {"group-size", 'g', "N", "input channels a scale (default 128)", false},
    {"per-channel", 0, NULL, "a scale an output channel, no groups", false},
    {"asymmetric", 0, NULL, "with zero points", false},
    {"calibration", 0, "FILE", "text, JSON lines or token ids that inputs are looked at on (default: the bundled text)", false},
    {"samples", 0, "N", "calibration windows (default 32)", false},
    {"seq-len", 0, "L", "tokens in a calibration window (default 512)", false},
    {"seed", 0, "S", "where windows are cut", false},
    {"measure", 0, NULL, "also the KL divergence of the whole model with each layer alone quantized by the first method and width", false},
    {"text", 't', "FILE", "text to measure on", false},
    {"ctx", 0, "N", "tokens in a window of the measurement", false},
    {"windows", 0, "N", "how many windows are measured (default: all)", false},
    {"memory", 0, "SIZE", "limit for the model that measures", false},
    {"plot", 0, "DIR", "pictures: weights, inputs, errors over the layers", false},
    {0},
};

const cli_command cli_cmd_analyze = {
    .name = "analyze", .args = "MODEL", .summary = "Find sensitive layers and outliers before quantizing",
    .details = "Walks the float model over the calibration text once. For each layer: ranges of weights and inputs, channels that stand out, and the error of its\n"
               "output under each method and bit width. What is worth a warning is listed below the table, with its evidence.\n\n"
               "  pare analyze MODEL --bits 4,3 --methods rtn,gptq --plot pictures\n"
               "  pare analyze MODEL --bits 3 --measure --text wiki.txt --windows 8",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
