/* SPDX-License-Identifier: Apache-2.0 */
/* Error filling and the one-exit idiom. */
#ifndef PARE_BASE_STATUS_H
#define PARE_BASE_STATUS_H
#include <pare/pare.h>

/* Fills err (may be NULL) and returns code, so that `return pare_fail(err, PARE_ERR_IO, "%s: ...", path)` reads in one line. */
pare_status pare_fail(pare_err *err, pare_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Appends errno's text: "WHERE: cannot open: No such file or directory". Maps ENOSPC/EDQUOT/EFBIG to a text that says "disk full". */
pare_status pare_fail_errno(pare_err *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Sets the hint line of an error already filled. Returns err->code. */
pare_status pare_hint(pare_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prepends "CONTEXT: " to an error on its way up. Returns err->code (PARE_OK when err is NULL is never returned: pass st). */
pare_status pare_context(pare_err *err, pare_status st, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* st must be declared before and the label `out:` exist: one exit, cleanup in reverse. */
#define PARE_TRY(call)                \
    do {                              \
        st = (call);                  \
        if (st != PARE_OK) goto out;  \
    } while (0)
#define PARE_FAIL(...)                \
    do {                              \
        st = pare_fail(__VA_ARGS__);  \
        goto out;                     \
    } while (0)
#endif
