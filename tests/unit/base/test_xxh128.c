/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128: the published value of the empty input (canonical form), and pieces against the whole. */
#include "support/support.h"

static void hash(const uint8_t *data, size_t n, size_t piece, char out[33])
{
    pare_xxh128 *h;
    assert_ok(pare_xxh128_new(&h, NULL));
    for (size_t at = 0; at < n; at += piece) pare_xxh128_update(h, data + at, n - at < piece ? n - at : piece);
    pare_xxh128_hex(h, out);
    pare_xxh128_free(h);
}

static void values(void **state)
{
    static uint8_t data[5000];
    char whole[33], pieces[33], other[33];
    (void)state;
    hash(data, 0, 1, whole);
    assert_string_equal(whole, "99aa06d3014798d86001c324468d497f");
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 131 >> 3);
    hash(data, sizeof data, sizeof data, whole);
    for (size_t piece = 1; piece < 600; piece += 37) {
        hash(data, sizeof data, piece, pieces);
        assert_string_equal(whole, pieces);
    }
    data[4321] ^= 1;
    hash(data, sizeof data, sizeof data, other);
    assert_string_not_equal(whole, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(values) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
