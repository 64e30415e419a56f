/* SPDX-License-Identifier: Apache-2.0 */
/* llm.int8: codes of bitsandbytes' rule, thresholds by option and scheme, and the report of outlier columns. */
#include <math.h>
#include <string.h>
#include "unit/method/method_inputs.h"

static const pare_method *llm_int8(void)
{
    const pare_method *m = pare_method_find("llm.int8");
    assert_non_null(m);
    return m;
}

static pare_status prepare(const char *scheme, const char *threshold, pare_scheme *out)
{
    const char *const settings[] = { threshold, NULL };
    pare_params p;
    pare_err err = { 0 };
    *out = method_scheme(scheme);
    method_params(llm_int8(), &p, settings);
    const pare_status st = llm_int8()->prepare(&p, out, &err);
    pare_params_clear(&p);
    return st;
}

static void thresholds(void **state)
{
    pare_scheme s;
    (void)state;
    assert_int_equal(prepare("LLM_INT8", NULL, &s), PARE_OK);
    assert_true(s.act_threshold == 6.0f);
    assert_int_equal(prepare("LLM_INT8:t4", NULL, &s), PARE_OK);
    assert_true(s.act_threshold == 4.0f);
    assert_int_equal(prepare("LLM_INT8:t4", "threshold=5.5", &s), PARE_OK);
    assert_true(s.act_threshold == 5.5f);
    assert_int_equal(prepare("W8A8", "threshold=inf", &s), PARE_OK);
    assert_true(isinf(s.act_threshold) && s.act == PARE_ACT_OUTLIERS);
    assert_int_equal(prepare("LLM_INT8", "threshold=-1", &s), PARE_ERR_USAGE);
    assert_int_equal(prepare("LLM_INT8", "threshold=many", &s), PARE_ERR_USAGE);
    assert_int_equal(prepare("W4A16", NULL, &s), PARE_ERR_USAGE);
    assert_int_equal(prepare("W8A16_ASYM", NULL, &s), PARE_ERR_USAGE);
}

static void codes_and_report(void **state)
{
    method_inputs *m = method_inputs_new(20, 64, 100, 30, 2);
    pare_scheme s;
    pare_layer_result r;
    pare_err err = { 0 };
    (void)state;
    assert_int_equal(prepare("LLM_INT8", NULL, &s), PARE_OK);
    const pare_layer_job job = { .name = "w", .scheme = &s, .rows = 20, .cols = 64, .w = m->w, .stats = &m->stats };
    if (pare_method_apply(m->ctx, llm_int8(), &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
    for (int i = 0; i < 20; i++) {
        float most = 0;
        for (int c = 0; c < 64; c++) most = fabsf(m->w[i * 64 + c]) > most ? fabsf(m->w[i * 64 + c]) : most;
        assert_true(r.q->scales[i] == most / 127.0f);
        for (int c = 0; c < 64; c++) assert_int_equal((int)r.q->codes[i * 64 + c] - 128, (int)rintf(m->w[i * 64 + c] * (127.0f * (1.0f / most))));
    }
    assert_string_equal(r.note, "2 of 64 input columns reach 6: 3, 32");
    pare_qtensor_free(r.q);
    for (int c = 0; c < 64; c++) m->absmax[c] = 7;
    if (pare_method_apply(m->ctx, llm_int8(), &job, &r, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_int_equal(strncmp(r.note, "64 of 64 input columns reach 6: 0, 1, 2,", 40), 0);
    assert_string_equal(r.note + strlen(r.note) - 4, " ...");
    pare_qtensor_free(r.q);
    method_inputs_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(thresholds), cmocka_unit_test(codes_and_report) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
