/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name patterns of the command line: a glob over the whole name ("model.layers.*.mlp.*"; * crosses dots, ? is one
 * character, [a-z] a class), "re:REGEX" (POSIX extended, matched anywhere from the start of the name like re.match), or a
 * bare path segment ("lm_head" matches lm_head.weight and model.lm_head but not my_lm_head). A glob or segment is also
 * tried against the module name, that is the tensor name without its last segment.
 */
#ifndef PARE_BASE_PATTERN_H
#define PARE_BASE_PATTERN_H
#include "base/status.h"
typedef struct pare_pattern pare_pattern;
pare_status pare_pattern_new(const char *text, pare_pattern **out, pare_err *err);
void pare_pattern_free(pare_pattern *p);
bool pare_pattern_match(const pare_pattern *p, const char *tensor_name);
const char *pare_pattern_text(const pare_pattern *p);
#endif
