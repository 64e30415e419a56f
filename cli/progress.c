/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress on stderr: one line that is redrawn when stderr is a terminal, a plain line every ten seconds when it is not,
 * nothing for work shorter than a second.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static struct {
    bool quiet, tty, drawn;
    double start, last;
    char what[64];
    uint64_t first_done;
} state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void cli_progress_begin(bool quiet) {
    memset(&state, 0, sizeof state);
    state.quiet = quiet;
    state.tty = isatty(STDERR_FILENO) != 0;
}

static void amount(char *out, size_t n, uint64_t v, bool bytes) {
    char text[32];
    if (bytes) {
        cli_format_bytes(v, text);
        snprintf(out, n, "%s", text);
    } else
        snprintf(out, n, "%llu", (unsigned long long)v);
}

static void draw(const pare_progress *p, double t) {
    const bool bytes = p->unit && strcmp(p->unit, "bytes") == 0;
    const double elapsed = t - state.start, rate = elapsed > 0 ? (double)(p->done - state.first_done) / elapsed : 0;
    const char *value = bytes ? NULL : p->item; /* of byte jobs it is the tensor at hand, which changes too fast to be read */
    char done[40], total[40], per_s[40], left[40] = "";
    amount(done, sizeof done, p->done, bytes);
    amount(total, sizeof total, p->total, bytes);
    amount(per_s, sizeof per_s, (uint64_t)rate, bytes);
    if (rate > 0 && p->total > p->done) {
        const long s = (long)((double)(p->total - p->done) / rate + 0.5);
        snprintf(left, sizeof left, ", %ld:%02ld left", s / 60, s % 60);
    }
    if (state.tty) {
        char bar[31];
        const int full = p->total ? (int)(30.0 * (double)p->done / (double)p->total) : 0;
        for (int i = 0; i < 30; i++) bar[i] = i < full ? '#' : '.';
        bar[30] = 0;
        fprintf(stderr, "\r\033[K%s [%s] %s / %s, %s/s%s%s%s", p->what, bar, done, total, per_s, left, value ? ": " : "", value ? value : "");
    } else
        fprintf(stderr, "pare: %s: %s of %s, %s/s%s%s%s\n", p->what, done, total, per_s, left, value ? ": " : "", value ? value : "");
    fflush(stderr);
    state.drawn = state.tty;
}

void cli_progress(void *user, const pare_progress *p) {
    (void)user;
    if (state.quiet) return;
    const double t = now();
    if (strncmp(state.what, p->what, sizeof state.what - 1) != 0) {
        cli_progress_end();
        snprintf(state.what, sizeof state.what, "%s", p->what);
        state.start = state.last = t;
        state.first_done = p->done;
        return;
    }
    if (t - state.start < 1 || t - state.last < (state.tty ? 0.1 : 10)) return;
    state.last = t;
    draw(p, t);
}

void cli_progress_end(void) {
    if (state.drawn) fputs("\r\033[K", stderr);
    state.drawn = false;
    state.what[0] = 0;
}
