/* SPDX-License-Identifier: Apache-2.0 */
/* pare quantize MODEL -o OUT: the main job. */
#include <math.h>

#include <stdlib.h>
#include <string.h>

#include "assess.h"
#include "cli.h"
#include "job.h"

/* Fewer bits than this are worth a word when nobody looks at what they cost. */
#define CAREFREE_BITS 5.0

static void print_summary(const pare_job_result *r, const char *out, bool dry, bool measured) {
    char from[32], to[32], rss[32];
    cli_format_bytes(r->input_bytes, from);
    cli_format_bytes(r->output_bytes, to);
    cli_format_bytes(r->peak_rss_bytes, rss);
    cli_print("%s %s: %s -> %s (%.2fx smaller), %lld tensor%s quantized, %lld kept, %.3f bits per quantized weight\n", dry ? "would write" : "wrote", out, from,
              to, r->output_bytes ? (double)r->input_bytes / (double)r->output_bytes : 0.0, (long long)r->quantized_tensors, r->quantized_tensors == 1 ? "" : "s", (long long)r->kept_tensors,
              r->bits_per_weight);
    if (!dry && r->quantized_tensors) cli_print("signal to quantization noise %.2f dB; %.2f s, %s of memory at most\n", r->sqnr_db, r->seconds, rss);
    if (!dry) cli_print("details of every tensor: %s/pare.json\n", out);
    if (!dry && !measured && r->quantized_tensors && r->bits_per_weight < CAREFREE_BITS)
        cli_print("not evaluated: %.1f %% of the weights' energy is error now, and what that does to the model nobody has measured; --evaluate TEXT does\n",
                  100 * pow(10, -0.1 * r->sqnr_db));
}

int cli_job_json(const cli *c, const pare_job_result *r, const pare_table *plan, const pare_assessment *a, const pare_assess_options *assess, bool dry) {
    pare_json *j = NULL;
    pare_err err = {0};
    if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
    pare_json_object(j, NULL);
    pare_json_int(j, "input_bytes", (int64_t)r->input_bytes);
    pare_json_int(j, "output_bytes", (int64_t)r->output_bytes);
    pare_json_int(j, "quantized_tensors", r->quantized_tensors);
    pare_json_int(j, "kept_tensors", r->kept_tensors);
    pare_json_real(j, "bits_per_weight", r->bits_per_weight);
    pare_json_real(j, "sqnr_db", dry ? NAN : r->sqnr_db);
    pare_json_real(j, "seconds", r->seconds);
    pare_json_int(j, "peak_rss_bytes", (int64_t)r->peak_rss_bytes);
    if (r->calibration_memory) {
        pare_json_object(j, "calibration");
        pare_json_int(j, "memory_bytes", (int64_t)r->calibration_memory);
        pare_json_int(j, "disk_bytes", (int64_t)r->calibration_disk);
        pare_json_real(j, "expected_seconds", r->calibration_seconds);
        pare_json_end(j);
    }
    if (plan) pare_json_table(j, "plan", plan);
    if (a) pare_assess_json(j, "evaluation", a, assess);
    pare_json_end(j);
    return cli_print_json(c, j);
}

/* MODEL may be a Hub id. */
const char *cli_model_path(cli *c, const char *model) {
    char *path = NULL;
    if (pare_find_model(model, c->hub_cache, &path, &c->err) != PARE_OK) {
        cli_fail(c, &c->err);
        return NULL;
    }
    return path;
}

bool cli_calibration_options(const cli *c, pare_quantize_options *o) {
    o->calibration = cli_text(c, "calibration");
    o->no_bos = cli_has(c, "no-bos");
    return cli_int(c, "samples", 1, 1 << 20, &o->samples) && cli_int(c, "seq-len", 1, 1 << 20, &o->seq_len);
}

bool cli_job_options(cli *c, pare_quantize_options *o) {
    int64_t seed = 0;
    bool given = false;
    *o = (pare_quantize_options){.method = cli_text(c, "method"), .format = cli_text(c, "format"), .container = cli_text(c, "container"),
                                 .dtype = cli_text(c, "dtype"), .hash = cli_text(c, "hash"), .recipe = cli_text(c, "recipe"), .resume = cli_has(c, "resume"),
                                 .overwrite = cli_has(c, "overwrite"), .dry_run = cli_has(c, "dry-run"),
                                 .allow_nonfinite = cli_has(c, "allow-nonfinite")};
    o->n_ignore = cli_list(c, "ignore", &o->ignore);
    o->n_only = cli_list(c, "only", &o->only);
    o->n_set = cli_list(c, "set", &o->set);
    if (!cli_size(c, "memory", &o->memory) || !cli_size(c, "shard-size", &o->shard_size) || !cli_int(c, "seed", 0, INT64_MAX, &seed) ||
        !cli_calibration_options(c, o))
        return false;
    o->seed = (uint64_t)seed;
    o->kv_cache = cli_text(c, "kv-cache");
    if (cli_text(c, "scheme") && strcmp(cli_text(c, "scheme"), "none") == 0) {
        o->scheme_name = "none";
        return !(cli_has(c, "bits") || cli_has(c, "granularity") || cli_has(c, "group-size")) ||
               (cli_usage(c, "--scheme none leaves the weights as they are: no bits, granularity or group size with it"), false);
    }
    if (!cli_scheme(c, &o->scheme, &given)) return false;
    if (!given) o->scheme.bits = 0; /* the recipe's default, else W8A16 */
    return true;
}

/* After the job: the result against the original, into pare.json. */
static int evaluate(cli *c, const char *model, const char *out, const pare_assess_options *o, pare_assessment *a) {
    if (pare_assess(c->ctx, model, out, o, a, &c->err) == PARE_OK && pare_assess_record(out, a, o, &c->err) == PARE_OK) return 0;
    const int code = cli_fail(c, &c->err);
    cli_warn(c, "%s: is complete, but was not evaluated", out);
    return code;
}

static int print_evaluation(cli *c, const pare_assessment *a) {
    pare_table *t = NULL;
    const int code = pare_assess_table(a, &t, &c->err) == PARE_OK ? cli_print_table(c, t) : cli_fail(c, &c->err);
    pare_table_free(t);
    return code;
}

static int quantize(cli *c, const char *model, const char *out, const pare_quantize_options *o, const pare_assess_options *assess) {
    pare_job_result r;
    pare_assessment a;
    pare_table *plan = NULL;
    const bool measured = assess && !o->dry_run;
    int code = 0;
    if (assess && pare_assess_check(c->ctx, model, assess, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (pare_quantize_model(c->ctx, model, out, o, &r, o->dry_run ? &plan : NULL, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (measured) code = evaluate(c, model, out, assess, &a);
    cli_progress_end();
    if (!code && c->json)
        code = cli_job_json(c, &r, plan, measured ? &a : NULL, assess, o->dry_run);
    else if (!code) {
        if (plan) code = cli_print_table(c, plan);
        if (!c->quiet) print_summary(&r, out, o->dry_run, measured);
        if (measured && !code) code = print_evaluation(c, &a);
    }
    pare_table_free(plan);
    return code;
}

static int run(cli *c) {
    pare_quantize_options o;
    pare_assess_options assess;
    const char *out = cli_text(c, "output"), *file = cli_text(c, "evaluate"), *model;
    char *text = NULL;
    int code = 1;
    if (cli_has(c, "report")) {
        snprintf(c->err.text, sizeof c->err.text, "--report: this version has no HTML reports");
        c->err.code = PARE_ERR_UNSUPPORTED;
        return cli_fail(c, &c->err);
    }
    if (!out && !cli_has(c, "dry-run")) return cli_usage(c, "needs -o OUT");
    if (!cli_job_options(c, &o)) return 2;
    if (file && !cli_assess_options(c, file, &assess, &text, &code)) return code;
    if ((model = cli_model_path(c, c->argv[0])) != NULL) code = quantize(c, model, out ? out : "OUT", &o, file ? &assess : NULL);
    pare_free((void *)model);
    free(text);
    return code;
}

static const cli_flag flags[] = {
    {"output", 'o', "OUT", "folder to make", false},
    CLI_SCHEME_FLAGS,
    {"method", 0, "NAME", "how codes are chosen (default rtn; pare list methods)", false},
    {"format", 0, "NAME", "layout of the result (default compressed-tensors; pare list layouts)", false},
    {"container", 0, "NAME", "file format (default safetensors)", false},
    {"ignore", 0, "PATTERN", "leave these tensors as they are", true},
    {"only", 0, "PATTERN", "quantize these tensors and no others", true},
    {"recipe", 0, "FILE", "rules in JSON: which tensor gets what", false},
    {"dtype", 0, "T", "float format of what is not quantized (default: as stored)", false},
    {"set", 0, "KEY=VALUE", "an option of the method", true},
    {"kv-cache", 0, "KIND", "also measure scales of the key/value cache: fp8 or int8[:scales=head,range=...]; alone with --scheme none", false},
    {"memory", 0, "SIZE", "working memory to aim at", false},
    {"shard-size", 0, "SIZE", "largest weight file (default 5GB)", false},
    {"hash", 0, "NAME", "of input files in pare.json: xxh128 (default) or sha256; outputs are always sha256", false},
    {"seed", 0, "S", "for methods that use randomness", false},
    {"resume", 0, NULL, "go on with an interrupted run", false},
    {"overwrite", 0, NULL, "replace OUT if it exists", false},
    {"dry-run", 'n', NULL, "print the plan, write nothing", false},
    {"allow-nonfinite", 0, NULL, "go on when a weight holds NaN or Inf", false},
    CLI_CALIBRATION_FLAGS,
    {"evaluate", 0, "TEXT", "then measure the result against the original on this text; kept in pare.json", false},
    CLI_ASSESS_FLAGS,
    {"report", 0, "FILE", "HTML report (not in this version)", false},
    {0},
};

const cli_command cli_cmd_quantize = {
    .name = "quantize", .args = "MODEL -o OUT", .summary = "Make a model smaller, in a layout that other tools load",
    .details = "Defaults: --scheme W8A16 (8 bit, symmetric, per output channel), --method rtn, --format compressed-tensors.\n"
               "Dense and convolution weights are quantized; the output head, embeddings, norms and routers stay as they are.\n"
               "OUT becomes a complete folder: weights, config.json, tokenizer files, and pare.json with what was done,\n"
               "hashes and the error of every tensor. An interrupted run leaves OUT.partial; --resume goes on with it.\n\n"
               "  pare quantize MODEL -o small --scheme W4A16\n"
               "  pare quantize MODEL -o small --scheme W4A16_ASYM:g64 --format awq\n"
               "  pare quantize MODEL -o small --scheme W4A16 --evaluate wiki.txt --windows 20\n"
               "  pare quantize MODEL -o small --bits 3 --group-size 64 --clip mse --ignore 'model.layers.0.*'",
    .flags = flags, .min_args = 1, .max_args = 1, .method_options_of = "quantize", .run = run};
