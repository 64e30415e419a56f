/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a running job: what is durable, so that an interrupted run goes on instead of starting again. One JSON
 * object a line, appended and flushed only after the data it speaks of is on disk:
 *
 *   {"fingerprint": "…"}                                  the plan and the inputs
 *   {"item": 17, "error": [signal, noise, …]}             measures of a finished layer, exact
 *   {"steps": 42}                                         steps [0, 42) are in their shards
 *   {"shard": 0, "sha256": "…"}                           that shard file is complete
 *
 * A last line without its newline was being written when the run died and is ignored.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "flow/flow.h"

#define JOURNAL_MAX_BYTES (UINT64_C(1) << 30)

struct pare_journal { int fd; char *path; };

/* A killed process holds its lock until the kernel has cleaned up after it: wait a little before calling it another process. */
static bool take_lock(int fd) {
    for (int tries = 0; tries < 40; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK && errno != EINTR) return false;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return false;
}

static pare_status append(pare_journal *j, const pare_str *line, pare_err *err) {
    size_t done = 0;
    if (line->failed) return pare_no_memory(err, j->path, 0);
    while (done < line->n) {
        const ssize_t n = write(j->fd, line->at + done, line->n - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return pare_fail_errno(err, errno, "%s", j->path);
        done += (size_t)n;
    }
    return fdatasync(j->fd) == 0 ? PARE_OK : pare_fail_errno(err, errno, "%s", j->path);
}

static void add_reals(pare_str *s, const double *v, int n) {
    for (int i = 0; i < n; i++) pare_str_printf(s, "%s\"%a\"", i ? "," : "", v[i]); /* hex: reads back exactly */
}

static pare_status read_item(const pare_jval *v, pare_plan *plan, const char *where, pare_err *err) {
    const int64_t i = pare_j_int(pare_j_get(v, "item"), -1);
    const pare_jval *e = pare_j_get(v, "error");
    double x[6] = {0};
    if (i < 0 || i >= plan->n_items || pare_j_count(e) != 6) return pare_fail(err, PARE_ERR_FORMAT, "%s: a line names layer %lld", where, (long long)i);
    for (size_t k = 0; k < 6; k++)
        if (!pare_parse_f64(pare_j_text(pare_j_at(e, k), ""), &x[k])) return pare_fail(err, PARE_ERR_FORMAT, "%s: a measure is not a number", where);
    plan->items[i].error = (pare_row_error){.signal = x[0], .noise = x[1], .cross = x[2], .abs_sum = x[3], .max_abs = x[4], .dq2 = x[5]};
    plan->items[i].measured = true;
    return PARE_OK;
}

static pare_status read_line(const pare_jval *v, const char *fingerprint, bool *known, pare_plan *plan, pare_journal_state *state,
                             char (*shard_hash)[65], const char *where, pare_err *err) {
    const char *text;
    if ((text = pare_j_text(pare_j_get(v, "fingerprint"), NULL))) {
        *known = strcmp(text, fingerprint) == 0;
        return PARE_OK;
    }
    if (!*known) return PARE_OK;
    if (pare_j_get(v, "item")) return read_item(v, plan, where, err);
    if (pare_j_get(v, "steps")) {
        state->steps_done = pare_j_int(pare_j_get(v, "steps"), 0);
        if (state->steps_done < 0 || state->steps_done > plan->n_steps)
            return pare_fail(err, PARE_ERR_FORMAT, "%s: %lld steps of %lld", where, (long long)state->steps_done, (long long)plan->n_steps);
        return PARE_OK;
    }
    const int64_t shard = pare_j_int(pare_j_get(v, "shard"), -1);
    text = pare_j_text(pare_j_get(v, "sha256"), "");
    if (shard != state->shards_done || shard >= plan->n_shards || strlen(text) != 64)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: unexpected line about shard %lld", where, (long long)shard);
    memcpy(shard_hash[shard], text, 65);
    state->shards_done++;
    return PARE_OK;
}

/* Reads what an earlier run left. No journal, or an empty one: state stays zero. */
static pare_status replay(const char *path, const char *fingerprint, pare_plan *plan, pare_journal_state *state, char (*shard_hash)[65],
                          size_t *good, pare_err *err) {
    char *text = NULL;
    size_t n = 0, pos = 0;
    bool known = false;
    pare_status st = PARE_OK;
    *good = 0;
    if (pare_file_size(path) <= 0) return PARE_OK;
    PARE_TRY(pare_read_file(path, JOURNAL_MAX_BYTES, &text, &n, err));
    while (pos < n) {
        const char *end = memchr(text + pos, '\n', n - pos);
        pare_jdoc *doc = NULL;
        if (!end) break;
        PARE_TRY(pare_jdoc_parse(text + pos, (size_t)(end - text) - pos, path, &doc, err));
        st = read_line(pare_jdoc_root(doc), fingerprint, &known, plan, state, shard_hash, path, err);
        pare_jdoc_free(doc);
        if (st != PARE_OK) goto out;
        if (!known) {
            pare_fail(err, PARE_ERR_EXISTS, "%s: the interrupted run had other options or another input", path);
            st = pare_hint(err, "--overwrite starts again from the beginning");
            goto out;
        }
        pos = *good = (size_t)(end - text) + 1;
    }
out:
    pare_dealloc(text);
    return st;
}

pare_status pare_journal_open(const char *folder, const char *fingerprint, bool resume, pare_plan *plan, pare_journal **out, pare_journal_state *state,
                              char (*shard_hash)[65], pare_err *err) {
    pare_status st = PARE_OK;
    pare_str line = {0};
    size_t good = 0;
    pare_journal *j = pare_alloc_zero(1, sizeof *j);
    *out = NULL;
    *state = (pare_journal_state){0};
    if (!j) return pare_no_memory(err, "journal", sizeof *j);
    j->fd = -1;
    j->path = pare_path_join(folder, PARE_JOURNAL_NAME);
    if (!j->path) PARE_FAIL(err, PARE_ERR_MEMORY, "%s: out of memory", folder);
    j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0) {
        st = pare_fail_errno(err, errno, "%s", j->path);
        goto out;
    }
    if (!take_lock(j->fd)) PARE_FAIL(err, PARE_ERR_EXISTS, "%s: another process is working on it", folder);
    if (resume) PARE_TRY(replay(j->path, fingerprint, plan, state, shard_hash, &good, err));
    if (ftruncate(j->fd, (off_t)good) != 0 || lseek(j->fd, 0, SEEK_END) < 0) {
        st = pare_fail_errno(err, errno, "%s", j->path);
        goto out;
    }
    if (good == 0) {
        pare_str_printf(&line, "{\"fingerprint\": \"%s\"}\n", fingerprint);
        PARE_TRY(append(j, &line, err));
    }
out:
    pare_str_clear(&line);
    if (st != PARE_OK) {
        pare_journal_close(j);
        j = NULL;
    }
    *out = j;
    return st;
}

pare_status pare_journal_steps(pare_journal *j, const pare_plan *plan, int64_t from, int64_t to, pare_err *err) {
    pare_str s = {0};
    for (int64_t k = from; k < to; k++) {
        const pare_plan_item *item = &plan->items[plan->steps[k].item];
        const pare_row_error *e = &item->error;
        if (!item->measured) continue;
        pare_str_printf(&s, "{\"item\": %lld, \"error\": [", (long long)plan->steps[k].item);
        add_reals(&s, (const double[]){e->signal, e->noise, e->cross, e->abs_sum, e->max_abs, e->dq2}, 6);
        pare_str_add(&s, "]}\n");
    }
    pare_str_printf(&s, "{\"steps\": %lld}\n", (long long)to);
    const pare_status st = append(j, &s, err);
    pare_str_clear(&s);
    return st;
}

pare_status pare_journal_shard(pare_journal *j, int shard, const char *hash, pare_err *err) {
    pare_str s = {0};
    pare_str_printf(&s, "{\"shard\": %d, \"sha256\": \"%s\"}\n", shard, hash);
    const pare_status st = append(j, &s, err);
    pare_str_clear(&s);
    return st;
}

void pare_journal_close(pare_journal *j) {
    if (!j) return;
    if (j->fd >= 0) close(j->fd);
    pare_dealloc(j->path);
    pare_dealloc(j);
}
