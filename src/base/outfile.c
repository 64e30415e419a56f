/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Append-only output. Bytes gather in one aligned buffer and leave it in whole buffers with O_DIRECT: on ext4 a buffered
 * write costs seconds of kernel time a GB (page cache copies and writeback), a direct one a tenth of that. With a
 * background task (pare_out_overlap) a full buffer is written while the caller hashes and fills a second one.
 *
 *   file:    |<------------- on disk ------------->|<- fill ->|
 *            0                                     base       position = base + fill
 *   buffer:                                        [##########..............]     base is a multiple of BLOCK
 *
 * The tail need not be a whole block: it is written padded with zeros and cut by ftruncate at the end; after a sync it
 * stays in the buffer and is written again, longer, later.
 */
#include "base/outfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"

enum { BLOCK = 4096, BUFFER = 4 << 20, SMALL = 256 << 10 };

struct pare_out {
    int fd;
    bool direct;
    char *path;
    uint8_t *buffer;
    size_t size, fill;  /* of the buffer */
    uint64_t base;      /* file offset of buffer[0] */
    pare_sha256 *hash;  /* NULL = not wanted */
    pare_background *background; /* NULL = buffers are written where they fill */
    uint8_t *other;              /* the second buffer then: being written, or free */
    uint64_t other_base;
    pare_err broken;             /* first failed write: bytes are missing in the file, so everything after it fails too */
};

static size_t round_up(size_t n) { return (n + BLOCK - 1) & ~(size_t)(BLOCK - 1); }

/* ------------------------------------------------------------------------------------------------------------- errors */

static uint64_t bytes_available(int fd)
{
    struct statvfs fs;
    return fstatvfs(fd, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
}

static pare_status disk_full(const char *path, uint64_t needed, uint64_t available, pare_err *err)
{
    char need[32], have[32];
    pare_format_bytes(needed, need);
    pare_format_bytes(available, have);
    pare_fail(err, PARE_ERR_IO, "%s: disk full: %s (%llu bytes) more needed, %s (%llu bytes) available", path, need,
              (unsigned long long)needed, have, (unsigned long long)available);
    pare_hint(err, "free space on that disk or choose another output folder");
    return PARE_ERR_IO;
}

static pare_status write_failed(const pare_out *o, int why, uint64_t at, uint64_t missing, pare_err *err)
{
    if (why == ENOSPC) return disk_full(o->path, missing, bytes_available(o->fd), err);
    return pare_fail_errno(err, why, "%s: cannot write at byte %llu", o->path, (unsigned long long)at);
}

/* Passes st on and remembers the first error. */
static pare_status remember(pare_out *o, pare_status st, const pare_err *why, pare_err *err)
{
    if (st == PARE_OK) return PARE_OK;
    o->broken = *why;
    if (err) *err = *why;
    return st;
}

static pare_status broken(const pare_out *o, pare_err *err)
{
    if (err) *err = o->broken;
    return o->broken.code;
}

/* ------------------------------------------------------------------------------------------------------------ writing */

static void leave_direct(pare_out *o)
{
    int flags = fcntl(o->fd, F_GETFL);
    if (flags >= 0) fcntl(o->fd, F_SETFL, flags & ~O_DIRECT);
    o->direct = false;
}

/* Puts n bytes at file offset `base`. Some file systems refuse direct I/O only when it happens: then go on without. */
static pare_status put(pare_out *o, const uint8_t *data, uint64_t base, size_t n, pare_err *err)
{
    for (size_t done = 0; done < n;) {
        ssize_t wrote = pwrite(o->fd, data + done, n - done, (off_t)(base + done));
        if (wrote > 0) {
            done += (size_t)wrote;
            if (o->direct && done < n && done % BLOCK) leave_direct(o);
            continue;
        }
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0 && errno == EINVAL && o->direct) {
            leave_direct(o);
            continue;
        }
        return write_failed(o, wrote < 0 ? errno : ENOSPC, base + done, n - done, err);
    }
    return PARE_OK;
}

static pare_status put_other(void *arg, pare_err *err)
{
    pare_out *o = arg;
    return put(o, o->other, o->other_base, o->size, err);
}

/* A buffer in the background must be on disk before anything else touches the file. */
static pare_status settle(pare_out *o, pare_err *err)
{
    pare_err why;
    if (o->broken.code != PARE_OK) return broken(o, err);
    return o->background ? remember(o, pare_background_wait(o->background, &why), &why, err) : PARE_OK;
}

/* The buffer is full: writes it, here or in the background, and goes on with an empty one. */
static pare_status put_full(pare_out *o, pare_err *err)
{
    pare_err why;
    pare_status st = settle(o, err);
    if (st != PARE_OK) return st;
    if (o->background) {
        uint8_t *filled = o->buffer;
        o->buffer = o->other;
        o->other = filled;
        o->other_base = o->base;
        st = pare_background_start(o->background, put_other, o, &why);
    } else {
        st = put(o, o->buffer, o->base, o->size, &why);
    }
    o->base += o->size;
    o->fill = 0;
    return remember(o, st, &why, err);
}

/* The tail, padded to what direct I/O takes. It stays in the buffer. */
static pare_status put_tail(pare_out *o, pare_err *err)
{
    pare_err why;
    pare_status st = settle(o, err);
    if (st != PARE_OK) return st;
    size_t n = o->direct ? round_up(o->fill) : o->fill;
    memset(o->buffer + o->fill, 0, n - o->fill);
    return remember(o, put(o, o->buffer, o->base, n, &why), &why, err);
}

pare_status pare_out_write(pare_out *o, const void *data, size_t n, pare_err *err)
{
    pare_status st = PARE_OK;
    if (o->broken.code != PARE_OK) return broken(o, err);
    for (const uint8_t *p = data; st == PARE_OK && n > 0;) {
        size_t piece = o->size - o->fill < n ? o->size - o->fill : n;
        /* Buffer by buffer: the one before is being written meanwhile. */
        if (o->hash && (st = pare_sha256_update(o->hash, p, piece, err)) != PARE_OK) break;
        memcpy(o->buffer + o->fill, p, piece);
        o->fill += piece;
        p += piece;
        n -= piece;
        if (o->fill == o->size) st = put_full(o, err);
    }
    return st;
}

uint64_t pare_out_position(const pare_out *o) { return o->base + o->fill; }

pare_status pare_out_sync(pare_out *o, pare_err *err)
{
    pare_status st = put_tail(o, err);
    if (st == PARE_OK && fdatasync(o->fd) != 0) st = write_failed(o, errno, o->base, o->fill, err);
    if (st != PARE_OK) return st;
    size_t whole = o->fill & ~(size_t)(BLOCK - 1); /* finished blocks need not be written twice */
    memmove(o->buffer, o->buffer + whole, o->fill - whole);
    o->base += whole;
    o->fill -= whole;
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ opening */

/* Space first: a full disk is an error before hours of work, not after. */
static pare_status reserve(pare_out *o, uint64_t resume_at, uint64_t expected, pare_err *err)
{
    if (expected <= resume_at) return PARE_OK;
    struct stat info;
    uint64_t there = fstat(o->fd, &info) == 0 ? (uint64_t)info.st_blocks * 512 : 0;
    uint64_t needed = expected > there ? expected - there : 0, available = bytes_available(o->fd);
    if (needed > available) return disk_full(o->path, needed, available, err);
    if (expected < SMALL || expected > INT64_MAX) return PARE_OK;
    /* The file's length stays what has been written, so that an interrupted file never looks whole. */
    if (fallocate(o->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)expected) == 0 || errno != ENOSPC) return PARE_OK;
    (void)!ftruncate(o->fd, (off_t)resume_at);
    return disk_full(o->path, needed, bytes_available(o->fd), err);
}

/* Reads what an interrupted run left, for the hash and for the bytes of the last, partial block. */
static pare_status reread(pare_out *o, uint64_t resume_at, pare_err *err)
{
    pare_status st = PARE_OK;
    if (!o->hash) o->base = resume_at & ~(uint64_t)(BLOCK - 1);
    while (st == PARE_OK && o->base + o->fill < resume_at) {
        if (o->fill == o->size) o->base += o->size, o->fill = 0;
        ssize_t got = pread(o->fd, o->buffer + o->fill, o->size - o->fill, (off_t)(o->base + o->fill));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EINVAL && o->direct) {
            leave_direct(o);
            continue;
        }
        if (got < 0) return pare_fail_errno(err, errno, "%s: cannot read back", o->path);
        if (got == 0)
            return pare_fail(err, PARE_ERR_DATA, "%s: ends at byte %llu, but work had reached byte %llu", o->path,
                             (unsigned long long)(o->base + o->fill), (unsigned long long)resume_at);
        if ((uint64_t)got > resume_at - o->base - o->fill) got = (ssize_t)(resume_at - o->base - o->fill);
        if (o->hash) st = pare_sha256_update(o->hash, o->buffer + o->fill, (size_t)got, err);
        o->fill += (size_t)got;
        if (o->fill % BLOCK && o->direct && o->base + o->fill < resume_at) leave_direct(o);
    }
    size_t whole = o->fill & ~(size_t)(BLOCK - 1);
    memmove(o->buffer, o->buffer + whole, o->fill - whole);
    o->base += whole;
    o->fill -= whole;
    return st;
}

static int open_for(const char *path, bool fresh, bool *direct)
{
    int flags = O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0);
    int fd = *direct ? open(path, flags | O_DIRECT, 0666) : -1;
    if (fd < 0) {
        *direct = false;
        fd = open(path, flags, 0666);
    }
    return fd;
}

pare_status pare_out_open(const char *path, uint64_t resume_at, uint64_t expected, bool hash, pare_out **out, pare_err *err)
{
    pare_status st = PARE_OK;
    *out = NULL;
    pare_out *o = pare_alloc_zero(1, sizeof *o);
    if (!o) return pare_no_memory(err, "an output file", sizeof *o);
    o->fd = -1;
    o->size = expected > 0 && expected < BUFFER ? round_up((size_t)expected) : BUFFER;
    o->direct = expected == 0 || expected >= SMALL; /* a small file is not worth it */
    o->path = pare_strdup(path);
    o->buffer = pare_alloc_aligned(BLOCK, o->size);
    if (!o->path || !o->buffer) {
        st = pare_no_memory(err, "an output buffer", o->size);
        goto out;
    }
    if (hash) PARE_TRY(pare_sha256_new(&o->hash, err));
    o->fd = open_for(path, resume_at == 0, &o->direct);
    if (o->fd < 0) {
        st = pare_fail_errno(err, errno, "%s: cannot %s", path, resume_at ? "open to continue" : "create");
        goto out;
    }
    if (resume_at > 0) {
        PARE_TRY(reread(o, resume_at, err));
        if (ftruncate(o->fd, (off_t)resume_at) != 0) {
            st = pare_fail_errno(err, errno, "%s: cannot cut to %llu bytes", path, (unsigned long long)resume_at);
            goto out;
        }
    }
    PARE_TRY(reserve(o, resume_at, expected, err));
    *out = o;
    o = NULL;
out:
    pare_out_abort(o);
    return st;
}

pare_status pare_out_overlap(pare_out *o, pare_ctx *ctx, pare_err *err)
{
    if (o->size < BUFFER || o->background) return PARE_OK; /* a small file is one buffer */
    o->other = pare_alloc_aligned(BLOCK, o->size);
    if (!o->other) return pare_no_memory(err, "an output buffer", o->size);
    return pare_background_new(ctx, &o->background, err);
}

/* ------------------------------------------------------------------------------------------------------------ closing */

pare_status pare_out_close(pare_out *o, char hex[65], pare_err *err)
{
    pare_status st = PARE_OK;
    uint64_t length = pare_out_position(o);
    if (hex) hex[0] = '\0';
    PARE_TRY(put_tail(o, err));
    /* Also gives back what was reserved and not used. */
    if (ftruncate(o->fd, (off_t)length) != 0 || fdatasync(o->fd) != 0) {
        st = write_failed(o, errno, o->base, o->fill, err);
        goto out;
    }
    if (hex && o->hash) PARE_TRY(pare_sha256_hex(o->hash, hex, err));
    if (close(o->fd) != 0) st = pare_fail_errno(err, errno, "%s: cannot close", o->path);
    o->fd = -1;
out:
    pare_out_abort(o);
    return st;
}

void pare_out_abort(pare_out *o)
{
    if (!o) return;
    pare_background_free(o->background); /* waits */
    pare_dealloc_aligned(o->other);
    if (o->fd >= 0) close(o->fd);
    pare_sha256_free(o->hash);
    pare_dealloc_aligned(o->buffer);
    pare_dealloc(o->path);
    pare_dealloc(o);
}

/* -------------------------------------------------------------------------------------------------- small files, names */

static pare_status sync_folder_of(const char *path, pare_err *err)
{
    pare_status st = PARE_OK;
    char *folder = pare_path_folder(path);
    if (!folder) return pare_no_memory(err, "a path", strlen(path) + 1);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems cannot sync a folder (EINVAL); there is nothing more to be had from them. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) st = pare_fail_errno(err, errno, "%s: cannot flush the folder", folder);
    if (fd >= 0) close(fd);
    pare_dealloc(folder);
    return st;
}

pare_status pare_rename_durable(const char *from, const char *to, pare_err *err)
{
    if (rename(from, to) != 0) return pare_fail_errno(err, errno, "%s: cannot rename to '%s'", from, to);
    return sync_folder_of(to, err);
}

pare_status pare_write_file_atomic(const char *path, const void *data, size_t n, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_out *o = NULL;
    pare_str temporary = {0};
    pare_str_printf(&temporary, "%s.%ld.tmp", path, (long)getpid());
    if (temporary.failed) return pare_no_memory(err, "a path", strlen(path) + 32);
    PARE_TRY(pare_out_open(temporary.at, 0, n ? n : 1, false, &o, err));
    PARE_TRY(pare_out_write(o, data, n, err));
    st = pare_out_close(o, NULL, err);
    o = NULL;
    if (st == PARE_OK) st = pare_rename_durable(temporary.at, path, err);
out:
    pare_out_abort(o);
    if (st != PARE_OK) unlink(temporary.at);
    pare_str_clear(&temporary);
    return st;
}
