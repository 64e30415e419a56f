/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantized checkpoints run straight from disk: the same numbers as the same checkpoint turned back to float (exact mode), close ones
 * in fast mode, the same bits when layers are streamed under a memory limit and with more threads.
 */
#include "unit/model/model_golden.h"

static pare_ctx *ctx;

typedef struct quantized_case { const char *model, *scheme, *format; pare_dtype dtype; double fast; /* bound on the rms of fast mode */ } quantized_case;

static const quantized_case cases[] = {
    { "llama", "W8A16", "compressed-tensors", PARE_F32, 0.01 },
    { "llama", "W8A16", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "W4A16:g32", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "W4A16_ASYM:g32", "compressed-tensors", PARE_F16, 0.01 },
    { "llama", "W4A16:channel", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "W3A16:g32", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "W2A16:g32", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "FP8_DYNAMIC", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "W8A16", "quanto", PARE_F32, 0.01 },
    { "llama", "W4A16:g32", "quanto", PARE_BF16, 0.01 },
    { "llama", "W2A16:g32", "quanto", PARE_F32, 0.01 },
    { "llama", "W8A16", "course", PARE_F32, 0.01 },
    { "llama", "W8A16", "course", PARE_BF16, 0.01 },
    { "llama", "W4A16:g32", "gptq", PARE_F16, 0.01 },
    { "llama", "W4A16_ASYM:g32", "gptq", PARE_F16, 0.01 },
    { "llama", "W3A16:g32", "gptq", PARE_F16, 0.01 },
    { "llama", "W2A16:g32", "gptq", PARE_F16, 0.01 },
    { "llama", "W8A16:g32", "gptq", PARE_F16, 0.01 },
    { "llama", "W4A16_ASYM:g32", "awq", PARE_F16, 0.01 },
    { "llama", "NF4", "bitsandbytes", PARE_BF16, 0.01 },
    { "llama", "FP4", "bitsandbytes", PARE_F16, 0.01 },
    { "llama", "NF4:nested", "bitsandbytes", PARE_F32, 0.01 },
    { "llama", "FP4:g32:nested", "bitsandbytes", PARE_BF16, 0.01 },
    { "mistral", "NF4:g32", "bitsandbytes", PARE_BF16, 0.01 },
    { "llama", "W4A16_ASYM:g32", "hqq", PARE_BF16, 0.01 },
    { "llama", "W3A16_ASYM:g32", "hqq", PARE_F16, 0.01 },
    { "llama", "W2A16_ASYM:g32:axis0:fzero", "hqq", PARE_F32, 0.01 },
    { "llama", "FP8_BLOCK", "fp8", PARE_BF16, 0.01 },
    { "llama", "NVFP4A16", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "MXFP4", "compressed-tensors", PARE_BF16, 0.01 },
    { "llama", "MXFP8A16", "compressed-tensors", PARE_F16, 0.01 },
    { "llama", "FP8_WEIGHT:16x16", "compressed-tensors", PARE_BF16, 0.01 },
    { "qwen2", "W4A16:g32", "gptq", PARE_F16, 0.01 },
    { "mistral", "W4A16_ASYM:g32", "awq", PARE_F16, 0.01 },
    { "gemma2", "W8A16", "compressed-tensors", PARE_BF16, 0.01 },
    { "phi", "W4A16:g32", "compressed-tensors", PARE_F16, 0.01 },
    { "phi3", "W8A16", "quanto", PARE_BF16, 0.01 },
    { "stablelm", "W4A16:g32", "compressed-tensors", PARE_BF16, 0.01 },
    { "olmo2", "W4A16:g32", "gptq", PARE_F16, 0.01 },
    { "mixtral", "W8A16", "compressed-tensors", PARE_BF16, 0.05 },
    { "mixtral", "W4A16:g16", "compressed-tensors", PARE_BF16, 0.05 },
    { "qwen3_moe", "W8A16", "compressed-tensors", PARE_BF16, 0.05 },
    { "olmoe", "W8A16", "quanto", PARE_BF16, 0.05 },
    { "gpt_neox", "W4A16:g32", "compressed-tensors", PARE_F16, 0.01 },
    { "gpt_neo", "W8A16", "course", PARE_F32, 0.01 },
    { "gptj", "W8A16", "compressed-tensors", PARE_F16, 0.01 },
    { "codegen", "W4A16:g32", "quanto", PARE_BF16, 0.01 },
    { "opt", "W4A16_ASYM:g32", "awq", PARE_F16, 0.01 },
    { "bloom", "W8A16", "compressed-tensors", PARE_BF16, 0.01 },
    { "falcon_40b", "W4A16:g32", "gptq", PARE_F16, 0.01 },
    { "mpt", "W4A16:g32", "compressed-tensors", PARE_BF16, 0.01 },
    { "bert", "W8A16", "compressed-tensors", PARE_F32, 0.01 },
    { "roberta", "W8A16", "quanto", PARE_F32, 0.01 },
    { "distilbert", "W8A16", "compressed-tensors", PARE_F32, 0.01 },
    { "t5", "W8A16", "compressed-tensors", PARE_BF16, 0.01 },
    { "bart", "W8A16", "quanto", PARE_F32, 0.01 },
};

static const char *new_folder(const char *what)
{
    static int count;
    char name[64];
    snprintf(name, sizeof name, "%s-%d", what, count++);
    return test_path(name);
}

static float *run(const golden *g, const char *folder, const pare_engine_options *options, int64_t *rows, int64_t *cols, pare_engine_memory *memory)
{
    running r;
    pare_err err = { 0 };
    if (running_open(ctx, folder, PARE_DTYPE_NONE, options, &r, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    if (memory) pare_engine_get_memory(r.engine, memory); /* as planned: before kernels ask for room of their own */
    const pare_graph *graph = pare_engine_graph(r.engine);
    const pare_gvalue *v = &graph->values.at[graph->logits != PARE_G_NONE ? graph->logits : graph->hidden_out];
    *cols = v->shape[v->ndim - 1];
    *rows = g->n_prompt + g->n_steps;
    float *out = calloc((size_t)(*rows * *cols), sizeof *out);
    assert_non_null(out);
    if (g->n_source && pare_engine_encode(r.engine, 0, g->source, g->n_source, &err) != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    pare_status st = pare_engine_step(r.engine, &(pare_batch){ .n = g->n_prompt, .ids = g->ids, .types = g->has_types ? g->types : NULL }, out, &err);
    for (int64_t i = g->n_prompt; st == PARE_OK && i < *rows; i++) st = pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = &g->ids[i] }, out + i * *cols, &err);
    if (st != PARE_OK) fail_msg("%s: %s", g->name, err.text);
    running_close(&r);
    return out;
}

static void check_case(void **state)
{
    const quantized_case *c = *state;
    golden *g = golden_open(c->model);
    pare_err err = { 0 };
    pare_job_result result;
    int64_t rows, cols;
    pare_engine_memory held = { 0 }, tight = { 0 };
    const char *from = golden_write(g, &(golden_write_options){ .dtype = c->dtype }), *small = new_folder("small"), *back = new_folder("back");
    const pare_quantize_options options = { .scheme_name = c->scheme, .format = c->format };
    if (pare_quantize_model(ctx, from, small, &options, &result, NULL, &err) != PARE_OK) fail_msg("%s %s %s: %s", c->model, c->scheme, c->format, err.text);
    assert_true(result.quantized_tensors > 0);
    if (pare_convert_model(ctx, small, back, true, &(pare_quantize_options){ .dtype = "f32" }, &result, &err) != PARE_OK) fail_msg("%s", err.text);

    const pare_engine_options exact = { .kv_dtype = PARE_F32, .chunk = 40 }, fast = { .kv_dtype = PARE_F32, .compute = PARE_COMPUTE_FAST };
    float *want = run(g, back, &exact, &rows, &cols, NULL), *got = run(g, small, &exact, &rows, &cols, &held), *quick = run(g, small, &fast, &rows, &cols, NULL);
    const distance d = distance_of(want, got, rows, cols), f = distance_of(want, quick, rows, cols);
    print_message("%-10s %-15s %-18s exact %.1e, fast rms %.1e of the range\n", c->model, c->scheme, c->format, d.max, f.rms);
    pare_scheme scheme;
    assert_int_equal(pare_scheme_parse(c->scheme, &scheme, &err), PARE_OK);
    if (scheme.act != PARE_ACT_NONE) { /* activations are rounded as the checkpoint says, in every mode: near the float run, and not equal to it */
        if (!(d.rms <= 0.02) || !(d.rms > 1e-6)) fail_msg("%s %s %s: exact mode is off by %.3g of the range (rms)", c->model, c->scheme, c->format, d.rms);
    } else if (!(d.max <= 1e-5)) fail_msg("%s %s %s: exact mode is off by %.3g of the range", c->model, c->scheme, c->format, d.max);
    if (!(f.rms <= (scheme.act != PARE_ACT_NONE ? 0.02 : c->fast))) fail_msg("%s %s %s: fast mode is off by %.3g of the range (rms)", c->model, c->scheme, c->format, f.rms);

    /* The quantized file in less memory than it takes: layers come and go, the numbers stay. */
    const uint64_t limit = held.weights + held.cache + held.activations - held.weights / 4;
    float *streamed = run(g, small, &(pare_engine_options){ .kv_dtype = PARE_F32, .chunk = 40, .memory = limit }, &rows, &cols, &tight);
    if (memcmp(streamed, got, (size_t)(rows * cols) * sizeof *got)) fail_msg("%s %s %s: other numbers with %llu bytes", c->model, c->scheme, c->format, (unsigned long long)limit);
    const uint64_t taken = tight.weights + tight.cache + tight.activations;
    if (taken > limit) fail_msg("%s %s %s: %llu bytes are taken, the limit is %llu", c->model, c->scheme, c->format, (unsigned long long)taken, (unsigned long long)limit);
    if (!tight.streamed_per_step) fail_msg("%s %s %s: nothing is streamed with %llu bytes", c->model, c->scheme, c->format, (unsigned long long)limit);
    free(streamed);
    free(want);
    free(got);
    free(quick);
    assert_ok(pare_remove_tree(small, NULL));
    assert_ok(pare_remove_tree(back, NULL));
    golden_free(g);
}

/* bf16 arithmetic, and float weights held in another dtype than the file's. */
static void check_floats(void **state)
{
    static const char *const models[] = { "llama_bf16", "gpt2", "mixtral", "bert" };
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        golden *g = golden_open(models[m]);
        int64_t rows, cols;
        const char *folder = golden_write(g, &(golden_write_options){ .dtype = PARE_BF16 });
        float *exact = run(g, folder, &(pare_engine_options){ .kv_dtype = PARE_F32 }, &rows, &cols, NULL);
        float *rounded = run(g, folder, &(pare_engine_options){ .kv_dtype = PARE_F32, .compute = PARE_COMPUTE_BF16 }, &rows, &cols, NULL);
        const distance d = distance_of(exact, rounded, rows, cols);
        print_message("%-10s bf16 rms %.1e of the range\n", models[m], d.rms);
        if (!(d.rms <= 0.01)) fail_msg("%s: bf16 is off by %.3g of the range (rms)", models[m], d.rms);
        if (!memcmp(exact, rounded, (size_t)(rows * cols) * sizeof *exact)) fail_msg("%s: bf16 mode rounds nothing", models[m]);
        free(exact);
        free(rounded);
        golden_free(g);
    }
}

/* --dtype: bf16 weights held as f32 are the same numbers, f32 weights held as bf16 are those of a bf16 file. */
static void check_held_as(void **state)
{
    static const char *const models[] = { "llama_gqa", "gpt2", "mixtral", "t5" };
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        golden *g = golden_open(models[m]);
        pare_err err = { 0 };
        int64_t cols = 0;
        float *out[2] = { 0 };
        for (int i = 0; i < 2; i++) {
            const char *folder = golden_write(g, &(golden_write_options){ .dtype = PARE_BF16 });
            running r;
            if (running_open(ctx, folder, i ? PARE_F32 : PARE_DTYPE_NONE, &(pare_engine_options){ .kv_dtype = PARE_F32 }, &r, &err) != PARE_OK) fail_msg("%s", err.text);
            const pare_graph *graph = pare_engine_graph(r.engine);
            cols = graph->values.at[graph->logits].shape[1];
            out[i] = calloc((size_t)(g->n_prompt * cols), sizeof **out);
            if (g->n_source) assert_ok(pare_engine_encode(r.engine, 0, g->source, g->n_source, &err));
            assert_ok(pare_engine_step(r.engine, &(pare_batch){ .n = g->n_prompt, .ids = g->ids }, out[i], &err));
            running_close(&r);
        }
        const distance d = distance_of(out[0], out[1], g->n_prompt, cols);
        if (!(d.max <= 1e-5)) fail_msg("%s: bf16 weights held as f32 are off by %.3g of the range", models[m], d.max);
        free(out[0]);
        free(out[1]);
        golden_free(g);
    }
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[sizeof cases / sizeof *cases + 2];
    static char names[sizeof cases / sizeof *cases][96];
    size_t n = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted = wanted || !strcmp(argv[a], cases[i].model);
        if (!wanted) continue;
        snprintf(names[n], sizeof names[n], "%s %s %s", cases[i].model, cases[i].scheme, cases[i].format);
        tests[n] = (struct CMUnitTest){ .name = names[n], .test_func = check_case, .initial_state = (void *)&cases[i] };
        n++;
    }
    if (argc < 2) {
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(check_floats);
        tests[n++] = (struct CMUnitTest)cmocka_unit_test(check_held_as);
    }
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, NULL) != PARE_OK) return 1;
    const int failed = _cmocka_run_group_tests("quantized_run", tests, n, NULL, NULL);
    pare_ctx_free(ctx);
    return failed;
}
