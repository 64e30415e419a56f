/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mixture of experts of which one never wins: each method that looks at inputs names it in a warning and in pare.json and follows the rule (its
 * layers are rounded with the rows of all experts of its layer); the others have rows of their own. Experts calibrated one at a time, because memory
 * allows no more, get the same bytes.
 */
#include <math.h>

#include "flow/calibrate.h"
#include "support/checkpoint.h"
#include "unit/model/model_golden.h"

enum { TOKENS = 8 * 60, LOSER = 3, EXPERTS = 6 };
#define STARVED "starved: 0 rows of "

typedef struct moe_case { const char *model, *router, *prefix, *parts[3]; } moe_case;
static const moe_case cases[] = {
    { "mixtral", "model.layers.%d.block_sparse_moe.gate.weight", "model.layers.%d.block_sparse_moe.experts.%d.", { "w1", "w3", "w2" } },
    { "qwen3_moe", "model.layers.%d.mlp.gate.weight", "model.layers.%d.mlp.experts.%d.", { "gate_proj", "up_proj", "down_proj" } },
};

typedef struct told { int n; char text[32][400]; } told;

static void take(void *user, pare_log_level level, const char *text)
{
    told *t = user;
    if (level == PARE_LOG_WARNING && strstr(text, "starved")) {
        assert_true(t->n < 32);
        snprintf(t->text[t->n++], sizeof t->text[0], "%s", text);
    }
}

/* Every token has 1 in channel 7, which attention does not see and nothing adds to ... */
static void same_channel(float *x, int64_t rows, int64_t cols, const void *user)
{
    (void)user;
    for (int64_t r = 0; r < rows; r++) x[r * cols + 7] = 1;
}

static void unseen(float *x, int64_t rows, int64_t cols, const void *user)
{
    (void)rows, (void)cols, (void)user;
    x[7] = 0;
}

static void nothing_added(float *x, int64_t rows, int64_t cols, const void *user)
{
    (void)rows, (void)user;
    memset(x + 7 * cols, 0, (size_t)cols * sizeof *x);
}

static void positive(float *x, int64_t rows, int64_t cols, const void *user)
{
    (void)rows, (void)cols, (void)user;
    x[7] = 1;
}

/* ... which speaks against one expert. */
static void against(float *x, int64_t rows, int64_t cols, const void *user)
{
    (void)user;
    assert_int_equal(rows, EXPERTS);
    for (int64_t r = 0; r < rows; r++) x[r * cols + 7] = 0;
    for (int64_t c = 0; c < cols; c++) x[LOSER * cols + c] = c == 7 ? -50 : 0;
}

static const char *ids_file(void)
{
    const char *path = test_path("ids.json");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < TOKENS; i++) fprintf(f, "%s%d", i ? "," : "[", (int)(pare_rng_uniform(5, (uint64_t)i) * 98) + 3);
    fprintf(f, "]");
    assert_int_equal(fclose(f), 0);
    return path;
}

static void quantize(const char *from, const char *to, const char *method, const char *scheme, uint64_t memory, told *said)
{
    pare_ctx *ctx;
    pare_job_result result;
    pare_err err = { 0 };
    char ids[300];
    snprintf(ids, sizeof ids, "%s", ids_file());
    memset(said, 0, sizeof *said);
    assert_ok(pare_ctx_new(&(pare_ctx_options){ .threads = 2, .log = take, .user = said }, &ctx, &err));
    const pare_quantize_options o = { .method = method, .scheme_name = scheme, .calibration = ids, .samples = 8, .seq_len = 60, .memory = memory };
    if (pare_quantize_model(ctx, from, to, &o, &result, NULL, &err) != PARE_OK) fail_msg("%s: %s", method, err.text);
    pare_ctx_free(ctx);
}

static const char *note_of(const pare_jval *root, const char *name, int64_t *rows)
{
    const pare_jval *tensors = pare_j_get(root, "tensors");
    for (size_t i = 0; i < pare_j_count(tensors); i++) {
        const pare_jval *t = pare_j_at(tensors, i);
        if (strcmp(pare_j_text(pare_j_get(t, "name"), ""), name)) continue;
        *rows = pare_j_int(pare_j_get(t, "calibration_rows"), -1);
        return pare_j_text(pare_j_get(t, "note"), "");
    }
    fail_msg("%s is not in pare.json", name);
    return NULL;
}

static void check_report(const moe_case *c, const char *method, const char *folder, const told *said)
{
    char path[400], name[160];
    pare_jdoc *doc;
    pare_err err = { 0 };
    snprintf(path, sizeof path, "%s/pare.json", folder);
    if (pare_jdoc_load(path, 1 << 24, &doc, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_int_equal(said->n, 4); /* gate and up share a warning; two layers */
    for (int layer = 0; layer < 2; layer++)
        for (int e = 0; e < EXPERTS; e++)
            for (int k = 0; k < 3; k++) {
                int64_t rows = 0, n = snprintf(name, sizeof name, c->prefix, layer, e);
                snprintf(name + n, sizeof name - (size_t)n, "%s.weight", c->parts[k]);
                const char *note = note_of(pare_jdoc_root(doc), name, &rows);
                if ((e == LOSER) != (strstr(note, STARVED) != NULL)) fail_msg("%s, %s: %s: '%s'", c->model, method, name, note);
                if (e == LOSER) assert_non_null(strstr(note, "calibrated with those of all experts of the layer"));
                if (e == LOSER ? rows != 2 * TOKENS : rows < 10 || rows > TOKENS) fail_msg("%s, %s: %s: %lld rows", c->model, method, name, (long long)rows);
                int warned = 0;
                for (int i = 0; i < said->n; i++) warned += !strncmp(said->text[i], name, strlen(name)) && strstr(said->text[i], STARVED);
                assert_int_equal(warned, e == LOSER && k != 1);
            }
    const pare_jval *folds = pare_j_get(pare_jdoc_root(doc), "folds");
    int left = 0;
    for (size_t i = 0; i < pare_j_count(folds); i++) left += strstr(pare_j_text(pare_j_get(pare_j_at(folds, i), "note"), ""), "left as it is") != NULL;
    assert_int_equal(left, strcmp(method, "awq") ? 0 : 2);
    pare_jdoc_free(doc);
}

static void same_bytes(const char *a, const char *b)
{
    char *x, *y, path[400];
    size_t n, m;
    snprintf(path, sizeof path, "%s/model.safetensors", a);
    assert_ok(pare_read_file(path, 1 << 28, &x, &n, NULL));
    snprintf(path, sizeof path, "%s/model.safetensors", b);
    assert_ok(pare_read_file(path, 1 << 28, &y, &m, NULL));
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    pare_dealloc(x);
    pare_dealloc(y);
}

static void plant(const moe_case *c, const char *folder)
{
    static const struct { const char *name; test_tensor_fn edit; } edits[] = {
        { "input_layernorm", unseen }, { "post_attention_layernorm", positive }, { "self_attn.o_proj", nothing_added } };
    char name[160];
    test_change_tensor(folder, "model.embed_tokens.weight", same_channel, NULL);
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, edits[i].name);
            test_change_tensor(folder, name, edits[i].edit, NULL);
        }
        for (int e = 0; e < EXPERTS; e++) {
            const int n = snprintf(name, sizeof name, c->prefix, l, e);
            snprintf(name + n, sizeof name - (size_t)n, "%s.weight", c->parts[2]);
            test_change_tensor(folder, name, nothing_added, NULL);
        }
        snprintf(name, sizeof name, c->router, l);
        test_change_tensor(folder, name, against, NULL);
    }
}

static void check(void **state)
{
    static const struct { const char *method, *scheme; } by[] = { { "gptq", "W4A16:g16" }, { "awq", "W4A16:g16" } };
    static told said;
    const moe_case *c = *state;
    golden *g = golden_open(c->model);
    const char *folder = golden_write(g, NULL);
    plant(c, folder);
    for (int i = 0; i < 2; i++) {
        char whole[300], passes[300];
        snprintf(whole, sizeof whole, "%s/whole-%s-%s", test_folder(), c->model, by[i].method);
        snprintf(passes, sizeof passes, "%s/passes-%s-%s", test_folder(), c->model, by[i].method);
        quantize(folder, whole, by[i].method, by[i].scheme, 0, &said);
        check_report(c, by[i].method, whole, &said);
        quantize(folder, passes, by[i].method, by[i].scheme, 1 << 14, &said); /* a Hessian of one expert is as large */
        check_report(c, by[i].method, passes, &said);
        same_bytes(whole, passes);
    }
    golden_free(g);
}

int main(void)
{
    static struct CMUnitTest tests[2];
    for (int i = 0; i < 2; i++) tests[i] = (struct CMUnitTest){ .name = cases[i].model, .test_func = check, .initial_state = (void *)(uintptr_t)&cases[i] };
    return _cmocka_run_group_tests("experts", tests, 2, NULL, NULL);
}
