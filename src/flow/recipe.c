/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes: which tensor gets what.
 *
 *   { "default": {"scheme": "W4A16", "method": "rtn"},
 *     "rules": [ {"match": "model.layers.0.*", "scheme": "W8A16"},
 *                {"match": "re:.*down_proj", "scheme": "W4A16:g64", "method": "rtn"},
 *                {"match": "lm_head", "keep": true},
 *                {"match": "model.embed_tokens", "dtype": "f16"} ] }
 *
 * The first rule that matches decides; what no rule matches follows the default. Unknown keys are errors.
 */
#include <string.h>

#include "flow/flow.h"

#define RECIPE_MAX_BYTES (16u << 20)

static const char *keep_text(pare_recipe *r, const pare_jval *v) {
    const char *t = pare_j_text(v, NULL);
    return t ? pare_arena_strdup(&r->arena, t) : NULL;
}

static pare_status read_rule(pare_recipe *r, const char *path, size_t i, const pare_jval *v, pare_err *err) {
    pare_rule rule = {0};
    pare_pattern *pattern = NULL;
    bool keep = false;
    for (size_t k = 0; k < pare_j_count(v); k++) {
        const char *key;
        const pare_jval *value = pare_j_member(v, k, &key);
        if (strcmp(key, "keep") == 0) {
            if (pare_j_type(value) != PARE_J_BOOL) return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu: 'keep' must be true or false", path, i + 1);
            keep = pare_j_bool(value, false);
            continue;
        }
        if (pare_j_type(value) != PARE_J_TEXT) return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu: '%s' must be a text", path, i + 1, key);
        const char *text = keep_text(r, value);
        if (!text) return pare_no_memory(err, path, 0);
        if (strcmp(key, "match") == 0) rule.match = text;
        else if (strcmp(key, "scheme") == 0) rule.scheme = text;
        else if (strcmp(key, "method") == 0) rule.method = text;
        else if (strcmp(key, "dtype") == 0) rule.dtype = text;
        else return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu: unknown key '%s' (match, scheme, method, keep, dtype)", path, i + 1, key);
    }
    if (!rule.match) return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu has no 'match'", path, i + 1);
    if (keep && rule.scheme) return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu: 'keep' and 'scheme' exclude each other", path, i + 1);
    if (!keep && !rule.scheme && !rule.method && !rule.dtype)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: rule %zu says nothing: give scheme, method, dtype or keep", path, i + 1);
    rule.action = rule.dtype && !rule.scheme ? "cast" : keep ? "keep" : "quantize";
    pare_scheme scheme;
    pare_status st;
    if (rule.scheme && (st = pare_scheme_parse(rule.scheme, &scheme, err)) != PARE_OK) return pare_context(err, st, "%s: rule %zu", path, i + 1);
    if (rule.method && !pare_method_find(rule.method))
        return pare_fail(err, PARE_ERR_USAGE, "%s: rule %zu: unknown method '%s'", path, i + 1, rule.method);
    if (rule.dtype && pare_dtype_parse(rule.dtype) == PARE_DTYPE_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: rule %zu: unknown dtype '%s'", path, i + 1, rule.dtype);
    if ((st = pare_pattern_new(rule.match, &pattern, err)) != PARE_OK) return pare_context(err, st, "%s: rule %zu", path, i + 1);
    r->rules[r->n].rule = rule;
    r->rules[r->n++].pattern = pattern;
    return PARE_OK;
}

pare_status pare_recipe_load(const char *path, pare_recipe *r, pare_err *err) {
    pare_status st = PARE_OK;
    pare_jdoc *doc = NULL;
    memset(r, 0, sizeof *r);
    PARE_TRY(pare_jdoc_load(path, RECIPE_MAX_BYTES, &doc, err));
    const pare_jval *root = pare_jdoc_root(doc);
    if (pare_j_type(root) != PARE_J_OBJECT) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: a recipe is a JSON object", path);
    for (size_t k = 0; k < pare_j_count(root); k++) {
        const char *key;
        pare_j_member(root, k, &key);
        if (strcmp(key, "default") != 0 && strcmp(key, "rules") != 0)
            PARE_FAIL(err, PARE_ERR_FORMAT, "%s: unknown key '%s' (default, rules)", path, key);
    }
    const pare_jval *def = pare_j_get(root, "default"), *rules = pare_j_get(root, "rules");
    r->defaults_scheme = (char *)keep_text(r, pare_j_get(def, "scheme"));
    r->defaults_method = (char *)keep_text(r, pare_j_get(def, "method"));
    r->rules = pare_alloc_zero(pare_j_count(rules) + 1, sizeof *r->rules);
    if (!r->rules) {
        st = pare_no_memory(err, path, 0);
        goto out;
    }
    for (size_t i = 0; i < pare_j_count(rules); i++) PARE_TRY(read_rule(r, path, i, pare_j_at(rules, i), err));
out:
    pare_jdoc_free(doc);
    if (st != PARE_OK) pare_recipe_clear(r);
    return st;
}

void pare_recipe_clear(pare_recipe *r) {
    for (size_t i = 0; i < r->n; i++) pare_pattern_free(r->rules[i].pattern);
    pare_dealloc(r->rules);
    pare_arena_clear(&r->arena);
    memset(r, 0, sizeof *r);
}

const pare_rule *pare_recipe_match(const pare_recipe *r, const char *tensor) {
    for (size_t i = 0; i < r->n; i++)
        if (pare_pattern_match(r->rules[i].pattern, tensor)) return &r->rules[i].rule;
    return NULL;
}
