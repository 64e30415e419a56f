/* SPDX-License-Identifier: Apache-2.0 */
/* Options that a descriptor declares; the command line, recipes, help, completion and the manual are made from them. */
#ifndef PARE_BASE_OPTIONS_H
#define PARE_BASE_OPTIONS_H
#include "base/status.h"
typedef enum pare_option_type { PARE_OPT_BOOL = 1, PARE_OPT_INT, PARE_OPT_REAL, PARE_OPT_TEXT, PARE_OPT_CHOICE } pare_option_type;
typedef struct pare_option {
    const char *name;
    pare_option_type type;
    const char *range;      /* "1..8", "none|mse", "0..1"; NULL = free */
    const char *def;        /* default as text */
    const char *help;       /* one line */
} pare_option;              /* a table ends with name NULL */

/* Values for one option table; index = position in the table. */
typedef struct pare_params { const pare_option *table; char **text; int n; } pare_params;
pare_status pare_params_init(pare_params *p, const pare_option *table, pare_err *err);       /* defaults */
void pare_params_clear(pare_params *p);
/* Unknown key: PARE_ERR_USAGE with the nearest name as hint; value outside the range likewise. */
pare_status pare_params_set(pare_params *p, const char *key, const char *value, const char *owner, pare_err *err);
const char *pare_params_text(const pare_params *p, const char *key);
int64_t pare_params_int(const pare_params *p, const char *key);
double pare_params_real(const pare_params *p, const char *key);
bool pare_params_bool(const pare_params *p, const char *key);
#endif
