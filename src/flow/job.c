/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_quantize_model and pare_convert_model: plan, stream, finish, and the rename that makes the result visible.
 *
 * Work happens in "OUT.partial" beside OUT. It becomes OUT by one rename after everything is flushed, so OUT is either
 * absent, the old one, or complete. A cancelled or killed run leaves OUT.partial for --resume; any other failure removes it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/calibrate.h"
#include "flow/flow.h"
#include <pare/report.h>

/* --------------------------------------------------------------------------------------------- hashing of the inputs */

typedef struct input_hashes { pare_ctx *ctx; const pare_store *store; char (*hex)[65]; bool sha256; } input_hashes;

static pare_status hash_file(const input_hashes *h, const pare_map *map, char hex[65], pare_err *err) {
    const size_t piece = (size_t)4 << 20;
    pare_sha256 *sha = NULL;
    pare_xxh128 *xxh = NULL;
    pare_status st = h->sha256 ? pare_sha256_new(&sha, err) : pare_xxh128_new(&xxh, err);
    for (size_t at = 0; st == PARE_OK && at < map->n; at += piece) {
        const size_t n = map->n - at < piece ? map->n - at : piece;
        if (sha)
            st = pare_sha256_update(sha, map->at + at, n, err);
        else
            pare_xxh128_update(xxh, map->at + at, n);
        if (st == PARE_OK) st = pare_check_cancel(h->ctx, err);
    }
    if (st == PARE_OK && sha) st = pare_sha256_hex(sha, hex, err);
    if (st == PARE_OK && xxh) pare_xxh128_hex(xxh, hex);
    pare_sha256_free(sha);
    pare_xxh128_free(xxh);
    return st;
}

static pare_status hash_inputs(void *arg, pare_err *err) {
    const input_hashes *h = arg;
    for (int i = 0; i < h->store->n_files; i++) {
        const pare_status st = hash_file(h, &h->store->files[i].map, h->hex[i], err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------- the output folder */

typedef struct job_paths { char *out, *partial, *old; } job_paths;

static void clear_paths(job_paths *p) {
    pare_dealloc(p->out);
    pare_dealloc(p->partial);
    pare_dealloc(p->old);
}

static pare_status make_paths(const char *out, job_paths *p, pare_err *err) {
    pare_str s = {0};
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    if (n == 0) return pare_fail(err, PARE_ERR_USAGE, "the output name is empty");
    pare_str_addn(&s, out, n);
    p->out = pare_str_take(&s);
    pare_str_printf(&s, "%.*s.partial", (int)n, out);
    p->partial = pare_str_take(&s);
    pare_str_printf(&s, "%.*s.replaced", (int)n, out);
    p->old = pare_str_take(&s);
    return p->out && p->partial && p->old ? PARE_OK : pare_no_memory(err, out, n);
}

static bool same_file(const char *a, const char *b) {
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static pare_status check_output(const job_paths *p, const pare_quantize_options *o, const char *source, pare_err *err) {
    if (!pare_path_exists(p->out) || o->overwrite || (o->resume && !pare_path_exists(p->partial))) {
        if (pare_path_exists(p->out) && !pare_path_is_folder(p->out))
            return pare_fail(err, PARE_ERR_EXISTS, "%s: exists and is not a folder", p->out);
        if (same_file(p->out, source)) return pare_fail(err, PARE_ERR_USAGE, "%s: is the input, too", p->out);
        return PARE_OK;
    }
    pare_fail(err, PARE_ERR_EXISTS, "%s: exists already", p->out);
    return pare_hint(err, o->resume ? "--overwrite as well replaces it when the interrupted run is done" : "--overwrite replaces it");
}

static pare_status publish(const job_paths *p, pare_err *err) {
    char *journal = pare_path_join(p->partial, PARE_JOURNAL_NAME);
    pare_status st;
    if (!journal) return pare_no_memory(err, p->partial, 0);
    unlink(journal);
    pare_dealloc(journal);
    if (!pare_path_exists(p->out)) return pare_rename_durable(p->partial, p->out, err);
    if (pare_path_exists(p->old) && (st = pare_remove_tree(p->old, err)) != PARE_OK) return st;
    if ((st = pare_rename_durable(p->out, p->old, err)) != PARE_OK) return st;
    if ((st = pare_rename_durable(p->partial, p->out, err)) != PARE_OK) return st;
    return pare_remove_tree(p->old, err);
}

/* ------------------------------------------------------------------------------------------------------------ the job */

typedef struct job {
    pare_ctx *ctx;
    pare_plan_kind kind;
    const char *command;
    const pare_quantize_options *options;
    pare_store *store;
    pare_weights *weights;
    pare_plan *plan;
    job_paths paths;
    char (*shard_hash)[65], (*input_hash)[65];
    pare_journal *journal;
    pare_background *hasher;
    pare_calibration_texts *texts;
    pare_workstore *work;
    pare_preflight preflight;
    char plan_hash[65];
} job;

/* Is OUT the finished result of this very plan, with every file in place? Then there is nothing to resume. */
static bool complete_already(const job *j, pare_job_result *result) {
    char *path = pare_path_join(j->paths.out, "pare.json");
    pare_jdoc *doc = NULL;
    bool same = path && pare_jdoc_load(path, (size_t)1 << 30, &doc, NULL) == PARE_OK;
    pare_dealloc(path);
    if (!same) return false;
    const pare_jval *root = pare_jdoc_root(doc), *outputs = pare_j_get(root, "outputs"), *totals = pare_j_get(root, "totals");
    same = strcmp(pare_j_text(pare_j_get(root, "plan"), ""), j->plan_hash) == 0 && pare_j_count(outputs) > 0;
    for (size_t i = 0; same && i < pare_j_count(outputs); i++) {
        const pare_jval *o = pare_j_at(outputs, i);
        path = pare_path_join(j->paths.out, pare_j_text(pare_j_get(o, "file"), ""));
        same = path && pare_file_size(path) == pare_j_int(pare_j_get(o, "bytes"), -1);
        pare_dealloc(path);
    }
    if (same && result) {
        result->bits_per_weight = pare_j_real(pare_j_get(totals, "bits_per_weight"), 0);
        result->sqnr_db = pare_j_real(pare_j_get(totals, "sqnr_db"), INFINITY);
    }
    pare_jdoc_free(doc);
    return same;
}

static pare_status check_hash(const pare_quantize_options *o, pare_err *err) {
    if (!o->hash || strcmp(o->hash, "xxh128") == 0 || strcmp(o->hash, "sha256") == 0) return PARE_OK;
    return pare_fail(err, PARE_ERR_USAGE, "hash '%s' is not one of xxh128, sha256", o->hash);
}

static pare_status open_input(job *j, const char *model, pare_err *err) {
    pare_status st = pare_store_open(model, &j->store, err);
    if (st == PARE_OK) st = pare_weights_new(j->ctx, j->store, &j->weights, err);
    if (st != PARE_OK) return st;
    if (j->weights->unread)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is quantized as '%s', which this version does not read", model, j->weights->unread);
    if (j->kind == PARE_PLAN_QUANTIZE && j->weights->layout)
        pare_log(j->ctx, PARE_LOG_WARNING, "%s: is quantized already (%s); its errors add up with the new ones", model, j->weights->layout->name);
    return PARE_OK;
}

/* A run that died while it finished has left files, half-written ones too, that the next finish writes anew. */
static pare_status keep_shards_only(const job *j, pare_err *err) {
    pare_names names = {0};
    pare_status st = pare_list_folder(j->paths.partial, &names, err);
    for (size_t i = 0; st == PARE_OK && i < names.n; i++) {
        bool wanted = strcmp(names.at[i], PARE_JOURNAL_NAME) == 0;
        for (int s = 0; s < j->plan->n_shards && !wanted; s++) wanted = strcmp(names.at[i], j->plan->shards[s].file) == 0;
        char *path = wanted ? NULL : pare_path_join(j->paths.partial, names.at[i]);
        if (!wanted && !path) st = pare_no_memory(err, names.at[i], 0);
        if (path && unlink(path) != 0) st = pare_fail_errno(err, errno, "%s", path);
        pare_dealloc(path);
    }
    pare_names_clear(&names);
    return st;
}

static pare_status prepare_folder(job *j, char fingerprint[65], pare_journal_state *state, pare_err *err) {
    const bool resume = j->options->resume && pare_path_is_folder(j->paths.partial);
    pare_status st = PARE_OK;
    if (!resume && pare_path_exists(j->paths.partial)) {
        /* taking the lock first keeps a second process from pulling the folder away under the first */
        PARE_TRY(pare_journal_open(j->paths.partial, fingerprint, false, j->plan, &j->journal, state, j->shard_hash, err));
        PARE_TRY(pare_remove_tree(j->paths.partial, err));
        pare_journal_close(j->journal);
        j->journal = NULL;
    }
    PARE_TRY(pare_make_folder(j->paths.partial, err));
    PARE_TRY(pare_journal_open(j->paths.partial, fingerprint, resume, j->plan, &j->journal, state, j->shard_hash, err));
    if (resume) PARE_TRY(keep_shards_only(j, err));
out:
    return st;
}

/* Layers that look at activations are made first, into the work store; the stream takes them from there. */
static pare_status calibrate(job *j, pare_err *err) {
    pare_status st;
    if (!j->plan->calibrated && !j->plan->n_caches) return PARE_OK;
    if ((st = pare_workstore_open(j->paths.partial, j->options->resume, &j->work, err)) != PARE_OK) return st;
    j->plan->work = j->work;
    return pare_calibrate_run(j->ctx, j->plan, j->weights, j->texts, j->options, j->work, err);
}

static pare_status run_job(job *j, pare_err *err) {
    char fingerprint[65];
    pare_journal_state state = {0};
    input_hashes hashes = {j->ctx, j->store, NULL, pare_input_hash_is_sha256(j->options)};
    pare_status st = PARE_OK;
    j->shard_hash = pare_alloc_zero((size_t)j->plan->n_shards, sizeof *j->shard_hash);
    j->input_hash = pare_alloc_zero((size_t)j->store->n_files, sizeof *j->input_hash);
    if (!j->shard_hash || !j->input_hash) return pare_no_memory(err, "job", 0);
    PARE_TRY(pare_plan_fingerprint(j->plan, j->weights, j->options, true, fingerprint, err));
    PARE_TRY(prepare_folder(j, fingerprint, &state, err));
    hashes.hex = j->input_hash;
    PARE_TRY(pare_background_new(j->ctx, &j->hasher, err));
    PARE_TRY(pare_background_start(j->hasher, hash_inputs, &hashes, err));
    PARE_TRY(calibrate(j, err));
    const pare_stream_options so = {.memory = j->options->memory, .allow_nonfinite = j->options->allow_nonfinite, .seed = j->options->seed};
    PARE_TRY(pare_stream_run(j->ctx, j->plan, j->weights, j->paths.partial, &so, j->journal, &state, j->shard_hash, err));
    PARE_TRY(pare_background_wait(j->hasher, err));
    const pare_finish f = {.plan = j->plan, .weights = j->weights, .options = j->options, .command = j->command, .plan_hash = j->plan_hash, .folder = j->paths.partial,
                           .shard_hash = (const char(*)[65])j->shard_hash, .input_hash = (const char(*)[65])j->input_hash};
    PARE_TRY(pare_finish_folder(j->ctx, &f, err));
    PARE_TRY(pare_workstore_remove(j->paths.partial, err));
    PARE_TRY(publish(&j->paths, err));
out:
    if (st != PARE_OK && j->hasher) pare_background_wait(j->hasher, NULL);
    return st;
}

/* What a failed run leaves: a cancelled one can be resumed, anything else is cleaned away. */
static void after_failure(const job *j, pare_status st, pare_err *err) {
    if (!j->journal) return;
    if (st == PARE_ERR_CANCELLED)
        pare_hint(err, "run again with --resume to go on from here");
    else if (st != PARE_ERR_EXISTS)
        pare_remove_tree(j->paths.partial, NULL);
}

static void clear_job(job *j) {
    pare_background_free(j->hasher);
    pare_journal_close(j->journal);
    pare_workstore_close(j->work);
    pare_dealloc(j->shard_hash);
    pare_dealloc(j->input_hash);
    pare_calibration_texts_free(j->texts);
    pare_plan_free(j->plan);
    pare_weights_free(j->weights);
    pare_store_close(j->store);
    clear_paths(&j->paths);
}

/* Texts of a calibration, and what it will take. */
static pare_status look_ahead(job *j, pare_err *err) {
    char limit[32], least[32];
    pare_status st = pare_calibration_texts_load(j->ctx, j->weights, j->options, &j->texts, err);
    if (st == PARE_OK) st = pare_calibrate_preflight(j->ctx, j->plan, j->weights, j->texts, j->options, &j->preflight, err);
    if (st != PARE_OK) return st;
    pare_preflight_say(j->ctx, j->texts, &j->preflight);
    if (j->options->memory && j->preflight.memory > j->options->memory) {
        pare_format_bytes(j->options->memory, limit);
        pare_format_bytes(j->preflight.memory, least);
        pare_log(j->ctx, PARE_LOG_WARNING, "memory of %s was asked for; calibration takes %s", limit, least);
    }
    return PARE_OK;
}

static pare_status run(pare_ctx *ctx, pare_plan_kind kind, const char *command, const char *model, const char *out,
                       const pare_quantize_options *options, pare_job_result *result, pare_table **plan, pare_err *err) {
    const double start = pare_now();
    job j = {.ctx = ctx, .kind = kind, .command = command, .options = options};
    pare_status st = PARE_OK;
    if (plan) *plan = NULL;
    PARE_TRY(check_hash(options, err));
    PARE_TRY(make_paths(out, &j.paths, err));
    if (!options->dry_run) PARE_TRY(check_output(&j.paths, options, model, err));
    PARE_TRY(open_input(&j, model, err));
    PARE_TRY(pare_plan_new(ctx, kind, j.weights, options, &j.plan, err));
    if (j.plan->calibrated || j.plan->n_caches) PARE_TRY(look_ahead(&j, err));
    else if (options->calibration || options->samples || options->seq_len || options->no_bos)
        pare_log(ctx, PARE_LOG_WARNING, "--calibration, --samples, --seq-len and --no-bos have no effect here: no method of this plan looks at activations");
    j.plan->texts = j.texts;
    PARE_TRY(pare_finish_check(&(pare_finish){.plan = j.plan, .weights = j.weights, .options = options}, err));
    PARE_TRY(pare_plan_fingerprint(j.plan, j.weights, options, false, j.plan_hash, err));
    const bool resume_done = !options->dry_run && options->resume && !options->overwrite && pare_path_exists(j.paths.out);
    if (resume_done && !complete_already(&j, NULL)) {
        pare_fail(err, PARE_ERR_EXISTS, "%s: exists already, and is not what these options make of this input", j.paths.out);
        st = pare_hint(err, "--overwrite replaces it");
        goto out;
    }
    if (!options->dry_run && !resume_done) PARE_TRY(run_job(&j, err));
    if (plan) PARE_TRY(pare_plan_table(j.plan, plan, err));
    if (result) {
        *result = (pare_job_result){.input_bytes = j.plan->input_file_bytes, .output_bytes = j.plan->output_bytes, .quantized_tensors = j.plan->quantized,
                                    .kept_tensors = j.plan->kept, .seconds = pare_now() - start, .peak_rss_bytes = pare_peak_rss_bytes(),
                                    .calibration_memory = j.preflight.memory, .calibration_disk = j.preflight.disk, .calibration_seconds = j.preflight.seconds};
        if (!resume_done || !complete_already(&j, result)) pare_plan_totals(j.plan, &result->bits_per_weight, &result->sqnr_db);
    }
out:
    if (st != PARE_OK) after_failure(&j, st, err);
    clear_job(&j);
    return st;
}

pare_status pare_quantize_model(pare_ctx *ctx, const char *model, const char *out, const pare_quantize_options *options, pare_job_result *result,
                                pare_table **plan, pare_err *err) {
    return run(ctx, PARE_PLAN_QUANTIZE, "quantize", model, out, options, result, plan, err);
}

pare_status pare_convert_model(pare_ctx *ctx, const char *model, const char *out, bool dequantize, const pare_quantize_options *options,
                               pare_job_result *result, pare_err *err) {
    return run(ctx, dequantize ? PARE_PLAN_DEQUANTIZE : PARE_PLAN_CONVERT, dequantize ? "dequantize" : "convert", model, out, options, result, NULL, err);
}
