/* SPDX-License-Identifier: Apache-2.0 */
/* Bit packing, public entry: checks bits, shape and code range, then calls the rule's file (pack_*.c). docs/formats.md has the diagrams. */
#include "num/pack.h"

static const pare_pack_case *const rules[] = {
    [PARE_PACK_LSB] = &pare_pack_lsb,
    [PARE_PACK_PADDED] = &pare_pack_padded,
    [PARE_PACK_HIGH_FIRST] = &pare_pack_high_first,
    [PARE_PACK_STRIDED_HIGH] = &pare_pack_strided_high,
    [PARE_PACK_STRIDED_LOW] = &pare_pack_strided_low,
    [PARE_PACK_AWQ] = &pare_pack_awq,
    [PARE_PACK_AWQ_FAST] = &pare_pack_awq_fast,
    [PARE_PACK_PLANES] = &pare_pack_planes,
};

static pare_status find_rule(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const pare_pack_case **out, pare_err *err)
{
    if ((int)rule < PARE_PACK_LSB || (int)rule > PARE_PACK_PLANES) return pare_fail(err, PARE_ERR_USAGE, "packing: no rule %d", (int)rule);
    const pare_pack_case *p = rules[rule];
    if (bits < 1 || bits > 8) return pare_fail(err, PARE_ERR_USAGE, "packing %s: %d bits, must be 1 ... 8", p->name, bits);
    if (rows < 0 || cols < 0)
        return pare_fail(err, PARE_ERR_USAGE, "packing %s: shape [%lld, %lld]", p->name, (long long)rows, (long long)cols);
    if (!(p->bits >> bits & 1u)) return pare_fail(err, PARE_ERR_UNSUPPORTED, "packing %s does not exist for %d bits", p->name, bits);
    int rm = p->row_multiple, cm = p->col_multiple;
    if (p->limits) p->limits(bits, &rm, &cm);
    if (rows % rm)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "packing %s, %d bits: %lld rows, must be a multiple of %d", p->name, bits, (long long)rows, rm);
    if (cols % cm)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "packing %s, %d bits: %lld columns, must be a multiple of %d", p->name, bits, (long long)cols, cm);
    if (cols && rows > INT64_MAX / cols)
        return pare_fail(err, PARE_ERR_USAGE, "packing %s: [%lld, %lld] codes overflow", p->name, (long long)rows, (long long)cols);
    *out = p;
    return PARE_OK;
}

pare_status pare_packed_bytes(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, size_t *bytes, pare_err *err)
{
    const pare_pack_case *p = NULL;
    const pare_status st = find_rule(rule, bits, rows, cols, &p, err);
    if (st != PARE_OK || !p) return st;
    if (!p->bytes(bits, rows, cols, bytes))
        return pare_fail(err, PARE_ERR_USAGE, "packing %s: [%lld, %lld] codes overflow", p->name, (long long)rows, (long long)cols);
    return PARE_OK;
}

/* The first code that does not fit in `bits` bits, or n. */
static int64_t first_wide(int bits, int64_t n, const uint8_t *codes)
{
    const uint8_t over = (uint8_t)~((1u << bits) - 1u);
    int64_t i = 0;
    while (i < n) {
        const int64_t m = n - i < 4096 ? n - i : 4096;
        uint8_t any = 0;
        for (int64_t j = 0; j < m; j++) any |= codes[i + j];
        if (any & over) break;
        i += m;
    }
    while (i < n && !(codes[i] & over)) i++;
    return i;
}

pare_status pare_pack(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const uint8_t *codes, void *dst, pare_err *err)
{
    const pare_pack_case *p = NULL;
    const pare_status st = find_rule(rule, bits, rows, cols, &p, err);
    if (st != PARE_OK || !p) return st;
    const int64_t n = rows * cols, bad = first_wide(bits, n, codes);
    if (bad < n)
        return pare_fail(err, PARE_ERR_DATA, "packing %s: code %d at [%lld, %lld] does not fit in %d bits", p->name, codes[bad],
                         (long long)(bad / cols), (long long)(bad % cols), bits);
    p->pack(bits, rows, cols, codes, dst);
    return PARE_OK;
}

pare_status pare_unpack(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const void *src, uint8_t *codes, pare_err *err)
{
    const pare_pack_case *p = NULL;
    const pare_status st = find_rule(rule, bits, rows, cols, &p, err);
    if (st != PARE_OK || !p) return st;
    p->unpack(bits, rows, cols, src, codes);
    return PARE_OK;
}
