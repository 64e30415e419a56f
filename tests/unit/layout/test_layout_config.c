/* SPDX-License-Identifier: Apache-2.0 */
/* quantization_config and the files beside it, as loaders want them (measured in tests/interop/FINDINGS.md). */
#include "unit/layout/layout_support.h"

typedef struct job_of {
    pare_layout_job job;
    pare_scheme schemes[8];
    const pare_scheme *pointers[8];
    int64_t shapes[8][2];
    pare_jdoc *config;
} job_of;

/* "W4A16 W8A16 ..." for modules m[i]. */
static void make(job_of *j, const char *layout, const char *const *names, const char *const *modules, int n, const char *const *kept, int n_kept)
{
    const pare_layout *l = pare_layout_find(layout);
    char warn[256];
    pare_err err = { 0 };
    memset(j, 0, sizeof *j);
    for (int i = 0; i < n; i++) {
        if (pare_scheme_parse(names[i], &j->schemes[i], &err) != PARE_OK) fail_msg("%s", err.text);
        j->shapes[i][0] = j->shapes[i][1] = 256;
        if (l->check(&j->schemes[i], PARE_BF16, modules[i], 2, j->shapes[i], warn, &err) != PARE_OK) fail_msg("%s", err.text);
        j->pointers[i] = &j->schemes[i];
    }
    j->job = (pare_layout_job){ .scheme = &j->schemes[0], .model_dtype = PARE_BF16, .quantized = modules, .n_quantized = n, .schemes = j->pointers,
                                .shapes = (const int64_t(*)[2])j->shapes, .kept = kept, .n_kept = n_kept };
}

/* The parsed quantization_config; *doc to free. */
static const pare_jval *config_of(job_of *j, const char *layout, pare_jdoc **doc)
{
    pare_err err = { 0 };
    char *text = config_text(pare_layout_find(layout), &j->job);
    if (pare_jdoc_parse(text, strlen(text), "config", doc, &err) != PARE_OK) fail_msg("%s in %s", err.text, text);
    pare_free(text);
    return pare_j_get(pare_jdoc_root(*doc), "quantization_config");
}

static const pare_jval *at(const pare_jval *v, const char *path)
{
    char part[64];
    while (v && *path) {
        size_t n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        v = pare_j_type(v) == PARE_J_ARRAY ? pare_j_at(v, (size_t)atoi(part)) : pare_j_get(v, part);
        path += n + (path[n] == '/');
    }
    return v;
}

static void text_is(const pare_jval *v, const char *path, const char *want)
{
    const char *got = pare_j_text(at(v, path), "(absent)");
    if (strcmp(got, want)) fail_msg("%s is '%s', not '%s'", path, got, want);
}

static void int_is(const pare_jval *v, const char *path, int64_t want)
{
    if (pare_j_int(at(v, path), -99) != want) fail_msg("%s is not %d", path, (int)want);
}

static void bool_is(const pare_jval *v, const char *path, bool want)
{
    assert_int_equal(pare_j_type(at(v, path)), PARE_J_BOOL);
    assert_int_equal(pare_j_bool(at(v, path), !want), want);
}

static const char *const two[] = { "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj" };
static const char *const head[] = { "lm_head" };

static void compressed_one_scheme(void **state)
{
    static const struct { const char *scheme, *format, *strategy, *type; int bits, group; bool sym, act; } cases[] = {
        { "W4A16", "pack-quantized", "group", "int", 4, 128, true, false }, { "W8A16", "pack-quantized", "channel", "int", 8, -99, true, false },
        { "W4A16_ASYM:g64", "pack-quantized", "group", "int", 4, 64, false, false }, { "INT8", "int-quantized", "channel", "int", 8, -99, true, true },
        { "W4A8", "int-quantized", "group", "int", 4, 128, true, true }, { "FP8_DYNAMIC", "float-quantized", "channel", "float", 8, -99, true, true },
        { "FP8_WEIGHT:tensor", "float-quantized", "tensor", "float", 8, -99, true, false } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job_of j;
        pare_jdoc *doc;
        make(&j, "compressed-tensors", (const char *const[]){ cases[i].scheme, cases[i].scheme }, two, 2, head, 1);
        const pare_jval *c = config_of(&j, "compressed-tensors", &doc), *g = at(c, "config_groups/group_0");
        text_is(c, "quant_method", "compressed-tensors");
        text_is(c, "quantization_status", "compressed");
        text_is(c, "format", cases[i].format);
        text_is(g, "format", cases[i].format);
        text_is(g, "targets/0", "Linear");
        assert_int_equal(pare_j_count(at(g, "targets")), 1);
        assert_int_equal(pare_j_count(at(c, "config_groups")), 1);
        int_is(g, "weights/num_bits", cases[i].bits);
        int_is(g, "weights/group_size", cases[i].group);
        text_is(g, "weights/strategy", cases[i].strategy);
        text_is(g, "weights/type", cases[i].type);
        bool_is(g, "weights/symmetric", cases[i].sym);
        bool_is(g, "weights/dynamic", false);
        assert_int_equal(pare_j_type(at(g, "input_activations")), cases[i].act ? PARE_J_OBJECT : PARE_J_NULL);
        if (cases[i].act) {
            text_is(g, "input_activations/strategy", "token");
            text_is(g, "input_activations/type", cases[i].type);
            bool_is(g, "input_activations/dynamic", true);
            int_is(g, "input_activations/num_bits", 8);
        }
        text_is(c, "ignore/0", "lm_head");
        assert_int_equal(pare_j_count(at(c, "ignore")), 1);
        pare_jdoc_free(doc);
    }
}

static void compressed_mixed(void **state)
{
    job_of j;
    pare_jdoc *doc, *model;
    static const char *const text = "{\"architectures\":[\"LlamaForCausalLM\"]}";
    (void)state;
    make(&j, "compressed-tensors", (const char *const[]){ "W4A16", "INT8" }, two, 2, NULL, 0);
    assert_ok(pare_jdoc_parse(text, strlen(text), "t", &model, NULL));
    j.job.config = pare_jdoc_root(model);
    const pare_jval *c = config_of(&j, "compressed-tensors", &doc);
    text_is(c, "format", "mixed-precision");
    text_is(c, "config_groups/group_0/targets/0", two[0]);
    text_is(c, "config_groups/group_0/format", "pack-quantized");
    text_is(c, "config_groups/group_1/targets/0", two[1]);
    text_is(c, "config_groups/group_1/format", "int-quantized");
    text_is(c, "ignore/0", "lm_head"); /* tied: no tensor, but a Linear to the loader */
    pare_jdoc_free(doc);
    make(&j, "compressed-tensors", (const char *const[]){ "W4A16", "W8A16" }, two, 2, head, 1);
    j.job.config = pare_jdoc_root(model);
    c = config_of(&j, "compressed-tensors", &doc);
    text_is(c, "format", "pack-quantized");
    assert_int_equal(pare_j_count(at(c, "config_groups")), 2);
    assert_int_equal(pare_j_count(at(c, "ignore")), 1);
    pare_jdoc_free(doc);
    pare_jdoc_free(model);
}

static char emitted[2][8192];

static pare_status emit(void *arg, const char *name, const char *text, pare_err *err)
{
    (void)arg;
    (void)err;
    snprintf(emitted[0], sizeof emitted[0], "%s", name);
    snprintf(emitted[1], sizeof emitted[1], "%s", text);
    return PARE_OK;
}

static void gptq(void **state)
{
    static const char *const kept[] = { "model.layers.1.mlp.down_proj", "lm_head" };
    job_of j;
    pare_jdoc *doc, *beside;
    (void)state;
    make(&j, "gptq", (const char *const[]){ "W4A16", "W8A16:g64" }, two, 2, kept, 2);
    const pare_jval *c = config_of(&j, "gptq", &doc);
    text_is(c, "quant_method", "gptq");
    text_is(c, "checkpoint_format", "gptq");
    int_is(c, "bits", 4);
    int_is(c, "group_size", 128);
    bool_is(c, "sym", true);
    bool_is(c, "desc_act", false);
    bool_is(c, "lm_head", false);
    int_is(c, "dynamic/+:model\\.layers\\.0\\.mlp\\.down_proj$/bits", 8);
    int_is(c, "dynamic/+:model\\.layers\\.0\\.mlp\\.down_proj$/group_size", 64);
    assert_int_equal(pare_j_type(at(c, "dynamic/-:model\\.layers\\.1\\.mlp\\.down_proj$")), PARE_J_OBJECT);
    assert_int_equal(pare_j_count(at(c, "dynamic")), 2); /* lm_head is outside the blocks */
    text_is(c, "modules_in_block_to_quantize/0/1", two[1]);
    assert_ok(pare_layout_find("gptq")->files(&j.job, emit, NULL, NULL));
    assert_string_equal(emitted[0], "quantize_config.json");
    assert_ok(pare_jdoc_parse(emitted[1], strlen(emitted[1]), "t", &beside, NULL));
    int_is(pare_jdoc_root(beside), "bits", 4);
    pare_jdoc_free(beside);
    pare_jdoc_free(doc);
    make(&j, "gptq_v2", (const char *const[]){ "W4A16_ASYM:channel" }, head, 1, NULL, 0);
    c = config_of(&j, "gptq_v2", &doc);
    text_is(c, "checkpoint_format", "gptq_v2");
    int_is(c, "group_size", -1);
    bool_is(c, "sym", false);
    bool_is(c, "lm_head", true);
    assert_null(at(c, "dynamic"));
    assert_null(at(c, "modules_in_block_to_quantize"));
    pare_jdoc_free(doc);
}

static void gptq_zero_min(void **state)
{
    pare_scheme s;
    char warn[256];
    (void)state;
    for (int v = 1; v <= 2; v++)
        for (int sym = 0; sym < 2; sym++) {
            assert_ok(pare_scheme_parse(sym ? "W4A16" : "W4A16_ASYM", &s, NULL));
            assert_ok(pare_layout_find(v == 1 ? "gptq" : "gptq_v2")->check(&s, PARE_F16, "a", 2, (int64_t[]){ 64, 128 }, warn, NULL));
            assert_int_equal(s.zero_min, v == 1 && !sym);
            assert_int_equal(s.scale_dtype, PARE_F16);
        }
}

static void awq(void **state)
{
    job_of j;
    pare_jdoc *doc;
    (void)state;
    make(&j, "awq", (const char *const[]){ "W4A16_ASYM:g64", "W4A16_ASYM:g64" }, two, 2, head, 1);
    const pare_jval *c = config_of(&j, "awq", &doc);
    text_is(c, "quant_method", "awq");
    text_is(c, "version", "gemm");
    int_is(c, "bits", 4);
    int_is(c, "group_size", 64);
    bool_is(c, "zero_point", true);
    text_is(c, "modules_to_not_convert/0", "lm_head");
    pare_jdoc_free(doc);
    make(&j, "awq", (const char *const[]){ "W4A16:g64", "W4A16:g128" }, two, 2, NULL, 0);
    pare_json *out;
    pare_err err = { 0 };
    assert_ok(pare_json_new(0, &out, NULL));
    pare_json_object(out, NULL);
    assert_error(pare_layout_find("awq")->config(&j.job, out, &err), PARE_ERR_UNSUPPORTED, "one group size");
    pare_json_free(out);
}

static void quanto(void **state)
{
    job_of j;
    pare_jdoc *doc;
    (void)state;
    make(&j, "quanto", (const char *const[]){ "W4A16", "W8A16" }, (const char *const[]){ "up", "down" }, 2, head, 1);
    assert_null(pare_layout_find("quanto")->config);
    assert_null(pare_layout_find("course")->config);
    assert_ok(pare_layout_find("quanto")->files(&j.job, emit, NULL, NULL));
    assert_string_equal(emitted[0], "quanto_qmap.json");
    assert_ok(pare_jdoc_parse(emitted[1], strlen(emitted[1]), "t", &doc, NULL));
    const pare_jval *c = pare_jdoc_root(doc);
    assert_int_equal(pare_j_count(c), 2);
    text_is(c, "up/weights", "qint4");
    text_is(c, "up/activations", "none");
    int_is(c, "up/shape/1", 256);
    text_is(c, "down/weights", "qint8");
    pare_jdoc_free(doc);
}

static void bitsandbytes(void **state)
{
    job_of j;
    pare_jdoc *doc;
    (void)state;
    make(&j, "bitsandbytes", (const char *const[]){ "NF4:nested", "NF4:nested" }, two, 2, head, 1);
    const pare_jval *c = config_of(&j, "bitsandbytes", &doc);
    text_is(c, "quant_method", "bitsandbytes");
    bool_is(c, "load_in_4bit", true);
    bool_is(c, "load_in_8bit", false);
    text_is(c, "bnb_4bit_quant_type", "nf4");
    text_is(c, "bnb_4bit_compute_dtype", "bfloat16");
    text_is(c, "bnb_4bit_quant_storage", "uint8");
    bool_is(c, "bnb_4bit_use_double_quant", true);
    text_is(c, "llm_int8_skip_modules/0", "lm_head");
    pare_jdoc_free(doc);
    static const struct { const char *scheme, *text; } eight[] = { { "LLM_INT8", "\"llm_int8_threshold\": 6.0," }, { "LLM_INT8:t4.5", "\"llm_int8_threshold\": 4.5," },
                                                                   { "LLM_INT8:tinf", "\"llm_int8_threshold\": 0.0," } };
    for (size_t i = 0; i < 3; i++) { /* transformers refuses a threshold that is no float */
        make(&j, "bitsandbytes", (const char *const[]){ eight[i].scheme }, two, 1, head, 1);
        char *text = config_text(pare_layout_find("bitsandbytes"), &j.job);
        if (!strstr(text, eight[i].text)) fail_msg("%s is not in %s", eight[i].text, text);
        assert_non_null(strstr(text, "\"load_in_8bit\": true"));
        pare_free(text);
    }
}

static void hqq(void **state)
{
    static const char *const modules[] = { "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj" };
    static const char *const kept[] = { "model.layers.1.mlp.down_proj", "model.layers.0.mlp.down_proj", "model.layers.2.mlp.up_proj", "lm_head" };
    job_of j;
    pare_jdoc *doc;
    (void)state;
    make(&j, "hqq", (const char *const[]){ "W4A16_ASYM:g64", "W4A16_ASYM:g64" }, modules, 2, kept, 4);
    const pare_jval *c = config_of(&j, "hqq", &doc);
    text_is(c, "quant_method", "hqq");
    int_is(c, "quant_config/weight_quant_params/nbits", 4);
    int_is(c, "quant_config/weight_quant_params/group_size", 64);
    int_is(c, "quant_config/weight_quant_params/axis", 1);
    bool_is(c, "quant_config/weight_quant_params/round_zero", true);
    bool_is(c, "quant_config/weight_quant_params/view_as_float", false);
    text_is(c, "skip_modules/0", "mlp.down_proj"); /* by tag, once; mlp.up_proj is quantized elsewhere */
    text_is(c, "skip_modules/1", "lm_head");
    assert_int_equal(pare_j_count(at(c, "skip_modules")), 2);
    pare_jdoc_free(doc);
}

static void compressed_micro(void **state)
{
    static const struct { const char *scheme, *format, *strategy, *scale, *act, *act_type; int bits, group, act_bits; } cases[] = {
        { "NVFP4", "nvfp4-pack-quantized", "tensor_group", "torch.float8_e4m3fn", "tensor_group", "float", 4, 16, 4 },
        { "NVFP4A16", "nvfp4-pack-quantized", "tensor_group", "torch.float8_e4m3fn", NULL, NULL, 4, 16, 0 },
        { "MXFP4", "mxfp4-pack-quantized", "group", "torch.uint8", NULL, NULL, 4, 32, 0 },
        { "MXFP4A4", "mxfp4-pack-quantized", "group", "torch.uint8", "group", "float", 4, 32, 4 },
        { "MXFP8", "mxfp8-quantized", "group", "torch.uint8", "group", "float", 8, 32, 8 },
        { "FP8", "float-quantized", "tensor", NULL, "tensor", "float", 8, -99, 8 },
        { "FP8_BLOCK", "float-quantized", "block", NULL, "group", "float", 8, -99, 8 },
        { "W4AFP8", "int-quantized", "group", NULL, "token", "float", 4, 128, 8 },
        { "W8A8:static", "int-quantized", "channel", NULL, "tensor", "int", 8, -99, 8 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job_of j;
        pare_jdoc *doc;
        make(&j, "compressed-tensors", (const char *const[]){ cases[i].scheme }, two, 1, head, 1);
        const pare_jval *c = config_of(&j, "compressed-tensors", &doc), *g = at(c, "config_groups/group_0");
        text_is(c, "format", cases[i].format);
        text_is(g, "weights/strategy", cases[i].strategy);
        int_is(g, "weights/num_bits", cases[i].bits);
        int_is(g, "weights/group_size", cases[i].group);
        if (cases[i].scale) text_is(g, "weights/scale_dtype", cases[i].scale);
        else assert_null(at(g, "weights/scale_dtype"));
        if (cases[i].act) {
            text_is(g, "input_activations/strategy", cases[i].act);
            text_is(g, "input_activations/type", cases[i].act_type);
            int_is(g, "input_activations/num_bits", cases[i].act_bits);
            if (!strcmp(cases[i].act, "tensor_group")) text_is(g, "input_activations/dynamic", "local");
            else bool_is(g, "input_activations/dynamic", strcmp(cases[i].act, "tensor") != 0);
        } else
            assert_int_equal(pare_j_type(at(g, "input_activations")), PARE_J_NULL);
        pare_jdoc_free(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed_one_scheme), cmocka_unit_test(compressed_mixed), cmocka_unit_test(gptq), cmocka_unit_test(gptq_zero_min),
        cmocka_unit_test(awq), cmocka_unit_test(quanto), cmocka_unit_test(bitsandbytes), cmocka_unit_test(hqq), cmocka_unit_test(compressed_micro),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
