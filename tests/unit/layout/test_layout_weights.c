/* SPDX-License-Identifier: Apache-2.0 */
/* Logical weights: plain tensors, aliases, detection without configuration, legacy files, methods that are not read, failing allocations. */
#include "unit/layout/layout_support.h"
#include "layout/bind.h"

static char warnings[2048];

static void keep_log(void *user, pare_log_level level, const char *text)
{
    (void)user;
    (void)level;
    strncat(warnings, text, sizeof warnings - strlen(warnings) - 2);
    strcat(warnings, "\n");
}

static pare_ctx *listening(void)
{
    pare_ctx *ctx;
    warnings[0] = 0;
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = 2, .log = keep_log }, &ctx, NULL));
    return ctx;
}

static void opened(ckpt *c, pare_ctx *ctx, pare_store **store, pare_weights **w)
{
    pare_err err = { 0 };
    if (ckpt_open(c, ctx, store, w, &err) != PARE_OK) fail_msg("%s", err.text);
}

static void closed(ckpt *c, pare_store *store, pare_weights *w)
{
    pare_weights_free(w);
    pare_store_close(store);
    ckpt_free(c);
}

/* ------------------------------------------------------------------------------------------------------- plain tensors */

static void plain_values(void **state)
{
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16, PARE_I8, PARE_I64, PARE_BOOL, PARE_F8_E4M3FN };
    pare_ctx *ctx = listening();
    pare_store *store;
    pare_weights *w;
    pare_err err = { 0 };
    ckpt *c = ckpt_new();
    float x[12] = { 0, 1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1 }, out[12];
    (void)state;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d.weight", (int)i);
        ckpt_tensor *t = ckpt_add(c, name, dtypes[i], 2, (int64_t[]){ 4, 3 }, NULL);
        assert_ok(pare_from_f32(t->data, dtypes[i], x, 12, false, NULL));
    }
    ckpt_add(c, "scalar", PARE_F32, 0, NULL, (float[]){ 7 });
    ckpt_add(c, "vector", PARE_F32, 1, (int64_t[]){ 3 }, (float[]){ 1, 2, 3 });
    ckpt_add(c, "empty", PARE_F32, 2, (int64_t[]){ 0, 5 }, NULL);
    opened(c, ctx, &store, &w);
    assert_int_equal(w->n, 10);
    assert_null(w->layout);
    assert_null(w->unread);
    for (int i = 0; i < 7; i++) {
        assert_ok(pare_weights_read(ctx, w, i, 1, 3, out, &err));
        for (int j = 0; j < 9; j++) assert_true(out[j] == x[3 + j]);
        assert_null(w->at[i].layout);
        assert_int_equal(w->at[i].tensor, i);
    }
    assert_ok(pare_weights_read(ctx, w, pare_weights_find(w, "scalar"), 0, 1, out, &err));
    assert_true(out[0] == 7);
    assert_ok(pare_weights_read(ctx, w, pare_weights_find(w, "vector"), 1, 2, out, &err));
    assert_true(out[0] == 2 && out[1] == 3);
    assert_ok(pare_weights_read(ctx, w, pare_weights_find(w, "empty"), 0, 0, out, &err));
    assert_int_equal(pare_weights_find(w, "nothing"), -1);
    assert_error(pare_weights_read(ctx, w, 0, 3, 2, out, &err), PARE_ERR_USAGE, "rows 3 to 5 of 4");
    assert_error(pare_weights_read(ctx, w, 0, -1, 1, out, &err), PARE_ERR_USAGE, "t0.weight");
    pare_qtensor *q;
    assert_error(pare_weights_qtensor(w, 0, 0, 4, &q, &err), PARE_ERR_USAGE, "not a quantized weight");
    closed(c, store, w);
    pare_ctx_free(ctx);
}

static void metadata_alias(void **state)
{
    pare_store *store;
    pare_weights *w;
    float out[2];
    ckpt *c = ckpt_new();
    (void)state;
    ckpt_add(c, "lm_head.weight", PARE_F32, 2, (int64_t[]){ 1, 2 }, (float[]){ 5, 6 });
    strcpy(c->metadata, "\"model.embed_tokens.weight\":\"lm_head.weight\",\"other\":\"nothing\"");
    opened(c, NULL, &store, &w);
    assert_int_equal(w->n, 2);
    int64_t head = pare_weights_find(w, "lm_head.weight"), embed = pare_weights_find(w, "model.embed_tokens.weight");
    assert_int_equal(w->at[embed].alias_of, head);
    assert_int_equal(w->at[head].alias_of, -1);
    assert_ok(pare_weights_read(NULL, w, embed, 0, 1, out, NULL));
    assert_true(out[1] == 6);
    closed(c, store, w);
}

static void tinystories(void **state)
{
    const char *models = getenv("PARE_MODELS");
    char path[512];
    snprintf(path, sizeof path, "%s/tinystories-656k", models ? models : PARE_SOURCE_DIR "/../shared/models");
    pare_store *store;
    pare_weights *w;
    (void)state;
    if (!pare_path_exists(path)) {
        print_message("%s is not there\n", path);
        skip();
    }
    assert_ok(pare_store_open(path, &store, NULL));
    assert_ok(pare_weights_new(NULL, store, &w, NULL));
    int64_t embed = pare_weights_find(w, "model.embed_tokens.weight");
    assert_true(embed >= 0);
    assert_string_equal(w->at[w->at[embed].alias_of].name, "lm_head.weight");
    pare_weights_free(w);
    pare_store_close(store);
}

/* ----------------------------------------------------------------------------------------------------------- detection */

/* A checkpoint of one layer "a" under a layout, and one plain tensor. config: also write it. */
static ckpt *one_layer(const char *layout, pare_scheme scheme, int64_t rows, int64_t cols, bool config, layer **out)
{
    const pare_layout *l = pare_layout_find(layout);
    char warn[256];
    pare_err err = { 0 };
    if (l->check(&scheme, PARE_F32, "a", 2, (int64_t[]){ rows, cols }, warn, &err) != PARE_OK) fail_msg("%s", err.text);
    layer *x = layer_new(&scheme, rows, cols, 5);
    ckpt *c = ckpt_new();
    layer_pack(c, l, x, "a", PARE_F32, 1);
    ckpt_add(c, "norm.weight", PARE_F32, 1, (int64_t[]){ 4 }, NULL);
    if (config) write_config(c, l, (const char *const[]){ "a" }, (const layer *const[]){ x }, 1, NULL, 0, PARE_F32, "");
    if (out) *out = x;
    else layer_free(x);
    return c;
}

static void same_codes(const pare_weights *w, const layer *l)
{
    pare_qtensor *q;
    pare_err err = { 0 };
    if (pare_weights_qtensor(w, pare_weights_find(w, "a.weight"), 0, l->rows, &q, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_memory_equal(q->codes, l->codes, (size_t)(l->rows * l->cols));
    assert_memory_equal(q->zeros, l->zeros, (size_t)l->n_scales * 4);
    pare_qtensor_free(q);
}

static void without_config(void **state)
{
    static const struct { const char *layout; int bits; bool sym; } cases[] = {
        { "gptq", 4, true }, { "gptq", 3, false }, { "gptq", 8, true }, { "awq", 4, false }, { "compressed-tensors", 4, false },
        { "compressed-tensors", 8, true }, { "compressed-tensors", 3, true }, { "course", 8, true }, { "quanto", 8, true } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        layer *l;
        pare_store *store;
        pare_weights *w;
        bool channel = cases[i].bits == 8 && cases[i].layout[0] != 'g';
        ckpt *c = one_layer(cases[i].layout, scheme_int(cases[i].bits, cases[i].sym, channel ? PARE_PER_CHANNEL : PARE_PER_GROUP, 32), 64, 96, false, &l);
        opened(c, NULL, &store, &w);
        assert_string_equal(w->layout->name, cases[i].layout);
        assert_int_equal(w->n, 2);
        same_codes(w, l);
        closed(c, store, w);
        layer_free(l);
    }
}

static void legacy_files(void **state)
{
    static const struct { const char *layout, *file, *text; } cases[] = {
        { "gptq", "quantize_config.json", "{\"bits\":4,\"group_size\":32,\"desc_act\":false,\"damp_percent\":0.01}" },
        { "gptq", "quantize_config.json", "{\"wbits\":4,\"groupsize\":32}" },
        { "awq", "quant_config.json", "{\"zero_point\":true,\"q_group_size\":32,\"w_bit\":4,\"version\":\"GEMM\"}" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        layer *l;
        pare_store *store;
        pare_weights *w;
        ckpt *c = one_layer(cases[i].layout, scheme_int(4, false, PARE_PER_GROUP, 32), 64, 96, false, &l);
        ckpt_file(c, "config.json", "{\"model_type\":\"llama\"}");
        ckpt_file(c, cases[i].file, cases[i].text);
        opened(c, NULL, &store, &w);
        assert_string_equal(w->layout->name, cases[i].layout);
        same_codes(w, l);
        closed(c, store, w);
        layer_free(l);
    }
}

static void methods_not_read(void **state)
{
    static const char *const texts[] = {
        "{\"quantization_config\":{\"quant_method\":\"vptq\",\"config_for_layers\":{}}}",
        "{\"quantization_config\":{\"quant_method\":\"AQLM\"}}",
        "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"mxfp6-pack-quantized\",\"config_groups\":{}}}",
        "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}}" };
    static const char *const names[] = { "vptq", "aqlm", "mxfp6-pack-quantized", "sparse-24-bitmask" };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pare_ctx *ctx = listening();
        pare_store *store;
        pare_weights *w;
        ckpt *c = one_layer("gptq", scheme_int(4, true, PARE_PER_GROUP, 32), 32, 32, false, NULL);
        ckpt_file(c, "config.json", texts[i]);
        opened(c, ctx, &store, &w);
        assert_null(w->layout);
        assert_string_equal(w->unread, names[i]);
        assert_int_equal(w->n, 5); /* four parts and the norm, as they are */
        if (!strstr(warnings, names[i])) fail_msg("no warning: %s", warnings);
        closed(c, store, w);
        pare_ctx_free(ctx);
    }
}

/* ModelOpt: written here by hand as vLLM reads it, told by hf_quant_config.json or config.json. */
static void modelopt(void **state)
{
    static const uint8_t codes[16] = { 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe };
    static const float e2m1[16] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6 };
    static const uint8_t scales[2] = { 0x38, 0x40 }, eight[4] = { 0x38, 0x40, 0xb8, 0x00 }; /* 1, 2; 1, 2, -1, 0 */
    const float global = 0.25f, input = 0.5f, channel[2] = { 2.0f, 4.0f };
    (void)state;
    for (int i = 0; i < 2; i++) {
        pare_store *store;
        pare_weights *w;
        pare_err err = { 0 };
        float x[32];
        ckpt *c = ckpt_new();
        ckpt_add(c, "a.weight", PARE_U8, 2, (int64_t[]){ 1, 16 }, codes);
        ckpt_add(c, "a.weight_scale", PARE_F8_E4M3FN, 2, (int64_t[]){ 1, 2 }, scales);
        ckpt_add(c, "a.weight_scale_2", PARE_F32, 0, NULL, &global);
        ckpt_add(c, "a.input_scale", PARE_F32, 0, NULL, &input);
        ckpt_add(c, "b.weight", PARE_F8_E4M3FN, 2, (int64_t[]){ 2, 2 }, eight);
        ckpt_add(c, "b.weight_scale", PARE_F32, 1, (int64_t[]){ 2 }, channel);
        if (i) ckpt_file(c, "config.json", "{\"quantization_config\":{\"quant_method\":\"modelopt\",\"quant_algo\":\"NVFP4\"}}");
        else ckpt_file(c, "hf_quant_config.json", "{\"producer\":{},\"quantization\":{\"quant_algo\":\"NVFP4\",\"group_size\":16,\"exclude_modules\":[]}}");
        if (ckpt_open(c, NULL, &store, &w, &err) != PARE_OK) fail_msg("%s", err.text);
        assert_int_equal(w->n, 2);
        assert_string_equal(w->at[0].layout->name, "modelopt");
        assert_string_equal(w->at[0].scheme.name, "NVFP4");
        assert_string_equal(w->at[1].scheme.name, "FP8_DYNAMIC");
        assert_ok(pare_weights_read(NULL, w, 0, 0, 1, x, NULL));
        for (int e = 0; e < 32; e++) assert_true(x[e] == e2m1[e % 16] * (e < 16 ? 0.25f : 0.5f));
        assert_ok(pare_weights_read(NULL, w, 1, 0, 2, x, NULL));
        assert_true(x[0] == 2.0f && x[1] == 4.0f && x[2] == -4.0f && x[3] == 0.0f);
        closed(c, store, w);
        ckpt *broken = ckpt_new();
        ckpt_add(broken, "a.weight", PARE_U8, 2, (int64_t[]){ 1, 16 }, codes);
        ckpt_add(broken, "a.weight_scale", PARE_F8_E4M3FN, 2, (int64_t[]){ 2, 1 }, scales);
        ckpt_add(broken, "a.weight_scale_2", PARE_F32, 0, NULL, &global);
        ckpt_file(broken, "config.json", "{\"quantization_config\":{\"quant_method\":\"modelopt\"}}");
        assert_error(ckpt_open(broken, NULL, &store, &w, &err), PARE_ERR_FORMAT, "a.weight_scale: shape [2, 1]");
        ckpt_remove(broken, "a.weight_scale_2");
        assert_error(ckpt_open(broken, NULL, &store, &w, &err), PARE_ERR_FORMAT, "'a.weight_scale_2'");
        ckpt_free(broken);
    }
}

#define CT_KV(members) "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"dense\",\"config_groups\":{},\"kv_cache_scheme\":{" members "}}}"
#define INT8 "\"num_bits\":8,\"type\":\"int\",\"symmetric\":true,\"dynamic\":false"

typedef struct kv_case {
    const char *config, *k, *v;        /* names of the two tensors; NULL = absent */
    int64_t n;                         /* their elements */
    float first;                       /* of the keys */
    pare_kvscheme want;
    const char *error;                 /* of reading the scales of attention "a" with 2 heads */
} kv_case;

static const kv_case kv_cases[] = {
    { CT_KV(INT8), "a.k_scale", "a.v_scale", 1, 0.5f, { PARE_I8, false }, NULL },
    { CT_KV(INT8 ",\"strategy\":\"attn_head\""), "a.k_scale", "a.v_scale", 2, 0.5f, { PARE_I8, true }, NULL },
    { CT_KV("\"num_bits\":8,\"type\":\"float\""), "a.k_scale", "a.v_scale", 1, 0.5f, { PARE_F8_E4M3FN, false }, NULL },
    { CT_KV("\"type\":\"float\""), NULL, NULL, 1, 1.0f, { PARE_F8_E4M3FN, false }, NULL },
    { "{\"quantization_config\":{\"quant_method\":\"modelopt\",\"quant_algo\":\"FP8\",\"kv_cache_quant_algo\":\"FP8\"}}", "a.k_proj.k_scale", "a.v_proj.v_scale", 1, 0.5f,
      { PARE_F8_E4M3FN, false }, NULL },
    { CT_KV(INT8), "a.k_scale", NULL, 1, 0.5f, { PARE_I8, false }, "a.v_scale: is missing" },
    { CT_KV(INT8), "a.k_scale", "a.v_scale", 3, 0.5f, { PARE_I8, false }, "a.k_scale: 3 f32 where a scale, or one for each of 2" },
    { CT_KV(INT8), "a.k_scale", "a.v_scale", 1, 0.0f, { PARE_I8, false }, "a.k_scale: scale 0" },
    { CT_KV(INT8), "a.k_scale", "a.v_scale", 2, -1.0f, { PARE_I8, false }, "a.k_scale: scale -1" },
    { CT_KV("\"num_bits\":4,\"type\":\"int\""), "a.k_scale", "a.v_scale", 1, 0.5f, { 0 }, NULL },
    { CT_KV(INT8 ",\"strategy\":\"channel\""), "a.k_scale", "a.v_scale", 1, 0.5f, { 0 }, NULL },
    { CT_KV("\"num_bits\":8,\"dynamic\":\"local\""), "a.k_scale", "a.v_scale", 1, 0.5f, { 0 }, NULL },
    { CT_KV("\"symmetric\":false"), "a.k_scale", "a.v_scale", 1, 0.5f, { 0 }, NULL },
    { "{}", "a.k_scale", "a.v_scale", 1, 0.5f, { 0 }, NULL },
};

/* Scales of the key/value cache: which configurations mean them, what their tensors may be, and that others leave them plain tensors. */
static void kv_scales(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kv_cases / sizeof *kv_cases; i++) {
        const kv_case *x = &kv_cases[i];
        const float k[3] = { x->first, 0.25f, 1 }, v[3] = { 2, 3, 4 };
        float k2[2], v2[2];
        pare_store *store;
        pare_weights *w;
        pare_err err = { 0 };
        ckpt *c = ckpt_new();
        ckpt_add(c, "a.o_proj.weight", PARE_F32, 2, (int64_t[]){ 2, 2 }, NULL);
        if (x->k) ckpt_add(c, x->k, PARE_F32, x->n > 1 ? 3 : 1, (int64_t[]){ x->n, 1, 1 }, k);
        if (x->v) ckpt_add(c, x->v, PARE_F32, x->n > 1 ? 3 : 1, (int64_t[]){ x->n, 1, 1 }, v);
        ckpt_file(c, "config.json", x->config);
        if (ckpt_open(c, NULL, &store, &w, &err) != PARE_OK) fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(w->kv.dtype, x->want.dtype);
        assert_int_equal(w->kv.per_head, x->want.per_head);
        for (int64_t t = 0; t < w->n; t++) assert_int_equal(w->at[t].kv_scale, x->want.dtype != PARE_DTYPE_NONE && strstr(w->at[t].name, "_scale") != NULL);
        if (x->error) assert_error(pare_weights_kv_scales(w, "a", 2, k2, v2, &err), PARE_ERR_FORMAT, x->error);
        else if (x->want.dtype != PARE_DTYPE_NONE) {
            assert_ok(pare_weights_kv_scales(w, "a", 2, k2, v2, &err));
            assert_true(k2[0] == x->first && k2[1] == (x->n > 1 ? 0.25f : x->first));
            assert_true(v2[0] == (x->k ? 2.0f : 1.0f) && v2[1] == (x->n > 1 ? 3.0f : v2[0]));
        }
        closed(c, store, w);
    }
}

static void gptq_that_is_v2(void **state)
{
    pare_ctx *ctx = listening();
    layer *l;
    pare_store *store;
    pare_weights *w;
    (void)state;
    ckpt *c = one_layer("gptq_v2", scheme_int(4, true, PARE_PER_GROUP, 32), 64, 64, false, &l);
    ckpt_file(c, "config.json", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"sym\":true,\"checkpoint_format\":\"gptq\"}}");
    opened(c, ctx, &store, &w);
    if (!strstr(warnings, "gptq_v2")) fail_msg("no warning: %s", warnings);
    same_codes(w, l);
    closed(c, store, w);
    layer_free(l);
    pare_ctx_free(ctx);
}

/* GPTQModel's v1 of zero points 0: the word borrows, and its reader carries. */
static void gptq_borrow(void **state)
{
    layer *l;
    pare_store *store;
    pare_weights *w;
    (void)state;
    ckpt *c = one_layer("gptq_v2", scheme_int(4, false, PARE_PER_GROUP, 32), 64, 64, false, &l);
    ckpt_tensor *z = ckpt_get(c, "a.qzeros");
    bool borrowed = false;
    for (int64_t i = 0; i < l->n_scales; i++) borrowed |= l->zeros[i] == 0;
    assert_true(borrowed);
    for (size_t i = 0; i < z->bytes; i += 4) pare_put_le32(z->data + i, pare_le32(z->data + i) - 0x11111111u);
    ckpt_file(c, "config.json", "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"sym\":false}}");
    opened(c, NULL, &store, &w);
    same_codes(w, l);
    closed(c, store, w);
    layer_free(l);
}

static void gptq_act_order(void **state)
{
    layer *l;
    pare_store *store;
    pare_weights *w;
    float *x = malloc(64 * 96 * sizeof *x);
    (void)state;
    ckpt *c = one_layer("gptq", scheme_int(4, false, PARE_PER_GROUP, 32), 64, 96, true, &l);
    ckpt_tensor *g = ckpt_get(c, "a.g_idx");
    for (uint32_t i = 0; i < 96; i++) pare_put_le32(g->data + 4 * i, i % 3);
    opened(c, NULL, &store, &w);
    assert_ok(pare_weights_read(NULL, w, pare_weights_find(w, "a.weight"), 0, 64, x, NULL));
    for (int r = 0; r < 64; r++)
        for (int i = 0; i < 96; i++) {
            int s = r * 3 + i % 3;
            assert_true(x[r * 96 + i] == (float)(l->codes[r * 96 + i] - l->zeros[s]) * l->scales[s]);
        }
    closed(c, store, w);
    layer_free(l);
    free(x);
}

/* dynamic: one layer of another width; the shapes tell. */
static void gptq_dynamic(void **state)
{
    const pare_layout *gptq = pare_layout_find("gptq");
    pare_scheme a = scheme_int(4, true, PARE_PER_GROUP, 32), b = scheme_int(8, true, PARE_PER_GROUP, 64);
    pare_store *store;
    pare_weights *w;
    (void)state;
    a.scale_dtype = b.scale_dtype = PARE_F16;
    layer *la = layer_new(&a, 64, 128, 1), *lb = layer_new(&b, 64, 128, 2);
    ckpt *c = ckpt_new();
    layer_pack(c, gptq, la, "a", PARE_F32, 1);
    layer_pack(c, gptq, lb, "model.layers.1.b", PARE_F32, 1);
    write_config(c, gptq, (const char *const[]){ "a", "model.layers.1.b" }, (const layer *const[]){ la, lb }, 2,
                 (const char *const[]){ "model.layers.1.c", "lm_head" }, 2, PARE_F32, "");
    opened(c, NULL, &store, &w);
    same_codes(w, la);
    assert_int_equal(w->at[pare_weights_find(w, "model.layers.1.b.weight")].scheme.bits, 8);
    assert_int_equal(w->at[pare_weights_find(w, "model.layers.1.b.weight")].scheme.group_size, 64);
    closed(c, store, w);
    layer_free(la);
    layer_free(lb);
}

/* Static activation scales belong to their layer, bias does not. */
static void carried_parts(void **state)
{
    layer *l;
    pare_store *store;
    pare_weights *w;
    (void)state;
    pare_scheme scheme = scheme_fp8(PARE_PER_TENSOR);
    ckpt *c = one_layer("compressed-tensors", scheme, 16, 32, true, &l);
    ckpt_add(c, "a.input_scale", PARE_F32, 1, (int64_t[]){ 1 }, NULL);
    ckpt_add(c, "a.bias", PARE_F32, 1, (int64_t[]){ 16 }, NULL);
    opened(c, NULL, &store, &w);
    assert_int_equal(w->n, 3);
    assert_int_equal(w->at[pare_weights_find(w, "a.weight")].bytes, 16 * 32 + 4 + 4);
    assert_true(pare_weights_find(w, "a.bias") >= 0);
    closed(c, store, w);
    layer_free(l);
}

/* ---------------------------------------------------------------------------------------------------- failing memory */

struct attempt { const char *folder; };

static pare_status bind_and_read(void *arg)
{
    const struct attempt *a = arg;
    pare_store *store = NULL;
    pare_weights *w = NULL;
    pare_qtensor *q = NULL;
    pare_err err = { 0 };
    float x[64];
    pare_status st;
    PARE_TRY(pare_store_open(a->folder, &store, &err));
    PARE_TRY(pare_weights_new(NULL, store, &w, &err));
    PARE_TRY(pare_weights_qtensor(w, pare_weights_find(w, "a.weight"), 0, 3, &q, &err));
    PARE_TRY(pare_weights_read(NULL, w, pare_weights_find(w, "norm.weight"), 0, 4, x, &err));
out:
    pare_qtensor_free(q);
    pare_weights_free(w);
    pare_store_close(store);
    return st;
}

static void every_allocation(void **state)
{
    static const char *const layouts[] = { "compressed-tensors", "gptq", "awq", "quanto", "course" };
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        bool course = !strcmp(layouts[i], "course");
        pare_store *store;
        pare_weights *w;
        ckpt *c = one_layer(layouts[i], scheme_int(course ? 8 : 4, course, course ? PARE_PER_CHANNEL : PARE_PER_GROUP, 64), 32, 64, true, NULL);
        if (!strcmp(layouts[i], "gptq")) pare_put_le32(ckpt_get(c, "a.g_idx")->data + 4, 0);
        opened(c, NULL, &store, &w);
        pare_weights_free(w);
        pare_store_close(store);
        struct attempt a = { c->folder };
        assert_true(test_every_allocation(bind_and_read, &a) > 10);
        ckpt_free(c);
    }
}

/* ------------------------------------------------------------------------------------------------------------ parts */

static void arithmetic_of_parts(void **state)
{
    pare_part p[3] = { pare_part_make(".a", PARE_I32, PARE_PART_ROWS, 1, 2, 10, 4), pare_part_make(".b", PARE_I32, PARE_PART_ROWS, 32, 2, 2, 4),
                       pare_part_make(".c", PARE_F16, PARE_PART_SHARED, 24, 2, 4, 10) };
    (void)state;
    p[1].unit_bytes = 3 * 16;
    assert_int_equal(pare_part_bytes(&p[0]), 160);
    assert_int_equal(pare_part_offset(&p[0], 3), 48);
    assert_int_equal(pare_part_offset(&p[0], 10), 160);
    assert_int_equal(pare_part_bytes(&p[1]), 32);
    assert_int_equal(pare_part_offset(&p[1], 10), 32);
    assert_int_equal(pare_part_offset(&p[2], 24), 0);
    assert_int_equal(pare_parts_align(p, 1), 1);
    assert_int_equal(pare_parts_align(p, 2), 32);
    assert_int_equal(pare_parts_align(p, 3), 96);
    p[2].place = PARE_PART_ONCE;
    assert_int_equal(pare_parts_align(p, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_values), cmocka_unit_test(metadata_alias), cmocka_unit_test(tinystories), cmocka_unit_test(without_config),
        cmocka_unit_test(legacy_files), cmocka_unit_test(methods_not_read), cmocka_unit_test(modelopt), cmocka_unit_test(kv_scales), cmocka_unit_test(gptq_that_is_v2), cmocka_unit_test(gptq_borrow),
        cmocka_unit_test(gptq_act_order), cmocka_unit_test(gptq_dynamic), cmocka_unit_test(carried_parts), cmocka_unit_test(every_allocation),
        cmocka_unit_test(arithmetic_of_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
