/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding by column: the entry points over what each quantizer does (quant.h says what find and round promise). */
#include "quant/quant.h"

size_t pare_rounder_scratch(const pare_scheme *scheme, int64_t n)
{
    const pare_quantizer *how = pare_quantizer_for(scheme);
    return how != NULL && how->scratch != NULL ? how->scratch(scheme, n) : 0;
}

pare_status pare_rounder_find(const pare_rounder *r, const float *x, int64_t rows, int64_t stride, int64_t n, const float *importance, float *scale, float *zero,
                              pare_err *err)
{
    const pare_quantizer *how = pare_quantizer_for(r->scheme);
    if (how == NULL || how->find == NULL || how->round == NULL)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "scheme '%s' cannot be rounded column by column", r->scheme->name);
    return how->find(r, x, rows, stride, n, importance, scale, zero, err);
}

void pare_rounder_round(const pare_rounder *r, int64_t rows, const float *x, const float *scale, const float *zero, uint8_t *code, float *value)
{
    pare_quantizer_for(r->scheme)->round(r, rows, x, scale, zero, code, value);
}
