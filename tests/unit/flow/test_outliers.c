/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planted outliers in the demo model, from the files to the engine's observer: channels of what the norms give are made 256 times as large, the columns that
 * read them 256 times as small, which changes no bit of the float model. Plain W8A8 breaks; smoothquant and llm.int8 must not. LLM.int8 without outliers
 * (threshold inf) is W8A8.
 */
#include <math.h>

#include "flow/session.h"
#include "support/checkpoint.h"

#define DEMO PARE_SOURCE_DIR "/models/demo"
#define IDS "ids.json"
enum { LAYERS = 4, HIDDEN = 256, TOKENS = 96, WEIGHTS = 7 * LAYERS, FACTOR = 256, CHANNELS = 2 };
static const char *const tried[3] = { "smooth", "half", "int8" };
/* A layer of llm.int8 multiplies the outliers with int8 weights, as bitsandbytes does: columns that are 256 times as small as their row are coarse there. */
static const double layers_at_least[3] = { 10, 10, 5 };
static const int channel[2][CHANNELS] = { { 17, 200 }, { 90, 131 } }; /* of the first norm, of the second */

static pare_ctx *ctx;
static char base[300];
static int32_t ids[TOKENS];

/* ----------------------------------------------------------------------------------------------------------------- files */

static char *folder_of(const char *name) { return pare_path_join(test_folder(), name); }

/* The model in f32, in a folder of its own. */
static char *copy_of_model(const char *name)
{
    pare_job_result result;
    pare_err err = { 0 };
    char *folder = folder_of(name);
    if (pare_convert_model(ctx, DEMO, folder, true, &(pare_quantize_options){ .dtype = "f32" }, &result, &err) != PARE_OK) fail_msg("%s", err.text);
    return folder;
}

static void enlarge(float *x, int64_t rows, int64_t cols, const void *user)
{
    const int *which = user;
    for (int i = 0; i < CHANNELS; i++) x[which[i]] *= FACTOR;
    assert_true(cols == 1 && rows == HIDDEN);
}

static void shrink(float *w, int64_t rows, int64_t cols, const void *user)
{
    const int *which = user;
    assert_int_equal(cols, HIDDEN);
    for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < CHANNELS; i++) w[r * cols + which[i]] /= FACTOR;
}

/* Every row ends at 127/512: all rules of 8-bit codes have the one scale 2^-9 then. */
static void even_out(float *w, int64_t rows, int64_t cols, const void *user)
{
    (void)user;
    for (int64_t r = 0; r < rows; r++, w += cols) {
        for (int64_t c = 0; c < cols; c++) w[c] = fminf(fmaxf(w[c], -0.24f), 0.24f);
        w[r % cols] = 127.0f / 512;
    }
}

static const char *const parts[7] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj", "self_attn.o_proj", "mlp.down_proj" };

static void change_layers(const char *folder, test_tensor_fn norm, test_tensor_fn linear, int n)
{
    char name[128];
    for (int l = 0; l < LAYERS; l++) {
        for (int k = 0; k < 2 && norm; k++) {
            snprintf(name, sizeof name, "model.layers.%d.%s_layernorm.weight", l, k ? "post_attention" : "input");
            test_change_tensor(folder, name, norm, channel[k]);
        }
        for (int k = 0; k < n; k++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, parts[k]);
            test_change_tensor(folder, name, linear, channel[k >= 3]);
        }
    }
}

static char *quantized(const char *from, const char *name, const char *method, const char *scheme, const char *format, const char *set)
{
    pare_job_result result;
    pare_err err = { 0 };
    char *folder = folder_of(name), *text = folder_of(IDS);
    const pare_quantize_options o = { .method = method, .scheme_name = scheme, .format = format, .dtype = "f32", .calibration = text, .samples = 4, .seq_len = 64,
                                      .set = &set, .n_set = set ? 1 : 0 };
    if (pare_quantize_model(ctx, from, folder, &o, &result, NULL, &err) != PARE_OK) fail_msg("%s: %s", method, err.text);
    assert_int_equal(result.quantized_tensors, WEIGHTS);
    pare_dealloc(text);
    return folder;
}

/* --------------------------------------------------------------------------------------------------------------- engine */

typedef struct outputs { int n; char name[WEIGHTS][128]; float *y[WEIGHTS]; int64_t numel[WEIGHTS]; float *logits; int64_t vocab; } outputs;

static pare_status see(void *user, const pare_gnode *node, int which, const pare_gweight *w, const float *x, int64_t n, int64_t cols, const float *y, int64_t rows,
                       pare_err *err)
{
    outputs *o = user;
    (void)node, (void)which, (void)x, (void)cols, (void)err;
    if (w->role != PARE_GW_LINEAR) return PARE_OK;
    assert_true(o->n < WEIGHTS && n == TOKENS);
    snprintf(o->name[o->n], sizeof o->name[0], "%s", w->name);
    o->numel[o->n] = n * rows;
    o->y[o->n] = malloc((size_t)(n * rows) * sizeof *y);
    assert_non_null(o->y[o->n]);
    memcpy(o->y[o->n++], y, (size_t)(n * rows) * sizeof *y);
    return PARE_OK;
}

static outputs *run(const char *folder)
{
    outputs *o = calloc(1, sizeof *o);
    pare_session *s = NULL;
    pare_err err = { 0 };
    assert_non_null(o);
    if (pare_session_open(ctx, folder, NULL, &(pare_session_options){ .ctx = TOKENS }, &s, &err) != PARE_OK) fail_msg("%s: %s", folder, err.text);
    o->vocab = pare_session_columns(s);
    o->logits = malloc((size_t)(TOKENS * o->vocab) * sizeof(float));
    assert_non_null(o->logits);
    pare_engine_observe(s->engine, &(pare_observer){ o, see });
    assert_ok(pare_session_forward(s, ids, TOKENS, true, o->logits, &err));
    pare_session_close(s);
    assert_int_equal(o->n, WEIGHTS);
    return o;
}

static void forget(outputs *o)
{
    for (int i = 0; i < o->n; i++) free(o->y[i]);
    free(o->logits);
    free(o);
}

/* Root mean square error over that of what is wanted. */
static double off(const float *want, const float *got, int64_t n)
{
    double noise = 0, signal = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = (double)got[i] - (double)want[i];
        noise += e * e, signal += (double)want[i] * (double)want[i];
    }
    return sqrt(noise / signal);
}

/* ---------------------------------------------------------------------------------------------------------------- tests */

/* Those whose own rows carry no fold (v for o, up for down): their outputs can be compared. */
static bool is_planted(const char *name) { return strstr(name, "q_proj") || strstr(name, "k_proj") || strstr(name, "gate_proj"); }

static void planted(void **state)
{
    char *folder = copy_of_model("planted");
    (void)state;
    change_layers(folder, enlarge, shrink, 5);
    outputs *original = run(base), *want = run(folder);
    assert_memory_equal(original->logits, want->logits, (size_t)(TOKENS * want->vocab) * sizeof(float));
    char *plain = quantized(folder, "plain", "rtn", "W8A8", NULL, NULL);
    char *folders[3] = { quantized(folder, tried[0], "smoothquant", "W8A8", NULL, NULL), quantized(folder, tried[1], "smoothquant", "W8A8", NULL, "alpha=0.5"),
                         quantized(folder, tried[2], "llm.int8", "LLM_INT8", "bitsandbytes", NULL) };
    outputs *bad = run(plain);
    for (int f = 0; f < 3; f++) {
        outputs *good = run(folders[f]);
        const double b = off(want->logits, bad->logits, TOKENS * want->vocab), g = off(want->logits, good->logits, TOKENS * want->vocab);
        double worst = INFINITY;
        for (int i = 0; i < WEIGHTS; i++) {
            assert_string_equal(want->name[i], good->name[i]);
            if (!is_planted(want->name[i])) continue;
            const double ratio = off(want->y[i], bad->y[i], want->numel[i]) / off(want->y[i], good->y[i], want->numel[i]);
            worst = ratio < worst ? ratio : worst;
        }
        print_message("%-6s error of the logits %.2e, plain W8A8 %.2e: %.0f times lower; of q, k, gate: %.0f times at least\n", tried[f], g, b, b / g, worst);
        if (!(b > 10 * g && worst > layers_at_least[f])) fail_msg("%s: error of the logits %.1f times lower than plain W8A8, of layers %.1f", tried[f], b / g, worst);
        forget(good);
    }
    forget(original), forget(want), forget(bad);
    for (int f = 0; f < 3; f++) pare_dealloc(folders[f]);
    pare_dealloc(plain), pare_dealloc(folder);
}

static void infinity(void **state)
{
    char *folder = copy_of_model("even");
    (void)state;
    change_layers(folder, NULL, even_out, 7);
    char *plain = quantized(folder, "w8a8", "rtn", "W8A8", NULL, NULL), *inf = quantized(folder, "inf", "llm.int8", "LLM_INT8", "bitsandbytes", "threshold=inf"),
         *six = quantized(folder, "six", "llm.int8", "LLM_INT8", "bitsandbytes", "threshold=2");
    outputs *want = run(plain), *got = run(inf), *other = run(six);
    for (int i = 0; i < WEIGHTS; i++) assert_memory_equal(want->y[i], got->y[i], (size_t)want->numel[i] * sizeof(float));
    assert_memory_equal(want->logits, got->logits, (size_t)(TOKENS * want->vocab) * sizeof(float));
    assert_memory_not_equal(want->logits, other->logits, (size_t)(TOKENS * want->vocab) * sizeof(float));
    forget(want), forget(got), forget(other);
    pare_dealloc(plain), pare_dealloc(inf), pare_dealloc(six), pare_dealloc(folder);
}

/* Ids of text that the model knows: the first for the tests, the rest to calibrate with. */
static int start(void **state)
{
    pare_session *s = NULL;
    char *text = NULL, *path = folder_of(IDS);
    size_t bytes;
    int64_t n;
    int32_t *all;
    (void)state;
    if (pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, NULL) != PARE_OK) return 1;
    char *folder = copy_of_model("base");
    snprintf(base, sizeof base, "%s", folder);
    pare_dealloc(folder);
    assert_ok(pare_read_file(DEMO "/heldout.txt", 1 << 24, &text, &bytes, NULL));
    assert_ok(pare_session_open(ctx, base, NULL, NULL, &s, NULL));
    assert_ok(pare_session_tokenize(s, text, 4096, true, &all, &n, NULL));
    assert_true(n > TOKENS + 4 * 64);
    memcpy(ids, all, sizeof ids);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int64_t i = TOKENS; i < n; i++) fprintf(f, "%s%d", i == TOKENS ? "[" : ",", all[i]);
    fprintf(f, "]");
    assert_int_equal(fclose(f), 0);
    pare_free(all);
    pare_session_close(s);
    pare_dealloc(text);
    pare_dealloc(path);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    pare_ctx_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(planted), cmocka_unit_test(infinity) };
    return cmocka_run_group_tests(tests, start, stop);
}
