/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of small checkpoint files, right and wrong, made in memory. */
#ifndef PARE_TEST_MAKE_H
#define PARE_TEST_MAKE_H
#include "support/support.h"
#include "file/file.h"

typedef struct buf { uint8_t *at; size_t n, cap; } buf;
void buf_put(buf *b, const void *data, size_t n);
void buf_text(buf *b, const char *text);
void buf_le(buf *b, uint64_t value, int width);
void buf_fill(buf *b, uint8_t value, size_t n);
void buf_clear(buf *b);
/* Overwrites a little-endian number. */
void buf_set(buf *b, size_t at, uint64_t value, int width);
/* Place of the nth (from 0) occurrence; fails the test when there is none. */
size_t buf_find(const buf *b, const void *what, size_t n, int nth);

/* u64 length, header as given, `data` bytes 0, 1, 2, ... */
void make_safetensors(buf *b, const char *header, size_t data);
/* Version 1.0, header as given, then data. */
void make_npy(buf *b, const char *header, const void *data, size_t n);

typedef struct zipper { buf *out; buf directory; int count; } zipper;
void zip_add(zipper *z, const char *name, const void *data, size_t n, bool deflate);
void zip_end(zipper *z);
/* torch's zip form: archive/data.pkl, archive/data/0 of `storage` bytes 0, 1, 2, ..., archive/version. */
void make_torch_zip(buf *b, const void *pickle, size_t n, size_t storage);
/* The legacy form: prologue, this pickle, ["0"], numel, storage bytes. */
void make_torch_legacy(buf *b, const void *pickle, size_t n, uint64_t numel, size_t storage);
/* torch's ZIP signature numbers. */
#define ZIP_LOCAL "PK\3\4"
#define ZIP_ENTRY "PK\1\2"
#define ZIP_END "PK\5\6"

/* Pickle pieces in protocol 0, so that they can be read here. numel and sizes are text. */
#define PK_STORAGE(type, key, numel) "(Vstorage\nctorch\n" type "\nV" key "\nVcpu\nI" numel "\ntQ"
#define PK_TENSOR_AT(storage, offset, size, stride) \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage "I" offset "\n(" size "t(" stride "tI00\nccollections\nOrderedDict\n)RtR"
#define PK_TENSOR(type, numel, size, stride) PK_TENSOR_AT(PK_STORAGE(type, "0", numel), "0", size, stride)
#define PK_W PK_TENSOR("FloatStorage", "6", "I2\nI3\n", "I3\nI1\n") /* w: f32 [2, 3] in storage 0 of 24 bytes */
#define PK_DICT(items) "(d" items "."
#define PK_ITEM(key, value) "V" key "\n" value "s"
#endif
