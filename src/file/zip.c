/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading ZIP archives.
 *
 *   | local header, name, extra | data | [descriptor] | ... | central directory | [zip64 end] [locator] | end record |
 *
 * The end record (22 bytes and a comment) is looked for from the back; it, or the zip64 record that it points to, says
 * where the directory is. Each directory entry gives method, sizes, CRC and the local header's place; the data begins
 * after the local header's own name and extra field, whose lengths may differ from the directory's (torch aligns so).
 *
 * Invariants after opening: names are unique and UTF-8, every member's bytes lie before the directory, a stored member has
 * packed == size, a deflated one claims no more than deflate can give (1032 : 1).
 */
#define ZLIB_CONST
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "file/zip.h"

enum { LOCAL_SIGN = 0x04034b50, ENTRY_SIGN = 0x02014b50, END_SIGN = 0x06054b50, END64_SIGN = 0x06064b50, LOCATOR_SIGN = 0x07064b50 };
enum { LOCAL_BYTES = 30, ENTRY_BYTES = 46, END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20 };

/* -------------------------------------------------------------------------------------------------------- directory */

struct directory { uint64_t at, bytes, count, limit; /* limit: where the records behind it begin */ };

static bool find_end(const uint8_t *b, size_t n, size_t *at)
{
    if (n < END_BYTES) return false;
    size_t last = n - END_BYTES, first = last > 65535 ? last - 65535 : 0;
    for (size_t i = last + 1; i-- > first;)
        if (b[i] == 'P' && pare_le32(b + i) == END_SIGN && i + END_BYTES + pare_le16(b + i + 20) == n) {
            *at = i;
            return true;
        }
    return false;
}

static pare_status find_directory(const pare_zip *z, struct directory *d, pare_err *err)
{
    size_t end = 0;
    const uint8_t *b = z->bytes;
    if (!find_end(b, z->n, &end)) return pare_fail(err, PARE_ERR_FORMAT, "%s: the ZIP end record is missing (cut off?)", z->where);
    *d = (struct directory){pare_le32(b + end + 16), pare_le32(b + end + 12), pare_le16(b + end + 10), end};
    uint32_t disks = pare_le16(b + end + 4) | pare_le16(b + end + 6);
    if (end >= LOCATOR_BYTES && pare_le32(b + end - LOCATOR_BYTES) == LOCATOR_SIGN) {
        uint64_t at = pare_le64(b + end - LOCATOR_BYTES + 8);
        if (at > end - LOCATOR_BYTES || end - LOCATOR_BYTES - at < END64_BYTES || pare_le32(b + at) != END64_SIGN)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: the zip64 end record is not at byte %llu", z->where, (unsigned long long)at);
        *d = (struct directory){pare_le64(b + at + 48), pare_le64(b + at + 40), pare_le64(b + at + 32), at};
        disks = pare_le32(b + at + 16) | pare_le32(b + at + 20);
    }
    if (disks) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: a ZIP archive in several volumes is not read", z->where);
    if (d->at > d->limit || d->bytes > d->limit - d->at)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the ZIP directory of %llu bytes at %llu does not fit before byte %llu", z->where,
                         (unsigned long long)d->bytes, (unsigned long long)d->at, (unsigned long long)d->limit);
    if (d->count > d->bytes / ENTRY_BYTES)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: %llu ZIP members do not fit into a directory of %llu bytes", z->where,
                         (unsigned long long)d->count, (unsigned long long)d->bytes);
    return PARE_OK;
}

/* The zip64 extra field holds, in this order, those of size, packed and offset whose 32-bit field is all ones. */
static bool read_zip64(pare_rd extra, uint64_t *size, uint64_t *packed, uint64_t *at)
{
    uint16_t id, n;
    while (pare_rd_u16(&extra, &id) && pare_rd_u16(&extra, &n)) {
        const uint8_t *body;
        if (!pare_rd_bytes(&extra, n, &body)) return false;
        if (id != 1) continue;
        pare_rd r = {body, n, 0};
        if (*size == UINT32_MAX && !pare_rd_u64(&r, size)) return false;
        if (*packed == UINT32_MAX && !pare_rd_u64(&r, packed)) return false;
        return *at != UINT32_MAX || pare_rd_u64(&r, at);
    }
    return true;
}

/* Checks the local header at `local` and finds where the data begins. */
static pare_status locate(const pare_zip *z, pare_zip_member *m, uint64_t local, uint64_t limit, pare_err *err)
{
    const uint8_t *b = z->bytes;
    size_t name_bytes = strlen(m->name);
    if (local > limit || limit - local < LOCAL_BYTES || pare_le32(b + local) != LOCAL_SIGN)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' has no local header at byte %llu", z->where, m->name,
                         (unsigned long long)local);
    uint64_t name_at = local + LOCAL_BYTES, name_n = pare_le16(b + local + 26), extra_n = pare_le16(b + local + 28);
    if (limit - name_at < name_n + extra_n || name_n != name_bytes || memcmp(b + name_at, m->name, name_bytes) != 0)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the local header of member '%s' has another name", z->where, m->name);
    m->at = name_at + name_n + extra_n;
    if (m->packed > limit - m->at)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' ends at byte %llu of %llu", z->where, m->name,
                         (unsigned long long)(m->at + m->packed), (unsigned long long)limit);
    return PARE_OK;
}

static pare_status check_method(const pare_zip *z, const pare_zip_member *m, unsigned flags, unsigned method, pare_err *err)
{
    if (flags & 0x41) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: member '%s' is encrypted", z->where, m->name);
    if (method != 0 && method != 8)
        return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: member '%s' is packed by method %u (stored and deflated are read)", z->where,
                         m->name, method);
    if (method == 0 && m->packed != m->size)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: stored member '%s' has %llu bytes for %llu", z->where, m->name,
                         (unsigned long long)m->packed, (unsigned long long)m->size);
    if (method == 8 && m->size / 1032 > m->packed)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' cannot hold %llu bytes in %llu deflated ones", z->where, m->name,
                         (unsigned long long)m->size, (unsigned long long)m->packed);
    return PARE_OK;
}

static pare_status read_member(const pare_zip *z, pare_rd *r, const struct directory *d, pare_arena *arena, pare_zip_member *m,
                               pare_err *err)
{
    const uint8_t *h, *name, *extra;
    if (!pare_rd_bytes(r, ENTRY_BYTES, &h) || pare_le32(h) != ENTRY_SIGN || !pare_rd_bytes(r, pare_le16(h + 28), &name) ||
        !pare_rd_bytes(r, pare_le16(h + 30), &extra) || !pare_rd_skip(r, pare_le16(h + 32)))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: entry %zu of the ZIP directory is damaged", z->where, (size_t)(m - z->members));
    size_t name_n = pare_le16(h + 28);
    if (!pare_utf8_valid((const char *)name, name_n) || memchr(name, 0, name_n))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the name in entry %zu of the ZIP directory is not UTF-8", z->where,
                         (size_t)(m - z->members));
    uint64_t local = pare_le32(h + 42);
    m->name = pare_arena_strndup(arena, (const char *)name, name_n);
    if (!m->name) return pare_no_memory(err, "ZIP directory", name_n);
    m->crc = pare_le32(h + 16);
    m->packed = pare_le32(h + 20);
    m->size = pare_le32(h + 24);
    m->deflated = pare_le16(h + 10) == 8;
    if (!read_zip64((pare_rd){extra, pare_le16(h + 30), 0}, &m->size, &m->packed, &local))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the zip64 field of member '%s' is too short", z->where, m->name);
    pare_status st = check_method(z, m, pare_le16(h + 8), pare_le16(h + 10), err);
    return st == PARE_OK ? locate(z, m, local, d->at, err) : st;
}

static int by_name(const void *a, const void *b)
{
    const pare_zip_member *x = *(const pare_zip_member *const *)a, *y = *(const pare_zip_member *const *)b;
    return strcmp(x->name, y->name);
}

static pare_status sort_names(pare_zip *z, pare_err *err)
{
    for (size_t i = 0; i < z->n_members; i++) z->by_name[i] = &z->members[i];
    if (z->n_members) qsort(z->by_name, z->n_members, sizeof *z->by_name, by_name);
    for (size_t i = 1; i < z->n_members; i++)
        if (!strcmp(z->by_name[i - 1]->name, z->by_name[i]->name))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: two ZIP members are named '%s'", z->where, z->by_name[i]->name);
    return PARE_OK;
}

pare_status pare_zip_open(const char *where, const uint8_t *bytes, size_t n, pare_arena *arena, pare_zip *out, pare_err *err)
{
    struct directory d = {0};
    *out = (pare_zip){.where = where, .bytes = bytes, .n = n};
    pare_status st = find_directory(out, &d, err);
    if (st != PARE_OK) return st;
    out->n_members = (size_t)d.count;
    out->members = pare_arena_alloc(arena, (out->n_members + 1) * sizeof *out->members);
    out->by_name = pare_arena_alloc(arena, (out->n_members + 1) * sizeof *out->by_name);
    if (!out->members || !out->by_name) return pare_no_memory(err, "ZIP directory", out->n_members * sizeof *out->members);
    pare_rd r = {bytes + d.at, (size_t)d.bytes, 0};
    for (size_t i = 0; i < out->n_members; i++)
        if ((st = read_member(out, &r, &d, arena, &out->members[i], err)) != PARE_OK) return st;
    if (r.pos != r.n)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: the ZIP directory has %zu bytes more than its %zu members take", where, r.n - r.pos,
                         out->n_members);
    return sort_names(out, err);
}

const pare_zip_member *pare_zip_find(const pare_zip *z, const char *name)
{
    pare_zip_member key = {.name = name};
    const pare_zip_member *at = &key, **hit = NULL;
    if (z->n_members) hit = bsearch(&at, z->by_name, z->n_members, sizeof *z->by_name, by_name);
    return hit ? *hit : NULL;
}

/* ------------------------------------------------------------------------------------------------------------- data */

uint32_t pare_crc32(uint32_t crc, const void *data, size_t n)
{
    for (const uint8_t *p = data; n;) {
        uInt piece = n > (1u << 30) ? 1u << 30 : (uInt)n;
        crc = (uint32_t)crc32(crc, p, piece);
        p += piece;
        n -= piece;
    }
    return crc;
}

static pare_status crc_differs(const pare_zip *z, const pare_zip_member *m, uint32_t crc, pare_err *err)
{
    return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' is damaged: CRC %08x, the directory says %08x", z->where, m->name, crc, m->crc);
}

pare_status pare_zip_check(const pare_zip *z, const pare_zip_member *m, pare_err *err)
{
    uint32_t crc = pare_crc32(0, z->bytes + m->at, (size_t)m->packed);
    return crc == m->crc ? PARE_OK : crc_differs(z, m, crc, err);
}

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    size_t bytes;
    return pare_mul_size(items, size, &bytes) ? pare_alloc(bytes) : NULL;
}
static void zlib_free(voidpf opaque, voidpf ptr)
{
    (void)opaque;
    pare_dealloc(ptr);
}

struct inflater { z_stream z; uint64_t in_left; uint32_t crc; };

/* The next n unpacked bytes. dst NULL: thrown away. */
static pare_status inflate_some(const pare_zip *z, const pare_zip_member *m, struct inflater *f, uint8_t *dst, uint64_t n, bool *ended,
                                pare_err *err)
{
    uint8_t waste[4096];
    while (n) {
        if (!f->z.avail_in && f->in_left) {
            f->z.avail_in = f->in_left > (1u << 30) ? 1u << 30 : (uInt)f->in_left;
            f->in_left -= f->z.avail_in;
        }
        uInt room = dst ? (n > (1u << 30) ? 1u << 30 : (uInt)n) : (n > sizeof waste ? (uInt)sizeof waste : (uInt)n);
        f->z.next_out = dst ? dst : waste;
        f->z.avail_out = room;
        int code = *ended ? Z_BUF_ERROR : inflate(&f->z, Z_NO_FLUSH);
        uInt got = room - f->z.avail_out;
        f->crc = pare_crc32(f->crc, dst ? dst : waste, got);
        n -= got;
        if (dst) dst += got;
        if (code == Z_STREAM_END) *ended = true;
        else if (code == Z_MEM_ERROR) return pare_no_memory(err, "inflating", 1 << 15);
        else if (code != Z_OK)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' does not inflate: %s", z->where, m->name,
                             f->z.msg ? f->z.msg : "the data ends early");
    }
    return PARE_OK;
}

/* At the member's end the stream must end too, and the CRC must match. */
static pare_status finish_inflate(const pare_zip *z, const pare_zip_member *m, struct inflater *f, bool ended, bool check_crc,
                                  pare_err *err)
{
    uint8_t one;
    f->z.next_out = &one;
    f->z.avail_out = 1;
    if (!f->z.avail_in) f->z.avail_in = f->in_left > (1u << 30) ? 1u << 30 : (uInt)f->in_left;
    if (!ended && (inflate(&f->z, Z_NO_FLUSH) != Z_STREAM_END || f->z.avail_out != 1))
        return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' inflates to more than %llu bytes", z->where, m->name,
                         (unsigned long long)m->size);
    return check_crc && f->crc != m->crc ? crc_differs(z, m, f->crc, err) : PARE_OK;
}

static pare_status read_deflated(const pare_zip *z, const pare_zip_member *m, uint64_t from, uint8_t *dst, uint64_t n, bool check_crc,
                                 pare_err *err)
{
    struct inflater f = {.in_left = m->packed};
    bool ended = false;
    f.z.zalloc = zlib_alloc;
    f.z.zfree = zlib_free;
    f.z.next_in = z->bytes + m->at;
    if (inflateInit2(&f.z, -15) != Z_OK) return pare_no_memory(err, "inflating", 1 << 15);
    pare_status st = inflate_some(z, m, &f, NULL, from, &ended, err);
    if (st == PARE_OK) st = inflate_some(z, m, &f, dst, n, &ended, err);
    if (st == PARE_OK && from + n == m->size) st = finish_inflate(z, m, &f, ended, check_crc, err);
    inflateEnd(&f.z);
    return st;
}

pare_status pare_zip_read(const pare_zip *z, const pare_zip_member *m, uint64_t from, uint8_t *dst, uint64_t n, bool check_crc,
                          pare_err *err)
{
    if (from > m->size || n > m->size - from)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: member '%s' has %llu bytes, %llu were expected", z->where, m->name,
                         (unsigned long long)m->size, (unsigned long long)(from + n));
    if (m->deflated) return read_deflated(z, m, from, dst, n, check_crc, err);
    if (n) memcpy(dst, z->bytes + m->at + from, (size_t)n);
    return check_crc && from + n == m->size ? pare_zip_check(z, m, err) : PARE_OK;
}
