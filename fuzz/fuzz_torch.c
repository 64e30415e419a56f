/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch checkpoints. Input that begins like a ZIP archive or a legacy file is taken as it is; everything else is a pickle,
 * which becomes data.pkl of an archive with two storages of 64 bytes, named 0 and 1.
 */
#include "fuzz.h"
#include "file/zip.h"

static void add_member(pare_str *s, pare_zip_out *m, const char *name, const uint8_t *data, size_t n)
{
    *m = (pare_zip_out){name, s->n, n, pare_crc32(0, data, n)};
    pare_zip_put_header(s, m, UINT32_MAX);
    pare_str_addn(s, (const char *)data, n);
    pare_zip_put_descriptor(s, m, UINT32_MAX);
}

static void as_pickle(const uint8_t *data, size_t size)
{
    static const uint8_t storage[64] = {1, 2, 3, 4};
    pare_str s = {0};
    pare_zip_out members[4];
    add_member(&s, &members[0], "a/data.pkl", data, size);
    add_member(&s, &members[1], "a/data/0", storage, sizeof storage);
    add_member(&s, &members[2], "a/data/1", storage, sizeof storage);
    add_member(&s, &members[3], "a/byteorder", (const uint8_t *)"big", size % 2 ? 3 : 0);
    pare_zip_put_directory(&s, members, 4, s.n, UINT32_MAX);
    if (!s.failed) fuzz_file("x.pt", "torch", (const uint8_t *)s.at, s.n);
    pare_str_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool whole = size >= 4 && (!memcmp(data, "PK", 2) || !memcmp(data, "\x80\x02\x8a\x0a", 4));
    if (whole) fuzz_file("x.pt", NULL, data, size);
    else as_pickle(data, size);
    return 0;
}
