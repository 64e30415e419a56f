/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NumPy arrays.
 *
 *   | 93 'NUMPY' | major | minor | u16 (1.0) or u32 (2.0, 3.0) header length | header | data |
 *   header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  padded with spaces, ends in \n
 *
 * The header is a Python literal. Only the dictionary above is understood: three keys, each once, a plain type string,
 * True or False, a tuple of integers. Object, structured, text and date types are refused; nothing is ever unpickled.
 */
#include <string.h>
#include "file/npy.h"
#include "file/strided.h"

static const char magic[6] = {(char)0x93, 'N', 'U', 'M', 'P', 'Y'};

pare_status pare_npy_measure(const char *where, const uint8_t *bytes, size_t n, uint64_t *header_bytes, pare_err *err)
{
    if (n < 10 || memcmp(bytes, magic, 6) != 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: does not begin like an npy file", where);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: npy version %d.%d is not read (1.0, 2.0 and 3.0 are)", where, bytes[6], bytes[7]);
    if (bytes[6] == 1) {
        *header_bytes = 10 + (uint64_t)pare_le16(bytes + 8);
        return PARE_OK;
    }
    if (n < 12) return pare_fail(err, PARE_ERR_FORMAT, "%s: an npy file of %zu bytes has no header", where, n);
    *header_bytes = 12 + (uint64_t)pare_le32(bytes + 8);
    if (*header_bytes > PARE_NPY_HEADER_MAX)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: an npy header of %llu bytes is above the limit of %d", where,
                         (unsigned long long)*header_bytes, PARE_NPY_HEADER_MAX);
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ header */

typedef struct scan { const char *at, *end; } scan;

static void skip_space(scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}

static bool take(scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static bool take_word(scan *s, const char *word)
{
    size_t n = strlen(word);
    skip_space(s);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return false;
    s->at += n;
    return true;
}

/* A quoted string without escapes, at most 31 characters. */
static bool take_text(scan *s, char out[32])
{
    size_t n = 0;
    skip_space(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"')) return false;
    char quote = *s->at++;
    for (; s->at < s->end && *s->at != quote; s->at++) {
        if (n == 31 || *s->at == '\\' || (unsigned char)*s->at < 0x20) return false;
        out[n++] = *s->at;
    }
    out[n] = 0;
    return take(s, quote);
}

/* Digits; Python 2 wrote an L behind them. */
static bool take_integer(scan *s, int64_t *out)
{
    int64_t value = 0;
    skip_space(s);
    const char *from = s->at;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s->at - '0', &value)) return false;
    *out = value;
    if (s->at == from) return false;
    if (s->at < s->end && *s->at == 'L') s->at++;
    return true;
}

/* (), (3,), (3, 4), (3, 4,): one integer needs its comma. */
static bool take_shape(scan *s, pare_npy *npy, bool *too_many)
{
    bool comma = true;
    if (!take(s, '(')) return false;
    for (npy->ndim = 0; !take(s, ')'); npy->ndim++) {
        *too_many = npy->ndim == PARE_MAX_DIMS;
        if (!comma || *too_many || !take_integer(s, &npy->shape[npy->ndim])) return false;
        comma = take(s, ',');
    }
    return comma || npy->ndim != 1;
}

static const struct descr { const char *text; pare_dtype dtype; } descrs[] = {
    {"f2", PARE_F16}, {"f4", PARE_F32}, {"f8", PARE_F64}, {"i1", PARE_I8},  {"i2", PARE_I16}, {"i4", PARE_I32}, {"i8", PARE_I64},
    {"u1", PARE_U8},  {"u2", PARE_U16}, {"u4", PARE_U32}, {"u8", PARE_U64}, {"b1", PARE_BOOL}, {"c8", PARE_C64},
};

static pare_status read_descr(const char *where, const char *text, pare_npy *npy, pare_err *err)
{
    if (text[0] == '<' || text[0] == '>' || text[0] == '|' || text[0] == '=')
        for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
            if (!strcmp(text + 1, descrs[i].text)) {
                npy->dtype = descrs[i].dtype;
                npy->swap = text[0] == '>' && pare_dtype_unit(npy->dtype) > 1;
                return PARE_OK;
            }
    const char *kind = text[0] && strchr("<>|=", text[0]) ? text + 1 : text;
    if (*kind == 'O') return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: an array of Python objects ('%s') is not read", where, text);
    if (*kind == 'U' || *kind == 'S' || *kind == 'a')
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: an array of text ('%s') is not read", where, text);
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: numpy dtype '%s' is not read", where, text);
}

static pare_status bad_header(const char *where, const char *what, pare_err *err)
{
    return pare_fail(err, PARE_ERR_FORMAT, "%s: npy header: %s", where, what);
}

/* One 'key': value. seen: bits of descr 1, fortran_order 2, shape 4. */
static pare_status read_member(const char *where, scan *s, pare_npy *npy, int *seen, pare_err *err)
{
    char key[32], text[32];
    int which = 0;
    pare_status st = PARE_OK;
    if (!take_text(s, key) || !take(s, ':')) return bad_header(where, "a quoted key and ':' were expected", err);
    if (!strcmp(key, "descr")) {
        which = 1;
        skip_space(s);
        if (s->at < s->end && *s->at == '[') return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: a structured array is not read", where);
        if (!take_text(s, text)) return bad_header(where, "'descr' is not a type string", err);
        st = read_descr(where, text, npy, err);
    } else if (!strcmp(key, "fortran_order")) {
        which = 2;
        npy->fortran = take_word(s, "True");
        if (!npy->fortran && !take_word(s, "False")) return bad_header(where, "'fortran_order' is neither True nor False", err);
    } else if (!strcmp(key, "shape")) {
        bool too_many = false;
        which = 4;
        if (!take_shape(s, npy, &too_many)) {
            if (too_many)
                return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: an array of more than %d dimensions is not read", where, PARE_MAX_DIMS);
            return bad_header(where, "'shape' is not a tuple of sizes", err);
        }
    } else return pare_fail(err, PARE_ERR_FORMAT, "%s: npy header: unknown key '%s'", where, key);
    if (*seen & which) return pare_fail(err, PARE_ERR_FORMAT, "%s: npy header: '%s' stands twice", where, key);
    *seen |= which;
    return st;
}

/* Is Fortran order any different: more than one dimension that is not 1? */
static bool order_matters(const pare_npy *npy)
{
    int long_dims = 0;
    for (int i = 0; i < npy->ndim; i++) {
        if (npy->shape[i] == 0) return false;
        long_dims += npy->shape[i] > 1;
    }
    return long_dims > 1;
}

pare_status pare_npy_parse(const char *where, const uint8_t *bytes, size_t n, pare_npy *out, pare_err *err)
{
    int seen = 0;
    memset(out, 0, sizeof *out);
    pare_status st = pare_npy_measure(where, bytes, n, &out->data_at, err);
    if (st != PARE_OK) return st;
    if (out->data_at > n)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: an npy header that ends at byte %llu does not fit into %zu", where,
                         (unsigned long long)out->data_at, n);
    scan s = {(const char *)bytes + (bytes[6] == 1 ? 10 : 12), (const char *)bytes + out->data_at};
    if (!take(&s, '{')) return bad_header(where, "does not begin with '{'", err);
    while (!take(&s, '}')) {
        if ((st = read_member(where, &s, out, &seen, err)) != PARE_OK) return st;
        if (take(&s, ',')) continue;
        if (!take(&s, '}')) return bad_header(where, "',' or '}' was expected", err);
        break;
    }
    skip_space(&s);
    if (s.at != s.end) return bad_header(where, "something follows its '}'", err);
    if (seen != 7) return bad_header(where, "'descr', 'fortran_order' and 'shape' are not all there", err);
    out->fortran = out->fortran && order_matters(out);
    return PARE_OK;
}

pare_status pare_npy_check_size(const char *where, const pare_npy *npy, uint64_t total, pare_err *err)
{
    uint64_t numel, bytes, have = total - npy->data_at;
    pare_status st = pare_shape_bytes(where, pare_path_name(where), npy->dtype, npy->ndim, npy->shape, &numel, &bytes, err);
    if (st != PARE_OK || bytes == have) return st;
    return pare_fail(err, PARE_ERR_FORMAT, "%s: %llu elements of %s take %llu bytes, %llu follow the npy header", where,
                     (unsigned long long)numel, pare_dtype_get_info(npy->dtype)->name, (unsigned long long)bytes, (unsigned long long)have);
}

void pare_npy_arrange(const pare_npy *npy, uint8_t *dst, const uint8_t *src, uint64_t bytes)
{
    int64_t strides[PARE_MAX_DIMS], step = 1;
    for (int i = 0; npy->fortran && i < npy->ndim; i++) {
        strides[i] = step;
        step *= npy->shape[i];
    }
    if (npy->fortran) pare_strided_copy(dst, src, (size_t)pare_dtype_bytes(npy->dtype, 1), npy->ndim, npy->shape, strides);
    else if (dst != src && bytes) memcpy(dst, src, (size_t)bytes);
    if (npy->swap) pare_swap_elements(npy->dtype, dst, bytes);
}

/* ---------------------------------------------------------------------------------------------------------- writing */

pare_status pare_npy_header(pare_str *s, const pare_spec *spec, pare_err *err)
{
    const pare_dtype_info *info = pare_dtype_get_info(spec->dtype);
    const char *type = NULL;
    pare_str shape = {0}, head = {0};
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++)
        if (descrs[i].dtype == spec->dtype) type = descrs[i].text;
    if (!type) {
        pare_fail(err, PARE_ERR_UNSUPPORTED, "tensor '%s': numpy has no dtype for %s", spec->name, info ? info->name : "this");
        pare_hint(err, "convert to f32 or f16");
        return PARE_ERR_UNSUPPORTED;
    }
    for (int i = 0; i < spec->ndim; i++) pare_str_printf(&shape, "%s%lld", i ? ", " : "", (long long)spec->shape[i]);
    if (spec->ndim == 1) pare_str_add(&shape, ",");
    pare_str_printf(&head, "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }", pare_dtype_unit(spec->dtype) > 1 ? '<' : '|', type,
                    shape.n ? shape.at : "");
    /* numpy leaves room for the first dimension to grow to 21 digits in place; we keep its bytes. */
    if (spec->ndim > 0) {
        char digits[24];
        int n = pare_print(digits, sizeof digits, "%lld", (long long)spec->shape[0]);
        for (; n < 21; n++) pare_str_add(&head, " ");
    }
    do pare_str_add(&head, " "); /* at least one, as numpy does */
    while (!head.failed && (10 + head.n + 1) % 64);
    pare_str_add(&head, "\n");
    uint8_t prologue[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    pare_put_le16(prologue + 8, (uint16_t)head.n);
    pare_str_addn(s, (const char *)prologue, sizeof prologue);
    if (!head.failed) pare_str_addn(s, head.at, head.n);
    bool failed = s->failed || head.failed || shape.failed;
    pare_str_clear(&shape);
    pare_str_clear(&head);
    return failed ? pare_no_memory(err, "npy header", 128) : PARE_OK;
}
