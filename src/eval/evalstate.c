/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of a long evaluation: "PAREEVA1", the fingerprint (32 hex digits), then for every finished window u32 positions, their scores (16 bytes
 * each) and a checksum of both. Appended and flushed window by window; what is cut off or damaged at the end is computed again.
 */
#include "eval/eval.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 40, SCORE = 16, CHECK = 16 };
static const char magic[8] = "PAREEVA1";

struct pare_eval_state { int fd; char *path; };

static pare_status checksum(const void *data, size_t n, uint8_t out[CHECK], pare_err *err)
{
    pare_xxh128 *h = NULL;
    char hex[33];
    pare_status st = pare_xxh128_new(&h, err);
    if (st != PARE_OK) return st;
    pare_xxh128_update(h, data, n);
    pare_xxh128_hex(h, hex);
    pare_xxh128_free(h);
    memcpy(out, hex, CHECK); /* half of the digits are check enough */
    return PARE_OK;
}

static void put_score(uint8_t *p, const pare_score *s)
{
    uint32_t u[4];
    memcpy(&u[0], &s->nll, 4);
    memcpy(&u[1], &s->nll_ref, 4);
    memcpy(&u[2], &s->kl, 4);
    u[3] = s->same_top;
    for (int i = 0; i < 4; i++) pare_put_le32(p + 4 * i, u[i]);
}

static void get_score(const uint8_t *p, pare_score *s)
{
    uint32_t u[4];
    for (int i = 0; i < 4; i++) u[i] = pare_le32(p + 4 * i);
    memcpy(&s->nll, &u[0], 4);
    memcpy(&s->nll_ref, &u[1], 4);
    memcpy(&s->kl, &u[2], 4);
    s->same_top = u[3];
}

/* Whole windows of data; *end: the byte after the last of them. */
static pare_status read_windows(const uint8_t *data, size_t n, pare_scores *scores, int64_t *windows, size_t *end, pare_err *err)
{
    *end = HEAD;
    for (size_t at = HEAD; n - at >= 4;) {
        const uint32_t count = pare_le32(data + at);
        uint8_t check[CHECK];
        const size_t bytes = 4 + (size_t)count * SCORE;
        if (n - at < bytes + CHECK) break;
        pare_status st = checksum(data + at, bytes, check, err);
        if (st != PARE_OK) return st;
        if (memcmp(check, data + at + bytes, CHECK) != 0) break;
        for (uint32_t i = 0; i < count; i++) {
            pare_score s;
            get_score(data + at + 4 + (size_t)i * SCORE, &s);
            if (!PARE_VEC_PUSH(scores, s)) return pare_no_memory(err, "scores", scores->n * sizeof s);
        }
        at += bytes + CHECK;
        *end = at;
        ++*windows;
    }
    return PARE_OK;
}

static pare_status write_all(int fd, const char *path, const uint8_t *data, size_t n, pare_err *err)
{
    while (n) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return pare_fail_errno(err, errno, "%s: cannot write", path);
        data += w;
        n -= (size_t)w;
    }
    return PARE_OK;
}

pare_status pare_eval_state_open(const char *path, const char fingerprint[33], pare_eval_state **out, pare_scores *scores, int64_t *windows, pare_err *err)
{
    pare_status st;
    pare_map map = { 0 };
    size_t end = HEAD;
    uint8_t head[HEAD];
    *out = NULL;
    *windows = 0;
    pare_eval_state *s = pare_alloc_zero(1, sizeof *s);
    if (!s) return pare_no_memory(err, path, sizeof *s);
    s->fd = -1;
    memcpy(head, magic, 8);
    memcpy(head + 8, fingerprint, 32);
    if (!(s->path = pare_strdup(path))) {
        st = pare_no_memory(err, path, 0);
        goto out;
    }
    if (pare_file_size(path) > 0) {
        PARE_TRY(pare_map_open(path, &map, err));
        if (map.n < HEAD || memcmp(map.at, magic, 8) != 0) PARE_FAIL(err, PARE_ERR_FORMAT, "%s: is no state of an evaluation (%zu bytes)", path, map.n);
        if (memcmp(map.at, head, HEAD) != 0) {
            st = pare_fail(err, PARE_ERR_EXISTS, "%s: is the state of another evaluation (model, text, protocol or options differ)", path);
            pare_hint(err, "remove it, or name another file");
            goto out;
        }
        PARE_TRY(read_windows(map.at, map.n, scores, windows, &end, err));
    }
    s->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (s->fd < 0) {
        st = pare_fail_errno(err, errno, "%s: cannot open", path);
        goto out;
    }
    if (!map.n) PARE_TRY(write_all(s->fd, path, head, HEAD, err));
    pare_map_close(&map); /* before the file is cut */
    memset(&map, 0, sizeof map);
    if (ftruncate(s->fd, (off_t)end) != 0 || lseek(s->fd, (off_t)end, SEEK_SET) < 0) {
        st = pare_fail_errno(err, errno, "%s: cannot cut to %zu bytes", path, end);
        goto out;
    }
    *out = s;
    return PARE_OK;
out:
    pare_map_close(&map);
    pare_eval_state_close(s);
    return st;
}

pare_status pare_eval_state_add(pare_eval_state *s, const pare_score *scores, int64_t n, pare_err *err)
{
    const size_t bytes = 4 + (size_t)n * SCORE;
    pare_status st;
    uint8_t *data = pare_alloc(bytes + CHECK);
    if (!data) return pare_no_memory(err, s->path, bytes);
    pare_put_le32(data, (uint32_t)n);
    for (int64_t i = 0; i < n; i++) put_score(data + 4 + i * SCORE, &scores[i]);
    PARE_TRY(checksum(data, bytes, data + bytes, err));
    PARE_TRY(write_all(s->fd, s->path, data, bytes + CHECK, err));
    if (fdatasync(s->fd) != 0) st = pare_fail_errno(err, errno, "%s: cannot flush", s->path);
out:
    pare_dealloc(data);
    return st;
}

void pare_eval_state_close(pare_eval_state *s)
{
    if (!s) return;
    if (s->fd >= 0) close(s->fd);
    pare_dealloc(s->path);
    pare_dealloc(s);
}
