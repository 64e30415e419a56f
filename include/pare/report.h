/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file report.h
 * @brief Tables, JSON output and pictures. They know nothing of models: rows of named numbers in, text and images out.
 */
#ifndef PARE_REPORT_H
#define PARE_REPORT_H

#include <pare/pare.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------------ tables */

typedef enum pare_cell_type {
    PARE_CELL_EMPTY = 0,
    PARE_CELL_TEXT,
    PARE_CELL_INT,   /**< int64 */
    PARE_CELL_REAL,  /**< double; infinite values print as "inf", as null in JSON */
    PARE_CELL_BYTES, /**< int64, printed as KiB/MiB/GiB in text, as a number in JSON and CSV */
    PARE_CELL_BOOL
} pare_cell_type;

typedef enum pare_table_style { PARE_TABLE_TEXT = 1, PARE_TABLE_CSV, PARE_TABLE_MARKDOWN, PARE_TABLE_JSON /**< array of objects */ } pare_table_style;

PARE_API pare_status pare_table_new(pare_table **out, pare_err *err);
PARE_API void pare_table_free(pare_table *table);
/** Adds a column before the first row. key: JSON/CSV name; title: heading in text (NULL = key); unit: "dB", "bits", or NULL. */
PARE_API pare_status pare_table_column(pare_table *table, const char *key, const char *title, pare_cell_type type, const char *unit, pare_err *err);
/** Starts a row; its cells are empty until set. */
PARE_API pare_status pare_table_row(pare_table *table, pare_err *err);
/** Set a cell of the last row by column key. Unknown key: assertion. */
PARE_API pare_status pare_table_text(pare_table *table, const char *key, const char *value, pare_err *err);
PARE_API void pare_table_int(pare_table *table, const char *key, int64_t value);
PARE_API void pare_table_real(pare_table *table, const char *key, double value);
PARE_API int64_t pare_table_rows(const pare_table *table);
PARE_API int pare_table_columns(const pare_table *table);
PARE_API const char *pare_table_key(const pare_table *table, int column);
PARE_API pare_cell_type pare_table_cell(const pare_table *table, int64_t row, int column, const char **text, int64_t *i, double *real);
/** Renders; the caller frees *out with pare_free(). width: columns of the terminal for TEXT, 0 = unlimited. */
PARE_API pare_status pare_table_render(const pare_table *table, pare_table_style style, int width, char **out, pare_err *err);
/** Frees text that this library returned. */
PARE_API void pare_free(void *ptr);

/* ------------------------------------------------------------------------------------------------------- JSON output */

/** Writes one JSON document into memory; commas, quotes and escapes are its work. Errors are kept until pare_json_take(). */
typedef struct pare_json pare_json;
PARE_API pare_status pare_json_new(int indent, pare_json **out, pare_err *err); /**< indent 0 = one line */
PARE_API void pare_json_free(pare_json *j);
PARE_API void pare_json_object(pare_json *j, const char *key); /**< key NULL at top level and inside arrays */
PARE_API void pare_json_array(pare_json *j, const char *key);
PARE_API void pare_json_end(pare_json *j);
PARE_API void pare_json_text(pare_json *j, const char *key, const char *value); /**< NULL value = null */
PARE_API void pare_json_int(pare_json *j, const char *key, int64_t value);
PARE_API void pare_json_real(pare_json *j, const char *key, double value); /**< shortest digits that read back; inf/nan = null */
PARE_API void pare_json_bool(pare_json *j, const char *key, bool value);
PARE_API void pare_json_null(pare_json *j, const char *key);
PARE_API void pare_json_raw(pare_json *j, const char *key, const char *json); /**< already JSON */
PARE_API void pare_json_table(pare_json *j, const char *key, const pare_table *table);
/** The finished document (free with pare_free()) or the first error. */
PARE_API pare_status pare_json_take(pare_json *j, char **out, pare_err *err);

/* ---------------------------------------------------------------------------------------------------------- pictures */

typedef enum pare_colormap {
    PARE_CMAP_COOLWARM = 1, /**< diverging blue - grey - red, as in the course */
    PARE_CMAP_WHITE,        /**< no colour: white cells */
    PARE_CMAP_HEAT,         /**< white to red, for magnitudes */
    PARE_CMAP_GROUPS        /**< one pale colour per whole number: which cells belong together */
} pare_colormap;

/** One panel: a matrix of cells with printed values. */
typedef struct pare_panel {
    const char *title;
    const double *values; /**< [rows, cols], borrowed */
    int64_t rows, cols;
    double vmin, vmax;    /**< colour range; both 0 = from the data (symmetric about 0 for COOLWARM) */
    pare_colormap map;
    const char *format;   /**< "%.2f", "%.0f"; NULL = "%.2f"; "" = no numbers */
} pare_panel;

/** Panels in a row. The file type follows the name: .png, .svg, .pdf. */
PARE_API pare_status pare_plot_panels(const char *path, const char *title, const pare_panel *panels, int n, pare_err *err);
/** The same as text: numbers on 24-bit (or 256) colour background when `color`, plain numbers otherwise. Free with pare_free(). */
PARE_API pare_status pare_draw_panels(const pare_panel *panels, int n, int width, bool color, char **out, pare_err *err);

/** The four panels of the course: original, codes, dequantized, |error|. like_course: dequantized panel coloured in [0, 1] as it was there. */
PARE_API pare_status pare_quantization_panels(const float *original, const pare_qtensor *q, bool like_course, pare_panel panels[4], double **storage,
                                              pare_err *err);

typedef enum pare_chart_kind { PARE_CHART_BARS = 1, PARE_CHART_LINES, PARE_CHART_POINTS } pare_chart_kind;
typedef struct pare_series {
    const char *name;
    const double *x, *y; /**< x NULL = 0, 1, 2, ... */
    const char *const *labels; /**< tick labels for bars or points, or NULL */
    int64_t n;
} pare_series;
typedef struct pare_chart {
    pare_chart_kind kind;
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    const pare_series *series;
    int n_series;
} pare_chart;
PARE_API pare_status pare_plot_chart(const char *path, const pare_chart *chart, pare_err *err);
PARE_API pare_status pare_draw_chart(const pare_chart *chart, int width, bool color, char **out, pare_err *err);

/** One row of bit boxes, highest bit first: how a number format or a packed byte is laid out. */
typedef struct pare_bit_field {
    const char *name; /**< below the boxes, or NULL */
    const char *bits; /**< one box a character: "01111101" */
    int group;        /**< fields of one group share a colour */
} pare_bit_field;
typedef struct pare_bit_row {
    const char *label;            /**< left of the boxes */
    const pare_bit_field *fields; /**< n_fields */
    int n_fields;
    const char *note;             /**< right of the boxes, or NULL */
} pare_bit_row;
PARE_API pare_status pare_plot_bits(const char *path, const char *title, const pare_bit_row *rows, int n, pare_err *err);
PARE_API pare_status pare_draw_bits(const pare_bit_row *rows, int n, bool color, char **out, pare_err *err);

/** A linear quantizer as two number lines: real values above, the codes that they become below, each code at scale * (code - zero). */
typedef struct pare_number_line {
    const char *title;
    double scale;
    int zero, qmin, qmax;
    const float *values; /**< n real values */
    int64_t n;
} pare_number_line;
PARE_API pare_status pare_plot_number_lines(const char *path, const char *title, const pare_number_line *lines, int n, pare_err *err);
PARE_API pare_status pare_draw_number_lines(const pare_number_line *lines, int n, int width, bool color, char **out, pare_err *err);

#ifdef __cplusplus
}
#endif
#endif
