/* SPDX-License-Identifier: Apache-2.0 */
/* On what a smaller model is measured. */
#include "assess.h"

#include <string.h>

#include "session.h"

bool cli_assess_options(cli *c, const char *file, pare_assess_options *o, char **text, int *code) {
    const char *slash = strrchr(file, '/');
    *o = (pare_assess_options){.hub_cache = c->hub_cache, .name = slash ? slash + 1 : file, .protocol = cli_text(c, "protocol"),
                               .compute = cli_has(c, "fast") ? PARE_COMPUTE_FAST : PARE_COMPUTE_EXACT, .no_speed = cli_has(c, "no-speed")};
    *text = NULL;
    *code = 2;
    if (!cli_int(c, "ctx", 2, INT32_MAX, &o->ctx) || !cli_int(c, "windows", 0, INT64_MAX, &o->windows) || !cli_size(c, "memory", &o->memory)) return false;
    *code = 1;
    if (!(*text = cli_read_text(c, file, &o->bytes))) return false;
    o->text = *text;
    return true;
}
