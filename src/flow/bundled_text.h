/* SPDX-License-Identifier: Apache-2.0 */
/* The files of calibration/, compressed into the library when it is built (cmake/bundled_text.cmake, tools/embed_text.c). */
#ifndef PARE_FLOW_BUNDLED_TEXT_H
#define PARE_FLOW_BUNDLED_TEXT_H
#include <stddef.h>
typedef struct pare_bundled_text { const char *name; const unsigned char *data; size_t n, raw; } pare_bundled_text; /* zlib stream of n bytes, raw bytes of UTF-8 */
extern const pare_bundled_text pare_bundled_texts[];
extern const int pare_n_bundled_texts;
#endif
