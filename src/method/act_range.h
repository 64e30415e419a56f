/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static activation scales: one number for all inputs of a layer, found by calibration, for every method. pare_method_apply() puts it into the result
 * where the scheme wants one and the range of the inputs is known.
 *
 *   minmax      the largest |x| that was seen
 *   percentile  the smallest t with `percentile` % of all |x| at or under it
 *   mse         the t with the least sum of (x - Q(x))^2 over the histogram of |x|, values beyond t held at t
 *   average     moving average of the windows' largest |x| (pare_input_range)
 *
 * scale = t / 127.5 for int8 (codes -128 ... 127: t itself is the upper end of the last code, as compressed-tensors has it), t / largest value for floats.
 */
#ifndef PARE_METHOD_ACT_RANGE_H
#define PARE_METHOD_ACT_RANGE_H
#include "method/method.h"

/* Rows for a method's table of options. */
#define PARE_RANGE_OPTIONS                                                                                                                         \
    {"range", PARE_OPT_CHOICE, "minmax|percentile|mse|average", "mse", "static activations: how their largest value is chosen"},                    \
    PARE_PERCENTILE_OPTION
#define PARE_PERCENTILE_OPTION {"percentile", PARE_OPT_REAL, "50..100", "99.99", "range=percentile: the part of all values that is not cut off, in %"}

/* params: of a method with PARE_RANGE_OPTIONS; NULL or without them: their defaults. 0 where nothing but zeros was seen, never otherwise. */
float pare_act_scale(const pare_scheme *scheme, const pare_input_range *range, const pare_params *params);
#endif
