/* SPDX-License-Identifier: Apache-2.0 */
/* Face header of src/report; everything it offers is public. */
#ifndef PARE_SRC_REPORT_H
#define PARE_SRC_REPORT_H
#include <pare/report.h>
#include "base/base.h"
#endif
