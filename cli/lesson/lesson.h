/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of `pare lesson N`. A lesson is one file that ends in a const lesson, plus one line in lessons.def. It computes
 * with the public API only, so it doubles as an example of use, and shows its numbers through the show_* calls, each of
 * which does three things at once: prints for people, adds to the JSON document under `--json`, draws when asked to.
 */
#ifndef PARE_CLI_LESSON_H
#define PARE_CLI_LESSON_H
#include "../cli.h"

typedef struct show {
    cli *c;
    pare_json *j;       /* NULL unless --json */
    const char *lesson; /* id, for file names */
    const char *plot;   /* --plot, or NULL */
    bool like_course;
    int pictures;       /* written so far */
    bool tight;         /* the line above is a "label: value" */
    int code;           /* exit code; after a failure every show_* call does nothing */
} show;

typedef struct lesson {
    const char *id;     /* "1" ... "13", "F2" ... */
    const char *title;
    const char *teaches;/* one line */
    void (*run)(show *s);
} lesson;
extern const lesson *const lessons[]; /* NULL-terminated */

/* False (and the error is printed) when a call of the library failed. */
bool show_ok(show *s, pare_status st);
/* A paragraph, wrapped to the terminal; not part of the JSON. */
void show_say(show *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A heading and a JSON object (key) that lasts until show_end(). heading may be NULL. */
void show_begin(show *s, const char *key, const char *heading);
void show_begin_array(show *s, const char *key, const char *heading);
void show_begin_item(show *s, const char *heading); /* an object inside an array */
void show_end(show *s);
/* "label: value" with `format` ("%.4f"; NULL = the shortest digits that read back); NULL label: JSON only. */
void show_real(show *s, const char *key, const char *label, const char *format, double value);
void show_int(show *s, const char *key, const char *label, int64_t value);
void show_text(show *s, const char *key, const char *label, const char *value);
/* A line that stays close to its neighbours; not part of the JSON. */
void show_line(show *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * A matrix as torch prints it; rows 0 = a vector of cols. format NULL = the shortest digits that read back to the same
 * float32; "%.0f" puts whole numbers into the JSON.
 */
void show_matrix(show *s, const char *key, const char *label, const double *v, int rows, int cols, const char *format);
void show_floats(show *s, const char *key, const char *label, const float *v, int rows, int cols, const char *format);
void show_codes(show *s, const char *key, const char *label, const int8_t *v, int rows, int cols);
void show_table(show *s, const char *key, const pare_table *table);

/* Pictures. Heat maps and charts are drawn on terminals; diagrams of characters always; all of them go to --plot. */
void show_panels(show *s, const char *name, const char *title, const pare_panel *panels, int n);
void show_quantized(show *s, const char *name, const char *title, const float *original, const pare_qtensor *q);
void show_chart(show *s, const char *name, const pare_chart *chart);
void show_bits(show *s, const char *name, const char *title, const pare_bit_row *rows, int n);
void show_number_lines(show *s, const char *name, const char *title, const pare_number_line *lines, int n);

/* numbers.c: the few formulas of the courses that are not in the library. */
extern const float course_tensor[9]; /* the 3 x 3 matrix of five lessons */
/* Mean of (b-a)^2 as torch's CPU build adds it: float32, in four lanes. */
float torch_mse(const float *a, const float *b, int n);
/* Shortest digits that read back to the same number, as Python prints them. */
void shortest_float(float v, char out[32]);
void shortest_double(double v, char out[32]);
/* The course's schemes: bits 8, one scale a tensor or a channel. */
pare_scheme course_scheme(bool symmetric, pare_granularity granularity, int axis);
pare_scheme plain_scheme(bool symmetric, pare_granularity granularity, int axis); /* pare's own arithmetic */
/* v rounded to a dtype and back. */
float rounded_to(pare_dtype dtype, float v);

#endif
