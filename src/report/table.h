/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of pare_table, shared by table.c (building) and table_render.c (printing). */
#ifndef PARE_REPORT_TABLE_H
#define PARE_REPORT_TABLE_H
#include "report/report.h"

typedef struct table_column {
    const char *key, *title, *unit; /* arena; unit may be NULL */
    pare_cell_type type;
} table_column;

typedef struct table_cell {
    bool set;
    union {
        const char *text; /* arena */
        int64_t i;
        double real;
    } as;
} table_cell;

struct pare_table {
    pare_arena arena;
    PARE_VEC(table_column) columns;
    PARE_VEC(table_cell) cells; /* [rows, columns] */
    int64_t rows;
};
#endif
