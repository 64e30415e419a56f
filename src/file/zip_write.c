/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZIP records for stored members that are written as a stream: the size is known beforehand, the CRC is not, so it
 * follows the data in a descriptor (flag bit 3) and stands again in the directory, which is what readers use.
 *
 *   local header 30 | name | [zip64 extra 20] | padding extra (id 0xD935, as zipalign's) | data | descriptor 16 or 24
 */
#include <string.h>
#include "file/zip.h"

enum { FLAG_DESCRIPTOR = 8, FLAG_UTF8 = 0x800, DATE_1980 = 0x21, ALIGN_ID = 0xD935, VERSION = 20, VERSION64 = 45, UNIX = 3 << 8 };

static void put16(pare_str *s, unsigned v)
{
    uint8_t b[2];
    pare_put_le16(b, (uint16_t)v);
    pare_str_addn(s, (const char *)b, 2);
}
static void put32(pare_str *s, uint64_t v)
{
    uint8_t b[4];
    pare_put_le32(b, (uint32_t)v);
    pare_str_addn(s, (const char *)b, 4);
}
static void put64(pare_str *s, uint64_t v)
{
    uint8_t b[8];
    pare_put_le64(b, v);
    pare_str_addn(s, (const char *)b, 8);
}
static void put_zeros(pare_str *s, size_t n)
{
    for (; n; n--) pare_str_addn(s, "", 1);
}

static unsigned name_flags(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80) return FLAG_DESCRIPTOR | FLAG_UTF8;
    return FLAG_DESCRIPTOR;
}

void pare_zip_put_header(pare_str *s, const pare_zip_out *m, uint64_t limit)
{
    bool wide = m->size >= limit;
    size_t name_n = strlen(m->name), fixed = 30 + name_n + (wide ? 20 : 0) + 6;
    size_t pad = (size_t)(-(m->header_at + fixed) % PARE_ZIP_ALIGN);
    put32(s, 0x04034b50);
    put16(s, wide ? VERSION64 : VERSION);
    put16(s, name_flags(m->name));
    put16(s, 0);
    put16(s, 0);
    put16(s, DATE_1980);
    put32(s, 0);
    put32(s, wide ? UINT32_MAX : m->size);
    put32(s, wide ? UINT32_MAX : m->size);
    put16(s, (unsigned)name_n);
    put16(s, (unsigned)((wide ? 20 : 0) + 6 + pad));
    pare_str_addn(s, m->name, name_n);
    if (wide) {
        put16(s, 1);
        put16(s, 16);
        put64(s, m->size);
        put64(s, m->size);
    }
    put16(s, ALIGN_ID);
    put16(s, (unsigned)(2 + pad));
    put16(s, PARE_ZIP_ALIGN);
    put_zeros(s, pad);
}

void pare_zip_put_descriptor(pare_str *s, const pare_zip_out *m, uint64_t limit)
{
    put32(s, 0x08074b50);
    put32(s, m->crc);
    for (int i = 0; i < 2; i++)
        if (m->size >= limit) put64(s, m->size);
        else put32(s, m->size);
}

static void put_entry(pare_str *s, const pare_zip_out *m, uint64_t limit)
{
    bool wide = m->size >= limit, far = m->header_at >= limit;
    unsigned extra = (wide ? 16u : 0) + (far ? 8u : 0);
    put32(s, 0x02014b50);
    put16(s, UNIX | (extra ? VERSION64 : VERSION));
    put16(s, extra ? VERSION64 : VERSION);
    put16(s, name_flags(m->name));
    put16(s, 0);
    put16(s, 0);
    put16(s, DATE_1980);
    put32(s, m->crc);
    put32(s, wide ? UINT32_MAX : m->size);
    put32(s, wide ? UINT32_MAX : m->size);
    put16(s, (unsigned)strlen(m->name));
    put16(s, extra ? extra + 4 : 0);
    put16(s, 0);
    put16(s, 0);
    put16(s, 0);
    put32(s, 0600u << 16);
    put32(s, far ? UINT32_MAX : m->header_at);
    pare_str_add(s, m->name);
    if (!extra) return;
    put16(s, 1);
    put16(s, extra);
    if (wide) put64(s, m->size);
    if (wide) put64(s, m->size);
    if (far) put64(s, m->header_at);
}

static void put_end64(pare_str *s, size_t n, uint64_t at, uint64_t bytes)
{
    put32(s, 0x06064b50);
    put64(s, 44);
    put16(s, UNIX | VERSION64);
    put16(s, VERSION64);
    put32(s, 0);
    put32(s, 0);
    put64(s, n);
    put64(s, n);
    put64(s, bytes);
    put64(s, at);
    put32(s, 0x07064b50); /* locator */
    put32(s, 0);
    put64(s, at + bytes);
    put32(s, 1);
}

void pare_zip_put_directory(pare_str *s, const pare_zip_out *members, size_t n, uint64_t at, uint64_t limit)
{
    size_t before = s->n;
    for (size_t i = 0; i < n; i++) put_entry(s, &members[i], limit);
    uint64_t bytes = s->n - before;
    bool wide = n >= UINT16_MAX || at >= limit || bytes >= limit;
    if (wide) put_end64(s, n, at, bytes);
    put32(s, 0x06054b50);
    put32(s, 0);
    put16(s, n >= UINT16_MAX ? UINT16_MAX : (unsigned)n);
    put16(s, n >= UINT16_MAX ? UINT16_MAX : (unsigned)n);
    put32(s, wide ? UINT32_MAX : bytes);
    put32(s, wide ? UINT32_MAX : at);
    put16(s, 0);
}
