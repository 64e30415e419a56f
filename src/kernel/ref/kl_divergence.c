/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KL(P || Q) = sum P_i ((p_i - lse p) - (q_i - lse q)) with logits p, q. Where P_i is 0 because p_i is -inf the difference may be NaN or
 * infinite and is left out; a q_i of -inf gives +inf.
 */
#include "kernel/level.h"
#include "kernel/ref/logits.h"

PARE_INLINE double term(float p, float q, double lp, double lq)
{
    const double log_p = (double)p - lp, log_q = (double)q - lq, share = pare_exp_f64(log_p);
    return share == 0.0 ? 0.0 : share * (log_p - log_q);
}

double PARE_REF(kl_divergence)(const float *logits_p, const float *logits_q, int64_t n, bool *same_top)
{
    const double lp = pare_log_sum_exp(logits_p, n), lq = pare_log_sum_exp(logits_q, n);
    double lane[PARE_LANES] = { 0 };
    int64_t i = 0;
    if (same_top) *same_top = pare_argmax(logits_p, n) == pare_argmax(logits_q, n);
    if (!isfinite(lp) || !isfinite(lq)) return (double)NAN;
    for (; i + PARE_LANES <= n; i += PARE_LANES)
        for (int j = 0; j < PARE_LANES; j++) lane[j] += term(logits_p[i + j], logits_q[i + j], lp, lq);
    for (int j = 0; i + j < n; j++) lane[j] += term(logits_p[i + j], logits_q[i + j], lp, lq);
    return pare_fold_lanes(lane);
}
