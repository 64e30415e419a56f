/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling: each filter against probabilities worked out by hand, frequencies, ties, penalties, NaN, seeds. */
#include "graph/sample.h"
#include <math.h>
#include "support/support.h"

enum { V = 6 };
static const float logits[V] = { 1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.0f };

static pare_sampler *make(pare_sampler_options o)
{
    pare_sampler *s = NULL;
    pare_err err = { 0 };
    if (pare_sampler_new(&o, V, &s, &err) != PARE_OK) fail_msg("%s", err.text);
    return s;
}

static int32_t next(pare_sampler *s, int64_t position, const float *l)
{
    int32_t id = -1;
    pare_err err = { 0 };
    if (pare_sampler_next(s, position, l, &id, &err) != PARE_OK) fail_msg("%s", err.text);
    return id;
}

static void greedy_takes_the_first_of_equals(void **state)
{
    (void)state;
    pare_sampler *s = make((pare_sampler_options){ 0 });
    assert_int_equal(next(s, 0, logits), 1);
    pare_sampler_free(s);
}

static void greedy_ignores_nan(void **state)
{
    (void)state;
    const float odd[V] = { NAN, 1.0f, -INFINITY, 2.0f, NAN, 0.0f }, none[V] = { NAN, NAN, NAN, NAN, NAN, NAN };
    pare_err err = { 0 };
    int32_t id;
    pare_sampler *s = make((pare_sampler_options){ 0 });
    assert_int_equal(next(s, 0, odd), 3);
    assert_error(pare_sampler_next(s, 7, none, &id, &err), PARE_ERR_DATA, "position 7");
    pare_sampler_free(s);
}

/* Share of each id over many positions. */
static void frequencies(pare_sampler_options o, double share[V])
{
    enum { N = 200000 };
    pare_sampler *s = make(o);
    int count[V] = { 0 };
    for (int i = 0; i < N; i++) count[next(s, i, logits)]++;
    for (int i = 0; i < V; i++) share[i] = (double)count[i] / N;
    pare_sampler_free(s);
}

/* 200,000 draws: three standard deviations are at most 0.0034. */
static void assert_shares(const double got[V], const double weight[V])
{
    double sum = 0;
    for (int i = 0; i < V; i++) sum += weight[i];
    for (int i = 0; i < V; i++)
        if (fabs(got[i] - weight[i] / sum) > 0.005 || (weight[i] == 0 && got[i] != 0)) fail_msg("id %d: %f, expected %f", i, got[i], weight[i] / sum);
}

static void draws_follow_the_softmax(void **state)
{
    (void)state;
    double share[V], want[V];
    frequencies((pare_sampler_options){ .temperature = 1.5, .seed = 3 }, share);
    for (int i = 0; i < V; i++) want[i] = exp((double)logits[i] / 1.5);
    assert_shares(share, want);
}

static void top_k_keeps_k(void **state)
{
    (void)state;
    double share[V];
    frequencies((pare_sampler_options){ .temperature = 1, .top_k = 3 }, share);
    assert_shares(share, (double[V]){ 0, exp(3), exp(2), exp(3), 0, 0 });
    frequencies((pare_sampler_options){ .temperature = 1, .top_k = 100 }, share);
    assert_true(share[4] > 0);
}

static void top_p_keeps_the_token_that_crosses(void **state)
{
    (void)state;
    double share[V];
    /* e^3, e^3, e^2, e, 1, 1/e: shares 0.390 0.390 0.143 0.053 0.019 0.007 */
    frequencies((pare_sampler_options){ .temperature = 1, .top_p = 0.5 }, share);
    assert_shares(share, (double[V]){ 0, 1, 0, 1, 0, 0 });
    frequencies((pare_sampler_options){ .temperature = 1, .top_p = 0.8 }, share);
    assert_shares(share, (double[V]){ 0, exp(3), exp(2), exp(3), 0, 0 });
    frequencies((pare_sampler_options){ .temperature = 1, .top_p = 1e-9 }, share);
    assert_shares(share, (double[V]){ 0, 1, 0, 0, 0, 0 });
}

static void min_p_is_relative_to_the_top(void **state)
{
    (void)state;
    double share[V];
    frequencies((pare_sampler_options){ .temperature = 1, .min_p = 0.2 }, share); /* e^-1 = 0.37 stays, e^-2 = 0.14 goes */
    assert_shares(share, (double[V]){ 0, exp(3), exp(2), exp(3), 0, 0 });
}

static void penalty_divides_or_multiplies(void **state)
{
    (void)state;
    const float two[V] = { 2.0f, 1.9f, -1.0f, -1.1f, -3.0f, -3.0f }, negative[V] = { -1.0f, -1.1f, -5, -5, -5, -5 };
    pare_sampler *s = make((pare_sampler_options){ .repetition_penalty = 1.2 });
    assert_int_equal(next(s, 0, two), 0);
    pare_sampler_saw(s, 0);
    assert_int_equal(next(s, 0, two), 1);      /* 2.0 / 1.2 = 1.67 < 1.9 */
    assert_int_equal(next(s, 0, negative), 1); /* -1.0 * 1.2 = -1.2 < -1.1 */
    pare_sampler_saw(s, -5);
    pare_sampler_saw(s, V);
    pare_sampler_free(s);
}

static void seed_and_position_decide(void **state)
{
    (void)state;
    const pare_sampler_options o = { .temperature = 2, .seed = 11 };
    pare_sampler_options other = o;
    other.seed = 12;
    pare_sampler *a = make(o), *b = make(o), *c = make(other);
    int differs = 0;
    for (int i = 99; i >= 0; i--) { /* any order: nothing is remembered */
        const int32_t id = next(a, i, logits);
        assert_int_equal(id, next(b, i, logits));
        differs += id != next(c, i, logits);
    }
    assert_true(differs > 20);
    pare_sampler_free(a);
    pare_sampler_free(b);
    pare_sampler_free(c);
}

static void ranges_are_checked(void **state)
{
    (void)state;
    pare_sampler *s;
    pare_err err;
    assert_error(pare_sampler_new(&(pare_sampler_options){ .temperature = -1 }, V, &s, &err), PARE_ERR_USAGE, "temperature -1");
    assert_error(pare_sampler_new(&(pare_sampler_options){ .temperature = NAN }, V, &s, &err), PARE_ERR_USAGE, "temperature");
    assert_error(pare_sampler_new(&(pare_sampler_options){ .top_p = 1.5 }, V, &s, &err), PARE_ERR_USAGE, "top-p 1.5");
    assert_error(pare_sampler_new(&(pare_sampler_options){ .min_p = -0.1 }, V, &s, &err), PARE_ERR_USAGE, "min-p");
    assert_error(pare_sampler_new(&(pare_sampler_options){ .top_k = -1 }, V, &s, &err), PARE_ERR_USAGE, "top-k -1");
    assert_error(pare_sampler_new(&(pare_sampler_options){ .repetition_penalty = -2 }, V, &s, &err), PARE_ERR_USAGE, "penalty");
}

static pare_status all_steps(void *arg)
{
    pare_sampler *s = NULL;
    int32_t id;
    (void)arg;
    pare_status st = pare_sampler_new(&(pare_sampler_options){ .temperature = 1 }, V, &s, NULL);
    if (st == PARE_OK) st = pare_sampler_next(s, 0, logits, &id, NULL);
    pare_sampler_free(s);
    return st;
}

static void memory_may_end(void **state)
{
    (void)state;
    assert_true(test_every_allocation(all_steps, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_of_equals), cmocka_unit_test(greedy_ignores_nan), cmocka_unit_test(draws_follow_the_softmax),
        cmocka_unit_test(top_k_keeps_k), cmocka_unit_test(top_p_keeps_the_token_that_crosses), cmocka_unit_test(min_p_is_relative_to_the_top),
        cmocka_unit_test(penalty_divides_or_multiplies), cmocka_unit_test(seed_and_position_decide), cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
