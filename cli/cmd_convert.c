/* SPDX-License-Identifier: Apache-2.0 */
/* pare convert and pare dequantize: any checkpoint over to another dtype or container, or back to float. */
#include <string.h>

#include "job.h"

static int run(cli *c) {
    const bool dequantize = strcmp(c->command->name, "dequantize") == 0;
    pare_quantize_options o;
    pare_job_result r;
    const char *out = cli_text(c, "output");
    char from[32], to[32];
    int code;
    if (!out) return cli_usage(c, "needs -o OUT");
    if (!cli_job_options(c, &o)) return 2;
    const char *model = cli_model_path(c, c->argv[0]);
    if (!model) return 1;
    if (pare_convert_model(c->ctx, model, out, dequantize, &o, &r, &c->err) != PARE_OK)
        code = cli_fail(c, &c->err);
    else if (c->json)
        code = cli_job_json(c, &r, NULL, NULL, NULL, true);
    else {
        cli_progress_end();
        cli_format_bytes(r.input_bytes, from);
        cli_format_bytes(r.output_bytes, to);
        if (!c->quiet) cli_print("%s %s: %s -> %s, %lld tensors, %.2f s\n", o.dry_run ? "would write" : "wrote", out, from, to, (long long)r.kept_tensors, r.seconds);
        code = 0;
    }
    pare_free((void *)model);
    return code;
}

static const cli_flag flags[] = {
    {"output", 'o', "OUT", "folder to make", false},
    {"dtype", 0, "T", "float format of the result: f32, f16, bf16, ... (default: as it was)", false},
    {"container", 0, "NAME", "file format: safetensors or npz (default safetensors)", false},
    {"shard-size", 0, "SIZE", "largest weight file (default 5GB)", false},
    {"memory", 0, "SIZE", "working memory to aim at", false},
    {"hash", 0, "NAME", "of input files in pare.json: xxh128 (default) or sha256", false},
    {"resume", 0, NULL, "go on with an interrupted run", false},
    {"overwrite", 0, NULL, "replace OUT if it exists", false},
    {"dry-run", 'n', NULL, "write nothing", false},
    {"allow-nonfinite", 0, NULL, "values beyond the range of the new dtype become infinite", false},
    {0},
};

const cli_command cli_cmd_convert = {
    .name = "convert", .args = "MODEL -o OUT", .summary = "Change dtype or container of a float checkpoint",
    .details = "Integer buffers stay as they are.\n\n  pare convert pytorch_model.bin -o folder --dtype bf16", .flags = flags, .min_args = 1, .max_args = 1, .run = run};

const cli_command cli_cmd_dequantize = {
    .name = "dequantize", .args = "MODEL -o OUT", .summary = "Turn a quantized checkpoint back into floats",
    .details = "  pare dequantize small -o float --dtype bf16", .flags = flags, .min_args = 1, .max_args = 1, .run = run};
