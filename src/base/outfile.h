/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Append-only output file at memory speed: aligned double buffer, direct I/O where the file system has it (falls back to
 * buffered writes silently: same bytes), SHA-256 of everything written. Nothing exists under the final name until
 * pare_out_commit(): data is written to the name given (callers pass a temporary name), flushed, then renamed.
 */
#ifndef PARE_BASE_OUTFILE_H
#define PARE_BASE_OUTFILE_H
#include "base/ctx.h"
typedef struct pare_out pare_out;
/*
 * Opens path for appending. resume_at > 0: the file exists with at least that many bytes; it is cut to resume_at and the
 * hash is rebuilt from what is there. expected: total bytes when known (0 = unknown): space is reserved first, so that a
 * full disk is an error before the work.
 */
pare_status pare_out_open(const char *path, uint64_t resume_at, uint64_t expected, bool hash, pare_out **out, pare_err *err);
/* From now on full buffers are written by a background task of ctx while the next one is filled. */
pare_status pare_out_overlap(pare_out *o, pare_ctx *ctx, pare_err *err);
pare_status pare_out_write(pare_out *o, const void *data, size_t n, pare_err *err);
uint64_t pare_out_position(const pare_out *o);
/* Everything appended so far is on disk when this returns (fdatasync); used before a journal entry is made. */
pare_status pare_out_sync(pare_out *o, pare_err *err);
/* Flushes and closes; hex (may be NULL) receives the hash. The file keeps its temporary name. */
pare_status pare_out_close(pare_out *o, char hex[65], pare_err *err);
void pare_out_abort(pare_out *o);   /* closes without flushing; NULL is fine. The file stays (for resume) */
/* Writes a small file atomically: temporary beside it, fsync, rename, fsync of the folder. */
pare_status pare_write_file_atomic(const char *path, const void *data, size_t n, pare_err *err);
pare_status pare_rename_durable(const char *from, const char *to, pare_err *err);
#endif
