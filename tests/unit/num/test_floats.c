/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32 to f16, bf16 and the small floats, against an independent description: a list of values in order. Every f32 between two
 * midpoints must give the code between them, so the whole line of 2^31 positive floats is checked as a few thousand intervals.
 * Normally the edges of each interval and a stride through it; with PARE_EXHAUSTIVE=1 every float, at every kernel level.
 */
#include <math.h>
#include "kernel/kernel.h"
#include "num/num.h"
#include "support/support.h"

typedef struct format {
    pare_dtype dtype;
    int ebits, mbits, bias;
    uint32_t largest;       /* code of the largest finite value */
    uint32_t overflow, nan; /* codes without sign; overflow when not saturating */
    bool signed_nan, unsigned_zero;
} format;

static const format formats[] = {
    { PARE_F16, 5, 10, 15, 0x7bff, 0x7c00, 0x7e00, true, false },
    { PARE_BF16, 8, 7, 127, 0x7f7f, 0x7f80, 0x7fc0, true, false },
    { PARE_F8_E4M3FN, 4, 3, 7, 0x7e, 0x7f, 0x7f, true, false },
    { PARE_F8_E5M2, 5, 2, 15, 0x7b, 0x7c, 0x7f, true, false },
    { PARE_F8_E4M3FNUZ, 4, 3, 8, 0x7f, 0x80, 0x80, false, true },
    { PARE_F8_E5M2FNUZ, 5, 2, 16, 0x7f, 0x80, 0x80, false, true },
    { PARE_F4_E2M1, 2, 1, 1, 0x7, 0x7, 0x7, false, false },
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static double value_of(const format *f, uint32_t code)
{
    const int e = (int)(code >> f->mbits), m = (int)(code & ((1u << f->mbits) - 1));
    return e ? ldexp(1.0 + m / (double)(1 << f->mbits), e - f->bias) : ldexp((double)m / (1 << f->mbits), 1 - f->bias);
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t to_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static uint32_t sign_of(const format *f)
{
    return 1u << (f->ebits + f->mbits);
}

/* Bits of the largest f32 that rounds to `code` or below: the midpoint to the next value, itself included when code is even. */
static uint32_t last_of(const format *f, uint32_t code)
{
    const double middle = (value_of(f, code) + value_of(f, code + 1)) / 2; /* also for the value after the largest */
    if (middle >= 0x1.ffffffp127) return 0x7f7fffff;
    const float m = (float)middle;
    uint32_t u = to_bits(m);
    if ((double)m > middle) return u - 1;
    if ((double)m == middle && (code & 1)) return u - 1;
    return u;
}

static uint32_t encode(const format *f, float x, bool saturate)
{
    uint8_t out[4] = { 0 };
    pare_err err;
    assert_ok(pare_convert(out, f->dtype, &x, PARE_F32, 1, saturate, &err));
    return (uint32_t)out[0] | (uint32_t)out[1] << 8;
}

static void check_one(const format *f, uint32_t bits, uint32_t code)
{
    const uint32_t sign = f->unsigned_zero && (code == 0 || code > f->largest) ? 0 : sign_of(f);
    const uint32_t got = encode(f, from_bits(bits), false), neg = encode(f, from_bits(bits | 0x80000000u), false);
    if (got != code || neg != (code | sign))
        fail_msg("%s: f32 %08x gives %x and %x, not %x and %x", pare_dtype_get_info(f->dtype)->name, bits, got, neg, code, code | sign);
}

static void test_intervals(void **state)
{
    (void)state;
    for (int i = 0; i < N_FORMATS; i++) {
        const format *f = &formats[i];
        uint32_t first = 0;
        for (uint32_t code = 0; code <= f->largest; code++) {
            const uint32_t last = last_of(f, code), stride = (last - first) / 5 + 1;
            for (uint32_t u = first; u <= last; u += stride) check_one(f, u, code);
            check_one(f, last, code);
            first = last + 1;
        }
        for (uint32_t u = first; u < 0x7f800000u; u += 0x12345) check_one(f, u, f->overflow);
        if (first < 0x7f800000u) check_one(f, 0x7f7fffffu, f->overflow);
        check_one(f, 0x7f800000u, f->overflow);
        /* saturating */
        assert_int_equal(encode(f, INFINITY, true) & (sign_of(f) - 1), f->dtype == PARE_F16 || f->dtype == PARE_BF16 ? f->overflow : f->largest);
        if (f->mbits < 7) assert_int_equal(encode(f, -3e38f, true), f->largest | sign_of(f));
        /* NaN */
        assert_int_equal(encode(f, from_bits(0x7fc00000u), true), f->nan);
        assert_int_equal(encode(f, from_bits(0xffc00000u), false), f->nan | (f->signed_nan ? sign_of(f) : 0));
    }
}

static void test_every_code_round_trips(void **state)
{
    (void)state;
    for (int i = 0; i < N_FORMATS; i++) {
        const format *f = &formats[i];
        const uint32_t codes = sign_of(f) << 1;
        for (uint32_t code = 0; code < codes; code++) {
            const uint32_t a = code & (sign_of(f) - 1);
            uint16_t in = (uint16_t)code;
            float x;
            assert_ok(pare_to_f32(&x, f->dtype, &in, 1, NULL));
            if (f->unsigned_zero && code == sign_of(f)) {
                assert_true(isnan(x));
            } else if (a > f->largest) {
                assert_true(f->overflow == f->nan || a != f->overflow ? isnan(x) : isinf(x));
            } else {
                assert_true((double)fabsf(x) == value_of(f, a));
                assert_int_equal(!!signbit(x), code != a);
            }
            uint32_t want = code;
            if (isnan(x) && f->mbits >= 7) want |= f->dtype == PARE_F16 ? 0x200 : 0x40; /* quiet */
            if (isnan(x) && f->dtype == PARE_F8_E5M2) want |= 3;
            assert_int_equal(encode(f, x, false), want);
        }
    }
}

static void test_e8m0(void **state)
{
    (void)state;
    for (int code = 0; code < 255; code++) {
        const float x = pare_f8_to_f32(PARE_F8_E8M0, (uint8_t)code);
        assert_true((double)x == ldexp(1.0, code - 127));
        assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, x, false), code);
        assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, -x, false), code);
    }
    assert_true(isnan(pare_f8_to_f32(PARE_F8_E8M0, 255)));
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, 0.0f, false), 0);
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, 1.4999999f, false), 127);
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, 1.5f, false), 128);
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, NAN, true), 255);
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, INFINITY, false), 255);
    assert_int_equal(pare_f32_to_f8(PARE_F8_E8M0, 3.4e38f, true), 254);
}

/* One rounding, not two: an f64 a hair beside a midpoint of the narrow format, closer than f32 can tell. */
static void test_f64_rounds_once(void **state)
{
    (void)state;
    for (int i = 0; i < N_FORMATS; i++) {
        const format *f = &formats[i];
        for (uint32_t code = 0; code <= f->largest; code++) {
            const double middle = (value_of(f, code) + value_of(f, code + 1)) / 2;
            const double beside[3] = { nextafter(middle, 0), middle, nextafter(middle, INFINITY) };
            const uint32_t next = code == f->largest ? f->overflow : code + 1;
            const uint32_t want[3] = { code, code & 1 ? next : code, next };
            for (int k = 0; k < 3; k++) {
                uint16_t out = 0;
                assert_ok(pare_convert(&out, f->dtype, &beside[k], PARE_F64, 1, false, NULL));
                if (out != want[k]) fail_msg("%s: f64 %a gives %x, not %x", pare_dtype_get_info(f->dtype)->name, beside[k], out, want[k]);
            }
        }
    }
}

/* Every float through the kernel of every level: [first, last] must all give `code`. */
static void kernel_interval(const pare_kernels *k, bool half, uint32_t first, uint32_t last, uint32_t code, bool nan)
{
    enum { BLOCK = 1 << 14 };
    static float x[BLOCK];
    static uint16_t got[BLOCK];
    for (uint64_t u = first; u <= last; u += BLOCK) {
        const int64_t n = last - u + 1 < BLOCK ? (int64_t)(last - u + 1) : BLOCK;
        for (int64_t i = 0; i < n; i++) x[i] = from_bits((uint32_t)(u + (uint64_t)i));
        (half ? k->f32_to_f16 : k->f32_to_bf16)(got, x, n);
        uint32_t differ = 0;
        if (!nan)
            for (int64_t i = 0; i < n; i++) differ |= got[i] ^ code;
        else
            for (int64_t i = 0; i < n; i++) {
                const uint32_t b = (uint32_t)(u + (uint64_t)i);
                differ |= got[i] ^ (half ? ((b >> 16 & 0x8000u) | 0x7e00u | (b >> 13 & 0x3ffu)) : (b >> 16 | 0x40u));
            }
        if (differ) fail_msg("%s: f32 %08x...: not all give %x", k->isa, (uint32_t)u, code);
    }
}

static void test_exhaustive(void **state)
{
    (void)state;
    if (!getenv("PARE_EXHAUSTIVE")) {
        print_message("PARE_EXHAUSTIVE is not set: intervals only\n");
        skip();
    }
    const char *names[8];
    bool here[8];
    const int levels = pare_kernels_levels(names, here, 8);
    for (int l = 0; l < levels; l++) {
        if (!here[l]) {
            print_message("level %s does not run here: skipped\n", names[l]);
            continue;
        }
        const pare_kernels *k = pare_kernels_get(names[l]);
        for (int i = 0; i < 2; i++) {
            const format *f = &formats[i];
            for (uint32_t s = 0; s < 2; s++) {
                const uint32_t sign16 = s << 15, sign32 = s << 31;
                uint32_t first = 0;
                for (uint32_t code = 0; code <= f->largest; code++) {
                    const uint32_t last = last_of(f, code);
                    kernel_interval(k, i == 0, first | sign32, last | sign32, code | sign16, false);
                    first = last + 1;
                }
                kernel_interval(k, i == 0, first | sign32, 0x7f800000u | sign32, f->overflow | sign16, false);
                kernel_interval(k, i == 0, 0x7f800001u | sign32, 0x7fffffffu | sign32, 0, true);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals),       cmocka_unit_test(test_every_code_round_trips), cmocka_unit_test(test_e8m0),
        cmocka_unit_test(test_f64_rounds_once), cmocka_unit_test(test_exhaustive),
    };
    return cmocka_run_group_tests_name("num/floats", tests, NULL, NULL);
}
