/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine says: time, cores this process may use, memory it has used. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/ctx.h"
#include "base/str.h"

double pare_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *pare_alloc_work(size_t bytes)
{
    const bool big = bytes >= 2 * PARE_BIG_PAGE;
    void *at = pare_alloc_aligned(big ? PARE_BIG_PAGE : 64, bytes);
#ifdef MADV_HUGEPAGE
    if (at && big) madvise(at, bytes / PARE_BIG_PAGE * PARE_BIG_PAGE, MADV_HUGEPAGE);
#endif
    return at;
}

void pare_alloc_big_pages(void *at, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const int collapse = 25; /* MADV_COLLAPSE, which older headers lack; older systems refuse it */
    const size_t skip = (PARE_BIG_PAGE - ((uintptr_t)at & (PARE_BIG_PAGE - 1))) % PARE_BIG_PAGE;
    if (bytes < skip + PARE_BIG_PAGE) return;
    bytes = (bytes - skip) / PARE_BIG_PAGE * PARE_BIG_PAGE;
    if (madvise((char *)at + skip, bytes, MADV_HUGEPAGE) == 0) madvise((char *)at + skip, bytes, collapse);
#else
    (void)at, (void)bytes;
#endif
}

/* Reads a small file of /proc or /sys; no heap. Returns its length, 0 when there is none. */
static size_t read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* -------------------------------------------------------------------------------------------------------------- memory */

static atomic_ullong peak_bytes;
static _Atomic double last_sample;

/* "RssAnon:     1234 kB" of /proc/self/status. */
static uint64_t anonymous_bytes(void)
{
    char text[4096];
    if (!read_small("/proc/self/status", text, sizeof text)) return 0;
    const char *line = strstr(text, "\nRssAnon:");
    return line ? strtoull(line + 9, NULL, 10) * 1024 : 0;
}

static void sample_now(void)
{
    unsigned long long now = anonymous_bytes(), peak = atomic_load(&peak_bytes);
    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now)) continue;
}

void pare_sample_memory(void)
{
    double now = pare_now();
    if (now - atomic_load(&last_sample) < 0.005) return;
    atomic_store(&last_sample, now);
    sample_now();
}

uint64_t pare_peak_rss_bytes(void)
{
    sample_now();
    return atomic_load(&peak_bytes);
}

/* --------------------------------------------------------------------------------------------------------------- cores */

static int affinity_cores(void)
{
    for (int room = 1024; room <= 1 << 16; room *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)room);
        if (!set) break;
        size_t size = CPU_ALLOC_SIZE((size_t)room);
        int rc = sched_getaffinity(0, size, set), why = errno;
        int n = rc == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (n > 0) return n;
        if (why != EINVAL) break; /* EINVAL: more cores than room */
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* Cores that a quota file allows (rounded up), or INT_MAX-like large when it sets none. v2: "200000 100000" or "max 100000". */
static int quota_cores(const char *folder, bool v2)
{
    enum { NONE = 1 << 20 };
    char path[512], text[64];
    long long quota, period;
    pare_print(path, sizeof path, "%s/%s", folder, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (!read_small(path, text, sizeof text)) return NONE;
    char *end;
    quota = strtoll(text, &end, 10);
    if (end == text || quota <= 0) return NONE;
    if (v2) {
        period = strtoll(end, NULL, 10);
    } else {
        pare_print(path, sizeof path, "%s/cpu.cfs_period_us", folder);
        if (!read_small(path, text, sizeof text)) return NONE;
        period = strtoll(text, NULL, 10);
    }
    if (period <= 0) return NONE;
    long long cores = (quota + period - 1) / period;
    return cores < NONE ? (int)cores : NONE;
}

/* The tightest quota from this group's folder up to the mount. */
static int quota_up_from(const char *mount, const char *group, bool v2)
{
    char folder[400];
    int least = 1 << 20;
    if (pare_print(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder) return least;
    for (size_t root = strlen(mount);;) {
        int cores = quota_cores(folder, v2);
        if (cores < least) least = cores;
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root || strlen(folder) <= root) return least;
        *slash = '\0';
    }
}

/* True when the comma-separated list of controllers [list, end) has "cpu". */
static bool has_cpu(const char *list, const char *end)
{
    while (list < end) {
        size_t n = strcspn(list, ",:");
        if (n == 3 && memcmp(list, "cpu", 3) == 0) return true;
        list += n + 1;
    }
    return false;
}

/* Lines of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static int cgroup_cores(void)
{
    char text[4096];
    int least = 1 << 20;
    read_small("/proc/self/cgroup", text, sizeof text);
    for (char *line = text, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = '\0';
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        bool v2 = group == list + 1;
        if (!v2 && !has_cpu(list + 1, group)) continue;
        int cores = quota_up_from(v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", group + 1, v2);
        if (cores < least) least = cores;
    }
    return least;
}

int pare_usable_cores(void)
{
    int cores = affinity_cores(), quota = cgroup_cores();
    return quota < cores ? quota : cores;
}
