/* SPDX-License-Identifier: Apache-2.0 */
/* See make.h. */
#include <zlib.h>
#include "make.h"

void buf_put(buf *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2 + 64;
        b->at = realloc(b->at, b->cap);
    }
    if (n) memcpy(b->at + b->n, data, n);
    b->n += n;
}

void buf_text(buf *b, const char *text) { buf_put(b, text, strlen(text)); }

void buf_le(buf *b, uint64_t value, int width)
{
    for (int i = 0; i < width; i++) buf_put(b, &(uint8_t){i < 8 ? (uint8_t)(value >> (8 * i)) : 0}, 1);
}

void buf_fill(buf *b, uint8_t value, size_t n)
{
    for (; n; n--) buf_put(b, &value, 1);
}

void buf_clear(buf *b)
{
    free(b->at);
    memset(b, 0, sizeof *b);
}

void buf_set(buf *b, size_t at, uint64_t value, int width)
{
    assert_true(at + (size_t)width <= b->n);
    for (int i = 0; i < width; i++) b->at[at + (size_t)i] = (uint8_t)(value >> (8 * i));
}

size_t buf_find(const buf *b, const void *what, size_t n, int nth)
{
    for (size_t i = 0; i + n <= b->n; i++)
        if (!memcmp(b->at + i, what, n) && nth-- == 0) return i;
    fail_msg("the bytes to change are not there");
    return 0;
}

static void count_up(buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++) buf_put(b, &(uint8_t){(uint8_t)i}, 1);
}

void make_safetensors(buf *b, const char *header, size_t data)
{
    buf_le(b, strlen(header), 8);
    buf_text(b, header);
    count_up(b, data);
}

void make_npy(buf *b, const char *header, const void *data, size_t n)
{
    buf_put(b, "\x93NUMPY\1\0", 8);
    buf_le(b, strlen(header), 2);
    buf_text(b, header);
    buf_put(b, data, n);
}

void zip_add(zipper *z, const char *name, const void *data, size_t n, bool deflate_it)
{
    size_t at = z->out->n, packed_n = n, room = compressBound((uLong)n) + 64;
    uint8_t *packed = malloc(room);
    if (deflate_it) {
        z_stream s = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n, .next_out = packed, .avail_out = (uInt)room};
        assert_int_equal(deflateInit2(&s, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
        packed_n = s.total_out;
        deflateEnd(&s);
    }
    uint32_t crc = (uint32_t)crc32(0, data, (uInt)n);
    for (int directory = 0; directory < 2; directory++) {
        buf *b = directory ? &z->directory : z->out;
        buf_text(b, directory ? ZIP_ENTRY : ZIP_LOCAL);
        if (directory) buf_le(b, 20, 2);
        buf_le(b, 20, 2);
        buf_le(b, 0, 2);
        buf_le(b, deflate_it ? 8 : 0, 2);
        buf_le(b, 0x21 << 16, 4);
        buf_le(b, crc, 4);
        buf_le(b, packed_n, 4);
        buf_le(b, n, 4);
        buf_le(b, strlen(name), 2);
        buf_le(b, 0, 2);
        if (directory) {
            buf_le(b, 0, 10);
            buf_le(b, at, 4);
        }
        buf_text(b, name);
    }
    buf_put(z->out, deflate_it ? packed : data, packed_n);
    free(packed);
    z->count++;
}

void zip_end(zipper *z)
{
    size_t at = z->out->n;
    buf_put(z->out, z->directory.at, z->directory.n);
    buf_text(z->out, ZIP_END);
    buf_le(z->out, 0, 4);
    buf_le(z->out, (uint64_t)z->count, 2);
    buf_le(z->out, (uint64_t)z->count, 2);
    buf_le(z->out, z->directory.n, 4);
    buf_le(z->out, at, 4);
    buf_le(z->out, 0, 2);
    buf_clear(&z->directory);
}

void make_torch_zip(buf *b, const void *pickle, size_t n, size_t storage)
{
    zipper z = {.out = b};
    buf bytes = {0};
    count_up(&bytes, storage);
    zip_add(&z, "archive/data.pkl", pickle, n, false);
    zip_add(&z, "archive/data/0", bytes.at ? bytes.at : (const uint8_t *)"", bytes.n, false);
    zip_add(&z, "archive/version", "3\n", 2, false);
    zip_end(&z);
    buf_clear(&bytes);
}

void make_torch_legacy(buf *b, const void *pickle, size_t n, uint64_t numel, size_t storage)
{
    buf_put(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
    buf_put(b, "\x80\x02M\xe9\x03.", 6);
    buf_text(b, "(dVlittle_endian\nI01\ns.");
    buf_put(b, pickle, n);
    buf_text(b, "(lV0\na.");
    buf_le(b, numel, 8);
    count_up(b, storage);
}
