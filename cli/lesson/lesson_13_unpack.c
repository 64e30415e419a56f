/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson 13: codes back out of bytes. */
#include <stdio.h>

#include "lesson.h"

/* The byte shifted right by 0, 2, 4, 6; the mask keeps the two lowest bits. */
static void shifts(show *s) {
    char high[4][8], low[4][3], notes[4][32], labels[4][16];
    pare_bit_field fields[4][2];
    pare_bit_row rows[4];
    for (int r = 0; r < 4; r++) {
        const unsigned v = 177u >> 2 * r;
        for (int i = 0; i < 6; i++) high[r][i] = (char)('0' + (v >> (7 - i) & 1));
        high[r][6] = 0;
        low[r][0] = (char)('0' + (v >> 1 & 1));
        low[r][1] = (char)('0' + (v & 1));
        low[r][2] = 0;
        snprintf(labels[r], sizeof labels[r], "177 >> %d", 2 * r);
        snprintf(notes[r], sizeof notes[r], "& 3 = %u", v & 3);
        fields[r][0] = (pare_bit_field){r == 3 ? "masked away" : NULL, high[r], 7};
        fields[r][1] = (pare_bit_field){r == 3 ? "code" : NULL, low[r], r};
        rows[r] = (pare_bit_row){labels[r], fields[r], 2, notes[r]};
    }
    show_bits(s, "shifts", "Unpacking 177 into 1, 0, 3, 2", rows, 4);
}

static void run(show *s) {
    static const uint8_t bytes[2] = {177, 255};
    static const double packed[2] = {177, 255};
    uint8_t codes[8];
    double wide[8];
    show_say(s, "Nothing computes with packed codes, so they are taken apart first: shift the byte right by 0, 2, 4, 6 bits and keep the two lowest bits each time. The "
                "shift must be a logical one (zeros come in from the left).");
    shifts(s);
    show_matrix(s, "packed", "packed bytes", packed, 0, 2, "%.0f");
    if (!show_ok(s, pare_unpack(PARE_PACK_LSB, 2, 1, 8, bytes, codes, &s->c->err))) return;
    for (int i = 0; i < 8; i++) wide[i] = codes[i];
    show_matrix(s, "codes", "codes", wide, 0, 8, "%.0f");
    show_say(s, "177 is 10 11 00 01 in binary; read from the low end that is 1, 0, 3, 2.");
}

const lesson lesson_unpack = {.id = "13", .title = "Unpacking 2-bit weights", .teaches = "shift, mask, and the order of codes in a byte", .run = run};
