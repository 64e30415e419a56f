/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole jobs on a small odd-shaped checkpoint: every allocation fails once, the job is cancelled at every tensor and
 * resumed, NaN and overflow are found, odd sizes end up aligned, tied tensors stay tied.
 */
#include "support/support.h"

#include <math.h>
#include <unistd.h>

#include "file/file.h"
#include "flow/flow.h"

/* A checkpoint of a few tensors whose sizes are not multiples of 8 bytes. */
typedef struct small { const char *name; pare_dtype dtype; int ndim; int64_t shape[2]; } small;
static const small tensors[] = {
    {"model.embed_tokens.weight", PARE_BF16, 2, {7, 64}}, {"model.layers.0.q_proj.weight", PARE_BF16, 2, {33, 64}}, {"model.layers.0.norm.weight", PARE_BF16, 1, {3}},
    {"model.layers.0.up_proj.weight", PARE_F32, 2, {5, 96}}, {"model.layers.0.down_proj.weight", PARE_F16, 2, {64, 31}}, {"model.layers.0.q_proj.bias", PARE_F32, 1, {33}},
    {"model.steps", PARE_I64, 0, {0}},  {"model.mask", PARE_BOOL, 1, {13}}, {"lm_head.weight", PARE_BF16, 2, {7, 64}}};
enum { N = sizeof tensors / sizeof *tensors };

/* poison: this value is put into the middle of down_proj */
static void make_model(const char *path, float poison) {
    pare_spec specs[N];
    pare_writer *w = NULL;
    pare_err err = {0};
    for (int i = 0; i < N; i++) {
        int64_t n;
        memset(&specs[i], 0, sizeof specs[i]);
        specs[i].name = tensors[i].name;
        specs[i].dtype = tensors[i].dtype;
        specs[i].ndim = tensors[i].ndim;
        memcpy(specs[i].shape, tensors[i].shape, sizeof tensors[i].shape);
        assert_true(pare_shape_numel(specs[i].ndim, specs[i].shape, &n));
        specs[i].bytes = pare_dtype_bytes(specs[i].dtype, (uint64_t)n);
    }
    assert_ok(pare_writer_open(pare_format_find("safetensors"), path, specs, N, NULL, 0, 0, &w, &err));
    for (int i = 0; i < N; i++) {
        float x[64 * 96];
        uint8_t raw[64 * 96 * 8] = {0};
        const int64_t n = (int64_t)(specs[i].bytes / pare_dtype_bytes(specs[i].dtype, 1));
        for (int64_t k = 0; k < n; k++) x[k] = (float)pare_rng_normal(pare_rng_key(1, specs[i].name), (uint64_t)k);
        if (poison != 0 && strstr(specs[i].name, "down_proj")) x[n / 2] = poison;
        if (pare_dtype_is_float(specs[i].dtype)) assert_ok(pare_from_f32(raw, specs[i].dtype, x, n, false, &err));
        assert_ok(pare_writer_append(w, raw, (size_t)specs[i].bytes, &err));
    }
    assert_ok(pare_writer_close(w, NULL, NULL, &err));
}

static const char config[] = "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\"}";

static void make_folder(const char *name, float poison) {
    pare_err err = {0};
    char path[512];
    assert_ok(pare_make_folder(test_path(name), &err));
    snprintf(path, sizeof path, "%s/model.safetensors", test_path(name));
    make_model(path, poison);
    snprintf(path, sizeof path, "%s/config.json", test_path(name));
    test_write(path, config, strlen(config));
}

static pare_ctx *new_ctx(int threads, void (*progress)(void *, const pare_progress *), void *user) {
    pare_ctx *ctx = NULL;
    const pare_ctx_options o = {.threads = threads, .progress = progress, .user = user};
    assert_ok(pare_ctx_new(&o, &ctx, NULL));
    return ctx;
}

/* ------------------------------------------------------------------------------------------------------- allocations */

static const char *oom_format;
static bool oom_dequantize;

static pare_status whole_job(void *arg) {
    pare_ctx *ctx = NULL;
    pare_quantize_options o = {.scheme_name = "W4A16:g32", .format = oom_format, .overwrite = true};
    pare_err err = {0};
    const pare_ctx_options one = {.threads = 1};
    char in[512], out[512];
    (void)arg;
    snprintf(in, sizeof in, "%s", test_path("in"));
    snprintf(out, sizeof out, "%s", test_path("oom"));
    pare_status st = pare_ctx_new(&one, &ctx, &err);
    if (st == PARE_OK && oom_dequantize) {
        o = (pare_quantize_options){.overwrite = true, .dtype = "f32"};
        snprintf(in, sizeof in, "%s", test_path("quantized"));
        st = pare_convert_model(ctx, in, out, true, &o, NULL, &err);
    } else if (st == PARE_OK)
        st = pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err);
    pare_ctx_free(ctx);
    return st;
}

static void every_allocation_quantize(void **state) {
    static const char *const formats[] = {"compressed-tensors", "quanto"};
    (void)state;
    make_folder("in", 0);
    for (int i = 0; i < 2; i++) {
        oom_format = formats[i];
        oom_dequantize = false;
        const int n = test_every_allocation(whole_job, NULL);
        assert_true(n > 100);
    }
}

static void every_allocation_dequantize(void **state) {
    pare_ctx *ctx = new_ctx(1, NULL, NULL);
    const pare_quantize_options o = {.scheme_name = "W4A16:g32", .overwrite = true};
    pare_err err = {0};
    char in[512], out[512];
    (void)state;
    make_folder("in", 0);
    snprintf(in, sizeof in, "%s", test_path("in"));
    snprintf(out, sizeof out, "%s", test_path("quantized"));
    assert_ok(pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err));
    pare_ctx_free(ctx);
    oom_dequantize = true;
    assert_true(test_every_allocation(whole_job, NULL) > 100);
}

/* --------------------------------------------------------------------------------------------------- cancel, resume */

typedef struct canceller { pare_ctx *ctx; int seen, at; } canceller;

static void on_progress(void *user, const pare_progress *p) {
    canceller *c = user;
    (void)p;
    if (c->seen++ == c->at) pare_ctx_cancel(c->ctx);
}

static void read_all(const char *folder, char **text, size_t *n) {
    char path[600];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(pare_read_file(path, 1 << 20, text, n, NULL));
}

static void cancelled_everywhere_and_resumed(void **state) {
    char in[512], out[512], whole[512], *a, *b, *ma, *mb, path[600];
    size_t na, nb;
    pare_err err = {0};
    pare_quantize_options o = {.scheme_name = "W3A16:g32", .overwrite = true};
    pare_ctx *ctx = new_ctx(2, NULL, NULL);
    int cancelled = 0;
    (void)state;
    make_folder("in", 0);
    snprintf(in, sizeof in, "%s", test_path("in"));
    snprintf(whole, sizeof whole, "%s", test_path("whole"));
    snprintf(out, sizeof out, "%s", test_path("resumed"));
    assert_ok(pare_quantize_model(ctx, in, whole, &o, NULL, NULL, &err));
    pare_ctx_free(ctx);
    read_all(whole, &a, &na);
    snprintf(path, sizeof path, "%s/pare.json", whole);
    assert_ok(pare_read_file(path, 1 << 20, &ma, &nb, NULL));
    for (int at = 0; at < N + 2; at++) {
        canceller c = {.at = at};
        c.ctx = ctx = new_ctx(1 + at % 2, on_progress, &c);
        o.overwrite = true;
        o.resume = false;
        const pare_status st = pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err);
        pare_ctx_free(ctx);
        if (st != PARE_OK) {
            assert_int_equal(st, PARE_ERR_CANCELLED);
            assert_true(strstr(err.hint, "--resume") != NULL);
            cancelled++;
            /* the old result, if any, is still whole */
            ctx = new_ctx(2, NULL, NULL);
            o.overwrite = false;
            o.resume = true;
            pare_remove_tree(out, NULL);
            assert_ok(pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err));
            pare_ctx_free(ctx);
        }
        read_all(out, &b, &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        pare_dealloc(b);
        snprintf(path, sizeof path, "%s/pare.json", out);
        assert_ok(pare_read_file(path, 1 << 20, &mb, &nb, NULL));
        assert_string_equal(ma, mb);
        pare_dealloc(mb);
    }
    assert_true(cancelled >= N - 1);
    pare_dealloc(a);
    pare_dealloc(ma);
}

/* ---------------------------------------------------------------------------------------------------------- values */

static void values_that_are_not_finite(void **state) {
    char in[512], out[512];
    pare_err err = {0};
    pare_ctx *ctx = new_ctx(2, NULL, NULL);
    pare_quantize_options o = {.overwrite = true};
    (void)state;
    snprintf(in, sizeof in, "%s", test_path("poisoned"));
    snprintf(out, sizeof out, "%s", test_path("poisoned-out"));
    for (int i = 0; i < 2; i++) {
        make_folder("poisoned", i ? NAN : INFINITY);
        assert_error(pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err), PARE_ERR_DATA, "model.layers.0.down_proj.weight: 1 value is not finite");
        assert_false(pare_path_exists(out));
        o.allow_nonfinite = true;
        assert_ok(pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err));
        pare_compare_result r;
        assert_ok(pare_compare_models(ctx, out, out, &r, &err)); /* everything in it is finite */
        assert_true(isfinite(r.total.mse) && isfinite(r.total.signal));
        pare_table_free(r.tensors);
        o.allow_nonfinite = false;
        assert_ok(pare_remove_tree(out, &err));
    }
    make_folder("poisoned", 1.0f);
    pare_ctx_free(ctx);
}

static void casts_that_overflow(void **state) {
    char in[512], out[512];
    pare_err err = {0};
    pare_ctx *ctx = new_ctx(2, NULL, NULL);
    pare_quantize_options o = {.overwrite = true, .dtype = "f16"};
    const float big[4] = {1, 70000, -3, 1e20f};
    const pare_spec spec = {.name = "w", .dtype = PARE_F32, .ndim = 1, .shape = {4}, .bytes = 16};
    pare_writer *w = NULL;
    (void)state;
    snprintf(in, sizeof in, "%s", test_path("big.safetensors"));
    snprintf(out, sizeof out, "%s", test_path("big-out"));
    assert_ok(pare_writer_open(pare_format_find("safetensors"), in, &spec, 1, NULL, 0, 0, &w, &err));
    assert_ok(pare_writer_append(w, big, 16, &err));
    assert_ok(pare_writer_close(w, NULL, NULL, &err));
    assert_error(pare_convert_model(ctx, in, out, false, &o, NULL, &err), PARE_ERR_DATA, "w: 2 values are beyond the range of f16");
    assert_false(pare_path_exists(out));
    o.dtype = "bf16";
    assert_ok(pare_convert_model(ctx, in, out, false, &o, NULL, &err));
    pare_ctx_free(ctx);
}

/* Every tensor of the result begins at a multiple of its element size. */
static void odd_sizes_are_aligned(void **state) {
    static const char *const schemes[] = {"W8A16", "INT8", "W4A16:g32", "W3A16:g32"};
    char in[512], out[512], file[600];
    pare_err err = {0};
    pare_ctx *ctx = new_ctx(2, NULL, NULL);
    (void)state;
    make_folder("in", 0);
    snprintf(in, sizeof in, "%s", test_path("in"));
    snprintf(out, sizeof out, "%s", test_path("aligned"));
    for (int i = 0; i < 4; i++) {
        const pare_quantize_options o = {.scheme_name = schemes[i], .overwrite = true};
        pare_store *s = NULL;
        pare_compare_result a;
        assert_ok(pare_quantize_model(ctx, in, out, &o, NULL, NULL, &err));
        snprintf(file, sizeof file, "%s/model.safetensors", out);
        assert_ok(pare_store_open(file, &s, &err));
        for (int64_t t = 0; t < s->n_tensors; t++) {
            const size_t size = pare_dtype_bytes(s->tensors[t].dtype, 1);
            if (s->tensors[t].bytes) assert_int_equal((size_t)(s->tensors[t].data - s->files[0].map.at) % size, 0);
        }
        pare_store_close(s);
        assert_ok(pare_compare_models(ctx, in, out, &a, &err));
        assert_int_equal(a.only_a, 0);
        assert_true(a.total.sqnr_db > 10);
        pare_table_free(a.tensors);
    }
    pare_ctx_free(ctx);
}

/* Without a config.json no loader expects anything: convolutions are packed as [out, rest] and come back in their shape. */
static void convolutions(void **state) {
    static const char *const schemes[] = {"W8A16", "W4A16:g32", "W3A16_ASYM:g64", "W4A16"};
    const pare_spec specs[2] = {{.name = "conv.weight", .dtype = PARE_F32, .ndim = 4, .shape = {40, 32, 3, 3}, .bytes = 40 * 288 * 4},
                                {.name = "conv1d.weight", .dtype = PARE_F16, .ndim = 3, .shape = {33, 64, 1}, .bytes = 33 * 64 * 2}};
    char in[512], out[512], back[512];
    float *x = calloc(40 * 288, sizeof *x);
    uint8_t *raw = calloc(40 * 288, 4);
    pare_err err = {0};
    pare_writer *w = NULL;
    pare_ctx *ctx = new_ctx(2, NULL, NULL);
    (void)state;
    snprintf(in, sizeof in, "%s", test_path("conv.safetensors"));
    snprintf(out, sizeof out, "%s", test_path("conv-out"));
    snprintf(back, sizeof back, "%s", test_path("conv-back"));
    assert_ok(pare_writer_open(pare_format_find("safetensors"), in, specs, 2, NULL, 0, 0, &w, &err));
    for (int t = 0; t < 2; t++) {
        const int64_t n = (int64_t)(specs[t].bytes / pare_dtype_bytes(specs[t].dtype, 1));
        for (int64_t i = 0; i < n; i++) x[i] = (float)pare_rng_normal(5, (uint64_t)i);
        assert_ok(pare_from_f32(raw, specs[t].dtype, x, n, false, &err));
        assert_ok(pare_writer_append(w, raw, (size_t)specs[t].bytes, &err));
    }
    assert_ok(pare_writer_close(w, NULL, NULL, &err));
    for (int i = 0; i < 4; i++) {
        const pare_quantize_options o = {.scheme_name = schemes[i], .overwrite = true}, f = {.dtype = "f32", .overwrite = true};
        pare_job_result r;
        pare_compare_result c;
        assert_ok(pare_quantize_model(ctx, in, out, &o, &r, NULL, &err));
        assert_int_equal(r.quantized_tensors, 2);
        assert_ok(pare_convert_model(ctx, out, back, true, &f, NULL, &err));
        assert_ok(pare_compare_models(ctx, out, back, &c, &err));
        assert_true(c.total.noise == 0);
        pare_table_free(c.tensors);
        assert_ok(pare_compare_models(ctx, in, back, &c, &err)); /* the shapes agree, or this fails */
        assert_true(fabs(c.total.sqnr_db - r.sqnr_db) < 1e-3 && c.total.sqnr_db > 10);
        pare_table_free(c.tensors);
    }
    pare_ctx_free(ctx);
    free(x);
    free(raw);
}

static void options_that_are_refused(void **state) {
    char in[512], out[512];
    pare_err err = {0};
    pare_ctx *ctx = new_ctx(1, NULL, NULL);
    (void)state;
    make_folder("in", 0);
    snprintf(in, sizeof in, "%s", test_path("in"));
    snprintf(out, sizeof out, "%s", test_path("refused"));
    const struct { pare_quantize_options o; pare_status st; const char *text; } cases[] = {
        {{.scheme_name = "W4A16", .format = "none"}, PARE_ERR_USAGE, "'none'"},
        {{.scheme_name = "NF4", .format = "compressed-tensors"}, PARE_ERR_USAGE, "NF4"},
        {{.scheme_name = "W8A16", .format = "awq"}, PARE_ERR_USAGE, "4 bits"},
        {{.method = "aqlm"}, PARE_ERR_USAGE, "aqlm"},
        {{.container = "gguf"}, PARE_ERR_USAGE, "gguf"},
        {{.dtype = "i8"}, PARE_ERR_USAGE, "i8"},
        {{.set = (const char *const[]){"clip=maybe"}, .n_set = 1}, PARE_ERR_USAGE, "clip"},
        {{.set = (const char *const[]){"nonsense=1"}, .n_set = 1}, PARE_ERR_USAGE, "nonsense"},
        {{.only = (const char *const[]){"re:("}, .n_only = 1}, PARE_ERR_USAGE, "re:("}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_error(pare_quantize_model(ctx, in, out, &cases[i].o, NULL, NULL, &err), cases[i].st, cases[i].text);
        assert_false(pare_path_exists(out));
    }
    pare_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_quantize),       cmocka_unit_test(every_allocation_dequantize), cmocka_unit_test(cancelled_everywhere_and_resumed),
        cmocka_unit_test(values_that_are_not_finite),      cmocka_unit_test(casts_that_overflow),         cmocka_unit_test(odd_sizes_are_aligned),
        cmocka_unit_test(convolutions),                    cmocka_unit_test(options_that_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
