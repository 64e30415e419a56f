/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text shared by the writer and the re-emitter of read values. */
#ifndef PARE_BASE_JSONTEXT_H
#define PARE_BASE_JSONTEXT_H
#include "base/str.h"
void pare_json_quote(pare_str *s, const char *text); /* with the quotes; malformed UTF-8 becomes U+FFFD */
#endif
