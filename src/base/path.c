/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and folders. */
#include "base/path.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/outfile.h"
#include "base/str.h"

char *pare_path_join(const char *folder, const char *name)
{
    pare_str s = {0};
    size_t n = strlen(folder);
    pare_str_addn(&s, folder, n);
    if (n && folder[n - 1] != '/') pare_str_add(&s, "/");
    pare_str_add(&s, name);
    return pare_str_take(&s);
}

const char *pare_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *pare_path_folder(const char *path)
{
    pare_str s = {0};
    const char *slash = strrchr(path, '/');
    if (!slash)
        pare_str_add(&s, ".");
    else
        pare_str_addn(&s, path, slash == path ? 1 : (size_t)(slash - path));
    return pare_str_take(&s);
}

bool pare_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool pare_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int64_t pare_file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (int64_t)info.st_size : -1;
}

bool pare_path_is_safe(const char *name)
{
    if (!*name || *name == '/') return false;
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F || *p == '\\') return false;
    for (const char *part = name;;) { /* no empty, "." or ".." component */
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) return false;
        if (!part[n]) return true;
        part += n + 1;
    }
}

/* --------------------------------------------------------------------------------------------------------- folders */

static pare_status make_one(const char *path, pare_err *err)
{
    if (mkdir(path, 0777) == 0) return PARE_OK;
    int why = errno;
    if (why == EEXIST && pare_path_is_folder(path)) return PARE_OK;
    return pare_fail_errno(err, why, "%s: cannot make the folder", path);
}

pare_status pare_make_folder(const char *path, pare_err *err)
{
    pare_status st = PARE_OK;
    if (pare_path_is_folder(path)) return PARE_OK;
    char *part = pare_strdup(path);
    if (!part) return pare_no_memory(err, "a path", strlen(path) + 1);
    for (char *p = part + 1; st == PARE_OK && *part && *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        if (!pare_path_is_folder(part)) st = make_one(part, err);
        *p = '/';
    }
    if (st == PARE_OK) st = make_one(path, err);
    pare_dealloc(part);
    return st;
}

/* Empties the folder behind fd (which it closes), never following a link. False leaves errno. */
static bool empty_folder(int fd)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0)
            ok = unlinkat(fd, e->d_name, 0) == 0;
        else
            ok = empty_folder(sub) && unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0;
    }
    int why = errno;
    closedir(dir);
    errno = why;
    return ok;
}

pare_status pare_remove_tree(const char *path, pare_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd < 0 ? unlink(path) == 0 : empty_folder(fd) && rmdir(path) == 0;
    if (ok || (fd < 0 && errno == ENOENT)) return PARE_OK;
    return pare_fail_errno(err, errno, "%s: cannot remove", path);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static pare_status add_name(pare_names *names, size_t *cap, const char *name, pare_err *err)
{
    char *copy = pare_strdup(name);
    if (copy && (names->n < *cap || pare_vec_grow((void **)&names->at, cap, names->n + 1, sizeof *names->at))) {
        names->at[names->n++] = copy;
        return PARE_OK;
    }
    pare_dealloc(copy);
    return pare_no_memory(err, "a folder listing", strlen(name) + 1);
}

pare_status pare_list_folder(const char *path, pare_names *out, pare_err *err)
{
    pare_status st = PARE_OK;
    size_t cap = 0;
    *out = (pare_names){0};
    DIR *dir = opendir(path);
    if (!dir) return pare_fail_errno(err, errno, "%s: cannot list", path);
    for (struct dirent *e; st == PARE_OK && (e = readdir(dir));) {
        struct stat info;
        if (fstatat(dirfd(dir), e->d_name, &info, 0) == 0 && S_ISREG(info.st_mode)) st = add_name(out, &cap, e->d_name, err);
    }
    closedir(dir);
    if (st != PARE_OK) pare_names_clear(out);
    if (out->n > 1) qsort(out->at, out->n, sizeof *out->at, by_name);
    return st;
}

void pare_names_clear(pare_names *names)
{
    for (size_t i = 0; i < names->n; i++) pare_dealloc(names->at[i]);
    pare_dealloc(names->at);
    *names = (pare_names){0};
}

/* ----------------------------------------------------------------------------------------------------------- copying */

static pare_status copy_bytes(int fd, const char *from, pare_out *to, pare_err *err)
{
    enum { CHUNK = 1 << 18 };
    pare_status st = PARE_OK;
    char *chunk = pare_alloc(CHUNK);
    if (!chunk) return pare_no_memory(err, "a copy buffer", CHUNK);
    for (ssize_t n; st == PARE_OK && (n = read(fd, chunk, CHUNK)) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        st = n < 0 ? pare_fail_errno(err, errno, "%s: cannot read", from) : pare_out_write(to, chunk, (size_t)n, err);
    }
    pare_dealloc(chunk);
    return st;
}

pare_status pare_copy_file(const char *from, const char *to, char hex[65], pare_err *err)
{
    pare_status st = PARE_OK;
    pare_out *out = NULL;
    struct stat info;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return pare_fail_errno(err, errno, "%s: cannot open", from);
    if (fstat(fd, &info) != 0) {
        st = pare_fail_errno(err, errno, "%s: cannot stat", from);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) PARE_FAIL(err, PARE_ERR_IO, "%s: is not a regular file", from);
    PARE_TRY(pare_out_open(to, 0, (uint64_t)info.st_size, hex != NULL, &out, err));
    PARE_TRY(copy_bytes(fd, from, out, err));
    st = pare_out_close(out, hex, err);
    out = NULL;
out:
    pare_out_abort(out);
    close(fd);
    return st;
}
