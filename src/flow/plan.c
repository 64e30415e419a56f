/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning: for every logical weight keep, cast or quantize, with the reason; then (shards.c) exact output tensors, files
 * and bytes. Only names, shapes and dtypes are looked at. The plan that --dry-run prints is the plan that is carried out.
 */
#include <stdio.h>
#include <string.h>

#include "flow/calibrate.h"
#include "flow/flow.h"
#include <pare/report.h>

/* Everything that decides about a tensor, resolved once. */
typedef struct plan_choice {
    pare_plan_kind kind;
    const pare_quantize_options *options;
    pare_recipe recipe;
    pare_pattern **ignore, **only;
    const char *model_type;
    pare_scheme scheme;
    const pare_method *method;
    pare_params params;
    pare_dtype cast;             /* PARE_DTYPE_NONE = as stored */
    bool has_config;
    bool none;                   /* --scheme none: weights stay; what --kv-cache asks for is done */
    pare_err refusal;            /* first refusal of the layout, for the case that nothing is left */
} plan_choice;

static pare_status read_patterns(const char *const *text, size_t n, pare_pattern ***out, pare_err *err) {
    *out = pare_alloc_zero(n + 1, sizeof **out);
    if (!*out) return pare_no_memory(err, "patterns", n);
    for (size_t i = 0; i < n; i++) {
        const pare_status st = pare_pattern_new(text[i], &(*out)[i], err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

static void free_patterns(pare_pattern **p) {
    for (size_t i = 0; p && p[i]; i++) pare_pattern_free(p[i]);
    pare_dealloc(p);
}

static const pare_pattern *match_any(pare_pattern *const *p, const char *name) {
    for (; p && *p; p++)
        if (pare_pattern_match(*p, name)) return *p;
    return NULL;
}

static pare_status set_params(plan_choice *c, pare_err *err) {
    const pare_quantize_options *o = c->options;
    for (size_t i = 0; i < o->n_set; i++) {
        const char *eq = strchr(o->set[i], '=');
        char key[64];
        if (!eq || (size_t)(eq - o->set[i]) >= sizeof key) return pare_fail(err, PARE_ERR_USAGE, "--set %s: must be key=value", o->set[i]);
        memcpy(key, o->set[i], (size_t)(eq - o->set[i]));
        key[eq - o->set[i]] = 0;
        const pare_status st = pare_params_set(&c->params, key, eq + 1, c->method->name, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

/* Names that users know and that later versions will serve: said as such instead of "unknown". */
static bool is_planned(const char *name) {
    static const char *const names[] = {"gptq", "awq", "hqq", "smoothquant", "nf4", "fp4", "llm.int8", "quip#", "aqlm", "gguf", "onnx", NULL};
    for (int i = 0; names[i]; i++)
        if (pare_str_same_nocase(names[i], name)) return true;
    return false;
}

static pare_status read_method(plan_choice *c, pare_err *err) {
    const char *name = c->options->method ? c->options->method : c->recipe.defaults_method ? c->recipe.defaults_method : "rtn";
    c->method = pare_method_find(name);
    if (!c->method) {
        pare_fail(err, PARE_ERR_USAGE, is_planned(name) ? "method '%s' is not in this version" : "unknown method '%s'", name);
        return pare_hint(err, "pare list methods");
    }
    const pare_status st = pare_params_init(&c->params, c->method->options, err);
    return st == PARE_OK ? set_params(c, err) : st;
}

/* A method's options: its defaults, and those of --set that it has. Those of the job's own method were checked already. */
static pare_status plan_params(plan_choice *c, pare_plan *plan, const pare_method *method, const pare_params **out, pare_err *err) {
    pare_plan_method fresh = {.method = method};
    const pare_quantize_options *o = c->options;
    if ((*out = pare_plan_params(plan, method)) != NULL) return PARE_OK;
    pare_status st = pare_params_init(&fresh.params, method->options, err);
    for (size_t i = 0; st == PARE_OK && i < o->n_set; i++) {
        const size_t n = strcspn(o->set[i], "=");
        for (const pare_option *k = method->options; st == PARE_OK && k && k->name; k++)
            if (strlen(k->name) == n && strncmp(k->name, o->set[i], n) == 0) st = pare_params_set(&fresh.params, k->name, o->set[i] + n + 1, method->name, err);
    }
    if (st == PARE_OK && !PARE_VEC_PUSH(&plan->methods, fresh)) st = pare_no_memory(err, "plan", sizeof fresh);
    if (st != PARE_OK) {
        pare_params_clear(&fresh.params);
        return st;
    }
    *out = pare_plan_params(plan, method);
    return PARE_OK;
}

const pare_params *pare_plan_params(const pare_plan *plan, const pare_method *method) {
    for (size_t i = 0; i < plan->methods.n; i++)
        if (plan->methods.at[i].method == method) return &plan->methods.at[i].params;
    return NULL;
}

static pare_status read_scheme(plan_choice *c, pare_err *err) {
    const pare_quantize_options *o = c->options;
    c->none = o->scheme_name && pare_str_same_nocase(o->scheme_name, "none");
    if (c->none) {
        if (o->recipe || o->method || o->n_only) return pare_fail(err, PARE_ERR_USAGE, "--scheme none leaves all weights as they are: no --method, --only or --recipe with it");
        pare_scheme_init(&c->scheme);
        pare_print(c->scheme.name, sizeof c->scheme.name, "none");
        return PARE_OK;
    }
    if (o->scheme_name) return pare_scheme_parse(o->scheme_name, &c->scheme, err);
    if (o->scheme.bits > 0) {
        c->scheme = o->scheme;
        return pare_scheme_check(&c->scheme, 0, NULL, err);
    }
    if (c->recipe.defaults_scheme) return pare_scheme_parse(c->recipe.defaults_scheme, &c->scheme, err);
    pare_scheme_init(&c->scheme);
    return PARE_OK;
}

static pare_status read_choice(plan_choice *c, const pare_weights *weights, pare_err *err) {
    const pare_quantize_options *o = c->options;
    const pare_jval *config = weights->store->config ? pare_jdoc_root(weights->store->config) : NULL;
    pare_status st = PARE_OK;
    c->model_type = pare_j_text(pare_j_get(config, "model_type"), NULL);
    c->has_config = config != NULL;
    if (o->dtype) {
        c->cast = pare_dtype_parse(o->dtype);
        if (!pare_dtype_is_float(c->cast)) PARE_FAIL(err, PARE_ERR_USAGE, "--dtype: '%s' is not a float format", o->dtype);
    }
    if (c->kind != PARE_PLAN_QUANTIZE) return PARE_OK;
    if (o->recipe) PARE_TRY(pare_recipe_load(o->recipe, &c->recipe, err));
    PARE_TRY(read_patterns(o->ignore, o->n_ignore, &c->ignore, err));
    PARE_TRY(read_patterns(o->only, o->n_only, &c->only, err));
    PARE_TRY(read_method(c, err));
    PARE_TRY(read_scheme(c, err));
out:
    return st;
}

static void clear_choice(plan_choice *c) {
    free_patterns(c->ignore);
    free_patterns(c->only);
    pare_params_clear(&c->params);
    pare_recipe_clear(&c->recipe);
}

/* One warning a text: the same reason for a hundred layers is said once, with the first name and the count. */
pare_status pare_plan_warn(pare_plan *plan, const char *name, const char *text, pare_err *err) {
    for (size_t i = 0; i < plan->warnings.n; i++) {
        pare_plan_warning *w = &plan->warnings.at[i];
        if (strcmp(w->text, text) == 0) return w->count++, PARE_OK;
    }
    const pare_plan_warning w = {.name = name, .text = pare_arena_strdup(&plan->arena, text), .count = 1};
    if (!w.text || !PARE_VEC_PUSH(&plan->warnings, w)) return pare_no_memory(err, "plan", 0);
    return PARE_OK;
}

static void say_warnings(const pare_ctx *ctx, const pare_plan *plan) {
    for (size_t i = 0; i < plan->warnings.n; i++) {
        const pare_plan_warning *w = &plan->warnings.at[i];
        if (w->count > 1)
            pare_log(ctx, PARE_LOG_WARNING, "%s (%lld tensors, first %s)", w->text, (long long)w->count, w->name);
        else
            pare_log(ctx, PARE_LOG_WARNING, "%s: %s", w->name, w->text);
    }
}

/* ------------------------------------------------------------------------------------------------- one tensor's fate */

static void keep(const plan_choice *c, pare_plan_item *item, const pare_weight *w, const char *reason) {
    const bool cast = c->cast != PARE_DTYPE_NONE && pare_dtype_is_float(w->dtype) && w->dtype != c->cast;
    item->action = cast || w->layout ? PARE_ACTION_CAST : PARE_ACTION_KEEP;
    item->dtype = cast ? c->cast : w->dtype;
    snprintf(item->reason, sizeof item->reason, "%s", reason);
}

/* Smaller granularities to try when a layout refuses a group that does not divide the row. */
static pare_status fit_scheme(const pare_plan *plan, pare_scheme *scheme, const pare_plan_item *item, const pare_weight *w, char warn[256],
                              char *note, size_t note_size, pare_err *err) {
    static const int64_t smaller[] = {64, 32, 0}; /* 0: per channel */
    const int64_t asked = scheme->group_size;
    pare_scheme try = *scheme;
    pare_status st = plan->layout->check(&try, plan->model_dtype, item->name, w->ndim, w->shape, warn, err);
    for (size_t i = 0; i < 3 && st == PARE_ERR_UNSUPPORTED && !plan->layout->one_scheme && scheme->granularity == PARE_PER_GROUP && item->cols % asked != 0; i++) {
        pare_err ignored = {0};
        try = *scheme;
        try.name[0] = 0;
        if (smaller[i] && (smaller[i] >= asked || item->cols % smaller[i])) continue;
        if (smaller[i])
            try.group_size = smaller[i];
        else
            try.granularity = PARE_PER_CHANNEL, try.axis = 0, try.group_size = 0;
        if (plan->layout->check(&try, plan->model_dtype, item->name, w->ndim, w->shape, warn, &ignored) == PARE_OK) {
            st = PARE_OK;
            if (smaller[i])
                snprintf(note, note_size, "group %lld does not divide %lld: group %lld", (long long)asked, (long long)item->cols, (long long)smaller[i]);
            else
                snprintf(note, note_size, "group %lld does not divide %lld: per channel", (long long)asked, (long long)item->cols);
        }
    }
    if (st == PARE_OK) {
        *scheme = try;
        pare_scheme_make_name(scheme);
    }
    return st;
}

bool pare_plan_moves_groups(const pare_plan *plan, const pare_plan_item *item) {
    const pare_params *params = pare_plan_params(plan, item->method);
    return item->scheme.granularity == PARE_PER_GROUP && params && item->method->moves_groups && item->method->moves_groups(params);
}

/* Layouts without a g_idx read column / group: another order would be lost without a word. */
static pare_status check_groups(const pare_plan *plan, const pare_plan_item *item, pare_err *err) {
    if (plan->layout->g_idx || !pare_plan_moves_groups(plan, item)) return PARE_OK;
    pare_fail(err, PARE_ERR_USAGE, "%s: with these options method %s puts columns into groups of their own order (g_idx), which layout %s does not store", item->name,
              item->method->name, plan->layout->name);
    return pare_hint(err, "--format gptq, or --set static-groups=true");
}

static pare_status quantize_item(plan_choice *c, pare_plan *plan, pare_plan_item *item, const pare_weight *w, const pare_rule *rule, bool chosen,
                                 pare_err *err) {
    char warn[256] = "";
    pare_err refusal = {0};
    const pare_params *params;
    pare_status st;
    item->scheme = c->scheme;
    item->method = c->method;
    if (rule && rule->scheme && (st = pare_scheme_parse(rule->scheme, &item->scheme, err)) != PARE_OK) return st;
    if (rule && rule->method) item->method = pare_method_find(rule->method);
    if ((st = plan_params(c, plan, item->method, &params, err)) != PARE_OK) return st;
    const bool unnamed = !item->scheme.name[0];
    if (unnamed) pare_scheme_make_name(&item->scheme); /* refusals name it; the method may change it */
    if ((st = item->method->prepare(params, &item->scheme, err)) != PARE_OK) return pare_context(err, st, "%s", item->name);
    if (unnamed) item->scheme.name[0] = '\0';
    st = fit_scheme(plan, &item->scheme, item, w, warn, item->reason, sizeof item->reason, &refusal);
    if (st == PARE_OK) st = pare_scheme_check(&item->scheme, 2, (const int64_t[]){item->rows, item->cols}, &refusal);
    if (st == PARE_ERR_UNSUPPORTED && !chosen) {
        char reason[160];
        if (c->refusal.code == PARE_OK) c->refusal = refusal;
        snprintf(reason, sizeof reason, "%.159s", refusal.text);
        keep(c, item, w, reason);
        return pare_plan_warn(plan, item->name, "kept in float: the layout cannot store it (--dry-run and pare.json say why)", err);
    }
    if (st != PARE_OK) {
        if (err) *err = refusal; /* it names the tensor */
        return st;
    }
    if ((st = check_groups(plan, item, err)) != PARE_OK) return st;
    item->action = PARE_ACTION_QUANTIZE;
    if (item->reason[0] && (st = pare_plan_warn(plan, item->name, item->reason, err)) != PARE_OK) return st;
    if (warn[0] && (st = pare_plan_warn(plan, item->name, warn, err)) != PARE_OK) return st;
    return plan->layout->parts(&item->scheme, plan->model_dtype, w->ndim, w->shape, item->parts, &item->n_parts, err);
}

static pare_status decide(plan_choice *c, pare_plan *plan, pare_plan_item *item, const pare_weight *w, pare_err *err) {
    const pare_rule *rule = c->kind == PARE_PLAN_QUANTIZE ? pare_recipe_match(&c->recipe, item->name) : NULL;
    const pare_pattern *p;
    char reason[160];
    if (w->alias_of >= 0 && c->has_config) {
        item->action = PARE_ACTION_DROP;
        item->tied_to = plan->items[w->alias_of].name;
        snprintf(item->reason, sizeof item->reason, "tied to %.140s", item->tied_to);
        return PARE_OK;
    }
    if (w->kv_scale) {
        item->action = PARE_ACTION_DROP;
        snprintf(item->reason, sizeof item->reason, "scale of the key/value cache: goes with the quantization_config that explains it");
        return PARE_OK;
    }
    if (c->kind == PARE_PLAN_CONVERT && w->layout) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: is quantized (%s), convert changes float checkpoints only", item->name, w->layout->name);
        return pare_hint(err, "pare dequantize");
    }
    if (c->kind != PARE_PLAN_QUANTIZE) return keep(c, item, w, ""), PARE_OK;
    if (c->none) return keep(c, item, w, "--scheme none"), PARE_OK;
    if (rule && strcmp(rule->action, "keep") == 0) {
        snprintf(reason, sizeof reason, "kept by recipe rule '%.120s'", rule->match);
        return keep(c, item, w, reason), PARE_OK;
    }
    if (rule && strcmp(rule->action, "cast") == 0) {
        const pare_dtype d = pare_dtype_parse(rule->dtype);
        if (!pare_dtype_is_float(w->dtype) || !pare_dtype_is_float(d))
            return pare_fail(err, PARE_ERR_USAGE, "%s: recipe rule '%s' casts between floats only", item->name, rule->match);
        keep(c, item, w, "cast by recipe");
        item->dtype = d;
        item->action = d == w->dtype && !w->layout ? PARE_ACTION_KEEP : PARE_ACTION_CAST;
        return PARE_OK;
    }
    if ((p = match_any(c->ignore, item->name))) {
        snprintf(reason, sizeof reason, "ignored by '%.120s'", pare_pattern_text(p));
        return keep(c, item, w, reason), PARE_OK;
    }
    const bool selected = c->only && c->only[0] && match_any(c->only, item->name) != NULL;
    const bool chosen = rule != NULL || selected;
    const bool possible = pare_dtype_is_float(w->dtype) && w->ndim >= 2 && item->rows > 0 && item->cols > 0;
    if (!rule && c->only && c->only[0] && !selected) return keep(c, item, w, "not selected by --only"), PARE_OK;
    /* A pattern over whole layers also touches norms and biases: only matrices are meant. */
    if (!possible || (!chosen && item->role != PARE_ROLE_LINEAR && item->role != PARE_ROLE_CONV) || (chosen && item->role == PARE_ROLE_NORM))
        return keep(c, item, w, possible ? pare_role_reason(item->role) : pare_role_reason(PARE_ROLE_OTHER)), PARE_OK;
    /* in a folder that loaders will open, they must find the convolutions as they expect them */
    if (item->role == PARE_ROLE_CONV && c->has_config && !chosen && !plan->layout->convolutions)
        return keep(c, item, w, "convolution: loaders of this layout replace dense layers only"), PARE_OK;
    if (item->role == PARE_ROLE_EMBEDDING && c->has_config) {
        pare_status st = pare_plan_warn(plan, item->name, "embedding: transformers and vLLM replace dense layers only and will not load it quantized", err);
        if (st != PARE_OK) return st;
    }
    return quantize_item(c, plan, item, w, rule, chosen && rule && rule->scheme, err);
}

static pare_status init_item(pare_plan *plan, const plan_choice *c, pare_plan_item *item, const pare_weight *w, int64_t index, pare_err *err) {
    size_t n = strlen(w->name);
    item->weight = index;
    item->fold_columns = item->fold_by = -1;
    item->name = w->name;
    if (n > 7 && pare_str_ends(w->name, ".weight")) n -= 7;
    item->module = pare_arena_strndup(&plan->arena, w->name, n);
    if (!item->module) return pare_no_memory(err, "plan", n);
    item->role = pare_classify(w->name, w->dtype, w->ndim, w->shape, c->model_type);
    item->ndim = w->ndim;
    memcpy(item->shape, w->shape, sizeof item->shape);
    item->rows = w->ndim > 0 ? w->shape[0] : 1;
    item->cols = 1;
    for (int d = 1; d < w->ndim; d++) item->cols *= w->shape[d];
    item->in_bytes = w->alias_of >= 0 ? 0 : w->bytes;
    return PARE_OK;
}

/* Layers with schemes of their own, in a layout whose loaders read one for all. */
static pare_status warn_mixed(pare_plan *plan, pare_err *err) {
    const pare_plan_item *first = NULL;
    char text[200];
    if (!plan->layout || !plan->layout->one_scheme) return PARE_OK;
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        if (item->action != PARE_ACTION_QUANTIZE) continue;
        if (!first) first = item;
        if (item->scheme.bits == first->scheme.bits && item->scheme.group_size == first->scheme.group_size && item->scheme.granularity == first->scheme.granularity)
            continue;
        snprintf(text, sizeof text, "%s here, %s elsewhere: transformers reads one width and group size for a whole %s model", item->scheme.name,
                 first->scheme.name, plan->layout->name);
        return pare_plan_warn(plan, item->name, text, err);
    }
    return PARE_OK;
}

/*
 * A tied pair is written under the embedding's name, whichever the source had: every loader ties the head to the
 * embedding, some do not the other way round.
 */
static void prefer_embedding(pare_plan *plan) {
    for (int64_t i = 0; i < plan->n_items; i++) {
        pare_plan_item *alias = &plan->items[i], *head = NULL;
        if (alias->action != PARE_ACTION_DROP || !alias->tied_to || alias->role != PARE_ROLE_EMBEDDING) continue;
        for (int64_t k = 0; k < plan->n_items && !head; k++)
            if (strcmp(plan->items[k].name, alias->tied_to) == 0) head = &plan->items[k];
        if (!head || head->role != PARE_ROLE_HEAD || (head->action != PARE_ACTION_KEEP && head->action != PARE_ACTION_CAST)) continue;
        alias->action = head->action;
        alias->dtype = head->dtype;
        alias->weight = head->weight;
        alias->in_bytes = head->in_bytes;
        snprintf(alias->reason, sizeof alias->reason, "%s", pare_role_reason(PARE_ROLE_EMBEDDING));
        head->action = PARE_ACTION_DROP;
        head->in_bytes = 0;
        head->tied_to = alias->name;
        alias->tied_to = NULL;
        snprintf(head->reason, sizeof head->reason, "tied to %.140s", alias->name);
    }
}

static pare_status check_outcome(const plan_choice *c, pare_plan *plan, pare_err *err) {
    for (int64_t i = 0; i < plan->n_items; i++) {
        plan->quantized += plan->items[i].action == PARE_ACTION_QUANTIZE;
        plan->kept += plan->items[i].action == PARE_ACTION_KEEP || plan->items[i].action == PARE_ACTION_CAST;
        plan->input_bytes += plan->items[i].in_bytes;
    }
    if (c->kind != PARE_PLAN_QUANTIZE || plan->quantized > 0 || (c->none && plan->n_caches)) return PARE_OK;
    if (c->none) return pare_fail(err, PARE_ERR_USAGE, "--scheme none without --kv-cache: nothing to do");
    if (c->refusal.code != PARE_OK) {
        if (err) *err = c->refusal;
        return pare_context(err, c->refusal.code, "nothing left to quantize");
    }
    int64_t transposed = 0;
    for (int64_t i = 0; i < plan->n_items; i++) transposed += plan->items[i].role == PARE_ROLE_CONV1D && plan->items[i].action != PARE_ACTION_DROP;
    if (transposed) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "nothing to quantize: %lld of %lld tensors are Conv1D weights, stored as [in, out] (GPT-2), which loaders of quantized layers do not replace",
                  (long long)transposed, (long long)plan->n_items);
        return pare_hint(err, "--only PATTERN with a method without data rounds them all the same, as they lie");
    }
    pare_fail(err, PARE_ERR_DATA, "nothing to quantize: none of %lld tensors is a dense or convolution weight that the options select",
              (long long)plan->n_items);
    return pare_hint(err, "pare inspect --tensors lists the names; --only PATTERN selects by hand");
}

/* Without --format: the layout that is the usual home of the scheme (bitsandbytes for NF4), else compressed-tensors. */
static const char *claimant(const pare_scheme *scheme) {
    for (const pare_layout *const *l = pare_layouts(); *l; l++)
        if ((*l)->pack && (*l)->claims && (*l)->claims(scheme)) return (*l)->name;
    return "compressed-tensors";
}

static pare_status choose_formats(pare_plan *plan, const pare_quantize_options *o, pare_plan_kind kind, const pare_scheme *scheme, pare_err *err) {
    const char *container = o->container ? o->container : "safetensors";
    plan->container = pare_format_find(container);
    if (!plan->container || !plan->container->can_write) {
        pare_fail(err, PARE_ERR_USAGE, "container '%s' %s", container,
                  plan->container ? "can be read, not written" : is_planned(container) ? "is not in this version" : "is unknown");
        return pare_hint(err, "pare list formats");
    }
    if (kind != PARE_PLAN_QUANTIZE) return PARE_OK;
    const char *layout = o->format ? o->format : claimant(scheme);
    plan->layout = pare_layout_find(layout);
    if (!plan->layout || !plan->layout->pack) {
        pare_fail(err, PARE_ERR_USAGE, "format '%s' %s", layout,
                  plan->layout ? "can be read, not written" : is_planned(layout) ? "is not in this version" : "is unknown");
        return pare_hint(err, "pare list layouts");
    }
    return PARE_OK;
}

pare_status pare_plan_new(pare_ctx *ctx, pare_plan_kind kind, const pare_weights *weights, const pare_quantize_options *options, pare_plan **out,
                          pare_err *err) {
    pare_status st = PARE_OK;
    plan_choice c = {.kind = kind, .options = options};
    pare_plan *plan = pare_alloc_zero(1, sizeof *plan);
    *out = NULL;
    if (!plan) return pare_no_memory(err, "plan", sizeof *plan);
    plan->items = pare_alloc_zero((size_t)weights->n + 1, sizeof *plan->items);
    if (!plan->items) {
        st = pare_no_memory(err, "plan", (size_t)weights->n * sizeof *plan->items);
        goto out;
    }
    PARE_TRY(read_choice(&c, weights, err));
    PARE_TRY(choose_formats(plan, options, kind, &c.scheme, err));
    if (kind == PARE_PLAN_QUANTIZE && !options->format && plan->layout->claims && plan->layout->claims(&c.scheme))
        pare_log(ctx, PARE_LOG_INFO, "format %s, which is where %s is stored", plan->layout->name, c.scheme.name);
    plan->model_dtype = c.cast != PARE_DTYPE_NONE && kind == PARE_PLAN_QUANTIZE ? c.cast : pare_model_dtype(weights);
    plan->scheme = c.scheme;
    for (int f = 0; f < weights->store->n_files; f++) plan->input_file_bytes += weights->store->files[f].map.n;
    for (int64_t i = 0; i < weights->n; i++) {
        pare_plan_item *item = &plan->items[plan->n_items++];
        PARE_TRY(init_item(plan, &c, item, &weights->at[i], i, err));
        PARE_TRY(decide(&c, plan, item, &weights->at[i], err));
    }
    prefer_embedding(plan);
    if (kind == PARE_PLAN_QUANTIZE) PARE_TRY(pare_kv_plan(plan, weights, options->kv_cache, err));
    PARE_TRY(pare_calibrate_plan(ctx, plan, weights, err));
    PARE_TRY(warn_mixed(plan, err));
    PARE_TRY(check_outcome(&c, plan, err));
    PARE_TRY(pare_plan_lay_out(plan, options->shard_size ? options->shard_size : UINT64_C(5000000000), err));
    say_warnings(ctx, plan);
out:
    clear_choice(&c);
    if (st != PARE_OK) {
        pare_plan_free(plan);
        plan = NULL;
    }
    *out = plan;
    return st;
}

void pare_plan_free(pare_plan *plan) {
    if (!plan) return;
    for (int s = 0; plan->shards && s < plan->n_shards; s++) {
        pare_dealloc(plan->shards[s].specs);
        pare_dealloc(plan->shards[s].owner);
    }
    pare_dealloc(plan->shards);
    pare_dealloc(plan->steps);
    pare_dealloc(plan->items);
    PARE_VEC_CLEAR(&plan->warnings);
    for (size_t i = 0; i < plan->methods.n; i++) pare_params_clear(&plan->methods.at[i].params);
    PARE_VEC_CLEAR(&plan->methods);
    pare_params_clear(&plan->kv_params);
    PARE_VEC_CLEAR(&plan->folds);
    pare_arena_clear(&plan->arena);
    pare_dealloc(plan);
}

/* ------------------------------------------------------------------------------------------------------- as a table */

static void shape_text(const pare_plan_item *item, char out[96]) {
    size_t n = 0;
    out[0] = 0;
    for (int d = 0; d < item->ndim && n < 80; d++) n += (size_t)snprintf(out + n, 96 - n, d ? "x%lld" : "%lld", (long long)item->shape[d]);
    if (item->ndim == 0) snprintf(out, 96, "scalar");
}

pare_status pare_plan_table(const pare_plan *plan, pare_table **out, pare_err *err) {
    static const char *const actions[] = {"", "keep", "cast", "quantize", "tied", "add"};
    static const struct { const char *key, *title; pare_cell_type type; } columns[] = {
        {"name", "tensor", PARE_CELL_TEXT}, {"shape", "shape", PARE_CELL_TEXT}, {"action", "action", PARE_CELL_TEXT},
        {"scheme", "scheme or dtype", PARE_CELL_TEXT}, {"in_bytes", "from", PARE_CELL_BYTES}, {"out_bytes", "to", PARE_CELL_BYTES},
        {"reason", "why", PARE_CELL_TEXT}};
    pare_table *t = NULL;
    pare_status st = pare_table_new(&t, err);
    if (st != PARE_OK) return st;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        PARE_TRY(pare_table_column(t, columns[i].key, columns[i].title, columns[i].type, NULL, err));
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        const pare_dtype_info *d = pare_dtype_get_info(item->dtype);
        PARE_TRY(pare_table_row(t, err));
        PARE_TRY(pare_table_text(t, "name", item->name, err));
        char shape[96];
        shape_text(item, shape);
        PARE_TRY(pare_table_text(t, "shape", shape, err));
        PARE_TRY(pare_table_text(t, "action", item->action == PARE_ACTION_DROP && !item->tied_to ? "drop" : actions[item->action], err));
        PARE_TRY(pare_table_text(t, "scheme", item->action == PARE_ACTION_QUANTIZE ? item->scheme.name : d ? d->name : "", err));
        pare_table_int(t, "in_bytes", (int64_t)item->in_bytes);
        pare_table_int(t, "out_bytes", (int64_t)item->out_bytes);
        PARE_TRY(pare_table_text(t, "reason", item->reason, err));
    }
out:
    if (st != PARE_OK) {
        pare_table_free(t);
        t = NULL;
    }
    *out = t;
    return st;
}

/* ------------------------------------------------------------------------------------------------------- fingerprint */

static void add_scheme(pare_str *s, const pare_scheme *q) {
    pare_str_printf(s, "%d %d %d %d %d %d %lld %lld %lld %d %d %d %d", q->kind, q->bits, q->code_dtype, q->symmetric, q->granularity, q->axis,
                    (long long)q->group_size, (long long)q->block[0], (long long)q->block[1], q->scale_dtype, q->range, q->clip, q->course);
    pare_str_printf(s, " %d %d %d %d %.17g %d %d %d %d %lld %.9g", q->codebook, q->two_level, q->nested, q->float_zero, q->clip_p, q->zero_min, q->act, q->act_bits,
                    q->act_float, (long long)q->act_group, (double)q->act_threshold);
}

pare_status pare_plan_fingerprint(const pare_plan *plan, const pare_weights *weights, const pare_quantize_options *options, bool times, char hex[65],
                                  pare_err *err) {
    pare_str s = {0};
    pare_str_printf(&s, "pare %s %s %s seed %llu nonfinite %d\n", pare_version(), plan->layout ? plan->layout->name : "-", plan->container->name,
                    (unsigned long long)options->seed, options->allow_nonfinite);
    for (size_t i = 0; i < options->n_set; i++) pare_str_printf(&s, "set %s\n", options->set[i]);
    if (options->kv_cache) pare_str_printf(&s, "kv-cache %s\n", options->kv_cache);
    if (plan->texts) pare_str_printf(&s, "calibration %s %lld %lld\n", plan->texts->hash, (long long)plan->texts->n, (long long)plan->texts->tokens);
    for (int f = 0; f < weights->store->n_files; f++) {
        const pare_store_file *file = &weights->store->files[f];
        pare_str_printf(&s, "input %s %zu %lld\n", file->name, file->map.n, times ? (long long)file->map.mtime_ns : 0);
    }
    for (int i = 0; i < plan->n_shards; i++)
        pare_str_printf(&s, "shard %s %llu\n", plan->shards[i].file, (unsigned long long)plan->shards[i].file_bytes);
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        pare_str_printf(&s, "%s %d %d %s ", item->name, item->action, item->dtype, item->method ? item->method->name : "-");
        if (item->action == PARE_ACTION_QUANTIZE) add_scheme(&s, &item->scheme);
        pare_str_add(&s, "\n");
    }
    const pare_status st = s.failed ? pare_no_memory(err, "plan", s.n) : pare_sha256_of(s.at, s.n, hex, err);
    pare_str_clear(&s);
    return st;
}
