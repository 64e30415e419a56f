/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protocols, summaries, reference files and state files on numbers made here: KL from a file against KL in double from the same logits, every
 * kind of damage, every allocation.
 */
#include "eval/eval.h"
#include <math.h>
#include "support/support.h"

enum { V = 500, N = 40 };
static float ref[N * V], model[N * V];
static int32_t following[N];
static pare_ctx *ctx;

static int setup(void **state)
{
    const uint64_t key = pare_rng_key(5, "eval");
    pare_err err = { 0 };
    (void)state;
    for (int64_t i = 0; i < N * V; i++) {
        ref[i] = (float)(4 * pare_rng_normal(key, (uint64_t)i));
        model[i] = ref[i] + (float)(0.1 * pare_rng_normal(key, (uint64_t)(i + N * V)));
    }
    for (int64_t i = 0; i < V; i++) model[3 * V + i] = ref[3 * V + i]; /* one position that is the same */
    for (int64_t i = 0; i < N; i++) following[i] = (int32_t)(pare_rng_u64(key, (uint64_t)i) % V);
    return pare_ctx_new(&(pare_ctx_options){ .threads = 2 }, &ctx, &err);
}

static int teardown(void **state)
{
    (void)state;
    pare_ctx_free(ctx);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------- protocols */

static void windows_of_gptq(void **state)
{
    (void)state;
    const pare_protocol *p = pare_protocol_find("gptq");
    assert_non_null(p);
    assert_int_equal(p->ctx, 2048);
    assert_int_equal(pare_protocol_windows(1000, 256, 0), 3);
    assert_int_equal(pare_protocol_windows(1000, 256, 2), 2);
    assert_int_equal(pare_protocol_windows(100, 256, 0), 1);
    assert_int_equal(pare_protocol_windows(1, 256, 0), 0);
    const pare_window w = pare_protocol_window(p, 1000, 256, 2), s = pare_protocol_window(p, 100, 256, 0);
    assert_int_equal(w.first, 512);
    assert_int_equal(w.n, 256);
    assert_int_equal(w.score, 0);
    assert_int_equal(s.n, 100);
}

static void windows_of_llamacpp(void **state)
{
    (void)state;
    const pare_protocol *p = pare_protocol_find("llamacpp");
    assert_non_null(p);
    assert_int_equal(p->ctx, 512);
    assert_true(p->bos_each);
    assert_int_equal(pare_protocol_window(p, 2000, 512, 1).score, 256); /* 255 scored: positions 256 ... 510 */
    assert_null(pare_protocol_find("other"));
}

/* --------------------------------------------------------------------------------------------------------------- summary */

static void summary_of_known_scores(void **state)
{
    (void)state;
    pare_score s[200];
    pare_eval_result r = { 0 };
    for (int i = 0; i < 200; i++) s[i] = (pare_score){ .nll = i % 2 ? 1.0f : 3.0f, .nll_ref = 1.5f, .kl = (float)(199 - i), .same_top = i < 50 };
    pare_scores_summarize(s, 200, true, &r);
    assert_true(fabs(r.nll - 2) < 1e-12 && fabs(r.perplexity - exp(2)) < 1e-9);
    assert_true(fabs(r.nll_error - sqrt(200.0 / 199 / 200)) < 1e-9);
    assert_true(fabs(r.perplexity_ref - exp(1.5)) < 1e-9);
    assert_true(fabs(r.kl_mean - 99.5) < 1e-9 && r.kl_max == 199);
    assert_true(r.kl_median == 99 && r.kl_p99 == 197); /* nearest rank: the 100th and the 198th of 0 ... 199 */
    assert_true(r.top1_agreement == 0.25);
}

/* ------------------------------------------------------------------------------------------------------- reference files */

static const pare_reference_key key = { .protocol = "gptq", .vocab = V, .ctx = 64, .windows = 2, .text = { 1, 2, 3 } };

static pare_status write_reference(const char *path)
{
    pare_reference_writer *w = NULL;
    pare_err err = { 0 };
    pare_status st = pare_reference_create(path, &key, &w, &err);
    if (st != PARE_OK) return st;
    st = pare_reference_add(w, ctx, ref, following, N / 2, &err);
    if (st == PARE_OK) st = pare_reference_add(w, ctx, ref + N / 2 * V, following + N / 2, N / 2, &err);
    if (st == PARE_OK) return pare_reference_commit(w, &err);
    pare_reference_abort(w);
    return st;
}

static double exact_kl(const float *p, const float *q)
{
    double sp = 0, sq = 0, kl = 0;
    for (int i = 0; i < V; i++) sp += exp((double)p[i]), sq += exp((double)q[i]);
    for (int i = 0; i < V; i++) kl += exp((double)p[i]) / sp * ((double)p[i] - log(sp) - (double)q[i] + log(sq));
    return kl;
}

static void kl_from_a_file_is_kl(void **state)
{
    (void)state;
    pare_reference *r = NULL;
    pare_err err = { 0 };
    pare_score s[N];
    const char *path = test_path("ref");
    assert_ok(write_reference(path));
    assert_ok(pare_reference_open(path, &key, &r, &err));
    assert_ok(pare_reference_compare(r, ctx, model, 7, s, &err));
    assert_ok(pare_reference_skip(r, 5, &err));
    assert_ok(pare_reference_compare(r, ctx, model + 12 * V, N - 12, s + 12, &err));
    for (int i = 0; i < N; i++) {
        if (i >= 7 && i < 12) continue;
        const float *p = ref + i * V, *q = model + i * V;
        const double kl = exact_kl(p, q);
        double sum = 0;
        int top_p = 0, top_q = 0;
        for (int v = 0; v < V; v++) {
            sum += exp((double)p[v]);
            if (p[v] > p[top_p]) top_p = v;
            if (q[v] > q[top_q]) top_q = v;
        }
        if (fabs((double)s[i].kl - kl) > 2e-5 + 0.01 * kl) fail_msg("position %d: KL %g, exactly %g", i, (double)s[i].kl, kl);
        assert_true(fabs((double)s[i].nll_ref - (log(sum) - (double)p[following[i]])) < 1e-5);
        assert_int_equal(s[i].same_top, top_p == top_q);
    }
    assert_true(s[3].kl < 1e-6);
    assert_error(pare_reference_skip(r, 1, &err), PARE_ERR_FORMAT, "cut off");
    pare_reference_close(r);
}

static void a_reference_of_something_else_is_refused(void **state)
{
    (void)state;
    pare_reference *r = NULL;
    pare_err err;
    pare_reference_key other = key;
    const char *path = test_path("ref2");
    assert_ok(write_reference(path));
    other.vocab = V + 1;
    assert_error(pare_reference_open(path, &other, &r, &err), PARE_ERR_DATA, "vocabulary of 500");
    other = key;
    other.text[4] = 9;
    assert_error(pare_reference_open(path, &other, &r, &err), PARE_ERR_DATA, "another text");
    test_write(test_path("no"), "hello", 5);
    assert_error(pare_reference_open(test_path("no"), &key, &r, &err), PARE_ERR_FORMAT, "no reference file");
}

/* Every cut and some thousand flipped bytes: an error or other numbers, never a crash (the sanitizers watch). */
static void damage_is_found(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n;
    pare_err err = { 0 };
    pare_score s[N];
    const uint64_t rng = pare_rng_key(1, "damage");
    int refused = 0;
    assert_ok(write_reference(test_path("ref3")));
    assert_ok(pare_read_file(test_path("ref3"), 1 << 24, &data, &n, &err));
    for (int i = 0; i < 3000; i++) {
        pare_reference *r = NULL;
        const size_t at = 56 + pare_rng_u64(rng, (uint64_t)i) % (n - 56);
        const size_t cut = i % 3 == 0 ? at : n;
        const char old = data[at];
        if (i % 3) data[at] = (char)(data[at] ^ (1 << i % 8));
        test_write(test_path("ref4"), data, cut);
        data[at] = old;
        pare_status st = pare_reference_open(test_path("ref4"), &key, &r, &err);
        if (st == PARE_OK) st = pare_reference_compare(r, ctx, model, N, s, &err);
        refused += st != PARE_OK;
        if (cut < n) assert_int_not_equal(st, PARE_OK);
        pare_reference_close(r);
    }
    assert_true(refused > 2900); /* zlib's own checksum sees nearly all */
    pare_dealloc(data);
}

static pare_status reference_there_and_back(void *arg)
{
    pare_reference *r = NULL;
    pare_score s[N];
    const char *path = arg;
    pare_status st = write_reference(path);
    if (st == PARE_OK) st = pare_reference_open(path, &key, &r, NULL);
    if (st == PARE_OK) st = pare_reference_compare(r, ctx, model, N, s, NULL);
    pare_reference_close(r);
    return st;
}

/* ----------------------------------------------------------------------------------------------------------------- state */

static const char print_a[33] = "0123456789abcdef0123456789abcdef", print_b[33] = "1123456789abcdef0123456789abcdef";

static void state_goes_on(void **state)
{
    (void)state;
    pare_eval_state *e = NULL;
    pare_scores scores = { 0 };
    pare_err err = { 0 };
    int64_t windows = -1;
    char *data = NULL;
    size_t n;
    const char *path = test_path("state");
    const pare_score some[3] = { { 1, 2, 3, 1 }, { 4, 5, 6, 0 }, { 7, 8, 9, 1 } };
    assert_ok(pare_eval_state_open(path, print_a, &e, &scores, &windows, &err));
    assert_int_equal(windows, 0);
    assert_ok(pare_eval_state_add(e, some, 2, &err));
    assert_ok(pare_eval_state_add(e, some + 2, 1, &err));
    pare_eval_state_close(e);
    assert_ok(pare_eval_state_open(path, print_a, &e, &scores, &windows, &err));
    assert_int_equal(windows, 2);
    assert_int_equal(scores.n, 3);
    assert_memory_equal(scores.at, some, sizeof some);
    pare_eval_state_close(e);
    assert_error(pare_eval_state_open(path, print_b, &e, &scores, &windows, &err), PARE_ERR_EXISTS, "another evaluation");
    /* the last window is cut off: it is forgotten, and can be added again */
    assert_ok(pare_read_file(path, 1 << 20, &data, &n, &err));
    for (size_t cut = n; cut-- > 40 + 4 + 32 + 16;) {
        test_write(test_path("state2"), data, cut);
        PARE_VEC_CLEAR(&scores);
        assert_ok(pare_eval_state_open(test_path("state2"), print_a, &e, &scores, &windows, &err));
        assert_int_equal(windows, 1);
        assert_int_equal(scores.n, 2);
        assert_ok(pare_eval_state_add(e, some + 2, 1, &err));
        pare_eval_state_close(e);
        PARE_VEC_CLEAR(&scores);
        assert_ok(pare_eval_state_open(test_path("state2"), print_a, &e, &scores, &windows, &err));
        assert_int_equal(windows, 2);
        pare_eval_state_close(e);
    }
    test_write(test_path("state3"), "something else that is long enough to be a state file", 53);
    assert_error(pare_eval_state_open(test_path("state3"), print_a, &e, &scores, &windows, &err), PARE_ERR_FORMAT, "no state");
    PARE_VEC_CLEAR(&scores);
    pare_dealloc(data);
}

static pare_status state_there_and_back(void *arg)
{
    pare_eval_state *e = NULL;
    pare_scores scores = { 0 };
    int64_t windows;
    const pare_score one = { 1, 2, 3, 1 };
    remove(arg);
    pare_status st = pare_eval_state_open(arg, print_a, &e, &scores, &windows, NULL);
    if (st == PARE_OK) st = pare_eval_state_add(e, &one, 1, NULL);
    pare_eval_state_close(e);
    e = NULL;
    if (st == PARE_OK) st = pare_eval_state_open(arg, print_a, &e, &scores, &windows, NULL);
    if (st == PARE_OK) pare_eval_state_close(e);
    PARE_VEC_CLEAR(&scores);
    return st;
}

static void memory_may_end(void **state)
{
    char path[512];
    (void)state;
    snprintf(path, sizeof path, "%s", test_path("memory"));
    assert_true(test_every_allocation(reference_there_and_back, path) > 5);
    snprintf(path, sizeof path, "%s", test_path("memory2"));
    assert_true(test_every_allocation(state_there_and_back, path) > 3);
}

/* ------------------------------------------------------------------------------------------------------------ similarity */

static void cosines(void **state)
{
    (void)state;
    const float a[6] = { 1, 0, 0, 1, 1, 1 }, b[6] = { 2, 0, 0, 3, 1, 0 };
    pare_similarity_result r;
    pare_similarity(a, b, 3, 2, 2, &r);
    assert_int_equal(r.texts, 3);
    assert_true(fabs(r.cosine_mean - (1 + 1 + sqrt(0.5)) / 3) < 1e-12);
    assert_true(fabs(r.cosine_min - sqrt(0.5)) < 1e-12);
    /* neighbours: a 0, 0.7071; b 0, 0 */
    assert_true(fabs(r.pair_rmse - sqrt(0.5 / 2)) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_of_gptq), cmocka_unit_test(windows_of_llamacpp), cmocka_unit_test(summary_of_known_scores),
        cmocka_unit_test(kl_from_a_file_is_kl), cmocka_unit_test(a_reference_of_something_else_is_refused), cmocka_unit_test(damage_is_found),
        cmocka_unit_test(state_goes_on), cmocka_unit_test(memory_may_end), cmocka_unit_test(cosines),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
