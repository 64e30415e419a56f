/* SPDX-License-Identifier: Apache-2.0 */
/* Little-endian reads over hostile bytes. A read that does not fit leaves the position where it was. */
#include "base/bytes.h"
#include <string.h>

uint16_t pare_le16(const void *p)
{
    const uint8_t *b = p;
    return (uint16_t)(b[0] | b[1] << 8);
}

uint32_t pare_le32(const void *p)
{
    const uint8_t *b = p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t pare_le64(const void *p)
{
    const uint8_t *b = p;
    return (uint64_t)pare_le32(b) | (uint64_t)pare_le32(b + 4) << 32;
}

void pare_put_le16(void *p, uint16_t v)
{
    uint8_t *b = p;
    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

void pare_put_le32(void *p, uint32_t v)
{
    pare_put_le16(p, (uint16_t)v);
    pare_put_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

void pare_put_le64(void *p, uint64_t v)
{
    pare_put_le32(p, (uint32_t)v);
    pare_put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

bool pare_rd_bytes(pare_rd *r, size_t n, const uint8_t **out)
{
    if (r->pos > r->n || n > r->n - r->pos) return false;
    *out = r->at + r->pos;
    r->pos += n;
    return true;
}

bool pare_rd_skip(pare_rd *r, size_t n)
{
    const uint8_t *ignored;
    return pare_rd_bytes(r, n, &ignored);
}

bool pare_rd_u8(pare_rd *r, uint8_t *out)
{
    const uint8_t *p;
    if (!pare_rd_bytes(r, 1, &p)) return false;
    *out = p[0];
    return true;
}

bool pare_rd_u16(pare_rd *r, uint16_t *out)
{
    const uint8_t *p;
    if (!pare_rd_bytes(r, 2, &p)) return false;
    *out = pare_le16(p);
    return true;
}

bool pare_rd_u32(pare_rd *r, uint32_t *out)
{
    const uint8_t *p;
    if (!pare_rd_bytes(r, 4, &p)) return false;
    *out = pare_le32(p);
    return true;
}

bool pare_rd_u64(pare_rd *r, uint64_t *out)
{
    const uint8_t *p;
    if (!pare_rd_bytes(r, 8, &p)) return false;
    *out = pare_le64(p);
    return true;
}

bool pare_rd_line(pare_rd *r, const char **text, size_t *n)
{
    if (r->pos >= r->n) return false;
    const uint8_t *begin = r->at + r->pos, *end = memchr(begin, '\n', r->n - r->pos);
    if (!end) return false;
    *text = (const char *)begin;
    *n = (size_t)(end - begin);
    r->pos += *n + 1;
    return true;
}
