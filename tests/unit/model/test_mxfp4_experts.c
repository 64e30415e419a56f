/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tiny gpt-oss whose experts are MXFP4 blocks (tests/golden/gpt_oss_mxfp4): transformers' logits, from the blocks in the file and from what `pare
 * dequantize` makes of them, and the same bits with less memory than the model takes.
 */
#include "unit/model/model_golden.h"
#include <math.h>

#define GOLDEN PARE_SOURCE_DIR "/tests/golden/gpt_oss_mxfp4"

static pare_ctx *ctx;
static int32_t ids[64];
static int64_t n, cols;
static const float *want;

static float *run(const char *folder, const pare_engine_options *options, pare_engine_memory *memory)
{
    running r;
    pare_err err = { 0 };
    float *out = calloc((size_t)(n * cols), sizeof *out);
    if (running_open(ctx, folder, PARE_DTYPE_NONE, options, &r, &err) != PARE_OK) fail_msg("%s: %s", folder, err.text);
    if (memory) pare_engine_get_memory(r.engine, memory);
    if (pare_engine_step(r.engine, &(pare_batch){ .n = n - 4, .ids = ids }, out, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int64_t i = n - 4; i < n; i++)
        if (pare_engine_step(r.engine, &(pare_batch){ .n = 1, .ids = &ids[i] }, out + i * cols, &err) != PARE_OK) fail_msg("%s", err.text);
    running_close(&r);
    return out;
}

static void near_theirs(const char *what, const float *got)
{
    const distance d = distance_of(want, got, n, cols);
    print_message("%s: off by %.1e of the range\n", what, d.max);
    if (!(d.max <= 2e-5)) fail_msg("%s: off by %.3g of the range at token %d", what, d.max, (int)d.row);
}

static void from_blocks(void **state)
{
    const pare_engine_options options = { .kv_dtype = PARE_F32, .chunk = 7 };
    pare_engine_memory held = { 0 }, tight = { 0 };
    (void)state;
    float *got = run(GOLDEN, &options, &held);
    near_theirs("blocks", got);
    pare_engine_options less = options;
    less.memory = held.weights + held.cache + held.activations - held.weights / 8;
    float *streamed = run(GOLDEN, &less, &tight);
    assert_true(tight.streamed_per_step > 0);
    assert_memory_equal(got, streamed, (size_t)(n * cols) * sizeof *got);
    free(got);
    free(streamed);
}

static void from_floats(void **state)
{
    const char *folder = test_path("mxfp4-plain");
    pare_job_result result;
    pare_err err = { 0 };
    (void)state;
    if (pare_convert_model(ctx, GOLDEN, folder, true, &(pare_quantize_options){ .dtype = "f32" }, &result, &err) != PARE_OK) fail_msg("%s", err.text);
    float *got = run(folder, &(pare_engine_options){ .kv_dtype = PARE_F32 }, NULL);
    near_theirs("dequantized", got);
    free(got);
}

/* Gate's rows stand before up's: those of the file's even rows. */
static void rows_in_order(void **state)
{
    pare_store *store;
    pare_weights *w;
    pare_err err = { 0 };
    const uint8_t *blocks, *scales;
    static const float e2m1[8] = { 0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f };
    enum { EXPERTS = 4, FFN = 64, HIDDEN = 32 };
    float row[HIDDEN];
    (void)state;
    assert_ok(pare_store_open(GOLDEN, &store, &err));
    if (pare_weights_new(ctx, store, &w, &err) != PARE_OK) fail_msg("%s", err.text);
    const int64_t at = pare_weights_find(w, "model.layers.1.mlp.experts.gate_up_proj.weight");
    assert_true(at >= 0 && w->at[at].shape[0] == EXPERTS * 2 * FFN && w->at[at].shape[1] == HIDDEN);
    assert_ok(pare_store_data(store, pare_store_find(store, "model.layers.1.mlp.experts.gate_up_proj_blocks"), &blocks, &err));
    assert_ok(pare_store_data(store, pare_store_find(store, "model.layers.1.mlp.experts.gate_up_proj_scales"), &scales, &err));
    for (int64_t r = 0; r < EXPERTS * 2 * FFN; r += 5) {
        const int64_t e = r / (2 * FFN), i = r % (2 * FFN), stored = e * 2 * FFN + (i < FFN ? 2 * i : 2 * (i - FFN) + 1);
        assert_ok(pare_weights_read(NULL, w, at, r, 1, row, &err));
        for (int c = 0; c < HIDDEN; c++) {
            const int code = blocks[stored * 16 + c / 2] >> 4 * (c % 2) & 15;
            const float value = ldexpf(e2m1[code & 7], scales[stored] - 127);
            assert_true(row[c] == (code & 8 ? -value : value));
        }
    }
    pare_weights_free(w);
    pare_store_close(store);
}

/* Blocks that do not fit their scales, and blocks without any. */
static void broken(void **state)
{
    static const struct { const char *json, *says; } cases[] = {
        { "{\"a.gate_up_proj_blocks\":{\"dtype\":\"U8\",\"shape\":[1,2,1,16],\"data_offsets\":[0,32]},\"a.gate_up_proj_scales\":{\"dtype\":\"U8\",\"shape\":[1,1,1],\"data_offsets\":[32,33]}}", "gate_up_proj_scales" },
        { "{\"a.gate_up_proj_blocks\":{\"dtype\":\"U8\",\"shape\":[1,1,1,16],\"data_offsets\":[0,16]},\"a.gate_up_proj_scales\":{\"dtype\":\"U8\",\"shape\":[1,1,1],\"data_offsets\":[16,17]}}", "in turns" },
        { "{\"a.down_proj_blocks\":{\"dtype\":\"U8\",\"shape\":[1,2,1,16],\"data_offsets\":[0,32]}}", "_scales" },
        { "{\"a.down_proj_scales\":{\"dtype\":\"U8\",\"shape\":[1,2,1],\"data_offsets\":[0,2]}}", "_blocks" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = test_folder(); /* one for the program: files are written over */
        char path[4096];
        uint8_t bytes[1024] = { 0 };
        const size_t length = strlen(cases[i].json), size = (length + 7) / 8 * 8;
        pare_store *store;
        pare_weights *w;
        pare_err err = { 0 };
        memset(bytes + 8, ' ', size);
        memcpy(bytes + 8, cases[i].json, length);
        bytes[0] = (uint8_t)size, bytes[1] = (uint8_t)(size >> 8);
        snprintf(path, sizeof path, "%s/model.safetensors", folder);
        const int64_t data = i == 0 ? 33 : i == 1 ? 17 : i == 2 ? 32 : 2;
        test_write(path, bytes, 8 + size + (size_t)data);
        snprintf(path, sizeof path, "%s/config.json", folder);
        const char *config = "{\"model_type\": \"gpt_oss\", \"quantization_config\": {\"quant_method\": \"mxfp4\"}}";
        test_write(path, config, strlen(config));
        if (pare_store_open(folder, &store, &err) != PARE_OK) fail_msg("%s", err.text);
        assert_true(pare_weights_new(ctx, store, &w, &err) != PARE_OK);
        if (!strstr(err.text, cases[i].says)) fail_msg("case %d: '%s'", (int)i, err.text);
        pare_store_close(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(from_blocks), cmocka_unit_test(from_floats), cmocka_unit_test(rows_in_order), cmocka_unit_test(broken) };
    pare_store *numbers;
    const uint8_t *data;
    pare_err err = { 0 };
    if (pare_ctx_new(NULL, &ctx, &err) != PARE_OK || pare_store_open(GOLDEN ".numbers.safetensors", &numbers, &err) != PARE_OK) return 1;
    const pare_tensor *logits = &numbers->tensors[pare_store_find(numbers, "logits")];
    n = logits->shape[0], cols = logits->shape[1];
    if (n > 64 || pare_store_data(numbers, pare_store_find(numbers, "ids"), &data, &err) != PARE_OK) return 1;
    memcpy(ids, data, (size_t)n * sizeof *ids);
    if (pare_store_data(numbers, pare_store_find(numbers, "logits"), &data, &err) != PARE_OK) return 1;
    want = (const float *)(const void *)data;
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pare_store_close(numbers);
    pare_ctx_free(ctx);
    return rc;
}
