/* SPDX-License-Identifier: Apache-2.0 */
/* Broken checkpoints: one change to a good one, one clear error. And what check() refuses or warns about before any work. */
#include "unit/layout/layout_support.h"

/* ------------------------------------------------------------------------------------------------------ broken files */

typedef enum change { REMOVE, RESHAPE, RETYPE, CONFIG, RENAME, TEXT, FILL } change;
typedef struct broken {
    const char *layout;        /* "gptq", or with a scheme: "bitsandbytes NF4" */
    int bits;
    bool sym;
    change change;
    const char *part;          /* tensor, or the text of config.json to find */
    const char *to;            /* new dtype, new text, new name */
    int64_t shape[2];
    const char *message;       /* part of the error */
    pare_status status;        /* 0 = FORMAT */
} broken;

static const broken cases[] = {
    /* missing parts */
    { "gptq", 4, false, REMOVE, "a.qzeros", 0, { 0 }, "'a.qzeros'", 0 },
    { "gptq", 4, false, REMOVE, "a.scales", 0, { 0 }, "'a.scales'", 0 },
    { "gptq", 4, false, REMOVE, "a.qweight", 0, { 0 }, "no usable 'a.qweight'", 0 },
    { "awq", 4, false, REMOVE, "a.qzeros", 0, { 0 }, "'a.qzeros'", 0 },
    { "awq", 4, false, REMOVE, "a.scales", 0, { 0 }, "'a.scales'", 0 },
    { "awq", 4, false, REMOVE, "a.qweight", 0, { 0 }, "a.qzeros: part of no awq layer", 0 },
    { "compressed-tensors", 4, false, REMOVE, "a.weight_scale", 0, { 0 }, "'a.weight_scale'", 0 },
    { "compressed-tensors", 4, false, REMOVE, "a.weight_shape", 0, { 0 }, "'a.weight_shape'", 0 },
    { "compressed-tensors", 4, false, REMOVE, "a.weight_zero_point", 0, { 0 }, "weight_zero_point) are missing", 0 },
    { "compressed-tensors", 4, false, REMOVE, "a.weight_packed", 0, { 0 }, "part of no compressed-tensors layer", 0 },
    { "quanto", 4, false, REMOVE, "a.weight._scale", 0, { 0 }, "'a.weight._scale'", 0 },
    { "quanto", 4, false, REMOVE, "a.weight._shift", 0, { 0 }, "'a.weight._shift'", 0 },
    { "quanto", 4, false, REMOVE, "a.weight._data._data", 0, { 0 }, "part of no quanto layer", 0 },
    { "quanto", 8, true, REMOVE, "a.weight._scale", 0, { 0 }, "'a.weight._scale'", 0 },
    { "course", 8, true, REMOVE, "a.scales", 0, { 0 }, "'a.scales'", 0 },
    /* shapes; the layer is [64, 96], groups of 32 */
    { "gptq", 4, false, RESHAPE, "a.qzeros", 0, { 2, 12 }, "a.qzeros: shape [2, 12]", 0 },
    { "gptq", 4, false, RESHAPE, "a.scales", 0, { 6, 32 }, "a.scales: shape [6, 32]", 0 },
    { "gptq", 4, false, RESHAPE, "a.scales", 0, { 192, 1 }, "a.scales: shape [192, 1]", 0 },
    { "gptq", 4, false, RESHAPE, "a.qweight", 0, { 6, 128 }, "a.scales: shape [3, 64]", 0 },
    { "gptq", 3, false, RESHAPE, "a.g_idx", 0, { 48, 2 }, "a.g_idx: shape [48, 2]", 0 },
    { "awq", 4, false, RESHAPE, "a.qweight", 0, { 48, 16 }, "[any, 128]", 0 },
    { "awq", 4, false, RESHAPE, "a.qzeros", 0, { 4, 6 }, "a.qzeros: shape [4, 6]", 0 },
    { "compressed-tensors", 4, true, RESHAPE, "a.weight_scale", 0, { 32, 6 }, "a.weight_scale: shape [32, 6]", 0 },
    { "compressed-tensors", 4, true, RESHAPE, "a.weight_packed", 0, { 32, 24 }, "a.weight_packed: shape [32, 24]", 0 },
    { "compressed-tensors", 4, false, RESHAPE, "a.weight_zero_point", 0, { 4, 6 }, "a.weight_zero_point: shape [4, 6]", 0 },
    { "quanto", 4, false, RESHAPE, "a.weight._shift", 0, { 32, 2 }, "a.weight._shift: shape [32, 2]", 0 },
    { "quanto", 8, true, RESHAPE, "a.weight._scale", 0, { 1, 64 }, "a.weight._scale: shape [1, 64]", 0 },
    { "course", 8, true, RESHAPE, "a.scales", 0, { 1, 64 }, "a.scales: shape [1, 64]", 0 },
    /* dtypes */
    { "gptq", 4, false, RETYPE, "a.qweight", "F32", { 0 }, "a.qweight: dtype F32", 0 },
    { "gptq", 4, false, RETYPE, "a.scales", "I16", { 0 }, "a.scales: dtype I16", 0 },
    { "gptq", 4, false, RETYPE, "a.g_idx", "F32", { 0 }, "a.g_idx: dtype F32", 0 },
    { "awq", 4, false, RETYPE, "a.qzeros", "F32", { 0 }, "a.qzeros: dtype F32", 0 },
    { "compressed-tensors", 4, true, RETYPE, "a.weight_packed", "F32", { 0 }, "a.weight_packed: dtype F32", 0 },
    { "compressed-tensors", 4, true, RETYPE, "a.weight_scale", "I16", { 0 }, "a.weight_scale: dtype I16", 0 },
    { "compressed-tensors", 4, true, RETYPE, "a.weight_shape", "F64", { 0 }, "a.weight_shape: dtype F64", 0 },
    { "quanto", 4, false, RETYPE, "a.weight._data._data", "I8", { 0 }, "dtype I8", 0 },
    { "course", 8, true, RETYPE, "a.int8_weights", "U8", { 0 }, "a.int8_weights: dtype U8", 0 },
    /* configuration */
    { "gptq", 4, false, CONFIG, "\"bits\": 4", "\"bits\": 8", { 0 }, "is not 8 bits, as config.json", 0 },
    { "gptq", 4, false, CONFIG, "\"bits\": 4", "\"bits\": 5", { 0 }, "bits 5", 0 },
    { "gptq", 4, false, CONFIG, "\"group_size\": 32", "\"group_size\": 64", { 0 }, "3 groups for 96 input channels; group_size 64", 0 },
    { "gptq", 4, false, CONFIG, "\"group_size\": 32", "\"group_size\": -7", { 0 }, "group_size -7", 0 },
    { "gptq", 4, false, CONFIG, "\"checkpoint_format\": \"gptq\"", "\"checkpoint_format\": \"marlin\"", { 0 }, "checkpoint_format 'marlin'", PARE_ERR_UNSUPPORTED },
    { "gptq", 4, false, CONFIG, "\"pack_dtype\": \"int32\"", "\"pack_dtype\": \"int64\"", { 0 }, "pack_dtype 'int64'", PARE_ERR_UNSUPPORTED },
    { "awq", 4, false, CONFIG, "\"bits\": 4", "\"bits\": 8", { 0 }, "bits 8", PARE_ERR_UNSUPPORTED },
    { "awq", 4, false, CONFIG, "\"group_size\": 32", "\"group_size\": 48", { 0 }, "group_size 48 over 96 input channels", 0 },
    { "awq", 4, false, CONFIG, "\"version\": \"gemm\"", "\"version\": \"other\"", { 0 }, "version 'other'", PARE_ERR_UNSUPPORTED },
    { "compressed-tensors", 4, true, CONFIG, "\"num_bits\": 4", "\"num_bits\": 5", { 0 }, "codes of 5 bits", 0 },
    { "compressed-tensors", 4, true, CONFIG, "\"num_bits\": 4", "\"num_bits\": 9", { 0 }, "num_bits 9", 0 },
    { "compressed-tensors", 4, true, CONFIG, "\"group_size\": 32", "\"group_size\": 16", { 0 }, "a.weight_scale: shape [64, 3]", 0 },
    { "compressed-tensors", 4, true, CONFIG, "\"group_size\": 32", "\"group_size\": 0", { 0 }, "group_size 0", 0 },
    { "compressed-tensors", 4, true, CONFIG, "\"strategy\": \"group\"", "\"strategy\": \"channel\"", { 0 }, "a.weight_scale: shape [64, 3]", 0 },
    { "compressed-tensors", 4, true, CONFIG, "\"strategy\": \"group\"", "\"strategy\": \"attn_head\"", { 0 }, "strategy 'attn_head'", PARE_ERR_UNSUPPORTED },
    { "compressed-tensors", 4, true, CONFIG, "\"type\": \"int\"", "\"type\": \"float\"", { 0 }, "float weights", 0 },
    { "compressed-tensors NVFP4A16", 4, true, CONFIG, "\"num_bits\": 4", "\"num_bits\": 6", { 0 }, "float weights of 6 bits", PARE_ERR_UNSUPPORTED },
    { "compressed-tensors", 8, true, CONFIG, "\"type\": \"int\"", "\"type\": \"float\"", { 0 }, "dtype I32 in the file", 0 },
    { "bitsandbytes NF4", 4, true, REMOVE, "a.weight", 0, { 0 }, "'a.weight'", 0 },
    { "bitsandbytes NF4", 4, true, REMOVE, "a.weight.absmax", 0, { 0 }, "'a.weight.absmax'", 0 },
    { "bitsandbytes NF4", 4, true, REMOVE, "a.weight.quant_map", 0, { 0 }, "'a.weight.quant_map'", 0 },
    { "bitsandbytes FP4:nested", 4, true, REMOVE, "a.weight.nested_absmax", 0, { 0 }, "'a.weight.nested_absmax'", 0 },
    { "bitsandbytes FP4:nested", 4, true, REMOVE, "a.weight.nested_quant_map", 0, { 0 }, "'a.weight.nested_quant_map'", 0 },
    { "bitsandbytes NF4", 4, true, REMOVE, "a.weight.quant_state.bitsandbytes__nf4", 0, { 0 }, "part of no bitsandbytes layer", 0 },
    { "bitsandbytes NF4", 4, true, RESHAPE, "a.weight.absmax", 0, { 12, 8 }, "a.weight.absmax: shape [12, 8]", 0 },
    { "bitsandbytes NF4", 4, true, RETYPE, "a.weight.absmax", "I32", { 0 }, "a.weight.absmax: dtype I32", 0 },
    { "bitsandbytes NF4:nested", 4, true, RETYPE, "a.weight.absmax", "I8", { 0 }, "a.weight.absmax: dtype I8", 0 },
    { "bitsandbytes NF4", 4, true, RETYPE, "a.weight.quant_map", "I32", { 0 }, "a.weight.quant_map: dtype I32", 0 },
    { "bitsandbytes NF4", 4, true, TEXT, "a.weight.quant_state.bitsandbytes__nf4", "[64, 96]", { 0 }, "in quant_state takes 2976", 0 },
    { "bitsandbytes NF4", 4, true, TEXT, "a.weight.quant_state.bitsandbytes__nf4", "\"blocksize\": 64", { 0 }, "\"blocksize\" 48", 0 },
    { "bitsandbytes NF4", 4, true, TEXT, "a.weight.quant_state.bitsandbytes__nf4", "\"shape\"", { 0 }, "no [out, in]", 0 },
    { "bitsandbytes NF4", 4, true, TEXT, "a.weight.quant_state.bitsandbytes__nf4", "{\"quant", { 0 }, "a.weight.quant_state", 0 },
    { "bitsandbytes FP4:nested", 4, true, TEXT, "a.weight.quant_state.bitsandbytes__fp4", "\"nested_blocksize\": 256", { 0 }, "\"nested_blocksize\" 900", 0 },
    { "bitsandbytes NF4", 4, true, FILL, "a.weight.quant_map", 0, { 0 }, "value 0 is", PARE_ERR_UNSUPPORTED },
    { "bitsandbytes NF4:nested", 4, true, FILL, "a.weight.nested_quant_map", 0, { 0 }, "the dynamic map", PARE_ERR_UNSUPPORTED },
    { "bitsandbytes LLM_INT8", 8, true, REMOVE, "a.weight", 0, { 0 }, "'a.weight'", 0 },
    { "bitsandbytes LLM_INT8", 8, true, REMOVE, "a.SCB", 0, { 0 }, "part of no bitsandbytes layer", 0 },
    { "bitsandbytes LLM_INT8", 8, true, RESHAPE, "a.SCB", 0, { 8, 8 }, "a.SCB: shape [8, 8]", 0 },
    { "bitsandbytes LLM_INT8", 8, true, RETYPE, "a.weight", "U8", { 0 }, "a.weight: dtype U8", 0 },
    { "bitsandbytes LLM_INT8", 8, true, FILL, "a.weight_format", 0, { 0 }, "order 90", PARE_ERR_UNSUPPORTED },
    { "compressed-tensors NVFP4A16", 4, true, REMOVE, "a.weight_scale", 0, { 0 }, "'a.weight_scale'", 0 },
    { "compressed-tensors NVFP4A16", 4, true, REMOVE, "a.weight_global_scale", 0, { 0 }, "'a.weight_global_scale'", 0 },
    { "compressed-tensors NVFP4A16", 4, true, REMOVE, "a.weight_packed", 0, { 0 }, "part of no compressed-tensors layer", 0 },
    { "compressed-tensors NVFP4A16", 4, true, RESHAPE, "a.weight_scale", 0, { 48, 8 }, "a.weight_scale: shape [48, 8]", 0 },
    { "compressed-tensors NVFP4A16", 4, true, RETYPE, "a.weight_global_scale", "I32", { 0 }, "a.weight_global_scale: dtype I32", 0 },
    { "compressed-tensors NVFP4A16", 4, true, RETYPE, "a.weight_scale", "F8_E5M2", { 0 }, "a.weight_scale: dtype F8_E5M2", 0 },
    { "compressed-tensors NVFP4A16", 4, true, RETYPE, "a.weight_scale", "U8", { 0 }, "float codes of 4 bits in groups of 32 here", 0 },
    { "compressed-tensors NVFP4A16", 4, true, CONFIG, "\"num_bits\": 4", "\"num_bits\": 8", { 0 }, "float codes of 4 bits in groups of 16 here, floats of 8 bits", 0 },
    { "compressed-tensors MXFP4", 4, true, CONFIG, "\"type\": \"float\"", "\"type\": \"int\"", { 0 }, "integers of 4 bits", 0 },
    { "compressed-tensors MXFP4", 4, true, RESHAPE, "a.weight_scale", 0, { 32, 6 }, "a.weight_scale: shape [32, 6]", 0 },
    { "compressed-tensors MXFP4", 4, true, RESHAPE, "a.weight_packed", 0, { 128, 24 }, "a.weight_packed", 0 },
    { "compressed-tensors MXFP8A16", 8, true, RETYPE, "a.weight", "F8_E5M2", { 0 }, "a.weight: dtype F8_E5M2", 0 },
    { "fp8 FP8_BLOCK", 8, true, REMOVE, "a.weight", 0, { 0 }, "'a.weight'", 0 },
    { "fp8 FP8_BLOCK", 8, true, RETYPE, "a.weight", "F8_E5M2", { 0 }, "a.weight: dtype F8_E5M2", 0 },
    { "fp8 FP8_BLOCK", 8, true, RETYPE, "a.weight_scale_inv", "I32", { 0 }, "a.weight_scale_inv: dtype I32", 0 },
    { "fp8 FP8_BLOCK", 8, true, CONFIG, "128,", "4,", { 0 }, "a.weight_scale_inv: shape", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, REMOVE, "a.W_q", 0, { 0 }, "part of no hqq layer", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, REMOVE, "a.scale", 0, { 0 }, "'a.scale'", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, REMOVE, "a.zero", 0, { 0 }, "'a.zero'", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, REMOVE, "a.shape", 0, { 0 }, "'a.shape'", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, REMOVE, "a.packing", 0, { 0 }, "'a.packing'", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, RESHAPE, "a.scale", 0, { 96, 2 }, "a.scale: shape [96, 2]", 0 },
    { "hqq W4A16_ASYM:g32:axis0:fzero", 4, false, RESHAPE, "a.zero", 0, { 192, 1 }, "a.zero: shape [192, 1]", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, RETYPE, "a.scale", "I16", { 0 }, "a.scale: dtype I16", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, RETYPE, "a.shape", "F64", { 0 }, "a.shape: dtype F64", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.shape", 0, { 0 }, "a.W_q: shape [", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.nbits", 0, { 0 }, "nbits 1515870810", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.group_size", 0, { 0 }, "group_size 1515870810", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.axis", 0, { 0 }, "axis 1515870810", 0 },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.packing", 0, { 0 }, "'ZZZZZZZ'", PARE_ERR_UNSUPPORTED },
    { "hqq W4A16_ASYM:g32:fzero", 4, false, FILL, "a.quant_scale", 0, { 0 }, "a.quant_scale: scales or zero points", PARE_ERR_UNSUPPORTED },
    /* names */
    { "gptq", 4, false, RENAME, "b", "a.weight", { 0 }, "a.weight: stored both in float and as a gptq layer", 0 },
    { "compressed-tensors", 4, true, RENAME, "b", "b.weight_scale", { 0 }, "b.weight_scale: part of no", 0 },
};

static void replace(const char *folder, const char *find, const char *to)
{
    char path[512], all[8192], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(pare_read_file(path, 1 << 16, &text, &n, NULL));
    char *at = strstr(text, find);
    if (!at) fail_msg("'%s' is not in %s", find, text);
    snprintf(all, sizeof all, "%.*s%s%s", (int)(at - text), text, to, at + strlen(find));
    test_write(path, all, strlen(all));
    pare_dealloc(text);
}

static void break_it(ckpt *c, const broken *b)
{
    ckpt_tensor *t = b->change == CONFIG ? NULL : ckpt_get(c, b->part);
    switch (b->change) {
    case REMOVE: ckpt_remove(c, b->part); break;
    case RESHAPE:
        t->ndim = 2;
        memcpy(t->shape, b->shape, sizeof b->shape);
        break;
    case RETYPE: t->dtype = pare_dtype_parse(b->to); break;
    case FILL: memset(t->data, 0x5A, t->bytes); break;
    case TEXT: { /* of the same length: other digits, other letters */
        static const struct { const char *from, *to; } edits[] = { { "[64, 96]", "[64, 93]" }, { "\"blocksize\": 64", "\"blocksize\": 48" }, { "\"shape\"", "\"shame\"" },
            { "{\"quant", "{{quant" }, { "\"nested_blocksize\": 256", "\"nested_blocksize\": 900" } };
        for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
            if (strcmp(edits[i].from, b->to)) continue;
            for (size_t k = 0; k + strlen(b->to) <= t->bytes; k++)
                if (!memcmp(t->data + k, b->to, strlen(b->to))) memcpy(t->data + k, edits[i].to, strlen(b->to));
        }
        break;
    }
    case RENAME: snprintf(t->name, sizeof t->name, "%s", b->to); break;
    default: replace(c->folder, b->part, b->to); break;
    }
}

static void broken_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const broken *b = &cases[i];
        char layout[40] = { 0 };
        memcpy(layout, b->layout, strcspn(b->layout, " "));
        const pare_layout *l = pare_layout_find(layout);
        bool bytes = b->bits == 8 && strcmp(b->layout, "compressed-tensors") != 0;
        pare_scheme scheme = scheme_int(b->bits, b->sym, bytes ? PARE_PER_CHANNEL : PARE_PER_GROUP, 32);
        char warn[256];
        pare_err err = { 0 };
        pare_store *store;
        pare_weights *w;
        if (strchr(b->layout, ' ')) assert_ok(pare_scheme_parse(strchr(b->layout, ' ') + 1, &scheme, NULL));
        if (l->check(&scheme, PARE_F16, "a", 2, (int64_t[]){ 64, 96 }, warn, &err) != PARE_OK) fail_msg("%s", err.text);
        layer *x = layer_new(&scheme, 64, 96, 5);
        ckpt *c = ckpt_new();
        layer_pack(c, l, x, "a", PARE_F16, 1);
        ckpt_add(c, "b", PARE_F32, 2, (int64_t[]){ 64, 96 }, NULL);
        write_config(c, l, (const char *const[]){ "a" }, (const layer *const[]){ x }, 1, NULL, 0, PARE_F16, "");
        break_it(c, b);
        pare_status st = ckpt_open(c, NULL, &store, &w, &err), want = b->status ? b->status : PARE_ERR_FORMAT;
        if (st != want || !strstr(err.text, b->message))
            fail_msg("case %d, %s %s: status %d, '%s'; wanted %d and '%s'", (int)i, b->layout, b->part, st, err.text, want, b->message);
        ckpt_free(c);
        layer_free(x);
    }
}

/* Wrong values inside good shapes are found when the layer is read. */
static void broken_values(void **state)
{
    pare_store *store;
    pare_weights *w;
    pare_qtensor *q;
    pare_err err = { 0 };
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const layouts[] = { "gptq", "compressed-tensors", "quanto" }, *const messages[] = { "entry 5 is group 3 of 3", "outside 4 bits",
                                                                                                             "shift 16 of 0 to 15" };
        const pare_layout *l = pare_layout_find(layouts[i]);
        pare_scheme scheme = scheme_int(4, true, PARE_PER_GROUP, 32);
        char warn[256];
        if (i == 1) scheme.act = PARE_ACT_DYNAMIC_TOKEN, scheme.act_bits = 8;
        assert_ok(l->check(&scheme, PARE_F16, "a", 2, (int64_t[]){ 64, 96 }, warn, &err));
        layer *x = layer_new(&scheme, 64, 96, 5);
        ckpt *c = ckpt_new();
        layer_pack(c, l, x, "a", PARE_F16, 1);
        write_config(c, l, (const char *const[]){ "a" }, (const layer *const[]){ x }, 1, NULL, 0, PARE_F16, "");
        if (i == 0) pare_put_le32(ckpt_get(c, "a.g_idx")->data + 20, 3);
        if (i == 1) ckpt_get(c, "a.weight")->data[7] = 8;
        if (i == 2) ckpt_get(c, "a.weight._shift")->data[0] = 16;
        assert_ok(ckpt_open(c, NULL, &store, &w, &err));
        assert_error(pare_weights_qtensor(w, 0, 0, 64, &q, &err), PARE_ERR_FORMAT, messages[i]);
        pare_weights_free(w);
        pare_store_close(store);
        ckpt_free(c);
        layer_free(x);
    }
}

/* quanto stores no shape; nothing beside it: say so. */
static void quanto_without_shape(void **state)
{
    pare_store *store;
    pare_weights *w;
    pare_err err = { 0 };
    ckpt *c = ckpt_new();
    (void)state;
    ckpt_add(c, "x.weight._data._data", PARE_U8, 2, (int64_t[]){ 8, 128 }, NULL);
    ckpt_add(c, "x.weight._scale", PARE_F16, 2, (int64_t[]){ 16, 1 }, NULL);
    ckpt_add(c, "x.weight._shift", PARE_F16, 2, (int64_t[]){ 16, 1 }, NULL);
    assert_error(ckpt_open(c, NULL, &store, &w, &err), PARE_ERR_UNSUPPORTED, "stores no shape");
    ckpt_add(c, "x.bias", PARE_F16, 1, (int64_t[]){ 8 }, NULL);
    assert_ok(ckpt_open(c, NULL, &store, &w, &err));
    assert_int_equal(w->at[0].shape[0], 8);
    assert_int_equal(w->at[0].shape[1], 256);
    pare_weights_free(w);
    pare_store_close(store);
    ckpt_get(c, "x.bias")->shape[0] = 5;
    ckpt_get(c, "x.bias")->bytes = 10;
    assert_error(ckpt_open(c, NULL, &store, &w, &err), PARE_ERR_FORMAT, "no matrix");
    ckpt_free(c);
}

/* -------------------------------------------------------------------------------------------------------- before work */

typedef struct asked {
    const char *layout, *scheme;
    int64_t shape[2];
    pare_status status;
    const char *text;          /* in the error, or in the warning; "" = neither */
} asked;

static const asked questions[] = {
    { "gptq", "W4A16", { 4096, 4096 }, PARE_OK, "" },
    { "gptq", "W8A16", { 4096, 4096 }, PARE_OK, "" },
    { "gptq", "W5A16", { 64, 128 }, PARE_ERR_USAGE, "2, 3, 4 or 8 bits" },
    { "gptq", "W8A8", { 64, 128 }, PARE_ERR_USAGE, "weight-only" },
    { "gptq", "FP8_DYNAMIC", { 64, 128 }, PARE_ERR_USAGE, "2, 3, 4 or 8 bits" },
    { "gptq", "W4A16:tensor", { 64, 128 }, PARE_ERR_USAGE, "per output channel or per group" },
    { "gptq", "W4A16", { 64, 172 }, PARE_ERR_UNSUPPORTED, "out 64, in 172" },
    { "gptq", "W4A16", { 64, 160 }, PARE_ERR_UNSUPPORTED, "in 160 is not a multiple of the group size 128" },
    { "gptq", "W4A16:g32", { 96, 160 }, PARE_OK, "out % 64 = 0 and in % 128 = 0 (out 96, in 160)" },
    { "gptq", "W4A16:g96", { 64, 384 }, PARE_OK, "groups of 96" },
    { "gptq", "W3A16", { 64, 128 }, PARE_OK, "does not read 3-bit GPTQ" },
    { "gptq", "W4A16_ASYM", { 64, 128 }, PARE_OK, "GPTQModel.load refuses" },
    { "gptq_v2", "W4A16", { 64, 128 }, PARE_OK, "gptq_v2 is read by" },
    { "awq", "W4A16", { 4096, 4096 }, PARE_OK, "" },
    { "awq", "W8A16", { 64, 128 }, PARE_ERR_USAGE, "4 bits" },
    { "awq", "W4A16", { 60, 128 }, PARE_ERR_UNSUPPORTED, "out 60 is not a multiple of 8" },
    { "awq", "W4A16", { 64, 192 }, PARE_ERR_UNSUPPORTED, "in 192 is not a multiple" },
    { "awq", "W4A16:g32", { 24, 128 }, PARE_OK, "Marlin" },
    { "compressed-tensors", "W4A16", { 17, 128 }, PARE_OK, "" },
    { "compressed-tensors", "W8A16", { 17, 13 }, PARE_OK, "" },
    { "compressed-tensors", "INT8", { 17, 13 }, PARE_OK, "" },
    { "compressed-tensors", "FP8_DYNAMIC", { 17, 13 }, PARE_OK, "" },
    { "compressed-tensors", "W4A16", { 64, 130 }, PARE_ERR_UNSUPPORTED, "in 130 is not a multiple of the group size 128" },
    { "compressed-tensors", "W4A16_ASYM", { 64, 128 }, PARE_OK, "dequantize=True" },
    { "compressed-tensors", "W3A16", { 64, 128 }, PARE_OK, "3 bits" },
    { "compressed-tensors", "W8A16:64x64", { 64, 128 }, PARE_ERR_USAGE, "tiles (64 x 64) for float8 only" },
    { "compressed-tensors", "FP8_WEIGHT:64x64", { 64, 128 }, PARE_OK, "128 x 128" },
    { "quanto", "W4A16", { 64, 256 }, PARE_OK, "transformers' AutoModel" },
    { "quanto", "W4A16:g64", { 64, 256 }, PARE_OK, "128 of 256, not 64" },
    { "quanto", "W8A16_ASYM", { 64, 256 }, PARE_ERR_USAGE, "symmetric" },
    { "quanto", "W3A16", { 64, 256 }, PARE_ERR_USAGE, "2, 4 or 8 bits" },
    { "bitsandbytes", "NF4", { 17, 128 }, PARE_OK, "" },
    { "bitsandbytes", "NF4:nested", { 17, 96 }, PARE_OK, "blocks of 64 cross rows of 96" },
    { "bitsandbytes", "NF4:g48", { 16, 96 }, PARE_ERR_USAGE, "32, 64, ... 4096" },
    { "bitsandbytes", "W4A16", { 16, 96 }, PARE_ERR_USAGE, "NF4, FP4 and LLM_INT8, not W4A16" },
    { "bitsandbytes", "LLM_INT8", { 17, 13 }, PARE_OK, "" },
    { "bitsandbytes", "LLM_INT8:tensor", { 17, 13 }, PARE_ERR_USAGE, "a scale per output channel" },
    { "compressed-tensors", "NF4", { 17, 128 }, PARE_ERR_USAGE, "does not store NF4" },
    { "compressed-tensors", "NVFP4", { 16, 48 }, PARE_OK, "" },
    { "compressed-tensors", "NVFP4", { 16, 40 }, PARE_ERR_UNSUPPORTED, "in 40 is not a multiple of the group size 16" },
    { "compressed-tensors", "NVFP4:g32", { 16, 64 }, PARE_ERR_USAGE, "groups of 16" },
    { "compressed-tensors", "MXFP4", { 16, 64 }, PARE_OK, "" },
    { "compressed-tensors", "MXFP8:channel", { 16, 64 }, PARE_ERR_USAGE, "groups of 32" },
    { "compressed-tensors", "FP8", { 17, 13 }, PARE_OK, "" },
    { "compressed-tensors", "FP8_BLOCK", { 17, 13 }, PARE_OK, "" },
    { "compressed-tensors", "LLM_INT8", { 17, 13 }, PARE_ERR_USAGE, "does not store the activations of LLM_INT8" },
    { "gptq", "MXFP4", { 64, 128 }, PARE_ERR_USAGE, "GPTQ does not store MXFP4" },
    { "fp8", "FP8_BLOCK", { 130, 200 }, PARE_OK, "" },
    { "fp8", "FP8_BLOCK:64x64", { 130, 200 }, PARE_ERR_USAGE, "groups of 64" },
    { "fp8", "FP8_DYNAMIC", { 130, 200 }, PARE_ERR_USAGE, "in tiles" },
    { "hqq", "W4A16_ASYM:g64", { 64, 128 }, PARE_OK, "transformers 5" },
    { "hqq", "W4A16_ASYM:g64", { 1, 64 }, PARE_ERR_UNSUPPORTED, "1 is no multiple of 2" },
    { "hqq", "W4A16_ASYM:g64", { 3, 50 }, PARE_ERR_UNSUPPORTED, "no whole number of groups of 64" },
    { "hqq", "W4A16", { 64, 128 }, PARE_ERR_USAGE, "asymmetric" },
    { "hqq", "W7A16_ASYM", { 64, 128 }, PARE_ERR_USAGE, "5, 6 or 8 bits" },
    { "compressed-tensors", "W4A16_ASYM:fzero", { 64, 128 }, PARE_ERR_USAGE, "does not store W4A16_ASYM" },
    { "course", "W8A16", { 7, 5 }, PARE_OK, "" },
    { "course", "W4A16", { 64, 128 }, PARE_ERR_USAGE, "W8A16" },
};

static void asked_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        const asked *a = &questions[i];
        pare_scheme s;
        pare_err err = { 0 };
        char warn[256] = "";
        if (pare_scheme_parse(a->scheme, &s, &err) != PARE_OK) fail_msg("%s", err.text);
        pare_status st = pare_layout_find(a->layout)->check(&s, PARE_BF16, "a.weight", 2, a->shape, warn, &err);
        const char *said = st == PARE_OK ? warn : err.text;
        if (st != a->status || !strstr(said, a->text) || (!*a->text && *said))
            fail_msg("%s %s: status %d, '%s'; wanted %d, '%s'", a->layout, a->scheme, st, said, a->status, a->text);
    }
}

static void other_ranks(void **state)
{
    const int64_t conv[4] = { 8, 4, 3, 3 };
    (void)state;
    for (const pare_layout *const *l = pare_layouts(); *l; l++) {
        pare_scheme s;
        pare_err err = { 0 };
        char warn[256];
        if (!(*l)->check) continue; /* read only */
        bool taken = !strcmp((*l)->name, "quanto") || !strcmp((*l)->name, "compressed-tensors"); /* convolutions */
        assert_ok(pare_scheme_parse(!strcmp((*l)->name, "awq") ? "W4A16" : !strcmp((*l)->name, "bitsandbytes") ? "NF4" : !strcmp((*l)->name, "hqq") ? "W4A16_ASYM" : !strcmp((*l)->name, "fp8") ? "FP8_BLOCK" : "W8A16",
                                    &s, &err));
        assert_int_equal((*l)->check(&s, PARE_F32, "conv.weight", 4, conv, warn, &err), taken ? PARE_OK : PARE_ERR_UNSUPPORTED);
        if (!taken) assert_non_null(strstr(err.text, "[8, 4, 3, 3]"));
        assert_non_null((*l)->help);
        assert_non_null((*l)->loaders);
        assert_non_null((*l)->packing);
        assert_non_null((*l)->schemes);
        assert_ptr_equal(pare_layout_find((*l)->name), *l);
    }
    assert_null(pare_layout_find("nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files), cmocka_unit_test(broken_values), cmocka_unit_test(quanto_without_shape), cmocka_unit_test(asked_before),
        cmocka_unit_test(other_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
