/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "support/support.h"
#include <stdatomic.h>
#include <unistd.h>

static char folder[256];

static void remove_folder(void) { pare_remove_tree(folder, NULL); }

const char *test_folder(void)
{
    if (folder[0]) return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/pare-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        folder[0] = '\0';
        return folder;
    }
    atexit(remove_folder);
    return folder;
}

const char *test_path(const char *name)
{
    static char room[64][512];
    static int next;
    char *path = room[next++ % 64];
    snprintf(path, sizeof room[0], "%s/%s", test_folder(), name);
    return path;
}

void test_write(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* ------------------------------------------------------------------------------------------------- failing allocations */

static atomic_int calls, live, fail_at;

static void *counting_realloc(void *user, void *ptr, size_t bytes)
{
    (void)user;
    if (bytes == 0) {
        if (ptr) atomic_fetch_sub(&live, 1);
        free(ptr);
        return NULL;
    }
    if (atomic_fetch_add(&calls, 1) + 1 == atomic_load(&fail_at)) return NULL;
    void *moved = realloc(ptr, bytes);
    if (moved && !ptr) atomic_fetch_add(&live, 1);
    return moved;
}

int test_every_allocation(pare_status (*fn)(void *arg), void *arg)
{
    const pare_allocator counting = {.realloc_fn = counting_realloc};
    pare_status st = fn(arg); /* once undisturbed, so that what is made once per process exists */
    assert_ok(st);
    pare_set_allocator(&counting);
    int n = 1;
    for (bool met = true; met; n++) {
        atomic_store(&calls, 0);
        atomic_store(&live, 0);
        atomic_store(&fail_at, n);
        st = fn(arg);
        met = atomic_load(&calls) >= n;
        int leaked = atomic_load(&live);
        if (leaked || (st != PARE_OK && st != PARE_ERR_MEMORY) || (!met && st != PARE_OK)) {
            pare_set_allocator(NULL);
            fail_msg("allocation %d failing: status %s, %d blocks leaked", n, pare_status_name(st), leaked);
        }
    }
    pare_set_allocator(NULL);
    return n - 2;
}

/* Under sanitizers: running out of memory is something that the library has to bear. Visible, for the runtime asks by name. */
#define SEEN __attribute__((visibility("default")))
SEEN const char *__asan_default_options(void);
SEEN const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1:strict_string_checks=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }
