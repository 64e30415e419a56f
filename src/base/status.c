/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: fixed-size, no heap, so that they can be filled when memory is gone. */
#include "base/status.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"

const char *pare_version(void)
{
#define PARE_TEXT_OF(x) #x
#define PARE_TEXT(x) PARE_TEXT_OF(x)
    return PARE_TEXT(PARE_VERSION_MAJOR) "." PARE_TEXT(PARE_VERSION_MINOR) "." PARE_TEXT(PARE_VERSION_PATCH);
}

const char *pare_status_name(pare_status status)
{
    static const char *const names[] = {"ok", "usage", "io", "format", "unsupported", "memory", "data", "cancelled", "exists"};
    int i = -(int)status;
    return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "unknown";
}

pare_status pare_fail(pare_err *err, pare_status code, const char *format, ...)
{
    if (!err) return code;
    /* The arguments may point into err itself ("%s: ...", err->text), so build beside it. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    pare_vformat(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->text, text, sizeof text);
    err->hint[0] = '\0';
    err->code = code;
    return code;
}

static const char *errno_text(int errnum, char *room, size_t size)
{
    switch (errnum) {
    case ENOSPC: return "disk full (no space left on device)";
    case EDQUOT: return "disk full (quota exceeded)";
    case EFBIG: return "disk full for this file (file too large for the file system or the limit set)";
    default: return strerror_r(errnum, room, size);
    }
}

pare_status pare_fail_errno(pare_err *err, int errnum, const char *format, ...)
{
    pare_status code = errnum == ENOMEM ? PARE_ERR_MEMORY : PARE_ERR_IO;
    if (!err) return code;
    char where[sizeof err->text], room[128];
    va_list args;
    va_start(args, format);
    pare_vformat(where, sizeof where, format, args);
    va_end(args);
    return pare_fail(err, code, "%s: %s", where, errno_text(errnum, room, sizeof room));
}

pare_status pare_hint(pare_err *err, const char *format, ...)
{
    if (!err) return PARE_OK;
    char hint[sizeof err->hint];
    va_list args;
    va_start(args, format);
    pare_vformat(hint, sizeof hint, format, args);
    va_end(args);
    memcpy(err->hint, hint, sizeof hint);
    return err->code;
}

pare_status pare_context(pare_err *err, pare_status st, const char *format, ...)
{
    if (!err || st == PARE_OK) return st;
    char context[sizeof err->text], hint[sizeof err->hint];
    va_list args;
    va_start(args, format);
    pare_vformat(context, sizeof context, format, args);
    va_end(args);
    memcpy(hint, err->hint, sizeof hint);
    pare_fail(err, st, "%s: %s", context, err->text);
    memcpy(err->hint, hint, sizeof hint);
    return st;
}
