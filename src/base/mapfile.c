/* SPDX-License-Identifier: Apache-2.0 */
/* Files mapped read-only, and small files read whole. */
#include "base/mapfile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/str.h"

pare_status pare_map_open(const char *path, pare_map *out, pare_err *err)
{
    pare_status st = PARE_OK;
    struct stat info;
    void *at;
    *out = (pare_map){.at = (const uint8_t *)""};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return pare_fail_errno(err, errno, "%s: cannot open", path);
    if (fstat(fd, &info) != 0) {
        st = pare_fail_errno(err, errno, "%s: cannot stat", path);
        goto out;
    }
    if (S_ISDIR(info.st_mode)) PARE_FAIL(err, PARE_ERR_IO, "%s: is a folder, not a file", path);
    if (!S_ISREG(info.st_mode)) PARE_FAIL(err, PARE_ERR_IO, "%s: is not a regular file", path);
    if ((uint64_t)info.st_size > SIZE_MAX) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: too large to map", path);
    out->path = pare_strdup(path);
    if (!out->path) {
        st = pare_no_memory(err, "a path", strlen(path) + 1);
        goto out;
    }
    out->mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    if (info.st_size == 0) goto out;
    at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        st = pare_fail_errno(err, errno, "%s: cannot map %lld bytes", path, (long long)info.st_size);
        pare_map_close(out);
        goto out;
    }
    out->at = at;
    out->n = (size_t)info.st_size;
out:
    close(fd);
    return st;
}

void pare_map_close(pare_map *map)
{
    if (map->n) munmap((void *)(uintptr_t)map->at, map->n);
    pare_dealloc(map->path);
    *map = (pare_map){0};
}

void pare_map_sequential(const pare_map *map)
{
    if (map->n) madvise((void *)(uintptr_t)map->at, map->n, MADV_SEQUENTIAL);
}

void pare_map_drop(const pare_map *map, size_t offset, size_t n)
{
    if (offset >= map->n) return;
    if (n > map->n - offset) n = map->n - offset;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (offset + page - 1) / page * page;
    /* Pages shared with a neighbour stay, except that the file's last page belongs to whoever reaches the end. */
    size_t end = offset + n == map->n ? map->n : (offset + n) / page * page;
    if (begin < end) madvise((void *)(uintptr_t)(map->at + begin), end - begin, MADV_DONTNEED);
}

/* Reads up to the end of the file; the size that stat gives is only a first guess (pipes, /proc). */
static pare_status read_all(int fd, const char *path, size_t guess, size_t max_bytes, pare_str *text, pare_err *err)
{
    for (size_t need = guess + 2;; need = text->cap + 1) { /* one spare byte shows the end, one is for the NUL */
        if (text->cap - text->n < 2 && !pare_vec_grow((void **)&text->at, &text->cap, need, 1)) return pare_no_memory(err, path, need);
        ssize_t got = read(fd, text->at + text->n, text->cap - text->n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return pare_fail_errno(err, errno, "%s: cannot read", path);
        if (got == 0) break;
        text->n += (size_t)got;
        if (text->n > max_bytes) return pare_fail(err, PARE_ERR_FORMAT, "%s: larger than the %zu bytes allowed here", path, max_bytes);
    }
    text->at[text->n] = '\0';
    return PARE_OK;
}

pare_status pare_read_file(const char *path, size_t max_bytes, char **out, size_t *n, pare_err *err)
{
    pare_status st = PARE_OK;
    struct stat info;
    pare_str text = {0};
    *out = NULL;
    if (n) *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return pare_fail_errno(err, errno, "%s: cannot open", path);
    if (fstat(fd, &info) != 0) {
        st = pare_fail_errno(err, errno, "%s: cannot stat", path);
        goto out;
    }
    if (S_ISDIR(info.st_mode)) PARE_FAIL(err, PARE_ERR_IO, "%s: is a folder, not a file", path);
    if (info.st_size > 0 && (uint64_t)info.st_size > max_bytes)
        PARE_FAIL(err, PARE_ERR_FORMAT, "%s: %lld bytes, larger than the %zu allowed here", path, (long long)info.st_size, max_bytes);
    PARE_TRY(read_all(fd, path, info.st_size > 0 ? (size_t)info.st_size : 4096, max_bytes, &text, err));
    *out = text.at;
    if (n) *n = text.n;
    text = (pare_str){0};
out:
    pare_str_clear(&text);
    close(fd);
    return st;
}
