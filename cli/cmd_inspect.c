/* SPDX-License-Identifier: Apache-2.0 */
/* pare inspect MODEL: the tree of modules, with runs of equal layers folded, and totals by dtype. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

/* ------------------------------------------------------------------------------------------------------ tree of names */

typedef struct node {
    const char *name; size_t len;      /* one path segment, borrowed from tensor names */
    struct node *child, *next, *last;
    int64_t tensor;                    /* -1 = inner node */
    uint64_t bytes, parameters;
    uint64_t likeness;                 /* hash of everything below, names included: equal layers have equal ones */
} node;

static node *child_of(node *parent, const char *name, size_t len) {
    node *n = parent->child;
    for (; n; n = n->next)
        if (n->len == len && memcmp(n->name, name, len) == 0) return n;
    if (!(n = calloc(1, sizeof *n))) return NULL;
    n->name = name;
    n->len = len;
    n->tensor = -1;
    if (parent->last) parent->last->next = n;
    else parent->child = n;
    parent->last = n;
    return n;
}

static void free_tree(node *n) {
    while (n) {
        node *next = n->next;
        free_tree(n->child);
        free(n);
        n = next;
    }
}

static uint64_t parameters_of(const pare_model_tensor *t) {
    uint64_t n = 1;
    for (int d = 0; d < t->ndim; d++) n *= (uint64_t)t->shape[d];
    return n;
}

static bool add_tensor(node *root, const pare_model_tensor *t, int64_t index) {
    node *at = root;
    const uint64_t n = parameters_of(t);
    for (const char *p = t->name; at;) {
        const char *dot = strchr(p, '.');
        at = child_of(at, p, dot ? (size_t)(dot - p) : strlen(p));
        if (!at) return false;
        if (!t->alias_of) at->bytes += t->bytes, at->parameters += n;
        if (!dot) break;
        p = dot + 1;
    }
    at->tensor = index;
    return true;
}

static uint64_t mix(uint64_t h, const void *data, size_t n) {
    for (const unsigned char *p = data; n--; p++) h = (h ^ *p) * UINT64_C(1099511628211);
    return h;
}

static uint64_t measure_likeness(const pare_model *m, node *n) {
    uint64_t h = UINT64_C(14695981039346656037);
    if (n->tensor >= 0) {
        const pare_model_tensor *t = pare_model_get(m, n->tensor);
        h = mix(h, &t->dtype, sizeof t->dtype);
        h = mix(h, t->shape, sizeof t->shape[0] * (size_t)t->ndim);
        if (t->quantized) h = mix(h, t->scheme.name, strlen(t->scheme.name));
    }
    for (node *c = n->child; c; c = c->next) {
        const uint64_t below = measure_likeness(m, c);
        h = mix(h, c->name, c->len);
        h = mix(h, &below, sizeof below);
    }
    return n->likeness = h;
}

static bool is_number(const node *n) {
    for (size_t i = 0; i < n->len; i++)
        if (n->name[i] < '0' || n->name[i] > '9') return false;
    return n->len > 0;
}

static void describe(const pare_model_tensor *t, char *out, size_t size) {
    size_t n = 0;
    const pare_dtype_info *d = pare_dtype_get_info(t->dtype);
    n += (size_t)snprintf(out + n, size - n, "[");
    for (int k = 0; k < t->ndim && n < size - 40; k++) n += (size_t)snprintf(out + n, size - n, k ? ", %lld" : "%lld", (long long)t->shape[k]);
    n += (size_t)snprintf(out + n, size - n, "] %s", t->quantized ? t->scheme.name : d ? d->name : "?");
    if (t->quantized && n < size) n += (size_t)snprintf(out + n, size - n, " (%s)", t->layout);
    if (t->alias_of && n < size) snprintf(out + n, size - n, ", same as %.80s", t->alias_of);
}

static void print_node(const pare_model *m, const node *n, int depth) {
    const int wide = pare_model_get_info(m)->layout ? 50 : 36; /* a scheme and its layout are longer than a dtype */
    for (const node *c = n->child; c; c = c->next) {
        const node *end = c;
        char bytes[32], what[256], label[128];
        int64_t run = 1;
        while (c->child && is_number(c) && end->next && is_number(end->next) && end->next->likeness == c->likeness) end = end->next, run++;
        cli_format_bytes(c->bytes, bytes);
        if (run > 1)
            snprintf(label, sizeof label, "(%.*s-%.*s): %lld x", (int)c->len, c->name, (int)end->len, end->name, (long long)run);
        else
            snprintf(label, sizeof label, "%.*s", (int)(c->len < 100 ? c->len : 100), c->name);
        if (c->tensor >= 0) {
            describe(pare_model_get(m, c->tensor), what, sizeof what);
            cli_print("%*s%-*s %-*s %12s\n", depth * 2, "", 34 - depth * 2 > 8 ? 34 - depth * 2 : 8, label, wide, what, bytes);
        } else
            cli_print("%*s%-*s %-*s %12s%s\n", depth * 2, "", 34 - depth * 2 > 8 ? 34 - depth * 2 : 8, label, wide, "", bytes, run > 1 ? " each" : "");
        print_node(m, c, depth + 1);
        c = end;
    }
}

static int print_tree(const cli *c, const pare_model *m) {
    node root = {.tensor = -1};
    for (int64_t i = 0; i < pare_model_count(m); i++)
        if (!add_tensor(&root, pare_model_get(m, i), i)) return cli_usage(c, "out of memory");
    measure_likeness(m, &root);
    print_node(m, &root, 0);
    free_tree(root.child);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ output */

static void sum_dtypes(const pare_model *m, uint64_t bytes[PARE_DTYPE_COUNT], uint64_t *quantized) {
    *quantized = 0;
    memset(bytes, 0, sizeof bytes[0] * PARE_DTYPE_COUNT);
    for (int64_t i = 0; i < pare_model_count(m); i++) {
        const pare_model_tensor *t = pare_model_get(m, i);
        if (t->alias_of) continue;
        if (t->quantized) *quantized += t->bytes;
        else bytes[t->dtype] += t->bytes;
    }
}

static void print_totals(const pare_model *m) {
    const pare_model_info *info = pare_model_get_info(m);
    uint64_t bytes[PARE_DTYPE_COUNT], quantized;
    char text[32];
    sum_dtypes(m, bytes, &quantized);
    cli_format_bytes(info->bytes, text);
    cli_print("\n%s%s%s, %llu parameters in %lld tensors, %s", info->architecture ? info->architecture : "", info->architecture ? ", " : "", info->container,
              (unsigned long long)info->parameters, (long long)info->tensors, text);
    if (info->layout) cli_print(", quantized: %s", info->layout);
    if (info->kv_cache) cli_print(", key/value cache: %s, static scales", info->kv_cache);
    if (info->tied_embeddings) cli_print(", tied embeddings");
    cli_puts("\n");
    for (int d = 1; d < PARE_DTYPE_COUNT; d++) {
        if (!bytes[d]) continue;
        cli_format_bytes(bytes[d], text);
        cli_print("  %-12s %s\n", pare_dtype_get_info((pare_dtype)d)->name, text);
    }
    if (quantized) {
        cli_format_bytes(quantized, text);
        cli_print("  %-12s %s\n", "quantized", text);
    }
}

static int print_list(const pare_model *m) {
    char what[256], bytes[32];
    int width = 20;
    for (int64_t i = 0; i < pare_model_count(m); i++)
        if ((int)strlen(pare_model_get(m, i)->name) > width) width = (int)strlen(pare_model_get(m, i)->name);
    for (int64_t i = 0; i < pare_model_count(m); i++) {
        const pare_model_tensor *t = pare_model_get(m, i);
        describe(t, what, sizeof what);
        cli_format_bytes(t->bytes, bytes);
        cli_print("%-*s %-*s %12s  %s\n", width, t->name, pare_model_get_info(m)->layout ? 50 : 36, what, bytes, t->file);
    }
    return 0;
}

static void put_tensor(pare_json *j, const pare_model_tensor *t) {
    pare_json_object(j, NULL);
    pare_json_text(j, "name", t->name);
    pare_json_text(j, "dtype", pare_dtype_get_info(t->dtype)->name);
    pare_json_array(j, "shape");
    for (int d = 0; d < t->ndim; d++) pare_json_int(j, NULL, t->shape[d]);
    pare_json_end(j);
    pare_json_int(j, "bytes", (int64_t)t->bytes);
    pare_json_text(j, "file", t->file);
    if (t->quantized) {
        pare_json_text(j, "scheme", t->scheme.name);
        pare_json_text(j, "layout", t->layout);
    }
    if (t->alias_of) pare_json_text(j, "alias_of", t->alias_of);
    pare_json_end(j);
}

static int print_json(const cli *c, const pare_model *m) {
    const pare_model_info *info = pare_model_get_info(m);
    uint64_t bytes[PARE_DTYPE_COUNT], quantized;
    pare_json *j = NULL;
    pare_err err = {0};
    if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
    sum_dtypes(m, bytes, &quantized);
    pare_json_object(j, NULL);
    pare_json_text(j, "architecture", info->architecture);
    pare_json_text(j, "container", info->container);
    pare_json_text(j, "quantization", info->layout);
    if (info->kv_cache) pare_json_text(j, "kv_cache", info->kv_cache);
    pare_json_int(j, "parameters", (int64_t)info->parameters);
    pare_json_int(j, "bytes", (int64_t)info->bytes);
    pare_json_bool(j, "tied_embeddings", info->tied_embeddings);
    pare_json_object(j, "dtypes");
    for (int d = 1; d < PARE_DTYPE_COUNT; d++)
        if (bytes[d]) pare_json_int(j, pare_dtype_get_info((pare_dtype)d)->name, (int64_t)bytes[d]);
    if (quantized) pare_json_int(j, "quantized", (int64_t)quantized);
    pare_json_end(j);
    pare_json_array(j, "tensors");
    for (int64_t i = 0; i < pare_model_count(m); i++) put_tensor(j, pare_model_get(m, i));
    pare_json_end(j);
    pare_json_end(j);
    return cli_print_json(c, j);
}

static int run(cli *c) {
    pare_model *m = NULL;
    int code;
    if (pare_model_open(c->ctx, c->argv[0], c->hub_cache, &m, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (c->json)
        code = print_json(c, m);
    else {
        code = cli_has(c, "tensors") ? print_list(m) : print_tree(c, m);
        print_totals(m);
    }
    pare_model_close(m);
    return code;
}

static const cli_flag flags[] = {{"tensors", 't', NULL, "list every tensor, with its file", false}, {0}};

const cli_command cli_cmd_inspect = {
    .name = "inspect", .args = "MODEL", .summary = "Show what is in a checkpoint", .flags = flags, .min_args = 1, .max_args = 1, .run = run};
