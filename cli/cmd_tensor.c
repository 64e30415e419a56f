/* SPDX-License-Identifier: Apache-2.0 */
/* pare tensor: quantizes one tensor and shows what becomes of it: numbers, heat maps, error, bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "literal.h"

typedef struct tensor {
    char name[512];
    const char *dtype;
    int ndim;
    int64_t shape[8], n;
    float *values; /* heap */
} tensor;

/* ------------------------------------------------------------------------------------------------------------- input */

static int literal_tensor(cli *c, const char *text, tensor *t) {
    literal l;
    if (!literal_parse(text, &l)) {
        literal_clear(&l);
        return cli_usage(c, "'%.60s': %s", text, l.wrong);
    }
    snprintf(t->name, sizeof t->name, "literal");
    t->dtype = "f32";
    t->ndim = l.ndim;
    memcpy(t->shape, l.shape, sizeof t->shape);
    t->n = l.n;
    t->values = l.values;
    return 0;
}

/* Index of the tensor that NAME means; without NAME the only one. -1: the error is in c->err. */
static int64_t pick(cli *c, const pare_model *m, const char *name) {
    const int64_t n = pare_model_count(m);
    int64_t linear = -1;
    c->err = (pare_err){.code = PARE_ERR_USAGE};
    if (name) {
        const int64_t i = pare_model_find(m, name);
        c->err.code = PARE_ERR_DATA;
        if (i < 0) snprintf(c->err.text, sizeof c->err.text, "%.200s: has no tensor '%.200s'", pare_model_get_info(m)->path, name);
        snprintf(c->err.hint, sizeof c->err.hint, "pare inspect --tensors lists them");
        return i;
    }
    if (n == 1) return 0;
    for (int64_t i = 0; i < n && linear < 0; i++)
        if (pare_model_get(m, i)->is_linear) linear = i;
    snprintf(c->err.text, sizeof c->err.text, "%.300s: holds %lld tensors; name one", pare_model_get_info(m)->path, (long long)n);
    if (linear >= 0) snprintf(c->err.hint, sizeof c->err.hint, "for example %.60s:%.150s", c->argv[0], pare_model_get(m, linear)->name);
    return -1;
}

static int read_tensor(cli *c, pare_model *m, const char *name, tensor *t) {
    const int64_t i = pick(c, m, name);
    if (i < 0) return cli_fail(c, &c->err);
    const pare_model_tensor *const from = pare_model_get(m, i);
    snprintf(t->name, sizeof t->name, "%s", from->name);
    t->dtype = pare_dtype_get_info(from->dtype)->name;
    t->ndim = from->ndim;
    t->n = 1;
    for (int k = 0; k < t->ndim; k++) t->n *= t->shape[k] = from->shape[k];
    t->values = malloc((size_t)(t->n + 1) * sizeof *t->values);
    if (!t->values) {
        c->err = (pare_err){.code = PARE_ERR_MEMORY};
        snprintf(c->err.text, sizeof c->err.text, "%.300s: no memory for %lld values", t->name, (long long)t->n);
        return cli_fail(c, &c->err);
    }
    if (pare_model_read(m, i, 0, t->ndim > 0 ? t->shape[0] : 1, t->values, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    return 0;
}

/* A file, FILE:NAME (the colon may be part of the path), or a literal. */
static int load(cli *c, char *target, tensor *t) {
    pare_model *m = NULL;
    const char *name = NULL;
    int code;
    if (target[0] == '[') return literal_tensor(c, target, t);
    char *const colon = strrchr(target, ':');
    pare_status st = pare_model_open(c->ctx, target, c->hub_cache, &m, &c->err);
    if (st != PARE_OK && colon) {
        *colon = 0;
        name = colon + 1;
        st = pare_model_open(c->ctx, target, c->hub_cache, &m, &c->err);
    }
    code = st == PARE_OK ? read_tensor(c, m, name, t) : cli_fail(c, &c->err);
    pare_model_close(m);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- scheme */

static bool read_scheme(cli *c, const tensor *t, pare_scheme *s) {
    const char *const clip = cli_text(c, "clip");
    bool given;
    if (!cli_scheme(c, s, &given)) return false;
    if (!cli_text(c, "scheme") && !cli_text(c, "granularity") && !cli_text(c, "group-size") && (t->ndim < 2 || cli_has(c, "scale"))) {
        s->granularity = PARE_PER_TENSOR; /* a scale for every number of a vector would be no quantization */
        s->name[0] = 0;
    }
    if (clip && strcmp(clip, "mse") == 0)
        s->clip = PARE_CLIP_MSE;
    else if (clip && strcmp(clip, "none") != 0)
        return cli_usage(c, "--clip: '%s' is not one of none, mse", clip), false;
    if (cli_has(c, "course")) s->course = true;
    if (cli_has(c, "zero-point") && !cli_has(c, "symmetric")) s->symmetric = false;
    if (clip || cli_has(c, "course") || cli_has(c, "zero-point")) s->name[0] = 0;
    return true;
}

/* "3.5" or "3.5,2,1" into n numbers; one serves for all. */
static bool read_list(const cli *c, const char *flag, int64_t n, double *out) {
    const char *text = cli_text(c, flag);
    char *end;
    int64_t have = 0;
    for (; text && *text && have < n; text = *end == ',' ? end + 1 : end) {
        out[have++] = strtod(text, &end);
        if (end == text || (*end && *end != ',')) return cli_usage(c, "--%s: '%s' is not a number or a list of numbers", flag, text), false;
    }
    if (!text || *text || (have != 1 && have != n)) return cli_usage(c, "--%s: needs one number, or %lld of them", flag, (long long)n), false;
    for (int64_t i = 1; have == 1 && i < n; i++) out[i] = out[0];
    return true;
}

/* Scales and zero points as given; *out holds a quantized tensor already, whose grid tells how many there are. 0 or the exit code. */
static int quantize_as_given(cli *c, const tensor *t, const pare_scheme *s, pare_qtensor **out) {
    int64_t n;
    const int half = 1 << (s->bits - 1);
    pare_qtensor_scales(*out, &n);
    double *const numbers = malloc((size_t)n * sizeof *numbers);
    float *const scales = malloc((size_t)n * sizeof *scales);
    int32_t *const zeros = malloc((size_t)n * sizeof *zeros);
    int code = 2;
    if (!numbers || !scales || !zeros) {
        cli_usage(c, "out of memory");
        goto out;
    }
    if (!read_list(c, "scale", n, numbers)) goto out;
    for (int64_t i = 0; i < n; i++) scales[i] = (float)numbers[i], zeros[i] = half;
    if (cli_has(c, "zero-point")) {
        if (!read_list(c, "zero-point", n, numbers)) goto out;
        for (int64_t i = 0; i < n; i++) {
            if (!(numbers[i] >= -half && numbers[i] < half) || numbers[i] != (double)(int)numbers[i]) {
                cli_usage(c, "--zero-point: %g is not a code of %d bits, a whole number from %d to %d", numbers[i], s->bits, -half, half - 1);
                goto out;
            }
            zeros[i] = (int32_t)numbers[i] + half;
        }
    }
    pare_qtensor_free(*out);
    *out = NULL;
    code = pare_quantize_with(c->ctx, t->values, PARE_F32, t->ndim, t->shape, s, scales, zeros, out, &c->err) == PARE_OK ? 0 : cli_fail(c, &c->err);
out:
    free(numbers);
    free(scales);
    free(zeros);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- output */

/* Values of [shape] as nested lists. */
static void json_nested(pare_json *j, const char *key, const tensor *t, const float *v, const int16_t *codes) {
    int64_t at[8] = {0};
    if (t->ndim == 0) {
        if (codes)
            pare_json_int(j, key, codes[0]);
        else
            pare_json_real(j, key, v[0]);
        return;
    }
    pare_json_array(j, key);
    for (int d = 1; d < t->ndim; d++) pare_json_array(j, NULL);
    for (int64_t i = 0; i < t->n; i++) {
        if (codes)
            pare_json_int(j, NULL, codes[i]);
        else
            pare_json_real(j, NULL, v[i]);
        int d = t->ndim - 1;
        for (; d >= 0 && ++at[d] == t->shape[d]; d--) at[d] = 0, pare_json_end(j);
        for (int k = d + 1; d >= 0 && k < t->ndim; k++) pare_json_array(j, NULL);
    }
    if (t->n == 0)
        for (int d = 0; d < t->ndim; d++) pare_json_end(j);
}

static const char *granularity_name(pare_granularity g) {
    static const char *const names[] = {"", "tensor", "channel", "group", "block"};
    return g >= PARE_PER_TENSOR && g <= PARE_PER_BLOCK ? names[g] : "";
}

static void json_scheme(pare_json *j, const pare_qtensor *q) {
    const pare_scheme *const s = pare_qtensor_scheme(q);
    pare_json_object(j, "scheme");
    pare_json_text(j, "name", s->name);
    pare_json_int(j, "bits", s->bits);
    pare_json_bool(j, "symmetric", s->symmetric);
    pare_json_text(j, "granularity", granularity_name(s->granularity));
    if (s->granularity == PARE_PER_GROUP) pare_json_int(j, "group_size", s->group_size);
    if (s->granularity == PARE_PER_CHANNEL || s->granularity == PARE_PER_GROUP) pare_json_int(j, "axis", s->axis);
    if (s->course) pare_json_bool(j, "course", true);
    pare_json_end(j);
}

static void json_parameters(pare_json *j, const tensor *t, const pare_qtensor *q) {
    const pare_scheme *const s = pare_qtensor_scheme(q);
    int64_t n;
    pare_json_array(j, "shape");
    for (int k = 0; k < t->ndim; k++) pare_json_int(j, NULL, t->shape[k]);
    pare_json_end(j);
    json_scheme(j, q);
    const float *const scales = pare_qtensor_scales(q, &n);
    pare_json_array(j, "scales");
    for (int64_t i = 0; i < n; i++) pare_json_real(j, NULL, scales[i]);
    pare_json_end(j);
    if (s->kind == PARE_CODE_INT) {
        pare_json_array(j, "zero_points");
        for (int64_t i = 0; i < n; i++) pare_json_int(j, NULL, pare_qtensor_zeros(q, &n)[i] - (1 << (s->bits - 1)));
        pare_json_end(j);
    }
}

/* Whole-number codes as signed numbers; of float codes the bit pattern. */
static void numbers_of_codes(const pare_qtensor *q, int64_t n, int16_t *out) {
    const pare_scheme *const s = pare_qtensor_scheme(q);
    const int16_t half = (int16_t)(s->kind == PARE_CODE_INT ? 1 << (s->bits - 1) : 0);
    for (int64_t i = 0; i < n; i++) out[i] = (int16_t)(pare_qtensor_codes(q)[i] - half);
}

static int print_json(cli *c, const tensor *t, const pare_qtensor *q, const float *back, const pare_error *e) {
    pare_json *j = NULL;
    int16_t *const codes = malloc((size_t)(t->n + 1) * sizeof *codes);
    float *const error = malloc((size_t)(t->n + 1) * sizeof *error);
    if (!codes || !error || pare_json_new(t->n <= 256 ? 2 : 0, &j, &c->err) != PARE_OK) {
        free(codes);
        free(error);
        return cli_fail(c, &(pare_err){.code = PARE_ERR_MEMORY, .text = "no memory for the numbers"});
    }
    numbers_of_codes(q, t->n, codes);
    for (int64_t i = 0; i < t->n; i++) error[i] = back[i] > t->values[i] ? back[i] - t->values[i] : t->values[i] - back[i];
    pare_json_object(j, NULL);
    pare_json_text(j, "name", t->name);
    pare_json_text(j, "dtype", t->dtype);
    json_parameters(j, t, q);
    json_nested(j, "original", t, t->values, NULL);
    json_nested(j, "codes", t, NULL, codes);
    json_nested(j, "dequantized", t, back, NULL);
    json_nested(j, "error", t, error, NULL);
    pare_json_real(j, "mse", e->mse);
    pare_json_real(j, "sqnr_db", e->sqnr_db);
    pare_json_real(j, "max_abs", e->max_abs);
    pare_json_real(j, "mean_abs", e->mean_abs);
    pare_json_real(j, "cosine", e->cosine);
    pare_json_real(j, "bits_per_weight", pare_qtensor_bits_per_weight(q));
    pare_json_end(j);
    free(codes);
    free(error);
    return cli_print_json(c, j);
}

/* "scales: 5.737, 2.3268, ... (64)" */
static void print_scales(const pare_qtensor *q) {
    enum { SHOWN = 8 };
    const pare_scheme *const s = pare_qtensor_scheme(q);
    int64_t n, m;
    const float *const scales = pare_qtensor_scales(q, &n);
    const int32_t *const zeros = pare_qtensor_zeros(q, &m);
    cli_print("%s", n == 1 ? "scale " : "scales ");
    for (int64_t i = 0; i < n && i < SHOWN; i++) cli_print("%s%.9g", i ? ", " : "", (double)scales[i]);
    if (n > SHOWN) cli_print(", ... (%lld)", (long long)n);
    if (s->kind == PARE_CODE_INT && !s->symmetric) {
        cli_print("\n%s", m == 1 ? "zero point " : "zero points ");
        for (int64_t i = 0; i < m && i < SHOWN; i++) cli_print("%s%d", i ? ", " : "", (int)zeros[i] - (1 << (s->bits - 1)));
        if (m > SHOWN) cli_print(", ... (%lld)", (long long)m);
    }
    cli_puts("\n\n");
}

static int print_text(cli *c, const tensor *t, const pare_qtensor *q, const pare_panel panels[4], const pare_error *e) {
    for (const char *p = t->name; *p; p++) cli_print("%c", (unsigned char)*p < 0x20 || *p == 0x7F ? '?' : *p); /* a terminal obeys control characters */
    cli_puts("  [");
    for (int k = 0; k < t->ndim; k++) cli_print("%s%lld", k ? ", " : "", (long long)t->shape[k]);
    cli_print("] %s as %s\n", t->dtype, pare_qtensor_scheme(q)->name);
    print_scales(q);
    const int code = cli_print_panels(c, panels, 4);
    cli_print("\nmse %.6g   sqnr %.4g dB   max |error| %.6g   %.4g bits per weight\n", e->mse, e->sqnr_db, e->max_abs, pare_qtensor_bits_per_weight(q));
    return code;
}

static int show(cli *c, const tensor *t, const pare_qtensor *q) {
    const char *const plot = cli_text(c, "plot");
    float *const back = malloc((size_t)(t->n + 1) * sizeof *back);
    pare_panel panels[4];
    double *storage = NULL;
    pare_error e;
    int code = 0;
    pare_status st = back ? pare_dequantize(q, back, &c->err) : PARE_ERR_MEMORY;
    if (st == PARE_OK) {
        pare_measure(t->values, back, t->n, &e);
        st = pare_quantization_panels(t->values, q, cli_has(c, "like-course"), panels, &storage, &c->err);
    }
    if (st == PARE_OK && plot) st = pare_plot_panels(plot, NULL, panels, 4, &c->err);
    if (!back) c->err = (pare_err){.code = PARE_ERR_MEMORY, .text = "no memory for the dequantized tensor"};
    if (st != PARE_OK)
        code = cli_fail(c, &c->err);
    else
        code = c->json ? print_json(c, t, q, back, &e) : print_text(c, t, q, panels, &e);
    pare_free(storage);
    free(back);
    return code;
}

static int run(cli *c) {
    tensor t = {.dtype = ""};
    pare_scheme s;
    pare_qtensor *q = NULL;
    int code = load(c, c->argv[0], &t);
    if (code == 0 && !read_scheme(c, &t, &s)) code = 2;
    if (code == 0 && cli_has(c, "zero-point") && !cli_has(c, "scale")) code = cli_usage(c, "--zero-point needs --scale");
    if (code == 0 && pare_quantize(c->ctx, t.values, PARE_F32, t.ndim, t.shape, &s, &q, &c->err) != PARE_OK) code = cli_fail(c, &c->err);
    if (code == 0 && cli_has(c, "scale")) code = quantize_as_given(c, &t, &s, &q);
    cli_progress_end();
    if (code == 0) code = show(c, &t, q);
    pare_qtensor_free(q);
    free(t.values);
    return code;
}

static const cli_flag flags[] = {CLI_SCHEME_FLAGS,
                                 {"clip", 0, "HOW", "mse: search the range with the least squared error", false},
                                 {"course", 0, NULL, "the arithmetic of the course, defects included", false},
                                 {"scale", 0, "S", "use this scale (or a list, one a block); one scale for the tensor unless --granularity says otherwise", false},
                                 {"zero-point", 0, "Z", "with --scale: use this zero point, as int8 counts (-128 ... 127)", false},
                                 {"plot", 0, "FILE", "write the four heat maps as .png, .svg or .pdf", false},
                                 {"like-course", 0, NULL, "colour them as the course does", false},
                                 {NULL, 0, NULL, NULL, false}};

const cli_command cli_cmd_tensor = {
    .name = "tensor",
    .args = "FILE[:NAME]|LITERAL",
    .summary = "Quantize one tensor and look at it",
    .details = "Shows original, codes, dequantized and error. Codes and zero points are printed as signed numbers.\n\n"
               "  pare tensor '[[191.6,-13.5],[92.1,295.5]]' --asymmetric --granularity tensor\n"
               "  pare tensor MODEL:model.layers.0.mlp.up_proj.weight --scheme W4A16 --plot up_proj.png",
    .flags = flags,
    .min_args = 1,
    .max_args = 1,
    .run = run};
