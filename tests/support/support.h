/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share: cmocka, a scratch folder, a run of code in which the n-th allocation fails. */
#ifndef PARE_TEST_SUPPORT_H
#define PARE_TEST_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/base.h"

/* A new empty folder that is removed when the program ends; "" when none can be made. Borrowed. */
const char *test_folder(void);
/* "<test_folder()>/name" in one of a few static buffers. */
const char *test_path(const char *name);
void test_write(const char *path, const void *data, size_t n);

/*
 * Calls fn(arg) with the first, then the second, ... allocation of the library failing, until fn gets through without
 * meeting the failure. fn returns the library's status. Asserts each time that the status is PARE_ERR_MEMORY (or PARE_OK,
 * where the code can do without) and that nothing leaked. Returns how many allocations fn made.
 */
int test_every_allocation(pare_status (*fn)(void *arg), void *arg);

#define assert_ok(call) assert_int_equal((call), PARE_OK)
/* The call fails with this status and its message has this text in it. Uses a local `pare_err err`. */
#define assert_error(call, status, part)               \
    do {                                               \
        memset(&err, 0, sizeof err);                   \
        assert_int_equal((call), (status));            \
        assert_int_equal(err.code, (status));          \
        if (!strstr(err.text, (part))) fail_msg("'%s' is not in '%s'", (part), err.text); \
    } while (0)
#endif
