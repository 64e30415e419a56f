/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 display widths. Only what column alignment needs: combining marks take no cell, East Asian wide characters and
 * emoji take two. The ranges are those that terminals agree on; a rare character outside them misaligns its own row and
 * nothing else, which does not justify a Unicode library here.
 */
#include "report/textwidth.h"

#include <string.h>

#define REPLACEMENT 0xFFFDu

size_t pare_utf8_next(const char *text, size_t n, uint32_t *code) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *const b = (const unsigned char *)text;
    *code = REPLACEMENT;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    const size_t len = b[0] >= 0xF0 && b[0] < 0xF8 ? 4 : b[0] >= 0xE0 && b[0] < 0xF0 ? 3 : b[0] >= 0xC2 && b[0] < 0xE0 ? 2 : 0;
    if (len == 0 || len > n)
        return 1;
    uint32_t c = b[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 1;
        c = c << 6 | (b[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return 1;
    *code = c;
    return len;
}

typedef struct code_range {
    uint32_t first, last;
} code_range;

static bool in_ranges(const code_range *ranges, size_t n, uint32_t code) {
    for (size_t i = 0; i < n; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

int pare_code_width(uint32_t code) {
    static const code_range none[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
                                      {0x0900, 0x0902}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},
                                      {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF},
                                      {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}};
    static const code_range wide[] = {{0x1100, 0x115F}, {0x231A, 0x231B}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},
                                      {0x4E00, 0x9FFF}, {0xA000, 0xA4CF}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
                                      {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF},
                                      {0x20000, 0x3FFFD}};
    if (code < 0x0300)
        return 1;
    if (in_ranges(none, sizeof none / sizeof *none, code))
        return 0;
    return in_ranges(wide, sizeof wide / sizeof *wide, code) ? 2 : 1;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

int pare_text_width(const char *text) {
    int width = 0;
    for (size_t n = strlen(text); n > 0;) {
        uint32_t code;
        const size_t len = pare_utf8_next(text, n, &code);
        width += is_control(code) ? 1 : pare_code_width(code);
        text += len;
        n -= len;
    }
    return width;
}

/* Appends the code points whose cells lie in [from, to) of the text. */
static int add_cells(pare_str *s, const char *text, int from, int to) {
    int at = 0, added = 0;
    for (size_t n = strlen(text); n > 0;) {
        uint32_t code;
        const size_t len = pare_utf8_next(text, n, &code);
        const bool bad = is_control(code) || code == REPLACEMENT;
        const int width = bad ? 1 : pare_code_width(code);
        if (at >= from && at + width <= to) {
            if (bad)
                pare_str_add(s, "\xEF\xBF\xBD");
            else
                pare_str_addn(s, text, len);
            added += width;
        }
        at += width;
        text += len;
        n -= len;
    }
    return added;
}

void pare_text_repeat(pare_str *s, const char *text, int times) {
    for (int i = 0; i < times; i++)
        pare_str_add(s, text);
}

void pare_text_add(pare_str *s, const char *text, int width, bool right) {
    const int whole = pare_text_width(text);
    if (width < 0 || whole <= width) {
        if (right)
            pare_text_repeat(s, " ", width - whole);
        add_cells(s, text, 0, whole + 1);
        if (!right)
            pare_text_repeat(s, " ", width - whole);
        return;
    }
    const int head = (width - 1) / 2, tail = width > 0 ? width - 1 - head : 0;
    int used = add_cells(s, text, 0, head);
    if (width > 0) {
        pare_str_add(s, "\xE2\x80\xA6"); /* ellipsis */
        used++;
    }
    used += add_cells(s, text, whole - tail, whole + 1);
    pare_text_repeat(s, " ", width - used); /* a wide character may not have fitted */
}
