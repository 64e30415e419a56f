/* SPDX-License-Identifier: Apache-2.0 */
/* The table of dtypes: look-up, names, sizes, and conversion from any to any (see dtype.h for the two meeting points). */
#include <ctype.h>
#include <string.h>
#include "num/dtype.h"
#include "num/num_inl.h"
#include "num/wide_int.h"

static const pare_dtype_case *const cases[PARE_DTYPE_COUNT] = {
#define PARE_DTYPE_ROW(dtype, symbol) [dtype] = &symbol,
#include "num/dtypes.def"
#undef PARE_DTYPE_ROW
};

const pare_dtype_case *pare_dtype_get_case(pare_dtype dtype)
{
    return (int)dtype > 0 && (int)dtype < (int)PARE_DTYPE_COUNT ? cases[dtype] : NULL;
}

const pare_dtype_info *pare_dtype_get_info(pare_dtype dtype)
{
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    return d ? &d->info : NULL;
}

bool pare_dtype_is_float(pare_dtype dtype)
{
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    return d && d->info.kind == PARE_KIND_FLOAT;
}

/* ------------------------------------------------------------------------------------------------------ names, sizes */

static bool same_word(const char *a, const char *b, size_t n)
{
    if (!b || strlen(b) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[i])) return false;
    return true;
}

static bool in_list(const char *word, size_t n, const char *list)
{
    char one[32];
    for (size_t len; *list; list += len + (list[len] == ' ')) {
        len = strcspn(list, " ");
        if (len != n || len >= sizeof one) continue;
        memcpy(one, list, len);
        one[len] = 0;
        if (same_word(word, one, n)) return true;
    }
    return false;
}

pare_dtype pare_dtype_parse(const char *name)
{
    if (!name) return PARE_DTYPE_NONE;
    if (strncmp(name, "torch.", 6) == 0) name += 6;
    const size_t n = strlen(name);
    if (n == 0) return PARE_DTYPE_NONE;
    for (int d = 1; d < (int)PARE_DTYPE_COUNT; d++) {
        const pare_dtype_info *info = &cases[d]->info;
        if (same_word(name, info->name, n) || same_word(name, info->safetensors, n) || same_word(name, info->torch, n) ||
            in_list(name, n, cases[d]->also))
            return (pare_dtype)d;
    }
    return PARE_DTYPE_NONE;
}

pare_dtype pare_dtype_from_safetensors(const char *name, size_t n)
{
    for (int d = 1; d < (int)PARE_DTYPE_COUNT; d++) {
        const char *s = cases[d]->info.safetensors;
        if (s && strlen(s) == n && memcmp(s, name, n) == 0) return (pare_dtype)d;
    }
    return PARE_DTYPE_NONE;
}

size_t pare_dtype_bytes(pare_dtype dtype, uint64_t n)
{
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    if (!d) return SIZE_MAX;
    const uint64_t bits = (uint64_t)d->info.bits;
    const uint64_t bytes = bits % 8 ? n / 8 * bits + (n % 8 * bits + 7) / 8 : n; /* below a byte: cannot overflow */
    if (bits % 8 == 0 && n > (SIZE_MAX - 1) / (bits / 8)) return SIZE_MAX;
    return (size_t)(bits % 8 == 0 ? n * (bits / 8) : bytes);
}

bool pare_shape_numel(int ndim, const int64_t *shape, int64_t *numel)
{
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return false;
        zero = zero || shape[i] == 0;
    }
    for (int i = 0; i < ndim && !zero; i++) {
        if (n > INT64_MAX / shape[i]) return false;
        n *= shape[i];
    }
    *numel = zero ? 0 : n;
    return true;
}

/* ------------------------------------------------------------------------------------------------------- conversions */

float pare_f8_to_f32(pare_dtype dtype, uint8_t code)
{
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    if (d && d->decode) return d->decode(code);
    if (!d || !d->small) return 0.0f;
    return pare_small_decode(d->small, code);
}

uint8_t pare_f32_to_f8(pare_dtype dtype, float f, bool saturate)
{
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    if (d && d->encode) return d->encode(f, saturate);
    if (!d || !d->small) return 0;
    return (uint8_t)pare_small_encode(d->small, f, saturate);
}

float pare_round_to(pare_dtype dtype, float f)
{
    if (dtype == PARE_F16) return pare_f16_to_f32_inl(pare_f32_to_f16_inl(f));
    if (dtype == PARE_BF16) return pare_bf16_to_f32_inl(pare_f32_to_bf16_inl(f));
    const pare_dtype_case *d = pare_dtype_get_case(dtype);
    if (d && (d->small || d->encode)) return pare_f8_to_f32(dtype, pare_f32_to_f8(dtype, f, true));
    return f;
}

#define CHUNK 1024 /* elements; even, so that sub-byte chunks begin on a byte */

static bool is_integer(const pare_dtype_case *d)
{
    return d->info.kind == PARE_KIND_INT || d->info.kind == PARE_KIND_UINT || d->info.kind == PARE_KIND_BOOL;
}

static void chunk_f64(const pare_dtype_case *to, void *dst, const pare_dtype_case *from, const void *src, int64_t n)
{
    float f[CHUNK];
    double x[CHUNK];
    if (from->to_f64) {
        from->to_f64(from, x, src, n);
    } else {
        from->to_f32(from, f, src, n, false); /* exact */
        for (int64_t i = 0; i < n; i++) x[i] = f[i];
    }
    to->from_f64(to, dst, x, n);
}

static void chunk_f32(const pare_dtype_case *to, void *dst, const pare_dtype_case *from, const void *src, int64_t n, bool saturate)
{
    float f[CHUNK];
    from->to_f32(from, f, src, n, to->info.bits < 32);
    to->from_f32(to, dst, f, n, saturate);
}

static void convert_ints(const pare_dtype_case *to, void *dst, const pare_dtype_case *from, const void *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++) pare_wide_write(&to->info, dst, i, pare_wide_read(&from->info, src, i));
}

pare_status pare_convert(void *dst, pare_dtype dst_dtype, const void *src, pare_dtype src_dtype, int64_t n, bool saturate, pare_err *err)
{
    const pare_dtype_case *to = pare_dtype_get_case(dst_dtype), *from = pare_dtype_get_case(src_dtype);
    if (!to || !from) return pare_fail(err, PARE_ERR_USAGE, "convert: dtype %d to %d: no such dtype", (int)src_dtype, (int)dst_dtype);
    if (n < 0) return pare_fail(err, PARE_ERR_USAGE, "convert: %lld elements", (long long)n);
    if (n == 0) return PARE_OK;
    if (to == from) {
        memcpy(dst, src, pare_dtype_bytes(dst_dtype, (uint64_t)n));
        return PARE_OK;
    }
    if (to->info.kind == PARE_KIND_COMPLEX || from->info.kind == PARE_KIND_COMPLEX)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "convert: %s to %s: complex numbers are only copied", from->info.name, to->info.name);
    if (is_integer(to) && is_integer(from)) {
        convert_ints(to, dst, from, src, n);
        return PARE_OK;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t m = n - i < CHUNK ? n - i : CHUNK;
        void *d = (uint8_t *)dst + i / 8 * to->info.bits; /* CHUNK is a multiple of 8 */
        const void *s = (const uint8_t *)src + i / 8 * from->info.bits;
        if (to->from_f64) chunk_f64(to, d, from, s, m);
        else chunk_f32(to, d, from, s, m, saturate);
    }
    return PARE_OK;
}

pare_status pare_to_f32(float *dst, pare_dtype src_dtype, const void *src, int64_t n, pare_err *err)
{
    return pare_convert(dst, PARE_F32, src, src_dtype, n, false, err);
}

pare_status pare_from_f32(void *dst, pare_dtype dst_dtype, const float *src, int64_t n, bool saturate, pare_err *err)
{
    return pare_convert(dst, dst_dtype, src, PARE_F32, n, saturate, err);
}
