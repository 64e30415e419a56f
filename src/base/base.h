/* SPDX-License-Identifier: Apache-2.0 */
/* Face header of src/base: errors, memory, strings, hostile-byte reader, files, threads, hashing. See the single headers for details. */
#ifndef PARE_BASE_H
#define PARE_BASE_H
#include <pare/pare.h>
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/ctx.h"
#include "base/hash.h"
#include "base/jsonread.h"
#include "base/mapfile.h"
#include "base/options.h"
#include "base/outfile.h"
#include "base/path.h"
#include "base/pattern.h"
#include "base/status.h"
#include "base/str.h"
#endif
