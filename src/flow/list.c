/* SPDX-License-Identifier: Apache-2.0 */
/* pare_list: the registries as tables. A registry is one row in the table at the end of this file. */
#include <stdio.h>
#include <string.h>

#include "flow/flow.h"
#include "graph/graph.h"
#include "kernel/kernel.h"
#include "model/model.h"
#include "text/text.h"
#include <pare/report.h>

static pare_status columns(pare_table *t, const char *const keys[], pare_err *err) {
    pare_status st = PARE_OK;
    for (; st == PARE_OK && *keys; keys++) st = pare_table_column(t, *keys, NULL, PARE_CELL_TEXT, NULL, err);
    return st;
}

/* One row of texts in the order of the columns. */
static pare_status row(pare_table *t, const char *const cells[], pare_err *err) {
    pare_status st = pare_table_row(t, err);
    for (int c = 0; st == PARE_OK && c < pare_table_columns(t); c++) st = pare_table_text(t, pare_table_key(t, c), cells[c] ? cells[c] : "", err);
    return st;
}

static pare_status list_schemes(pare_ctx *ctx, pare_table *t, pare_err *err) {
    int n = 0;
    const pare_scheme_row *s = pare_schemes(&n);
    pare_status st = columns(t, (const char *const[]){"name", "about", NULL}, err);
    (void)ctx;
    for (int i = 0; st == PARE_OK && i < n; i++) st = row(t, (const char *const[]){s[i].name, s[i].help}, err);
    return st;
}

static pare_status list_methods(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "about", "needs", "paper", NULL}, err);
    (void)ctx;
    for (const pare_method *const *m = pare_methods(); st == PARE_OK && *m; m++)
        st = row(t, (const char *const[]){(*m)->name, (*m)->help, pare_method_is_calibrated(*m) ? "data" : "nothing", (*m)->paper}, err);
    return st;
}

static pare_status list_quantizers(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "about", NULL}, err);
    (void)ctx;
    for (const pare_quantizer *const *q = pare_quantizers(); st == PARE_OK && *q; q++) st = row(t, (const char *const[]){(*q)->name, (*q)->help}, err);
    return st;
}

static pare_status list_formats(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "files", "read", "write", "about", NULL}, err);
    (void)ctx;
    for (const pare_format *const *f = pare_formats(); st == PARE_OK && *f; f++)
        st = row(t, (const char *const[]){(*f)->name, (*f)->extensions, "yes", (*f)->can_write ? "yes" : "no", (*f)->help}, err);
    return st;
}

static pare_status list_layouts(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "read", "write", "schemes", "packing", "loaders", "about", NULL}, err);
    (void)ctx;
    for (const pare_layout *const *l = pare_layouts(); st == PARE_OK && *l; l++)
        st = row(t, (const char *const[]){(*l)->name, (*l)->read ? "yes" : "no", (*l)->pack ? "yes" : "no", (*l)->schemes, (*l)->packing, (*l)->loaders, (*l)->help}, err);
    return st;
}

static pare_status list_kernels(pare_ctx *ctx, pare_table *t, pare_err *err) {
    const char *levels[16];
    bool available[16];
    const int n = pare_kernels_levels(levels, available, 16);
    pare_status st = pare_table_column(t, "op", NULL, PARE_CELL_TEXT, NULL, err);
    const pare_kernels *here = ctx ? ctx->kernels : pare_kernels_get(NULL);
    for (int l = 0; st == PARE_OK && l < n; l++) {
        char title[48];
        snprintf(title, sizeof title, "%s%s", levels[l], !available[l] ? " (not on this CPU)" : here == pare_kernels_get(levels[l]) ? " (in use)" : "");
        st = pare_table_column(t, levels[l], title, PARE_CELL_TEXT, NULL, err);
    }
    if (st != PARE_OK) return st;
#define PARE_OP(name, ret, args)                                                                                                       \
    {                                                                                                                                  \
        const char *cells[17] = {#name};                                                                                               \
        for (int l = 0; l < n; l++) {                                                                                                  \
            const pare_kernels *k = available[l] ? pare_kernels_get(levels[l]) : NULL;                                                 \
            cells[l + 1] = k ? k->name##_variant : "-";                                                                                \
        }                                                                                                                              \
        if ((st = row(t, cells, err)) != PARE_OK) return st;                                                                           \
    }
#include "kernel/ops.def"
#undef PARE_OP
    return st;
}

static pare_status list_dtypes(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "bits", "safetensors", "torch", "largest", "about", NULL}, err);
    (void)ctx;
    for (int d = 1; st == PARE_OK && d < PARE_DTYPE_COUNT; d++) {
        const pare_dtype_info *i = pare_dtype_get_info((pare_dtype)d);
        char bits[8], max[32];
        snprintf(bits, sizeof bits, "%d", i->bits);
        if (i->kind == PARE_KIND_FLOAT)
            snprintf(max, sizeof max, "%g", i->max);
        else
            snprintf(max, sizeof max, "%llu", (unsigned long long)i->imax);
        st = row(t, (const char *const[]){i->name, bits, i->safetensors, i->torch, max, i->about}, err);
    }
    return st;
}

static pare_status list_options(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"owner", "name", "values", "default", "about", NULL}, err);
    (void)ctx;
    for (const pare_method *const *m = pare_methods(); st == PARE_OK && *m; m++)
        for (const pare_option *o = (*m)->options; st == PARE_OK && o && o->name; o++)
            st = row(t, (const char *const[]){(*m)->name, o->name, o->range, o->def, o->help}, err);
    return st;
}

/* What an architecture is read for, and what a config.json must say to be one. */
static pare_status list_archs(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "runs", "model_type", "about", NULL}, err);
    (void)ctx;
    for (const pare_arch *const *a = pare_archs(); st == PARE_OK && *a; a++) {
        pare_str types = {0};
        for (const char *const *m = (*a)->model_types; m && *m; m++) pare_str_printf(&types, "%s%s", types.n ? " " : "", *m);
        st = types.failed ? pare_no_memory(err, "model types", types.n)
                          : row(t, (const char *const[]){(*a)->name, (*a)->graph ? "yes" : "sizes only", types.at, (*a)->help}, err);
        pare_str_clear(&types);
    }
    return st;
}

static pare_status list_ops(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "gradient", "about", NULL}, err);
    (void)ctx;
    for (const pare_gop *const *o = pare_gops(); st == PARE_OK && *o; o++)
        st = row(t, (const char *const[]){(*o)->name, (*o)->backward ? "yes" : "no", (*o)->help}, err);
    return st;
}

static pare_status list_tokenizers(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"name", "files", "about", NULL}, err);
    (void)ctx;
    for (const pare_tok_source *const *s = pare_tok_sources(); st == PARE_OK && *s; s++) {
        pare_str files = {0};
        for (const char *const *f = (*s)->files; f && *f; f++) pare_str_printf(&files, "%s%s", files.n ? " " : "", *f);
        st = files.failed ? pare_no_memory(err, "file names", files.n) : row(t, (const char *const[]){(*s)->name, files.at, (*s)->help}, err);
        pare_str_clear(&files);
    }
    return st;
}

/* The README's support matrix. */
static pare_status list_support(pare_ctx *ctx, pare_table *t, pare_err *err) {
    pare_status st = columns(t, (const char *const[]){"what", "name", "read", "write", "details", NULL}, err);
    (void)ctx;
    for (const pare_format *const *f = pare_formats(); st == PARE_OK && *f; f++)
        st = row(t, (const char *const[]){"container", (*f)->name, "yes", (*f)->can_write ? "yes" : "no", (*f)->help}, err);
    for (const pare_layout *const *l = pare_layouts(); st == PARE_OK && *l; l++)
        st = row(t, (const char *const[]){"layout", (*l)->name, (*l)->read ? "yes" : "no", (*l)->pack ? "yes" : "no", (*l)->schemes}, err);
    for (const pare_method *const *m = pare_methods(); st == PARE_OK && *m; m++)
        st = row(t, (const char *const[]){"method", (*m)->name, "", "yes", (*m)->help}, err);
    for (const pare_arch *const *a = pare_archs(); st == PARE_OK && *a; a++)
        if ((*a)->graph) st = row(t, (const char *const[]){"architecture", (*a)->name, "runs", "", (*a)->help}, err);
    for (const pare_tok_source *const *s = pare_tok_sources(); st == PARE_OK && *s; s++)
        st = row(t, (const char *const[]){"tokenizer", (*s)->name, "yes", "", (*s)->help}, err);
    return st;
}

static const struct { const char *name; pare_status (*fill)(pare_ctx *, pare_table *, pare_err *); } registries[] = {
    {"schemes", list_schemes}, {"methods", list_methods}, {"quantizers", list_quantizers}, {"formats", list_formats}, {"layouts", list_layouts},
    {"kernels", list_kernels}, {"dtypes", list_dtypes},   {"options", list_options},       {"support", list_support},
    {"archs", list_archs},     {"ops", list_ops},         {"tokenizers", list_tokenizers}};

pare_status pare_list(pare_ctx *ctx, const char *what, pare_table **out, pare_err *err) {
    *out = NULL;
    for (size_t i = 0; i < sizeof registries / sizeof *registries; i++) {
        if (strcmp(registries[i].name, what) != 0) continue;
        pare_table *t = NULL;
        pare_status st = pare_table_new(&t, err);
        if (st == PARE_OK) st = registries[i].fill(ctx, t, err);
        if (st != PARE_OK) {
            pare_table_free(t);
            t = NULL;
        }
        *out = t;
        return st;
    }
    pare_fail(err, PARE_ERR_USAGE, "list: there is no registry '%s'", what);
    return pare_hint(err, "schemes methods quantizers formats layouts archs kernels ops tokenizers dtypes options support");
}
