/* SPDX-License-Identifier: Apache-2.0 */
/* The one door to the heap, overflow-checked sizes, arenas and growable arrays. */
#include "base/alloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pare/report.h>
#include "base/str.h"

/* ---------------------------------------------------------------------------------------------------- the one door */

static pare_allocator hook; /* realloc_fn NULL = libc */

void pare_set_allocator(const pare_allocator *allocator) { hook = allocator ? *allocator : (pare_allocator){0}; }

void *pare_alloc(size_t bytes)
{
    if (bytes == 0) bytes = 1;
    return hook.realloc_fn ? hook.realloc_fn(hook.user, NULL, bytes) : malloc(bytes);
}

void *pare_alloc_zero(size_t count, size_t size)
{
    size_t bytes;
    if (!pare_mul_size(count, size, &bytes)) return NULL;
    if (!hook.realloc_fn) return calloc(bytes ? bytes : 1, 1); /* fresh pages from the system are zero already */
    void *ptr = pare_alloc(bytes);
    if (ptr) memset(ptr, 0, bytes);
    return ptr;
}

void *pare_realloc(void *ptr, size_t bytes)
{
    if (!ptr) return pare_alloc(bytes);
    if (bytes == 0) bytes = 1;
    return hook.realloc_fn ? hook.realloc_fn(hook.user, ptr, bytes) : realloc(ptr, bytes);
}

void pare_dealloc(void *ptr)
{
    if (!ptr) return;
    if (hook.realloc_fn)
        hook.realloc_fn(hook.user, ptr, 0);
    else
        free(ptr);
}

void pare_free(void *ptr) { pare_dealloc(ptr); }

/* The block's own address is kept in the word before the aligned one, so that the hook needs no aligned form. */
void *pare_alloc_aligned(size_t align, size_t bytes)
{
    size_t whole;
    if (align < sizeof(void *)) align = sizeof(void *);
    if (!pare_add_size(bytes, align + sizeof(void *), &whole)) return NULL;
    char *block = pare_alloc(whole);
    if (!block) return NULL;
    uintptr_t at = ((uintptr_t)block + sizeof(void *) + align - 1) & ~(uintptr_t)(align - 1);
    char *aligned = block + (at - (uintptr_t)block);
    memcpy(aligned - sizeof(void *), &block, sizeof block);
    return aligned;
}

void pare_dealloc_aligned(void *ptr)
{
    if (!ptr) return;
    void *block;
    memcpy(&block, (char *)ptr - sizeof(void *), sizeof block);
    pare_dealloc(block);
}

pare_status pare_no_memory(pare_err *err, const char *what, size_t bytes)
{
    char size[32];
    pare_format_bytes(bytes, size);
    return pare_fail(err, PARE_ERR_MEMORY, "out of memory: %s needs %s", what, size);
}

pare_status pare_alloc_try(size_t bytes, const char *what, void **out, pare_err *err)
{
    *out = pare_alloc(bytes);
    return *out ? PARE_OK : pare_no_memory(err, what, bytes);
}

/* ----------------------------------------------------------------------------------------------------------- sizes */

bool pare_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool pare_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
bool pare_mul_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }
bool pare_add_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* ----------------------------------------------------------------------------------------------------------- arena */

struct pare_arena_chunk {
    struct pare_arena_chunk *next;
    size_t used, size;
    _Alignas(16) char at[];
};

enum { ARENA_MIN = 4096, ARENA_MAX = 1 << 20 };

/* Chunks grow with the arena, so that a small one stays small and a large one costs few calls. */
static struct pare_arena_chunk *arena_grow(pare_arena *arena, size_t bytes)
{
    size_t size = arena->total < ARENA_MIN ? ARENA_MIN : arena->total > ARENA_MAX ? ARENA_MAX : arena->total, whole;
    if (size < bytes) size = bytes;
    if (!pare_add_size(size, sizeof(struct pare_arena_chunk), &whole)) return NULL;
    struct pare_arena_chunk *chunk = pare_alloc(whole);
    if (!chunk) return NULL;
    chunk->used = 0;
    chunk->size = size;
    chunk->next = arena->head;
    arena->head = chunk;
    arena->total += size;
    return chunk;
}

void *pare_arena_alloc(pare_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX - 15) return NULL;
    bytes = (bytes + 15) & ~(size_t)15;
    struct pare_arena_chunk *chunk = arena->head;
    if (!chunk || chunk->size - chunk->used < bytes) chunk = arena_grow(arena, bytes);
    if (!chunk) return NULL;
    void *ptr = chunk->at + chunk->used;
    chunk->used += bytes;
    return ptr;
}

char *pare_arena_strndup(pare_arena *arena, const char *text, size_t n)
{
    if (n == SIZE_MAX) return NULL;
    char *copy = pare_arena_alloc(arena, n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

char *pare_arena_strdup(pare_arena *arena, const char *text) { return pare_arena_strndup(arena, text, strlen(text)); }

char *pare_arena_printf(pare_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = pare_vformat(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : pare_arena_alloc(arena, (size_t)n + 1);
    if (!text) return NULL;
    va_start(args, format);
    pare_vformat(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void pare_arena_clear(pare_arena *arena)
{
    for (struct pare_arena_chunk *chunk = arena->head, *next; chunk; chunk = next) {
        next = chunk->next;
        pare_dealloc(chunk);
    }
    *arena = (pare_arena){0};
}

/* ---------------------------------------------------------------------------------------------------------- arrays */

bool pare_vec_grow(void **at, size_t *cap, size_t need, size_t size)
{
    size_t grown = *cap < 8 ? 8 : *cap > SIZE_MAX / 2 ? need : *cap * 2, bytes;
    if (grown < need) grown = need;
    if (!pare_mul_size(grown, size, &bytes)) return false;
    void *moved = pare_realloc(*at, bytes);
    if (!moved) return false;
    *at = moved;
    *cap = grown;
    return true;
}
