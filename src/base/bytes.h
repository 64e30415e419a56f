/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds-checked little-endian reader over hostile bytes. Every read says whether it fitted. */
#ifndef PARE_BASE_BYTES_H
#define PARE_BASE_BYTES_H
#include "base/status.h"
typedef struct pare_rd { const uint8_t *at; size_t n, pos; } pare_rd;
bool pare_rd_u8(pare_rd *r, uint8_t *out);
bool pare_rd_u16(pare_rd *r, uint16_t *out);
bool pare_rd_u32(pare_rd *r, uint32_t *out);
bool pare_rd_u64(pare_rd *r, uint64_t *out);
bool pare_rd_bytes(pare_rd *r, size_t n, const uint8_t **out);
bool pare_rd_skip(pare_rd *r, size_t n);
bool pare_rd_line(pare_rd *r, const char **text, size_t *n);   /* up to '\n', which is consumed and not counted */
/* Unaligned little-endian loads and stores. */
uint16_t pare_le16(const void *p);
uint32_t pare_le32(const void *p);
uint64_t pare_le64(const void *p);
void pare_put_le16(void *p, uint16_t v);
void pare_put_le32(void *p, uint32_t v);
void pare_put_le64(void *p, uint64_t v);
#endif
