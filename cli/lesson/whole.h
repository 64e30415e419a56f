/* SPDX-License-Identifier: Apache-2.0 */
/* What the lessons on whole models share: which model, where results go for the time of the lesson, a text by it, its bytes. */
#ifndef PARE_CLI_LESSON_WHOLE_H
#define PARE_CLI_LESSON_WHOLE_H
#include "lesson.h"

typedef struct whole {
    const char *model;   /* --model, else the demo model of the source tree */
    char folder[4096];   /* a folder of the lesson's own, removed by whole_end(); "" before whole_begin() */
} whole;

bool whole_begin(show *s, whole *w);
void whole_end(whole *w);
/* Path of a result in the folder, in buf. */
const char *whole_path(const whole *w, const char *name, char buf[4096 + 64]);

/* Quantizes the model into path; the head stays when keep_head. */
bool whole_quantize(show *s, const char *model, const char *path, const char *format, const char *scheme, bool keep_head, pare_job_result *result);
/* Greedy text of n tokens behind prompt, shown under key with its label; *same (may be NULL): equal to before. Freed with free(). */
char *whole_text(show *s, const char *key, const char *label, const char *model, const char *prompt, int n, const char *before, bool *same);
/* Bytes of tensors by module, two levels deep: a row a module of the first layer and those outside the layers. */
bool whole_sizes(show *s, const char *key, const char *model);
/* Bytes of all tensors. */
bool whole_bytes(show *s, const char *model, int64_t *bytes);
/* "797.311 MB" */
void show_megabytes(show *s, const char *key, const char *label, int64_t bytes);
#endif
