/* SPDX-License-Identifier: Apache-2.0 */
/* Every heap byte of the library passes here, so that a test can fail the n-th allocation. */
#ifndef PARE_BASE_ALLOC_H
#define PARE_BASE_ALLOC_H
#include "base/status.h"

void *pare_alloc(size_t bytes);                      /* NULL when memory is gone; bytes 0 gives a valid pointer */
void *pare_alloc_zero(size_t count, size_t size);    /* overflow-checked */
void *pare_realloc(void *ptr, size_t bytes);
void pare_dealloc(void *ptr);                        /* NULL is fine */
void *pare_alloc_aligned(size_t align, size_t bytes);/* 4096 for direct I/O, 64 for kernels; free with pare_dealloc_aligned */
void pare_dealloc_aligned(void *ptr);
#define PARE_BIG_PAGE ((size_t)2 << 20)
/* As pare_alloc_aligned(64); from some big pages on it lies in them where the system likes to: for what is read in long strides. */
void *pare_alloc_work(size_t bytes);
/* Wishes, for speed only: whatever big pages lie wholly in `bytes` from `at` are put together, now where the system can (Linux 6.1), else by and by. */
void pare_alloc_big_pages(void *at, size_t bytes);
/* The same with the error filled. what: "weights of layer x" for the message. */
pare_status pare_alloc_try(size_t bytes, const char *what, void **out, pare_err *err);

bool pare_mul_size(size_t a, size_t b, size_t *out);       /* false on overflow */
bool pare_add_size(size_t a, size_t b, size_t *out);
bool pare_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
bool pare_add_u64(uint64_t a, uint64_t b, uint64_t *out);

/* Arena: many small things freed at once. */
typedef struct pare_arena { struct pare_arena_chunk *head; size_t total; } pare_arena;   /* {0} = empty */
void *pare_arena_alloc(pare_arena *arena, size_t bytes);   /* 16-aligned, uninitialised; NULL when memory is gone */
char *pare_arena_strndup(pare_arena *arena, const char *text, size_t n);
char *pare_arena_strdup(pare_arena *arena, const char *text);
char *pare_arena_printf(pare_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pare_arena_clear(pare_arena *arena);

/* Growable array: PARE_VEC(T) v = {0}; */
#define PARE_VEC(T) struct { T *at; size_t n, cap; }
bool pare_vec_grow(void **at, size_t *cap, size_t need, size_t size);
#define PARE_VEC_PUSH(v, value) \
    (((v)->n < (v)->cap || pare_vec_grow((void **)&(v)->at, &(v)->cap, (v)->n + 1, sizeof *(v)->at)) ? ((v)->at[(v)->n++] = (value), true) : false)
#define PARE_VEC_CLEAR(v) (pare_dealloc((v)->at), (v)->at = NULL, (v)->n = (v)->cap = 0)
pare_status pare_no_memory(pare_err *err, const char *what, size_t bytes);
#endif
