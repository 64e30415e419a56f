/* SPDX-License-Identifier: Apache-2.0 */
/* pare lesson N: the examples of the two courses, with the numbers they are known for. The lessons are in lesson/. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "lesson/lesson.h"

#define LESSON(name) extern const lesson lesson_##name;
#include "lesson/lessons.def"
#undef LESSON

const lesson *const lessons[] = {
#define LESSON(name) &lesson_##name,
#include "lesson/lessons.def"
#undef LESSON
    NULL,
};

static const lesson *find(const char *id) {
    for (int i = 0; lessons[i]; i++) {
        const char *a = id, *b = lessons[i]->id;
        while (*a && toupper((unsigned char)*a) == *b) a++, b++;
        if (!*a && !*b) return lessons[i];
    }
    return NULL;
}

static int list(cli *c) {
    pare_table *t = NULL;
    int code = 0;
    pare_status st = pare_table_new(&t, &c->err);
    if (st == PARE_OK) st = pare_table_column(t, "lesson", NULL, PARE_CELL_TEXT, NULL, &c->err);
    if (st == PARE_OK) st = pare_table_column(t, "title", NULL, PARE_CELL_TEXT, NULL, &c->err);
    if (st == PARE_OK) st = pare_table_column(t, "teaches", NULL, PARE_CELL_TEXT, NULL, &c->err);
    for (int i = 0; lessons[i] && st == PARE_OK; i++) {
        if ((st = pare_table_row(t, &c->err)) != PARE_OK) break;
        if ((st = pare_table_text(t, "lesson", lessons[i]->id, &c->err)) != PARE_OK) break;
        if ((st = pare_table_text(t, "title", lessons[i]->title, &c->err)) != PARE_OK) break;
        st = pare_table_text(t, "teaches", lessons[i]->teaches, &c->err);
    }
    pare_json *j = NULL;
    if (st == PARE_OK && c->json) st = pare_json_new(2, &j, &c->err);
    if (st != PARE_OK)
        code = cli_fail(c, &c->err);
    else if (c->json) {
        pare_json_table(j, NULL, t);
        code = cli_print_json(c, j);
    } else if ((code = cli_print_table(c, t)) == 0)
        cli_puts("\nRun one with: pare lesson 2    pictures: pare lesson 2 --plot lesson2.svg\n");
    pare_table_free(t);
    return code;
}

static int run_lesson(cli *c, const lesson *l) {
    show s = {.c = c, .lesson = l->id, .plot = cli_text(c, "plot"), .like_course = cli_has(c, "like-course")};
    if (c->json) {
        if (pare_json_new(2, &s.j, &c->err) != PARE_OK) return cli_fail(c, &c->err);
        pare_json_object(s.j, NULL);
        pare_json_text(s.j, "lesson", l->id);
        pare_json_text(s.j, "title", l->title);
    } else
        cli_print(c->color ? "\x1b[1mLesson %s. %s\x1b[0m\n\n" : "Lesson %s. %s\n\n", l->id, l->title);
    l->run(&s);
    if (!s.j) return s.code;
    if (s.code) {
        pare_json_free(s.j);
        return s.code;
    }
    pare_json_end(s.j);
    return cli_print_json(c, s.j);
}

static int run(cli *c) {
    if (c->argc == 0) return list(c);
    const lesson *const l = find(c->argv[0]);
    if (!l) return cli_usage(c, "there is no lesson '%s'; lessons are 1 to 13 and F2 to F4 (pare lesson lists them)", c->argv[0]);
    return run_lesson(c, l);
}

static const cli_flag flags[] = {
    {"plot", 0, "PATH", "write the pictures: a .png, .svg or .pdf file (further ones beside it), or a folder", false},
    {"model", 0, "MODEL", "model of the lessons on whole models (default: models/demo)", false},
    {"like-course", 0, NULL, "colour pictures as the course does: dequantized values in [0, 1], no colour elsewhere", false},
    {NULL, 0, NULL, NULL, false}};

const cli_command cli_cmd_lesson = {
    .name = "lesson",
    .args = "[N]",
    .summary = "The examples of the courses, with the numbers they are known for",
    .details = "N is 1 to 13 (Quantization in Depth) or F2 to F4 (Quantization Fundamentals); without N, the list.\n"
               "Every lesson prints what the course prints, says what is to be seen, and shows pare's own default where it differs.",
    .flags = flags,
    .min_args = 0,
    .max_args = 1,
    .run = run};
