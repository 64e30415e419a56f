/* SPDX-License-Identifier: Apache-2.0 */
/* Working memory in memory or in a mapped file. Space is reserved first: a full disk is an error here, not a signal later. */
#include "base/workmap.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/str.h"

/* Reserves the file's blocks; where the file system cannot, zeros are written. */
static int reserve(int fd, size_t n)
{
    const int code = posix_fallocate(fd, 0, (off_t)n);
    return code == EOPNOTSUPP || code == EINVAL ? (ftruncate(fd, (off_t)n) ? errno : 0) : code;
}

static pare_status map_file(const char *path, size_t n, pare_workmap *out, pare_err *err)
{
    pare_status st = PARE_OK;
    int code;
    void *at;
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return pare_fail_errno(err, errno, "%s: cannot make", path);
    if ((code = reserve(fd, n)) != 0) {
        st = pare_fail_errno(err, code, "%s: %zu bytes of working memory", path, n);
        goto out;
    }
    at = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        st = pare_fail_errno(err, errno, "%s: cannot map %zu bytes", path, n);
        goto out;
    }
    out->at = at;
    out->n = n;
    out->mapped = true;
out:
    close(fd);
    if (st != PARE_OK) unlink(path);
    return st;
}

pare_status pare_workmap_open(const char *path, size_t n, const char *what, pare_workmap *out, pare_err *err)
{
    *out = (pare_workmap){0};
    if (n == 0) n = 64;
    if (!path) {
        out->at = pare_alloc_aligned(64, n);
        out->n = n;
        return out->at ? PARE_OK : pare_no_memory(err, what, n);
    }
    out->path = pare_strdup(path);
    if (!out->path) return pare_no_memory(err, what, strlen(path));
    const pare_status st = map_file(path, n, out, err);
    if (st != PARE_OK) {
        pare_dealloc(out->path);
        *out = (pare_workmap){0};
    }
    return st;
}

void pare_workmap_close(pare_workmap *m)
{
    if (m->mapped) {
        munmap(m->at, m->n);
        unlink(m->path);
    } else
        pare_dealloc_aligned(m->at);
    pare_dealloc(m->path);
    *m = (pare_workmap){0};
}
