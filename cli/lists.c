/* SPDX-License-Identifier: Apache-2.0 */
/* Lists behind one flag. */
#include "lists.h"

#include <stdlib.h>
#include <string.h>

bool cli_bits(const cli *c, const char *flag, const char *or_else, int bits[8], size_t *n) {
    const char *text = cli_text(c, flag) ? cli_text(c, flag) : or_else ? or_else : "";
    char *end;
    for (*n = 0; *text; text = *end == ',' ? end + 1 : end) {
        const long v = strtol(text, &end, 10);
        if (end == text || (*end && *end != ',') || v < 1 || v > 8 || *n == 8) return cli_usage(c, "--%s: a list of 1 to 8 such as 8,4,3", flag), false;
        bits[(*n)++] = (int)v;
    }
    return true;
}

bool cli_methods(const cli *c, const char *flag, char *text, const char **out, int most, size_t *n) {
    *n = 0;
    for (char *at = text; *at;) {
        char *end = at;
        for (;;) {
            end += strcspn(end, ",");
            const size_t word = *end ? strcspn(end + 1, ",@:") : 0, equal = *end ? strcspn(end + 1, "=") : 0;
            if (!*end || equal >= word) break;
            end++;
        }
        if (end == at || *n == (size_t)most) return cli_usage(c, "--%s: a list such as rtn,hqq,gptq (at most %d)", flag, most), false;
        out[(*n)++] = at;
        at = end;
        if (*at) *at++ = 0;
    }
    if (*n == 0) cli_usage(c, "--%s: names at least one", flag);
    return *n > 0;
}
