/* SPDX-License-Identifier: Apache-2.0 */
/* Text: growable buffer, numbers that mean the same in every locale, UTF-8 check. */
#include "base/str.h"
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- the C locale */

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Puts this thread (only) into the C locale; give the result to uselocale() afterwards. */
static locale_t enter_c_locale(void)
{
    pthread_once(&c_locale_once, make_c_locale);
    return uselocale(c_locale);
}

static double c_strtod(const char *text, char **end)
{
    locale_t before = enter_c_locale();
    double value = strtod(text, end);
    uselocale(before);
    return value;
}

/* Removes a UTF-8 character that was cut in half from the end of a full buffer. */
static void trim_half_character(char *text, size_t n)
{
    size_t i = n, back = 0;
    while (i > 0 && back < 3 && ((unsigned char)text[i - 1] & 0xC0) == 0x80) i--, back++;
    if (i == 0) return;
    unsigned char lead = (unsigned char)text[i - 1];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (want > back) text[i - 1] = '\0';
}

int pare_vformat(char *out, size_t size, const char *format, va_list args)
{
    locale_t before = enter_c_locale();
    int n = vsnprintf(out, size, format, args);
    uselocale(before);
    if (size > 0 && n < 0) out[0] = '\0';
    if (size > 0 && n >= 0 && (size_t)n >= size) trim_half_character(out, size - 1);
    return n;
}

int pare_print(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = pare_vformat(out, size, format, args);
    va_end(args);
    return n;
}

/* ----------------------------------------------------------------------------------------------- growable buffer */

static bool reserve(pare_str *s, size_t more)
{
    size_t need;
    if (s->failed) return false;
    if (!pare_add_size(s->n, more, &need) || !pare_add_size(need, 1, &need)) return !(s->failed = true);
    if (need <= s->cap) return true;
    size_t cap = s->cap > SIZE_MAX / 2 ? need : s->cap * 2;
    if (cap < need) cap = need;
    if (cap < 64) cap = 64;
    char *at = pare_realloc(s->at, cap);
    if (!at) return !(s->failed = true);
    s->at = at;
    s->cap = cap;
    return true;
}

void pare_str_clear(pare_str *s)
{
    pare_dealloc(s->at);
    *s = (pare_str){0};
}

void pare_str_addn(pare_str *s, const char *text, size_t n)
{
    if (!reserve(s, n)) return;
    if (n) memcpy(s->at + s->n, text, n);
    s->n += n;
    s->at[s->n] = '\0';
}

void pare_str_add(pare_str *s, const char *text) { pare_str_addn(s, text, strlen(text)); }

void pare_str_printf(pare_str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = pare_vformat(NULL, 0, format, args);
    va_end(args);
    if (n < 0) s->failed = true;
    if (n < 0 || !reserve(s, (size_t)n)) return;
    va_start(args, format);
    pare_vformat(s->at + s->n, (size_t)n + 1, format, args);
    va_end(args);
    s->n += (size_t)n;
}

char *pare_str_take(pare_str *s)
{
    if (!s->failed && !s->at) reserve(s, 0);
    if (s->failed) {
        pare_str_clear(s);
        return NULL;
    }
    char *text = s->at;
    text[s->n] = '\0';
    *s = (pare_str){0};
    return text;
}

char *pare_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = pare_alloc(n);
    if (copy) memcpy(copy, text, n);
    return copy;
}

/* ---------------------------------------------------------------------------------------------------- comparison */

bool pare_str_starts(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

bool pare_str_ends(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

static int ascii_lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

bool pare_str_same_nocase(const char *a, const char *b)
{
    while (*a && ascii_lower((unsigned char)*a) == ascii_lower((unsigned char)*b)) a++, b++;
    return ascii_lower((unsigned char)*a) == ascii_lower((unsigned char)*b);
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

int pare_str_distance(const char *a, const char *b, int limit)
{
    enum { MAX = 64 }; /* names are short; longer ones are simply "far" */
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX) return strcmp(a, b) == 0 ? 0 : limit;
    int row[MAX + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m] < limit ? row[m] : limit;
}

/* ------------------------------------------------------------------------------------------------------- numbers */

bool pare_parse_i64(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits < '0' || *digits > '9') return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || errno == ERANGE) return false;
    *out = value;
    return true;
}

bool pare_parse_f64(const char *text, double *out)
{
    if (!*text || *text == ' ' || *text == '\t' || *text == '\n') return false;
    char *end;
    errno = 0;
    double value = c_strtod(text, &end);
    /* Too small is a fine zero or subnormal; too large is not what was asked for. */
    if (*end || (errno == ERANGE && (value > 1 || value < -1))) return false;
    *out = value;
    return true;
}

static bool size_unit(const char *unit, double *factor)
{
    static const struct { const char *name; double factor; } units[] = {
        {"", 1}, {"B", 1},
        {"K", 1e3}, {"KB", 1e3}, {"KiB", 1024.0},
        {"M", 1e6}, {"MB", 1e6}, {"MiB", 1048576.0},
        {"G", 1e9}, {"GB", 1e9}, {"GiB", 1073741824.0},
        {"T", 1e12}, {"TB", 1e12}, {"TiB", 1099511627776.0},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!pare_str_same_nocase(unit, units[i].name)) continue;
        *factor = units[i].factor;
        return true;
    }
    return false;
}

bool pare_parse_size(const char *text, uint64_t *out)
{
    if (*text < '0' || *text > '9') return false;
    char *end;
    errno = 0;
    unsigned long long whole = strtoull(text, &end, 10);
    double factor, value = (double)whole;
    bool fraction = *end == '.';
    if (errno == ERANGE) return false;
    if (fraction) {
        const char *digits = end + 1;
        double place = 0.1;
        if (*digits < '0' || *digits > '9') return false;
        for (; *digits >= '0' && *digits <= '9'; digits++, place /= 10) value += (*digits - '0') * place;
        end = (char *)(uintptr_t)digits;
    }
    while (*end == ' ') end++;
    if (!size_unit(end, &factor)) return false;
    if (fraction) {
        if (value * factor >= 18446744073709551615.0) return false;
        *out = (uint64_t)(value * factor + 0.5);
        return true;
    }
    return pare_mul_u64(whole, (uint64_t)factor, out);
}

void pare_format_bytes(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        pare_print(out, 32, "%d B", (int)bytes);
        return;
    }
    double value = (double)bytes / 1024;
    int unit = 0;
    while (value >= 1023.995 && unit < 5) value /= 1024, unit++;
    pare_print(out, 32, "%.*f %s", value < 100 ? 2 : 1, value, units[unit]);
}

void pare_format_real(double value, char out[32])
{
    for (int digits = 15; digits <= 17; digits++) {
        pare_print(out, 32, "%.*g", digits, value);
        if (value != value || c_strtod(out, NULL) == value) return;
    }
}

/* --------------------------------------------------------------------------------------------------------- UTF-8 */

/* Bytes of the well-formed character at p (RFC 3629: no overlong forms, no surrogates, <= U+10FFFF), or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    size_t len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (len > n) return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (p[0] == 0xE0) low = 0xA0;
    if (p[0] == 0xED) high = 0x9F;
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return len;
}

size_t pare_utf8_length(const char *text, size_t n) { return n ? utf8_length((const unsigned char *)text, n) : 0; }

bool pare_utf8_valid(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length(p + i, n - i);
        if (!len) return false;
        i += len;
    }
    return true;
}
