/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pare_table: rows of named numbers with units, the one shape in which metrics, sweeps and plans leave the library.
 * Rendering is table_render.c's. Texts are copied into the table's arena; a cell knows only whether it was set, its type is
 * the column's.
 */
#include "report/table.h"

#include <assert.h>
#include <string.h>

pare_status pare_table_new(pare_table **out, pare_err *err) {
    *out = pare_alloc_zero(1, sizeof **out);
    return *out ? PARE_OK : pare_no_memory(err, "table", sizeof **out);
}

void pare_table_free(pare_table *table) {
    if (!table)
        return;
    PARE_VEC_CLEAR(&table->columns);
    PARE_VEC_CLEAR(&table->cells);
    pare_arena_clear(&table->arena);
    pare_dealloc(table);
}

pare_status pare_table_column(pare_table *table, const char *key, const char *title, pare_cell_type type, const char *unit, pare_err *err) {
    assert(table->rows == 0 && key && type > PARE_CELL_EMPTY && type <= PARE_CELL_BOOL);
    table_column column = {.type = type};
    column.key = pare_arena_strdup(&table->arena, key);
    column.title = title ? pare_arena_strdup(&table->arena, title) : column.key;
    column.unit = unit ? pare_arena_strdup(&table->arena, unit) : NULL;
    if (!column.key || !column.title || (unit && !column.unit) || !PARE_VEC_PUSH(&table->columns, column))
        return pare_no_memory(err, "table column", strlen(key));
    return PARE_OK;
}

pare_status pare_table_row(pare_table *table, pare_err *err) {
    static const table_cell empty = {0};
    for (size_t i = 0; i < table->columns.n; i++)
        if (!PARE_VEC_PUSH(&table->cells, empty)) {
            table->cells.n -= i;
            return pare_no_memory(err, "table row", table->columns.n * sizeof empty);
        }
    table->rows++;
    return PARE_OK;
}

/* The cell of the last row under a key. */
static table_cell *last_cell(pare_table *table, const char *key, pare_cell_type *type) {
    assert(table->rows > 0);
    for (size_t i = 0; i < table->columns.n; i++)
        if (strcmp(table->columns.at[i].key, key) == 0) {
            *type = table->columns.at[i].type;
            return &table->cells.at[table->cells.n - table->columns.n + i];
        }
    assert(!"unknown column key");
    return NULL;
}

pare_status pare_table_text(pare_table *table, const char *key, const char *value, pare_err *err) {
    pare_cell_type type = PARE_CELL_EMPTY;
    table_cell *const cell = last_cell(table, key, &type);
    if (!cell)
        return PARE_OK;
    assert(type == PARE_CELL_TEXT);
    if (!value) {
        cell->set = false;
        return PARE_OK;
    }
    cell->as.text = pare_arena_strdup(&table->arena, value);
    cell->set = cell->as.text != NULL;
    return cell->set ? PARE_OK : pare_no_memory(err, "table cell", strlen(value));
}

void pare_table_int(pare_table *table, const char *key, int64_t value) {
    pare_cell_type type = PARE_CELL_EMPTY;
    table_cell *const cell = last_cell(table, key, &type);
    if (!cell)
        return;
    assert(type != PARE_CELL_TEXT);
    cell->set = true;
    if (type == PARE_CELL_REAL)
        cell->as.real = (double)value;
    else
        cell->as.i = type == PARE_CELL_BOOL ? value != 0 : value;
}

void pare_table_real(pare_table *table, const char *key, double value) {
    pare_cell_type type = PARE_CELL_EMPTY;
    table_cell *const cell = last_cell(table, key, &type);
    if (!cell)
        return;
    assert(type == PARE_CELL_REAL);
    cell->set = true;
    cell->as.real = value;
}

int64_t pare_table_rows(const pare_table *table) { return table->rows; }

int pare_table_columns(const pare_table *table) { return (int)table->columns.n; }

const char *pare_table_key(const pare_table *table, int column) {
    return column >= 0 && (size_t)column < table->columns.n ? table->columns.at[column].key : NULL;
}

pare_cell_type pare_table_cell(const pare_table *table, int64_t row, int column, const char **text, int64_t *i, double *real) {
    if (row < 0 || row >= table->rows || column < 0 || (size_t)column >= table->columns.n)
        return PARE_CELL_EMPTY;
    const table_cell *const cell = &table->cells.at[(size_t)row * table->columns.n + (size_t)column];
    const pare_cell_type type = table->columns.at[column].type;
    if (!cell->set)
        return PARE_CELL_EMPTY;
    if (type == PARE_CELL_TEXT && text)
        *text = cell->as.text;
    else if (type == PARE_CELL_REAL && real)
        *real = cell->as.real;
    else if (type != PARE_CELL_TEXT && type != PARE_CELL_REAL && i)
        *i = cell->as.i;
    return type;
}
