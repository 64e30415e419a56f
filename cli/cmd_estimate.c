/* SPDX-License-Identifier: Apache-2.0 */
/* pare estimate MODEL: bytes in each storage choice, before anything is downloaded or written. */
#include <stdio.h>
#include <string.h>

#include "job.h"

static int64_t cell(const pare_table *t, int64_t row, int column) {
    int64_t v = 0;
    pare_table_cell(t, row, column, NULL, &v, NULL);
    return v;
}

/* Decimal units beside the table's binary ones: papers and shops count gigabytes of 10^9. */
static void print_decimal(const pare_table *t) {
    cli_puts("\nIn GB (10^9 bytes):");
    for (int64_t r = 0; r < pare_table_rows(t); r++) {
        const char *name = "";
        pare_table_cell(t, r, 0, &name, NULL, NULL);
        cli_print("%s %s %.6g", r ? ";" : "", name, (double)cell(t, r, 4) / 1e9);
    }
    cli_puts("\n");
}

static int print(const cli *c, const pare_table *t) {
    char *text = NULL;
    pare_json *j = NULL;
    pare_err err = {0};
    if (!c->json) {
        const int code = cli_print_table(c, t);
        if (code == 0) print_decimal(t);
        return code;
    }
    if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
    pare_json_object(j, NULL);
    pare_json_table(j, "rows", t);
    pare_json_end(j);
    pare_free(text);
    return cli_print_json(c, j);
}

static bool read_dtype(const cli *c, const char *flag, pare_dtype *out) {
    const char *text = cli_text(c, flag);
    if (!text) return true;
    *out = pare_dtype_parse(text);
    const pare_dtype_info *info = pare_dtype_get_info(*out);
    if (info && (info->kind == PARE_KIND_FLOAT || strcmp(flag, "kv-dtype") == 0)) return true;
    cli_usage(c, "--%s: '%s' is not a format that it can have", flag, text);
    return false;
}

static int run(cli *c) {
    pare_estimate_options o = {.train = cli_has(c, "train"), .all_layers = cli_has(c, "all-layers"), .format = cli_text(c, "format")};
    pare_table *t = NULL;
    char *path = NULL;
    int code;
    if (!cli_int(c, "ctx", 1, INT64_C(1) << 40, &o.ctx_tokens) || !cli_int(c, "group-size", 1, INT64_C(1) << 40, &o.group_size)) return 2;
    if (!read_dtype(c, "dtype", &o.dtype) || !read_dtype(c, "scale-dtype", &o.scale_dtype) || !read_dtype(c, "kv-dtype", &o.kv_dtype)) return 2;
    o.n_ignore = cli_list(c, "ignore", &o.ignore);
    /* a Hub id becomes its folder; anything else ("7B") goes on as it is */
    if (pare_find_model(c->argv[0], c->hub_cache, &path, NULL) != PARE_OK) path = NULL;
    if (pare_estimate(c->ctx, path ? path : c->argv[0], &o, &t, &c->err) != PARE_OK)
        code = cli_fail(c, &c->err);
    else
        code = print(c, t);
    pare_table_free(t);
    pare_free(path);
    return code;
}

static const cli_flag flags[] = {
    {"ctx", 0, "N", "add the KV cache for N tokens", false},
    {"kv-dtype", 0, "T", "the KV cache in f32, f16, bf16, i8 or fp8 (default 16 bits)", false},
    {"train", 0, NULL, "add gradients and AdamW states", false},
    {"group-size", 'g', "N", "one scale for N weights (default: one an output channel)", false},
    {"dtype", 0, "T", "float format of what is not quantized (default f16)", false},
    {"scale-dtype", 0, "T", "format of scales (default: as --dtype)", false},
    {"all-layers", 0, NULL, "the output head is quantized, too", false},
    {"ignore", 0, "PATTERN", "leave these layers in float", true},
    {"format", 0, "NAME", "count this layout's extra tensors (quanto: two scalars a layer)", false},
    {0},
};

const cli_command cli_cmd_estimate = {
    .name = "estimate", .args = "MODEL", .summary = "Bytes of a model in each storage choice",
    .details = "MODEL may also be a config.json of a known architecture, or a count such as 7B (weights only).\n\n"
               "  pare estimate 7B\n  pare estimate config.json --ctx 4096 --train",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
