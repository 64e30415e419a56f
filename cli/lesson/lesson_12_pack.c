/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 12: several codes in one byte. */
#include <stdio.h>
#include <string.h>

#include "lesson.h"

static void bits_of(unsigned value, int n, char *out) {
    for (int i = 0; i < n; i++) out[i] = (char)('0' + (value >> (n - 1 - i) & 1));
    out[n] = 0;
}

/* Packs n codes; shows them and the bytes. */
static void pack(show *s, const char *key, const char *heading, pare_pack_rule rule, int bits, int rows, int cols, const uint8_t *codes) {
    uint8_t bytes[16];
    double wide[32];
    size_t n = 0;
    if (s->code) return;
    show_begin(s, key, heading);
    if (show_ok(s, pare_packed_bytes(rule, bits, rows, cols, &n, &s->c->err)) && n <= sizeof bytes &&
        show_ok(s, pare_pack(rule, bits, rows, cols, codes, bytes, &s->c->err))) {
        for (int i = 0; i < rows * cols; i++) wide[i] = codes[i];
        show_int(s, "bits", NULL, bits);
        show_matrix(s, "codes", "codes", wide, 0, rows * cols, "%.0f");
        for (size_t i = 0; i < n; i++) wide[i] = bytes[i];
        show_matrix(s, "packed", "packed bytes", wide, 0, (int)n, "%.0f");
    }
    show_end(s);
}

/* How 1, 0, 3, 2 fill a byte from its low end. */
static void steps(show *s) {
    static const uint8_t codes[4] = {1, 0, 3, 2};
    char text[5][4][3], notes[4][48];
    pare_bit_field fields[5][4];
    pare_bit_row rows[5];
    static const char *const labels[] = {"code 1", "code 0", "code 3", "code 2", "byte"};
    unsigned byte = 0;
    for (int r = 0; r < 5; r++) {
        if (r < 4) byte |= (unsigned)codes[r] << 2 * r;
        for (int f = 0; f < 4; f++) { /* field 0 is the highest pair of bits */
            const int slot = 3 - f;
            bits_of(byte >> 2 * slot & 3, 2, text[r][f]);
            fields[r][f] = (pare_bit_field){r == 4 ? (const char *[]){"4th", "3rd", "2nd", "1st"}[f] : "", text[r][f], r == 4 || slot == r ? slot : 7};
        }
        if (r < 4) snprintf(notes[r], sizeof notes[r], "byte |= %d << %d, now %u", codes[r], 2 * r, byte);
        rows[r] = (pare_bit_row){labels[r], fields[r], 4, r < 4 ? notes[r] : "= 177"};
    }
    show_bits(s, "steps", "Packing 1, 0, 3, 2 in 2 bits each", rows, 5);
}

static void odd_bits(show *s) {
    static const uint8_t codes[8] = {1, 0, 3, 2, 7, 6, 5, 4}, too_large[4] = {1, 0, 4, 2};
    uint8_t bytes[4];
    pare_err err = {0};
    show_begin(s, "three_bits", "A defect: 3 bits, and codes that are too large");
    show_say(s, "8 codes of 3 bits are 24 bits, so the course's length check is content, but it puts 8/3 = 2 codes into each of 3 bytes and drops the last two. pare's "
                "bit stream lets a code cross into the next byte.");
    pack(s, "stream", NULL, PARE_PACK_LSB, 3, 1, 8, codes);
    show_say(s, "And a code that needs more bits than it gets spills into its neighbour there; here it is refused:");
    if (!s->code && pare_pack(PARE_PACK_LSB, 2, 1, 4, too_large, bytes, &err) != PARE_OK) show_text(s, "refused", "pare_pack", err.text);
    show_end(s);
}

static void run(show *s) {
    static const uint8_t four[4] = {1, 0, 3, 2}, eight[8] = {1, 0, 3, 2, 3, 3, 3, 3}, six[6] = {1, 0, 3, 2, 15, 8}, ones[8] = {1, 0, 1, 1, 0, 0, 0, 1};
    show_say(s, "The smallest thing a tensor can store is a byte. A 2-bit code in a byte of its own wastes six bits, so four codes share one; the first code takes the "
                "lowest bits. Codes are unsigned, which keeps the sign bit out of the way.");
    steps(s);
    pack(s, "example", "Four codes", PARE_PACK_LSB, 2, 1, 4, four);
    pack(s, "two_bytes", "Eight codes", PARE_PACK_LSB, 2, 1, 8, eight);
    pack(s, "four_bits", "4 bits", PARE_PACK_LSB, 4, 1, 6, six);
    pack(s, "one_bit", "1 bit", PARE_PACK_LSB, 1, 1, 8, ones);
    odd_bits(s);
    show_say(s, "The order is a convention. optimum-quanto 0.0.11 packs in strides, so that neighbours land in different bytes; the same codes give other bytes, and "
                "a reader has to know which rule was used (pare names eight).");
    pack(s, "strided", "The same eight codes in quanto's order", PARE_PACK_STRIDED_LOW, 2, 8, 1, eight);
}

const lesson lesson_pack = {.id = "12", .title = "Packing 2-bit weights", .teaches = "several codes in one byte, and in which order", .run = run};
