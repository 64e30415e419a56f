/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that other people's libraries packed (tests/golden/layouts, see README.md there): our values are theirs bit for bit,
 * and packing the codes again gives their bytes. Then the golden words of docs/formats.md.
 */
#include "unit/layout/layout_support.h"

#define GOLDEN PARE_SOURCE_DIR "/tests/golden/layouts"

/* ---------------------------------------------------------------------------------------------- layers of real libraries */

/* Values rounded to the library's dtype, compared as bits. */
static void compare_values(const char *name, const pare_weights *w, int64_t at, const char *values_path)
{
    pare_store *store;
    const uint8_t *want;
    pare_err err = { 0 };
    const pare_weight *x = &w->at[at];
    int64_t n = x->shape[0] * x->shape[1];
    float *got = malloc((size_t)n * sizeof *got);
    if (pare_store_open(values_path, &store, &err) != PARE_OK) fail_msg("%s", err.text);
    int64_t t = pare_store_find(store, x->name);
    assert_true(t >= 0);
    assert_int_equal(store->tensors[t].numel, n);
    assert_ok(pare_store_data(store, t, &want, NULL));
    if (pare_weights_read(NULL, w, at, 0, x->shape[0], got, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    uint8_t *rounded = malloc((size_t)store->tensors[t].bytes);
    assert_ok(pare_from_f32(rounded, store->tensors[t].dtype, got, n, false, NULL));
    for (int64_t i = 0; i < n; i++) {
        float theirs;
        size_t size = (size_t)store->tensors[t].bytes / (size_t)n;
        assert_ok(pare_to_f32(&theirs, store->tensors[t].dtype, want + (size_t)i * size, 1, NULL));
        if (memcmp(rounded + (size_t)i * size, want + (size_t)i * size, size) && !(theirs == 0 && got[i] == 0))
            fail_msg("%s: element %d is %.9g, theirs %.9g", name, (int)i, (double)got[i], (double)theirs);
    }
    free(rounded);
    free(got);
    pare_store_close(store);
}

/* A layer's nested scales as the file has them. */
static const pare_nested *nested_of(const pare_weights *w, const pare_weight *x, pare_nested *out)
{
    const uint8_t *state, *data;
    char name[200];
    const char *at;
    *out = (pare_nested){ .block = 256 };
    snprintf(name, sizeof name, "%s.absmax", x->name);
    const int64_t codes = pare_store_find(w->store, name);
    snprintf(name, sizeof name, "%s.nested_absmax", x->name);
    const int64_t scales = pare_store_find(w->store, name);
    snprintf(name, sizeof name, "%s.quant_state.bitsandbytes__%s", x->name, x->scheme.codebook == PARE_BOOK_NF4 ? "nf4" : "fp4");
    assert_ok(pare_store_data(w->store, pare_store_find(w->store, name), &state, NULL));
    assert_non_null(at = strstr((const char *)state, "nested_offset"));
    out->offset = strtof(at + strlen("nested_offset\": "), NULL);
    out->n = w->store->tensors[codes].numel;
    out->n_scales = w->store->tensors[scales].numel;
    assert_ok(pare_store_data(w->store, codes, &data, NULL));
    out->codes = (uint8_t *)(uintptr_t)data;
    assert_ok(pare_store_data(w->store, scales, &data, NULL));
    out->scales = (float *)(uintptr_t)data;
    return out;
}

/* Packs what was read and compares each part with the file's. */
static void compare_bytes(const char *name, const pare_weights *w, int64_t at)
{
    const pare_weight *x = &w->at[at];
    pare_scheme scheme = x->scheme;
    pare_part parts[PARE_MAX_PARTS];
    uint8_t *dst[PARE_MAX_PARTS];
    pare_qtensor *q;
    pare_err err = { 0 };
    char warn[256];
    int n;
    if (pare_weights_qtensor(w, at, 0, x->shape[0], &q, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    if (x->layout->check(&scheme, w->at[at].dtype, x->name, 2, x->shape, warn, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    assert_ok(x->layout->parts(&scheme, w->at[at].dtype, 2, x->shape, parts, &n, NULL));
    bool wrapped = false; /* a zero point that v1 cannot store, written by a library that lets it wrap */
    for (int64_t i = 0; q->zeros && i < q->grid.n_scales; i++)
        if (q->zeros[i] < scheme.zero_min) wrapped = true, q->zeros[i] = scheme.zero_min;
    for (int p = 0; p < n; p++) dst[p] = calloc(1, (size_t)pare_part_bytes(&parts[p]));
    pare_pack_in in = { .scheme = &scheme, .rows_total = x->shape[0], .cols = x->shape[1], .rows = x->shape[0], .codes = q->codes, .scales = q->scales,
                        .zeros = q->zeros, .fzeros = q->fzeros, .global_scale = q->global_scale, .model_dtype = w->at[at].dtype, .input_scale = q->input_scale };
    pare_nested nested;
    if (scheme.nested) in.nested = nested_of(w, x, &nested);
    if (x->layout->pack(pare_kernels_get(NULL), &in, parts, n, dst, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    for (int p = 0; p < n; p++) {
        char full[160];
        const uint8_t *theirs;
        snprintf(full, sizeof full, "%.*s%.47s", (int)(strlen(x->name) - 7), x->name, parts[p].suffix);
        int64_t t = pare_store_find(w->store, full);
        bool ours_alone = (scheme.nested && strstr(full, "quant_state")) || strstr(full, "put_scale") || strstr(full, "_shift") || (q->g_idx && strstr(full, "g_idx")) || (wrapped && strstr(full, "qzeros"));
        if (!ours_alone || t >= 0) {
            if (t < 0) fail_msg("%s: they have no %s", name, full);
            const pare_tensor *tensor = &w->store->tensors[t];
            assert_ok(pare_store_data(w->store, t, &theirs, NULL));
            if (!ours_alone) {
                assert_int_equal(tensor->bytes, pare_part_bytes(&parts[p]));
                assert_int_equal(tensor->ndim, parts[p].ndim);
                assert_int_equal(tensor->dtype, parts[p].dtype);
                assert_memory_equal(tensor->shape, parts[p].shape, (size_t)tensor->ndim * sizeof(int64_t));
                if (memcmp(theirs, dst[p], (size_t)tensor->bytes)) fail_msg("%s: bytes of %s differ", name, full);
            }
        }
        free(dst[p]);
    }
    pare_qtensor_free(q);
}

static void one_case(const pare_jval *entry, const char *module)
{
    const char *name = pare_j_text(pare_j_get(entry, "case"), ""), *layout = pare_j_text(pare_j_get(entry, "layout"), "");
    char path[512], weight[160];
    pare_store *store;
    pare_weights *w;
    pare_err err = { 0 };
    snprintf(path, sizeof path, GOLDEN "/%s", name);
    if (pare_store_open(path, &store, &err) != PARE_OK) fail_msg("%s: %s", name, err.text);
    pare_status st = pare_weights_new(NULL, store, &w, &err);
    if (st == PARE_ERR_UNSUPPORTED && strstr(err.text, "stores no shape")) { /* quanto without sizes in config.json: tell it one */
        ckpt *c = ckpt_new();
        char text[256], from[600], to[600];
        static const char *const copy[] = { "model.safetensors", "quanto_qmap.json" };
        pare_store_close(store);
        for (int i = 0; i < 2; i++) {
            snprintf(from, sizeof from, "%s/%s", path, copy[i]);
            snprintf(to, sizeof to, "%s/%s", c->folder, copy[i]);
            assert_ok(pare_copy_file(from, to, NULL, NULL));
        }
        snprintf(text, sizeof text, "{\"hidden_size\":%d}", (int)pare_j_int(pare_j_at(pare_j_get(entry, "shape"), 1), 0));
        ckpt_file(c, "config.json", text);
        assert_ok(pare_store_open(c->folder, &store, NULL));
        ckpt_free(c); /* mapped files stay */
        st = pare_weights_new(NULL, store, &w, &err);
    }
    if (st != PARE_OK) fail_msg("%s: %s", name, err.text);
    snprintf(weight, sizeof weight, "%s.weight", module);
    int64_t at = pare_weights_find(w, weight);
    if (at < 0) fail_msg("%s: no %s", name, weight);
    assert_int_equal(w->n, !strcmp(layout, "course") ? 2 : 1);
    assert_non_null(w->layout);
    if (strncmp(w->layout->name, layout, strlen(layout))) fail_msg("%s: taken for %s", name, w->layout->name);
    assert_int_equal(w->at[at].shape[0], pare_j_int(pare_j_at(pare_j_get(entry, "shape"), 0), -1));
    assert_int_equal(w->at[at].shape[1], pare_j_int(pare_j_at(pare_j_get(entry, "shape"), 1), -1));
    snprintf(path, sizeof path, GOLDEN "/%s.values.safetensors", name);
    compare_values(name, w, at, path);
    compare_bytes(name, w, at);
    pare_weights_free(w);
    pare_store_close(store);
}

static void real_libraries(void **state)
{
    pare_jdoc *doc;
    pare_err err = { 0 };
    (void)state;
    if (pare_jdoc_load(GOLDEN "/index.json", 1 << 20, &doc, &err) != PARE_OK) {
        print_message("no golden layers: %s\n", err.text);
        skip();
    }
    const pare_jval *root = pare_jdoc_root(doc), *cases = pare_j_get(root, "cases");
    for (size_t i = 0; i < pare_j_count(cases); i++) one_case(pare_j_at(cases, i), pare_j_text(pare_j_get(root, "layer"), ""));
    assert_true(pare_j_count(cases) > 25);
    pare_jdoc_free(doc);
}

/* ------------------------------------------------------------------------------------------------------- golden words */

/* Packs a layer with the given codes in its first row or column and returns part p's words. */
static ckpt *packed(const char *layout, pare_scheme scheme, int64_t rows, int64_t cols, bool down, const uint8_t *codes, int n)
{
    const pare_layout *l = pare_layout_find(layout);
    char warn[256];
    pare_err err = { 0 };
    if (l->check(&scheme, PARE_F32, "t", 2, (int64_t[]){ rows, cols }, warn, &err) != PARE_OK) fail_msg("%s", err.text);
    layer *x = layer_new(&scheme, rows, cols, 1);
    for (int i = 0; i < n; i++) x->codes[down ? i * cols : i] = codes[i];
    ckpt *c = ckpt_new();
    layer_pack(c, l, x, "m", PARE_F32, 3);
    layer_free(x);
    return c;
}

static void words(ckpt *c, const char *name, const uint32_t *want, int n, size_t stride)
{
    const ckpt_tensor *t = ckpt_get(c, name);
    for (int i = 0; i < n; i++) assert_int_equal(pare_le32(t->data + (size_t)i * stride * 4), want[i]);
}

static const uint8_t ramp[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };

static void zeros_of_gptq(void **state)
{
    static const struct { const char *layout; int bits; uint32_t word; } cases[] = {
        { "gptq", 4, 0x77777777 }, { "gptq_v2", 4, 0x88888888 }, { "gptq", 8, 0x7f7f7f7f }, { "gptq_v2", 8, 0x80808080 }, { "gptq", 2, 0x55555555 } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ckpt *c = packed(cases[i].layout, scheme_int(cases[i].bits, true, PARE_PER_GROUP, 32), 32, 64, false, ramp, 0);
        const ckpt_tensor *z = ckpt_get(c, "m.qzeros");
        for (size_t j = 0; j < z->bytes; j += 4) assert_int_equal(pare_le32(z->data + j), cases[i].word);
        ckpt_free(c);
    }
}

static void words_of_gptq(void **state)
{
    uint8_t codes[32];
    (void)state;
    ckpt *c = packed("gptq", scheme_int(4, true, PARE_PER_CHANNEL, 0), 32, 32, false, ramp, 8);
    words(c, "m.qweight", (uint32_t[]){ 0x76543210 }, 1, 32);
    ckpt_free(c);
    for (int i = 0; i < 32; i++) codes[i] = (uint8_t)(i % 8);
    c = packed("gptq", scheme_int(3, true, PARE_PER_CHANNEL, 0), 32, 32, false, codes, 32);
    words(c, "m.qweight", (uint32_t[]){ 0x88FAC688, 0xC688FAC6, 0xFAC688FA }, 3, 32);
    for (int i = 0; i < 32; i++) assert_int_equal(pare_le32(ckpt_get(c, "m.g_idx")->data + 4 * i), 0);
    ckpt_free(c);
}

static void words_of_others(void **state)
{
    static const uint8_t quanto4[4] = { 0x40, 0x51, 0x62, 0x73 };
    (void)state;
    ckpt *c = packed("awq", scheme_int(4, true, PARE_PER_CHANNEL, 0), 8, 32, true, ramp, 8);
    words(c, "m.qweight", (uint32_t[]){ 0x75316420 }, 1, 1);
    words(c, "m.qzeros", (uint32_t[]){ 0x88888888 }, 1, 1);
    ckpt_free(c);
    c = packed("compressed-tensors", scheme_int(4, true, PARE_PER_CHANNEL, 0), 8, 32, false, ramp, 8); /* values -8 ... -1 */
    words(c, "m.weight_packed", (uint32_t[]){ 0x76543210 }, 1, 1);
    ckpt_free(c);
    c = packed("quanto", scheme_int(4, true, PARE_PER_CHANNEL, 0), 8, 32, true, ramp, 8);
    for (int i = 0; i < 4; i++) assert_int_equal(ckpt_get(c, "m.weight._data._data")->data[32 * i], quanto4[i]);
    ckpt_free(c);
    c = packed("compressed-tensors", scheme_int(5, true, PARE_PER_CHANNEL, 0), 1, 32, false,
               (uint8_t[]){ 3, 10, 17, 24, 31, 6, 13, 20, 27, 2, 9, 16, 23, 30, 5, 12, 19, 26, 1, 8, 15, 22, 29, 4, 11, 18, 25, 0, 7, 14, 21, 28 }, 32);
    words(c, "m.weight_packed", (uint32_t[]){ 0x4DFC4543, 0x78245BA3, 0x0753617D, 0x4B276CF4, 0xE55C7066 }, 5, 1);
    ckpt_free(c);
}

/* -------------------------------------------------------------------------------------------- forms that are only read */

/* AutoAWQ's pack_intweight, as its reshapes and transposes do it. */
static void awq_fast(const uint8_t *codes, int64_t rows, int64_t cols, uint8_t *dst)
{
    for (int64_t n = 0; n < rows; n++)
        for (int64_t block = 0; block < cols / 32; block++) {
            uint8_t a[32], b[32];
            for (int i = 0; i < 4; i++) /* [4, 4, 2] -> transpose(1, 0, 2) */
                for (int j = 0; j < 4; j++)
                    for (int k = 0; k < 2; k++) a[(j * 4 + i) * 2 + k] = codes[n * cols + block * 32 + (i * 4 + j) * 2 + k];
            for (int i = 0; i < 4; i++) /* eights: [4, 2] -> [2, 4] */
                for (int j = 0; j < 4; j++)
                    for (int k = 0; k < 2; k++) b[i * 8 + k * 4 + j] = a[i * 8 + j * 2 + k];
            for (int i = 0; i < 32; i++) { /* four rows interleaved by 64, then four codes a word */
                int64_t flat = (block * 32 + i) / 64 * 256 + n % 4 * 64 + (block * 32 + i) % 64, word = flat / 4;
                uint8_t *at = dst + (n / 4 * cols + word) * 2 + flat % 4 / 2;
                *at = (uint8_t)(flat % 2 ? (*at & 15) | b[i] << 4 : (*at & 0xf0) | b[i]);
            }
        }
}

static void awq_gemv(void **state)
{
    enum { ROWS = 16, COLS = 256, GROUP = 64, GROUPS = 4, STORED = 16 }; /* zw = ceil(4 / 8) = 1, up to 2 */
    (void)state;
    for (int fast = 0; fast < 2; fast++) {
        pare_scheme scheme = scheme_int(4, false, PARE_PER_GROUP, GROUP);
        scheme.scale_dtype = PARE_F16;
        scheme.zero_min = 0;
        layer *l = layer_new(&scheme, ROWS, COLS, 7);
        ckpt *c = ckpt_new();
        pare_store *store;
        pare_weights *w;
        pare_err err = { 0 };
        if (!fast) {
            ckpt_tensor *qw = ckpt_add(c, "m.qweight", PARE_I32, 2, (int64_t[]){ ROWS, COLS / 8 }, NULL);
            ckpt_tensor *qz = ckpt_add(c, "m.qzeros", PARE_I32, 2, (int64_t[]){ ROWS, STORED / 8 }, NULL);
            ckpt_tensor *s = ckpt_add(c, "m.scales", PARE_F16, 2, (int64_t[]){ ROWS, STORED }, NULL);
            for (int i = 0; i < ROWS * COLS; i++) qw->data[i / 2] |= (uint8_t)(l->codes[i] << i % 2 * 4);
            for (int r = 0; r < ROWS; r++)
                for (int g = 0; g < GROUPS; g++) {
                    qz->data[(r * STORED + g) / 2] |= (uint8_t)(l->zeros[r * GROUPS + g] << g % 2 * 4);
                    pare_put_le16(s->data + (r * STORED + g) * 2, pare_f32_to_f16(l->scales[r * GROUPS + g]));
                }
        } else {
            ckpt_tensor *qw = ckpt_add(c, "m.qweight", PARE_I16, 2, (int64_t[]){ ROWS / 4, COLS }, NULL);
            ckpt_tensor *qz = ckpt_add(c, "m.qzeros", PARE_F16, 2, (int64_t[]){ STORED, ROWS }, NULL);
            ckpt_tensor *s = ckpt_add(c, "m.scales", PARE_F16, 2, (int64_t[]){ STORED, ROWS }, NULL);
            awq_fast(l->codes, ROWS, COLS, qw->data);
            for (int r = 0; r < ROWS; r++)
                for (int g = 0; g < GROUPS; g++) {
                    float scale = l->scales[r * GROUPS + g];
                    pare_put_le16(s->data + (g * ROWS + r) * 2, pare_f32_to_f16(scale));
                    pare_put_le16(qz->data + (g * ROWS + r) * 2, pare_f32_to_f16(-scale * (float)l->zeros[r * GROUPS + g]));
                }
        }
        ckpt_file(c, "config.json", fast ? "{\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,\"version\":\"gemv_fast\"}}"
                                         : "{\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,\"version\":\"GEMV\"}}");
        if (ckpt_open(c, NULL, &store, &w, &err) != PARE_OK) fail_msg("%s", err.text);
        for (int64_t row0 = 0; row0 < ROWS; row0 += 5) {
            pare_qtensor *q;
            int64_t rows = ROWS - row0;
            if (pare_weights_qtensor(w, 0, row0, rows, &q, &err) != PARE_OK) fail_msg("%s", err.text);
            assert_memory_equal(q->codes, l->codes + row0 * COLS, (size_t)(rows * COLS));
            assert_memory_equal(q->zeros, l->zeros + row0 * GROUPS, (size_t)(rows * GROUPS) * 4);
            assert_memory_equal(q->scales, l->scales + row0 * GROUPS, (size_t)(rows * GROUPS) * 4);
            pare_qtensor_free(q);
        }
        pare_weights_free(w);
        pare_store_close(store);
        ckpt_free(c);
        layer_free(l);
    }
}

/* compressed-tensors of May 2026: floor(32/b) codes a word, zero points too. */
static void padded_words(void **state)
{
    (void)state;
    for (int bits = 3; bits <= 7; bits++) {
        enum { ROWS = 40, COLS = 96, GROUPS = 3 };
        if (bits == 4) continue;
        int per = 32 / bits;
        pare_scheme scheme = scheme_int(bits, false, PARE_PER_GROUP, 32);
        scheme.scale_dtype = PARE_F16;
        layer *l = layer_new(&scheme, ROWS, COLS, (uint64_t)bits);
        ckpt *c = ckpt_new();
        pare_store *store;
        pare_weights *w;
        pare_qtensor *q;
        pare_err err = { 0 };
        char text[512];
        int64_t width = (COLS + per - 1) / per, lines = (ROWS + per - 1) / per, shape[2] = { ROWS, COLS };
        ckpt_tensor *packed_part = ckpt_add(c, "m.weight_packed", PARE_I32, 2, (int64_t[]){ ROWS, width }, NULL);
        ckpt_tensor *zeros = ckpt_add(c, "m.weight_zero_point", PARE_I32, 2, (int64_t[]){ lines, GROUPS }, NULL);
        ckpt_tensor *scales = ckpt_add(c, "m.weight_scale", PARE_F16, 2, (int64_t[]){ ROWS, GROUPS }, NULL);
        ckpt_add(c, "m.weight_shape", PARE_I64, 1, (int64_t[]){ 2 }, shape);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t k = 0; k < COLS; k++) {
                uint8_t *at = packed_part->data + (r * width + k / per) * 4;
                pare_put_le32(at, pare_le32(at) | (uint32_t)l->codes[r * COLS + k] << (k % per * bits));
            }
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t g = 0; g < GROUPS; g++) {
                uint8_t *at = zeros->data + (r / per * GROUPS + g) * 4;
                pare_put_le32(at, pare_le32(at) | (uint32_t)l->zeros[r * GROUPS + g] << (r % per * bits));
                pare_put_le16(scales->data + (r * GROUPS + g) * 2, pare_f32_to_f16(l->scales[r * GROUPS + g]));
            }
        snprintf(text, sizeof text, "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":{\"group_0\":"
                 "{\"targets\":[\"Linear\"],\"weights\":{\"num_bits\":%d,\"type\":\"int\",\"symmetric\":false,\"strategy\":\"group\",\"group_size\":32}}}}}", bits);
        ckpt_file(c, "config.json", text);
        if (ckpt_open(c, NULL, &store, &w, &err) != PARE_OK) fail_msg("%s", err.text);
        if (pare_weights_qtensor(w, 0, 0, ROWS, &q, &err) != PARE_OK) fail_msg("%s", err.text);
        assert_memory_equal(q->codes, l->codes, ROWS * COLS);
        assert_memory_equal(q->zeros, l->zeros, ROWS * GROUPS * 4);
        pare_qtensor_free(q);
        pare_weights_free(w);
        pare_store_close(store);
        ckpt_free(c);
        layer_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_libraries), cmocka_unit_test(zeros_of_gptq), cmocka_unit_test(words_of_gptq), cmocka_unit_test(words_of_others),
        cmocka_unit_test(awq_gemv), cmocka_unit_test(padded_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
