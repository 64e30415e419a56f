/* SPDX-License-Identifier: Apache-2.0 */
/* Random damage: shapes, dtypes, names, contents and configuration. Every checkpoint either opens and reads, or is one error. For sanitizers. */
#include "unit/layout/layout_support.h"

static const char *const layouts[] = { "compressed-tensors", "compressed-tensors", "gptq", "gptq_v2", "awq", "quanto", "quanto", "course",
                                      "bitsandbytes", "bitsandbytes", "bitsandbytes", "hqq", "hqq", "compressed-tensors", "compressed-tensors", "fp8" };
static const char *const schemes[] = { "W4A16_ASYM:g32", "FP8_WEIGHT:16x32", "W3A16_ASYM:g32", "W4A16:channel", "W4A16:g32", "W4A16", "W8A16", "W8A16",
                                      "NF4", "FP4:g128:nested", "LLM_INT8", "W3A16_ASYM:g64", "W4A16_ASYM:g64:axis0:fzero", "NVFP4", "MXFP8", "FP8_BLOCK" };

static void resize(ckpt_tensor *t)
{
    int64_t numel = 1;
    for (int i = 0; i < t->ndim; i++) numel *= t->shape[i];
    size_t bytes = pare_dtype_bytes(t->dtype, (uint64_t)numel);
    t->data = realloc(t->data, bytes + 1);
    if (bytes > t->bytes) memset(t->data + t->bytes, 0x5A, bytes - t->bytes);
    t->bytes = bytes;
}

static void damage(ckpt *c, uint64_t *state)
{
    static const pare_dtype dtypes[] = { PARE_F32, PARE_F16, PARE_BF16, PARE_I32, PARE_I8, PARE_U8, PARE_I64, PARE_F8_E4M3FN, PARE_I16 };
    static const char *const suffixes[] = { ".qweight", ".qzeros", ".scales", ".g_idx", ".weight", ".weight_scale", ".weight_packed", ".weight_shape",
                                            ".weight_zero_point", ".weight_g_idx", ".weight._data", ".weight._scale", ".weight._shift", ".int8_weights",
                                            ".weight.absmax", ".weight.quant_state.bitsandbytes__nf4", ".SCB", ".weight_format" };
    ckpt_tensor *t = &c->at[rnd(state) % (uint64_t)c->n];
    switch (rnd(state) % 6) {
    case 0:
        if (t->ndim) t->shape[rnd(state) % (uint64_t)t->ndim] = (int64_t)(rnd(state) % 100);
        resize(t);
        break;
    case 1:
        if (t->ndim) t->shape[rnd(state) % (uint64_t)t->ndim] += rnd(state) % 2 ? 1 : 32;
        resize(t);
        break;
    case 2:
        t->dtype = dtypes[rnd(state) % (sizeof dtypes / sizeof *dtypes)];
        resize(t);
        break;
    case 3:
        t->ndim = (int)(rnd(state) % 4);
        for (int i = 0; i < t->ndim; i++) t->shape[i] = t->shape[i] ? t->shape[i] : 1;
        resize(t);
        break;
    case 4: snprintf(t->name, sizeof t->name, "%s%s", rnd(state) % 2 ? "a" : "b", suffixes[rnd(state) % (sizeof suffixes / sizeof *suffixes)]); break;
    default:
        for (size_t i = 0; i < t->bytes; i++)
            if (rnd(state) % 4 == 0) t->data[i] = (uint8_t)rnd(state);
    }
}

/* Numbers of config.json replaced by others. */
static void damage_config(ckpt *c, uint64_t *state)
{
    static const char *const values[] = { "0", "-1", "1", "3", "7", "33", "1000000", "9223372036854775807", "1.5", "null", "\"x\"", "[]" };
    char path[512], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/config.json", c->folder);
    assert_ok(pare_read_file(path, 1 << 16, &text, &n, NULL));
    pare_str out = { 0 };
    for (size_t i = 0; i < n;) {
        size_t digits = strspn(text + i, "0123456789");
        bool number = digits && i && text[i - 1] == ' ';
        if (number && rnd(state) % 3 == 0) pare_str_add(&out, values[rnd(state) % (sizeof values / sizeof *values)]);
        else pare_str_addn(&out, text + i, number ? digits : 1);
        i += number ? digits : 1;
    }
    test_write(path, out.at, out.n);
    pare_str_clear(&out);
    pare_dealloc(text);
}

static void read_everything(const pare_weights *w)
{
    pare_err err = { 0 };
    for (int64_t i = 0; i < w->n; i++) {
        int64_t rows = w->at[i].ndim ? w->at[i].shape[0] : 1, rest = 1;
        for (int d = 1; d < w->at[i].ndim; d++) rest *= w->at[i].shape[d];
        float *x = malloc((size_t)(rows * rest + 1) * sizeof *x);
        assert_non_null(x);
        (void)pare_weights_read(NULL, w, i, 0, rows, x, &err);
        if (rows > 2) (void)pare_weights_read(NULL, w, i, 1, rows - 2, x, &err);
        free(x);
    }
}

static void hostile(void **state)
{
    uint64_t seed = 42;
    int opened = 0, refused = 0;
    (void)state;
    for (int round = 0; round < 4500; round++) {
        size_t kind = (size_t)round % (sizeof layouts / sizeof *layouts);
        const pare_layout *l = pare_layout_find(layouts[kind]);
        pare_scheme s;
        char warn[256];
        pare_err err = { 0 };
        pare_store *store;
        pare_weights *w;
        assert_ok(pare_scheme_parse(schemes[kind], &s, &err));
        assert_ok(l->check(&s, PARE_F16, "a", 2, (int64_t[]){ 32, 64 }, warn, &err));
        layer *x = layer_new(&s, 32, 64, (uint64_t)round);
        ckpt *c = ckpt_new();
        layer_pack(c, l, x, "a", PARE_F16, 1);
        if (rnd(&seed) % 4) write_config(c, l, (const char *const[]){ "a" }, (const layer *const[]){ x }, 1, NULL, 0, PARE_F16, "");
        else ckpt_file(c, "config.json", "{\"hidden_size\": 64}");
        for (uint64_t n = rnd(&seed) % 3; n; n--) damage(c, &seed);
        if (rnd(&seed) % 2) damage_config(c, &seed);
        pare_status st = ckpt_open(c, NULL, &store, &w, &err);
        if (st == PARE_OK) {
            read_everything(w);
            pare_weights_free(w);
            pare_store_close(store);
            opened++;
        } else {
            assert_true(err.text[0]);
            refused++;
        }
        ckpt_free(c);
        layer_free(x);
    }
    print_message("%d opened, %d refused\n", opened, refused);
    assert_true(opened > 400 && refused > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hostile) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
