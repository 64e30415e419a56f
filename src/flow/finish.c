/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the weights: index, config.json with quantization_config, the layout's own files, tokenizer and generation files
 * carried over, and pare.json. All written into the working folder, which is then renamed as a whole.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "flow/calibrate.h"
#include "flow/flow.h"
#include <pare/report.h>

/* Files that make a checkpoint complete, besides weights and config.json. */
static const char *const companions[] = {
    "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja", "chat_template.json",
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "image_processor_config.json", "feature_extractor_config.json",
    "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "USE_POLICY.md", NULL};

typedef struct output_file { char *name; uint64_t bytes; char hash[65]; } output_file;
typedef struct finish_state {
    const pare_finish *f;
    PARE_VEC(output_file) files;
    pare_arena arena;
} finish_state;

static bool listed(const char *const *table, const char *name) {
    for (; *table; table++)
        if (strcmp(*table, name) == 0) return true;
    return false;
}

static pare_status note_file(finish_state *s, const char *name, uint64_t bytes, const char *hash, pare_err *err) {
    output_file o = {.name = pare_arena_strdup(&s->arena, name), .bytes = bytes};
    memcpy(o.hash, hash, 65);
    if (!o.name || !PARE_VEC_PUSH(&s->files, o)) return pare_no_memory(err, name, 0);
    return PARE_OK;
}

static pare_status write_text(finish_state *s, const char *name, const char *text, pare_err *err) {
    char hash[65];
    pare_status st;
    char *path = pare_path_join(s->f->folder, name);
    if (!path) return pare_no_memory(err, name, 0);
    st = pare_write_file_atomic(path, text, strlen(text), err);
    if (st == PARE_OK) st = pare_sha256_of(text, strlen(text), hash, err);
    if (st == PARE_OK) st = note_file(s, name, strlen(text), hash, err);
    pare_dealloc(path);
    return st;
}

/* ------------------------------------------------------------------------------------------------------------- index */

static pare_status write_index(finish_state *s, pare_err *err) {
    const pare_plan *plan = s->f->plan;
    pare_json *j = NULL;
    char name[96], *text = NULL;
    uint64_t total = 0;
    pare_status st = PARE_OK;
    if (plan->n_shards < 2) return PARE_OK;
    PARE_TRY(pare_json_new(2, &j, err));
    for (int i = 0; i < plan->n_shards; i++)
        for (int64_t k = 0; k < plan->shards[i].n; k++) total += plan->shards[i].specs[k].bytes;
    pare_json_object(j, NULL);
    pare_json_object(j, "metadata");
    pare_json_int(j, "total_size", (int64_t)total);
    pare_json_end(j);
    pare_json_object(j, "weight_map");
    for (int i = 0; i < plan->n_shards; i++)
        for (int64_t k = 0; k < plan->shards[i].n; k++) pare_json_text(j, plan->shards[i].specs[k].name, plan->shards[i].file);
    pare_json_end(j);
    pare_json_end(j);
    PARE_TRY(pare_json_take(j, &text, err));
    snprintf(name, sizeof name, "%s.index.json", plan->container->file_name);
    st = write_text(s, name, text, err);
out:
    pare_free(text);
    pare_json_free(j);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------- configs */

typedef struct job_lists { pare_layout_job job; void *memory; } job_lists;

static pare_status layout_job(const pare_finish *f, job_lists *out, pare_err *err) {
    const pare_plan *plan = f->plan;
    const size_t n = (size_t)plan->n_items + 1;
    const char **quantized, **kept;
    const pare_scheme **schemes;
    int64_t(*shapes)[2];
    uint8_t *m = pare_alloc_zero(n, 3 * sizeof(void *) + sizeof *shapes);
    if (!m) return pare_no_memory(err, "config.json", n);
    out->memory = m;
    shapes = (void *)m;
    quantized = (void *)(m + n * sizeof *shapes);
    kept = quantized + n;
    schemes = (void *)(kept + n);
    out->job = (pare_layout_job){.scheme = &plan->scheme, .model_dtype = plan->model_dtype, .quantized = quantized, .schemes = schemes,
                                 .shapes = (const int64_t(*)[2])shapes, .kept = kept, .kv = plan->kv,
                                 .config = f->weights->store->config ? pare_jdoc_root(f->weights->store->config) : NULL};
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        const bool matrix = item->role == PARE_ROLE_LINEAR || item->role == PARE_ROLE_HEAD || item->role == PARE_ROLE_ROUTER || item->role == PARE_ROLE_CONV;
        if (item->action == PARE_ACTION_QUANTIZE) {
            const int64_t q = out->job.n_quantized++;
            quantized[q] = item->module;
            schemes[q] = &item->scheme;
            out->job.g_idx = out->job.g_idx || pare_plan_moves_groups(plan, item);
            shapes[q][0] = item->rows;
            shapes[q][1] = item->cols;
        } else if (matrix)
            kept[out->job.n_kept++] = item->module;
    }
    return PARE_OK;
}

/* The name of a dtype as config.json writes it ("bfloat16"). */
static const char *torch_name(pare_dtype d) {
    const pare_dtype_info *info = pare_dtype_get_info(d);
    return info && info->torch ? info->torch : "float32";
}

static pare_status copy_member(pare_json *j, const char *key, const pare_jval *v, pare_err *err) {
    char *text = NULL;
    const pare_status st = pare_j_dump(v, 1, &text, err);
    if (st == PARE_OK) pare_json_raw(j, key, text);
    pare_dealloc(text);
    return st;
}

/* The source's members in their order, without an old quantization_config, with the dtype that the float tensors have now. */
static pare_status write_config(finish_state *s, const pare_layout_job *job, pare_err *err) {
    const pare_plan *plan = s->f->plan;
    const pare_jval *config = job->config;
    const bool recast = s->f->options->dtype != NULL;
    const char *dtype = recast ? torch_name(pare_dtype_parse(s->f->options->dtype)) : NULL;
    pare_json *j = NULL;
    char *text = NULL;
    bool has_dtype = false;
    pare_status st = PARE_OK;
    if (!config) return PARE_OK;
    PARE_TRY(pare_json_new(2, &j, err));
    pare_json_object(j, NULL);
    for (size_t i = 0; i < pare_j_count(config); i++) {
        const char *key;
        const pare_jval *v = pare_j_member(config, i, &key);
        const bool is_dtype = strcmp(key, "torch_dtype") == 0 || strcmp(key, "dtype") == 0;
        if (strcmp(key, "quantization_config") == 0) continue;
        has_dtype |= is_dtype;
        if (is_dtype && dtype)
            pare_json_text(j, key, dtype);
        else
            PARE_TRY(copy_member(j, key, v, err));
    }
    if (!has_dtype) pare_json_text(j, "torch_dtype", dtype ? dtype : torch_name(plan->model_dtype));
    if (plan->layout && plan->layout->config) {
        pare_json_object(j, "quantization_config");
        PARE_TRY(plan->layout->config(job, j, err));
        pare_json_end(j);
    }
    pare_json_end(j);
    PARE_TRY(pare_json_take(j, &text, err));
    st = write_text(s, "config.json", text, err);
out:
    pare_free(text);
    pare_json_free(j);
    return st;
}

static pare_status emit_file(void *arg, const char *name, const char *text, pare_err *err) { return write_text(arg, name, text, err); }

/* name: of a file, relative to both folders. */
static pare_status copy_companion(finish_state *s, const char *name, pare_err *err) {
    char hash[65], *from = pare_path_join(s->f->weights->store->folder, name), *to = pare_path_join(s->f->folder, name);
    pare_status st = from && to ? pare_copy_file(from, to, hash, err) : pare_no_memory(err, name, 0);
    if (st == PARE_OK) st = note_file(s, name, (uint64_t)pare_file_size(to), hash, err);
    pare_dealloc(from);
    pare_dealloc(to);
    return st;
}

/* llama2.c's tokenizers: tok512.bin, tokenizer.bin. */
static bool is_tokenizer_bin(const char *name) { return pare_str_starts(name, "tok") && pare_str_ends(name, ".bin"); }

/* Everything in the folder of one module of sentence-transformers ("1_Pooling"). */
static pare_status copy_module(finish_state *s, const char *path, pare_err *err) {
    char *from = pare_path_join(s->f->weights->store->folder, path), *to = pare_path_join(s->f->folder, path), *name = NULL;
    pare_names names = {0};
    pare_status st = PARE_OK;
    if (!from || !to) {
        st = pare_no_memory(err, path, 0);
        goto out;
    }
    if (!pare_path_is_folder(from)) goto out;
    PARE_TRY(pare_list_folder(from, &names, err));
    PARE_TRY(pare_make_folder(to, err));
    for (size_t i = 0; i < names.n && st == PARE_OK; i++) {
        pare_dealloc(name);
        name = pare_path_join(path, names.at[i]);
        st = name ? copy_companion(s, name, err) : pare_no_memory(err, path, 0);
    }
out:
    pare_names_clear(&names);
    pare_dealloc(name);
    pare_dealloc(from);
    pare_dealloc(to);
    return st;
}

/* modules.json of sentence-transformers names folders beside the weights: pooling, normalization. */
static pare_status copy_modules(finish_state *s, pare_err *err) {
    pare_jdoc *doc = NULL;
    char *path = pare_path_join(s->f->weights->store->folder, "modules.json");
    pare_status st = PARE_OK;
    if (!path) return pare_no_memory(err, "modules.json", 0);
    PARE_TRY(pare_jdoc_load(path, 1 << 20, &doc, err));
    const pare_jval *root = pare_jdoc_root(doc);
    for (size_t i = 0; i < pare_j_count(root) && st == PARE_OK && pare_j_type(root) == PARE_J_ARRAY; i++) {
        const char *module = pare_j_text(pare_j_get(pare_j_at(root, i), "path"), "");
        if (*module && pare_path_is_safe(module)) st = copy_module(s, module, err);
    }
out:
    pare_jdoc_free(doc);
    pare_dealloc(path);
    return st;
}

static pare_status copy_companions(finish_state *s, pare_err *err) {
    const pare_store *store = s->f->weights->store;
    pare_names names = {0};
    pare_status st = PARE_OK;
    if (!store->folder) return PARE_OK;
    const bool code = store->config && pare_j_get(pare_jdoc_root(store->config), "auto_map");
    PARE_TRY(pare_list_folder(store->folder, &names, err));
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.at[i];
        if (!listed(companions, name) && !is_tokenizer_bin(name) && !(code && pare_str_ends(name, ".py"))) continue;
        PARE_TRY(copy_companion(s, name, err));
        if (strcmp(name, "modules.json") == 0) PARE_TRY(copy_modules(s, err));
    }
out:
    pare_names_clear(&names);
    return st;
}

/* ---------------------------------------------------------------------------------------------------------- manifest */

static double item_bits(const pare_plan_item *item) { return 8.0 * (double)item->out_bytes / ((double)item->rows * (double)item->cols); }

void pare_plan_totals(const pare_plan *plan, double *bits_per_weight, double *sqnr_db) {
    double bits = 0, cells = 0;
    pare_row_error sum = {0};
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        if (item->action != PARE_ACTION_QUANTIZE) continue;
        bits += 8.0 * (double)item->out_bytes;
        cells += (double)item->rows * (double)item->cols;
        sum.signal += item->error.signal;
        sum.noise += item->error.noise;
    }
    *bits_per_weight = cells > 0 ? bits / cells : 0;
    *sqnr_db = sum.noise > 0 ? 10 * log10(sum.signal / sum.noise) : INFINITY;
}

static void put_options(pare_json *j, const pare_quantize_options *o) {
    pare_json_object(j, "options");
    if (o->dtype) pare_json_text(j, "dtype", o->dtype);
    if (o->recipe) pare_json_text(j, "recipe", pare_path_name(o->recipe));
    pare_json_array(j, "ignore");
    for (size_t i = 0; i < o->n_ignore; i++) pare_json_text(j, NULL, o->ignore[i]);
    pare_json_end(j);
    pare_json_array(j, "only");
    for (size_t i = 0; i < o->n_only; i++) pare_json_text(j, NULL, o->only[i]);
    pare_json_end(j);
    pare_json_array(j, "set");
    for (size_t i = 0; i < o->n_set; i++) pare_json_text(j, NULL, o->set[i]);
    pare_json_end(j);
    pare_json_int(j, "seed", (int64_t)o->seed);
    pare_json_bool(j, "allow_nonfinite", o->allow_nonfinite);
    pare_json_end(j);
}

/* What the method said about a layer that it was shown the inputs of. */
static void put_record(pare_json *j, const pare_work_record *r) {
    if (r->tokens) pare_json_int(j, "calibration_rows", r->tokens);
    if (r->loss - r->loss == 0) pare_json_real(j, "loss", r->loss);
    if (r->damping > 0) pare_json_real(j, "damping", r->damping);
    if (r->retries) pare_json_int(j, "damping_retries", r->retries);
    if (r->dead) pare_json_int(j, "dead_channels", r->dead);
    if (r->note[0]) pare_json_text(j, "note", r->note);
}

static void put_calibration(pare_json *j, const pare_calibration_texts *t) {
    if (!t) return;
    pare_json_object(j, "calibration");
    pare_json_text(j, "text", t->source);
    pare_json_int(j, "windows", t->n);
    pare_json_int(j, "seq_len", t->seq_len);
    pare_json_int(j, "tokens", t->tokens);
    pare_json_text(j, "ids_sha256", t->hash);
    pare_json_end(j);
}

static void put_kv_cache(pare_json *j, const pare_plan *plan) {
    if (!plan->n_caches) return;
    pare_json_object(j, "kv_cache");
    pare_json_text(j, "dtype", pare_dtype_get_info(plan->kv.dtype)->name);
    for (int i = 0; i < plan->kv_params.n; i++) pare_json_text(j, plan->kv_params.table[i].name, plan->kv_params.text[i]);
    pare_json_end(j);
}

static void put_folds(pare_json *j, const pare_plan *plan) {
    if (!plan->folds.n) return;
    pare_json_array(j, "folds");
    for (size_t i = 0; i < plan->folds.n; i++) {
        const pare_plan_fold *f = &plan->folds.at[i];
        float least = f->scale[0], most = f->scale[0];
        for (int64_t k = 1; k < f->cols; k++) {
            if (f->scale[k] < least) least = f->scale[k];
            if (f->scale[k] > most) most = f->scale[k];
        }
        pare_json_object(j, NULL);
        pare_json_text(j, "layer", f->name);
        pare_json_text(j, "divides", f->by_name);
        pare_json_real(j, "least", (double)least);
        pare_json_real(j, "most", (double)most);
        if (f->note[0]) pare_json_text(j, "note", f->note);
        pare_json_end(j);
    }
    pare_json_end(j);
}

static void put_item(pare_json *j, const pare_plan *plan, const pare_plan_item *item) {
    static const char *const actions[] = {"", "keep", "cast", "quantize", "tied", "add"};
    pare_error e;
    pare_json_object(j, NULL);
    pare_json_text(j, "name", item->name);
    pare_json_text(j, "action", item->action == PARE_ACTION_DROP && !item->tied_to ? "drop" : actions[item->action]);
    if (item->action == PARE_ACTION_QUANTIZE) {
        pare_error_finish(&item->error, item->rows * item->cols, &e);
        pare_json_text(j, "scheme", item->scheme.name);
        pare_json_text(j, "method", item->method->name);
        pare_json_text(j, "layout", plan->layout->name);
        pare_json_real(j, "bits_per_weight", item_bits(item));
        pare_json_real(j, "mse", e.mse);
        pare_json_real(j, "sqnr_db", e.sqnr_db);
        pare_json_real(j, "max_abs", e.max_abs);
        pare_json_real(j, "cosine", e.cosine);
        if (item->calibrated) put_record(j, &item->record);
    } else if (item->action != PARE_ACTION_DROP)
        pare_json_text(j, "dtype", pare_dtype_get_info(item->dtype)->name);
    pare_json_int(j, "bytes", (int64_t)item->out_bytes);
    if (item->reason[0]) pare_json_text(j, "reason", item->reason);
    pare_json_end(j);
}

bool pare_input_hash_is_sha256(const pare_quantize_options *options) { return options->hash && strcmp(options->hash, "sha256") == 0; }

static void put_files(pare_json *j, const finish_state *s) {
    const pare_store *store = s->f->weights->store;
    pare_json_array(j, "inputs");
    for (int i = 0; i < store->n_files; i++) {
        pare_json_object(j, NULL);
        pare_json_text(j, "file", store->files[i].name);
        pare_json_int(j, "bytes", (int64_t)store->files[i].map.n);
        pare_json_text(j, pare_input_hash_is_sha256(s->f->options) ? "sha256" : "xxh128", s->f->input_hash[i]);
        pare_json_end(j);
    }
    pare_json_end(j);
    pare_json_array(j, "outputs");
    for (size_t i = 0; i < s->files.n; i++) {
        pare_json_object(j, NULL);
        pare_json_text(j, "file", s->files.at[i].name);
        pare_json_int(j, "bytes", (int64_t)s->files.at[i].bytes);
        pare_json_text(j, "sha256", s->files.at[i].hash);
        pare_json_end(j);
    }
    pare_json_end(j);
}

/* No times and no paths: the same job gives the same bytes. */
static pare_status write_manifest(finish_state *s, pare_err *err) {
    const pare_plan *plan = s->f->plan;
    pare_json *j = NULL;
    char *text = NULL;
    double bits, sqnr;
    pare_status st = pare_json_new(2, &j, err);
    if (st != PARE_OK) return st;
    pare_plan_totals(plan, &bits, &sqnr);
    pare_json_object(j, NULL);
    pare_json_text(j, "pare", pare_version());
    pare_json_text(j, "command", s->f->command);
    if (plan->layout) {
        pare_json_text(j, "format", plan->layout->name);
        pare_json_text(j, "scheme", plan->scheme.name);
    }
    pare_json_text(j, "container", plan->container->name);
    pare_json_text(j, "plan", s->f->plan_hash);
    put_options(j, s->f->options);
    put_calibration(j, plan->texts);
    put_kv_cache(j, plan);
    put_folds(j, plan);
    put_files(j, s);
    pare_json_object(j, "totals");
    pare_json_int(j, "input_bytes", (int64_t)plan->input_file_bytes);
    pare_json_int(j, "output_bytes", (int64_t)plan->output_bytes);
    pare_json_int(j, "quantized_tensors", plan->quantized);
    pare_json_int(j, "kept_tensors", plan->kept);
    if (plan->layout) {
        pare_json_real(j, "bits_per_weight", bits);
        pare_json_real(j, "sqnr_db", sqnr);
    }
    pare_json_end(j);
    pare_json_array(j, "tensors");
    for (int64_t i = 0; i < plan->n_items; i++) put_item(j, plan, &plan->items[i]);
    pare_json_end(j);
    pare_json_end(j);
    st = pare_json_take(j, &text, err);
    if (st == PARE_OK) st = write_text(s, "pare.json", text, err);
    pare_free(text);
    pare_json_free(j);
    return st;
}

static pare_status swallow(void *arg, const char *name, const char *text, pare_err *err) {
    (void)arg, (void)name, (void)text, (void)err;
    return PARE_OK;
}

/* Asks the layout for its configuration before the work starts: what it cannot express is refused here. */
pare_status pare_finish_check(const pare_finish *f, pare_err *err) {
    job_lists lists = {0};
    pare_json *j = NULL;
    pare_status st = PARE_OK;
    if (!f->plan->layout) return PARE_OK;
    PARE_TRY(layout_job(f, &lists, err));
    PARE_TRY(pare_json_new(0, &j, err));
    pare_json_object(j, NULL);
    if (f->plan->layout->config) PARE_TRY(f->plan->layout->config(&lists.job, j, err));
    if (f->plan->layout->files) PARE_TRY(f->plan->layout->files(&lists.job, swallow, NULL, err));
out:
    pare_json_free(j);
    pare_dealloc(lists.memory);
    return st;
}

pare_status pare_finish_folder(pare_ctx *ctx, const pare_finish *f, pare_err *err) {
    finish_state s = {.f = f};
    job_lists lists = {0};
    pare_status st = PARE_OK;
    PARE_TRY(pare_check_cancel(ctx, err));
    PARE_TRY(layout_job(f, &lists, err));
    for (int i = 0; i < f->plan->n_shards; i++)
        PARE_TRY(note_file(&s, f->plan->shards[i].file, f->plan->shards[i].file_bytes, f->shard_hash[i], err));
    PARE_TRY(write_index(&s, err));
    PARE_TRY(write_config(&s, &lists.job, err));
    if (f->plan->layout && f->plan->layout->files) PARE_TRY(f->plan->layout->files(&lists.job, emit_file, &s, err));
    PARE_TRY(copy_companions(&s, err));
    PARE_TRY(write_manifest(&s, err));
out:
    pare_dealloc(lists.memory);
    PARE_VEC_CLEAR(&s.files);
    pare_arena_clear(&s.arena);
    return st;
}
