/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZIP as torch and numpy use it (PKWARE APPNOTE.TXT 6.3): central directory with zip64, members stored or deflated; and
 * the records for writing stored members as a stream. Private to src/file.
 */
#ifndef PARE_ZIP_H
#define PARE_ZIP_H
#include "file/file.h"

typedef struct pare_zip_member {
    const char *name;
    uint64_t at;            /* where its bytes begin in the file */
    uint64_t packed, size;  /* bytes in the file, bytes unpacked */
    uint32_t crc;
    bool deflated;
} pare_zip_member;

typedef struct pare_zip {
    const char *where;               /* file name for messages */
    const uint8_t *bytes; size_t n;  /* the whole file */
    pare_zip_member *members; size_t n_members;   /* in the order of the directory */
    const pare_zip_member **by_name;              /* the same, sorted */
} pare_zip;

/* Everything lives in the arena. Every member has been checked to lie inside the file, before the directory. */
pare_status pare_zip_open(const char *where, const uint8_t *bytes, size_t n, pare_arena *arena, pare_zip *out, pare_err *err);
const pare_zip_member *pare_zip_find(const pare_zip *z, const char *name);
/* Unpacked bytes [from, from+n) into dst. Reaching the member's end checks the length, and the CRC when check_crc. */
pare_status pare_zip_read(const pare_zip *z, const pare_zip_member *m, uint64_t from, uint8_t *dst, uint64_t n, bool check_crc,
                          pare_err *err);
/* CRC of a stored member. */
pare_status pare_zip_check(const pare_zip *z, const pare_zip_member *m, pare_err *err);
uint32_t pare_crc32(uint32_t crc, const void *data, size_t n);

/* ------------------------------------------------------------------------------------------------------------ writing */

/*
 * Records of stored members whose size is known and whose CRC follows the data. A record uses the zip64 form when a size
 * or offset reaches `limit` (0xFFFFFFFF in real files; tests lower it).
 */
typedef struct pare_zip_out { const char *name; uint64_t header_at, size; uint32_t crc; } pare_zip_out;
enum { PARE_ZIP_ALIGN = 64 };
/* Local header for a member that begins at m->header_at, padded so that its bytes begin at a multiple of PARE_ZIP_ALIGN. */
void pare_zip_put_header(pare_str *s, const pare_zip_out *m, uint64_t limit);
void pare_zip_put_descriptor(pare_str *s, const pare_zip_out *m, uint64_t limit);
/* Central directory and end records, which begin at byte `at`. */
void pare_zip_put_directory(pare_str *s, const pare_zip_out *members, size_t n, uint64_t at, uint64_t limit);
#endif
