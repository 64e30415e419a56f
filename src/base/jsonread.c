/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON. jansson parses (strict UTF-8, duplicate keys, line and column of errors, 64-bit integers kept apart from
 * reals); its tree is then copied into a compact one of our own and dropped: 16 bytes a value, members by position and by
 * hash in O(1), safe to read from any thread, and the parser stays replaceable.
 *
 * Before that one pass over the text checks the depth and looks for what Python writes but JSON or jansson does not know:
 * integers beyond 64 bits ("model_max_length": 1000000000000000019884624838656) and Infinity, -Infinity, NaN. If there are
 * any, a copy of the text is parsed in which they are spelled as reals.
 */
#include "base/jsonread.h"
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include "base/alloc.h"
#include "base/jsontext.h"
#include "base/mapfile.h"

enum { MAX_DEPTH = 512, INDEX_FROM = 8 /* members from which a hash index pays */ };

typedef struct object {
    const char **keys;
    pare_jval *values;
    uint32_t *slots; /* member + 1, 0 = free; NULL for a small object */
    uint32_t mask;
} object;

struct pare_jval {
    pare_jtype type;
    uint32_t n;      /* elements or members */
    union {
        bool truth;
        int64_t whole;
        double real;
        const char *text;
        pare_jval *items;
        object *members;
    } is;
};

struct pare_jdoc {
    pare_arena arena;
    pare_jval root;
};

/* --------------------------------------------------------------------------------------------------- jansson's memory */

/*
 * jansson's allocator is one for the process. While this thread parses, it is given our arena: faster than a free for each
 * value, and nothing can leak when memory runs out halfway. At all other times it is what the application had set before.
 */
static _Thread_local pare_arena *parse_arena;
static _Thread_local bool parse_starved; /* an allocation failed: jansson reports that in more than one way */
static json_malloc_t app_malloc;
static json_free_t app_free;
static pthread_once_t jansson_once = PTHREAD_ONCE_INIT;

static void *jansson_alloc(size_t n)
{
    if (!parse_arena) return app_malloc(n);
    void *ptr = pare_arena_alloc(parse_arena, n);
    if (!ptr) parse_starved = true;
    return ptr;
}

static void jansson_free(void *ptr)
{
    if (!parse_arena) app_free(ptr);
}

static void adopt_jansson(void)
{
    json_get_alloc_funcs(&app_malloc, &app_free);
    json_set_alloc_funcs(jansson_alloc, jansson_free);
}

/* Keys the member hash, so that a file cannot be made to collide. Lookups do not depend on it. */
static uint64_t hash_key;
static void draw_hash_key(void)
{
    if (getrandom(&hash_key, sizeof hash_key, GRND_NONBLOCK) != (ssize_t)sizeof hash_key) hash_key = 0x9E3779B97F4A7C15u ^ (uintptr_t)&hash_key;
}

static void first_use(void)
{
    adopt_jansson();
    draw_hash_key();
}

/* ---------------------------------------------------------------------------------------------------- pass over the text */

static pare_status at_offset(const char *text, size_t offset, const char *where, const char *what, pare_err *err)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        column++;
        if (text[i] == '\n') line++, column = 1;
    }
    return pare_fail(err, PARE_ERR_FORMAT, "%s: line %zu column %zu: %s", where, line, column, what);
}

/* The character after a string's closing quote (or n); i is that after the opening one. */
static size_t skip_string(const char *text, size_t i, size_t n)
{
    while (i < n && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
}

static bool is_number_char(char c) { return (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-' || c == 'e' || c == 'E'; }

/* Does the number token [p, p+n) need a ".0" to be taken: an integer outside int64? */
static bool is_wide_integer(const char *p, size_t n)
{
    bool negative = p[0] == '-';
    p += negative, n -= negative;
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9') return false;
    if (n != 19) return n > 19;
    return memcmp(p, negative ? "9223372036854775808" : "9223372036854775807", 19) > 0;
}

static bool is_word(const char *text, size_t i, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n - i >= len && memcmp(text + i, word, len) == 0;
}

/* Reals that stand for what JSON cannot say, in a respelled text only. */
#define INFINITY_TEXT "1.7976931348623157e308" /* DBL_MAX */
#define NAN_TEXT "-2.2250738585072014e-308"    /* -DBL_MIN */

/* What to write for the token at i instead of (or after) itself; NULL = leave it. *take: bytes of the token. */
static const char *respell(const char *text, size_t i, size_t n, size_t *take, bool *append)
{
    *append = false;
    if (is_word(text, i, n, "Infinity") || is_word(text, i, n, "-Infinity")) {
        *take = text[i] == '-' ? 9 : 8;
        return text[i] == '-' ? "-" INFINITY_TEXT : INFINITY_TEXT;
    }
    if (is_word(text, i, n, "NaN")) {
        *take = 3;
        return NAN_TEXT;
    }
    for (*take = 0; i + *take < n && is_number_char(text[i + *take]); ++*take) continue;
    *append = true;
    return *take >= 19 && is_wide_integer(text + i, *take) ? ".0" : NULL;
}

typedef struct scan { size_t deep; bool odd; } scan;

/* Finds depth and odd tokens; with `copy` also writes the respelled text. deep: offset of the first bracket too deep, or n. */
static scan scan_text(const char *text, size_t n, pare_str *copy)
{
    scan found = {.deep = n};
    size_t depth = 0, copied = 0;
    for (size_t i = 0; i < n;) {
        char c = text[i];
        if (c == '"') {
            i = skip_string(text, i + 1, n);
        } else if ((c >= '0' && c <= '9') || c == '-' || c == 'I' || c == 'N') {
            size_t take;
            bool append;
            const char *put = respell(text, i, n, &take, &append);
            if (put) found.odd = true;
            if (put && copy) {
                pare_str_addn(copy, text + copied, i + (append ? take : 0) - copied);
                pare_str_add(copy, put);
                copied = i + take;
            }
            i += take ? take : 1;
        } else {
            if (c == '[' || c == '{') depth++;
            if ((c == ']' || c == '}') && depth > 0) depth--;
            if (depth > MAX_DEPTH && found.deep == n) found.deep = i;
            i++;
        }
    }
    if (copy) pare_str_addn(copy, text + copied, n - copied);
    return found;
}

/* ------------------------------------------------------------------------------------------------------------- our tree */

typedef struct builder { pare_arena *arena; bool respelled; } builder;

static bool build(builder *b, const json_t *from, pare_jval *to);

static uint32_t hash_of(const char *key)
{
    uint64_t h = hash_key;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++) h = (h ^ *p) * 0x100000001B3u;
    h ^= h >> 32;
    return (uint32_t)(h * 0x9E3779B97F4A7C15u >> 32);
}

static bool build_index(builder *b, object *o, uint32_t n)
{
    uint32_t slots = 16;
    while (slots < n + n / 2) slots *= 2;
    o->slots = pare_arena_alloc(b->arena, (size_t)slots * sizeof *o->slots);
    if (!o->slots) return false;
    memset(o->slots, 0, (size_t)slots * sizeof *o->slots);
    o->mask = slots - 1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = hash_of(o->keys[i]) & o->mask;
        while (o->slots[at]) at = (at + 1) & o->mask;
        o->slots[at] = i + 1;
    }
    return true;
}

static bool build_object(builder *b, const json_t *from, pare_jval *to)
{
    json_t *source = (json_t *)(uintptr_t)from; /* jansson's iterators ask for a mutable one */
    uint32_t n = (uint32_t)json_object_size(from), i = 0;
    object *o = pare_arena_alloc(b->arena, sizeof *o);
    if (!o) return false;
    *o = (object){.keys = pare_arena_alloc(b->arena, n * sizeof *o->keys), .values = pare_arena_alloc(b->arena, n * sizeof *o->values)};
    if (!o->keys || !o->values) return false;
    for (void *it = json_object_iter(source); it; it = json_object_iter_next(source, it), i++) {
        o->keys[i] = pare_arena_strdup(b->arena, json_object_iter_key(it));
        if (!o->keys[i] || !build(b, json_object_iter_value(it), &o->values[i])) return false;
    }
    *to = (pare_jval){.type = PARE_J_OBJECT, .n = n, .is.members = o};
    return n < INDEX_FROM || build_index(b, o, n);
}

static bool build_array(builder *b, const json_t *from, pare_jval *to)
{
    uint32_t n = (uint32_t)json_array_size(from);
    pare_jval *items = pare_arena_alloc(b->arena, n * sizeof *items);
    if (!items) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!build(b, json_array_get(from, i), &items[i])) return false;
    *to = (pare_jval){.type = PARE_J_ARRAY, .n = n, .is.items = items};
    return true;
}

static double real_value(const builder *b, double value)
{
    if (!b->respelled) return value;
    return value == DBL_MAX ? INFINITY : value == -DBL_MAX ? -INFINITY : value == -DBL_MIN ? NAN : value;
}

static bool build(builder *b, const json_t *from, pare_jval *to)
{
    switch (json_typeof(from)) {
    case JSON_OBJECT: return build_object(b, from, to);
    case JSON_ARRAY: return build_array(b, from, to);
    case JSON_STRING:
        *to = (pare_jval){.type = PARE_J_TEXT, .is.text = pare_arena_strndup(b->arena, json_string_value(from), json_string_length(from))};
        return to->is.text != NULL;
    case JSON_INTEGER: *to = (pare_jval){.type = PARE_J_INT, .is.whole = json_integer_value(from)}; return true;
    case JSON_REAL: *to = (pare_jval){.type = PARE_J_REAL, .is.real = real_value(b, json_real_value(from))}; return true;
    case JSON_TRUE:
    case JSON_FALSE: *to = (pare_jval){.type = PARE_J_BOOL, .is.truth = json_is_true(from)}; return true;
    case JSON_NULL: break;
    }
    *to = (pare_jval){.type = PARE_J_NULL};
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- parsing */

static pare_status parse_into(pare_jdoc *doc, const char *text, size_t n, bool respelled, const char *where, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_arena scratch = {0};
    json_error_t why;
    builder b = {.arena = &doc->arena, .respelled = respelled};
    parse_arena = &scratch;
    parse_starved = false;
    json_t *tree = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    parse_arena = NULL;
    if (parse_starved) /* even with a tree: jansson overlooks a string buffer that could not grow */
        st = pare_no_memory(err, where, n);
    else if (!tree)
        st = pare_fail(err, PARE_ERR_FORMAT, "%s: line %d column %d: %s", where, why.line, why.column, why.text);
    else if (!build(&b, tree, &doc->root))
        st = pare_no_memory(err, where, n);
    pare_arena_clear(&scratch); /* the whole tree at once, instead of json_decref() */
    return st;
}

pare_status pare_jdoc_parse(const char *text, size_t n, const char *where, pare_jdoc **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_str copy = {0};
    pare_jdoc *doc = NULL;
    *out = NULL;
    pthread_once(&jansson_once, first_use);
    if (n > UINT32_MAX) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: %zu bytes of JSON, at most 4 GiB are read", where, n);
    scan found = scan_text(text, n, NULL);
    if (found.deep < n) {
        st = at_offset(text, found.deep, where, "nested deeper than 512 levels", err);
        goto out;
    }
    if (found.odd) scan_text(text, n, &copy);
    doc = pare_alloc_zero(1, sizeof *doc);
    if (!doc || copy.failed) {
        st = pare_no_memory(err, where, n);
        goto out;
    }
    PARE_TRY(parse_into(doc, found.odd ? copy.at : text, found.odd ? copy.n : n, found.odd, where, err));
    *out = doc;
    doc = NULL;
out:
    pare_jdoc_free(doc);
    pare_str_clear(&copy);
    return st;
}

pare_status pare_jdoc_load(const char *path, size_t max_bytes, pare_jdoc **out, pare_err *err)
{
    char *text;
    size_t n;
    *out = NULL;
    pare_status st = pare_read_file(path, max_bytes, &text, &n, err);
    if (st == PARE_OK) st = pare_jdoc_parse(text, n, path, out, err);
    pare_dealloc(text);
    return st;
}

void pare_jdoc_free(pare_jdoc *doc)
{
    if (!doc) return;
    pare_arena_clear(&doc->arena);
    pare_dealloc(doc);
}

/* -------------------------------------------------------------------------------------------------------------- reading */

const pare_jval *pare_jdoc_root(const pare_jdoc *doc) { return &doc->root; }

pare_jtype pare_j_type(const pare_jval *v) { return v ? v->type : PARE_J_NULL; }

static const pare_jval *find_by_hash(const object *o, const char *key)
{
    for (uint32_t at = hash_of(key) & o->mask; o->slots[at]; at = (at + 1) & o->mask) {
        uint32_t i = o->slots[at] - 1;
        if (strcmp(o->keys[i], key) == 0) return &o->values[i];
    }
    return NULL;
}

const pare_jval *pare_j_get(const pare_jval *object_, const char *key)
{
    if (pare_j_type(object_) != PARE_J_OBJECT) return NULL;
    const object *o = object_->is.members;
    if (o->slots) return find_by_hash(o, key);
    for (uint32_t i = 0; i < object_->n; i++)
        if (strcmp(o->keys[i], key) == 0) return &o->values[i];
    return NULL;
}

const pare_jval *pare_j_at(const pare_jval *array, size_t i)
{
    return pare_j_type(array) == PARE_J_ARRAY && i < array->n ? &array->is.items[i] : NULL;
}

size_t pare_j_count(const pare_jval *v) { return v && (v->type == PARE_J_ARRAY || v->type == PARE_J_OBJECT) ? v->n : 0; }

const pare_jval *pare_j_member(const pare_jval *object_, size_t i, const char **key)
{
    if (pare_j_type(object_) != PARE_J_OBJECT || i >= object_->n) return NULL;
    if (key) *key = object_->is.members->keys[i];
    return &object_->is.members->values[i];
}

const char *pare_j_text(const pare_jval *v, const char *or_else) { return pare_j_type(v) == PARE_J_TEXT ? v->is.text : or_else; }
int64_t pare_j_int(const pare_jval *v, int64_t or_else) { return pare_j_type(v) == PARE_J_INT ? v->is.whole : or_else; }
bool pare_j_bool(const pare_jval *v, bool or_else) { return pare_j_type(v) == PARE_J_BOOL ? v->is.truth : or_else; }

double pare_j_real(const pare_jval *v, double or_else)
{
    if (pare_j_type(v) == PARE_J_INT) return (double)v->is.whole;
    return pare_j_type(v) == PARE_J_REAL ? v->is.real : or_else;
}

/* ------------------------------------------------------------------------------------------------------------- emitting */

static void dump_line(pare_str *s, int level)
{
    pare_str_add(s, "\n");
    for (int i = 0; i < level; i++) pare_str_add(s, "  ");
}

/* A real stays a real ("10000.0"), an integer beyond 64 bits an integer, and what Python wrote it can read again. */
static void dump_real(pare_str *s, double value)
{
    char text[32];
    if (isnan(value) || isinf(value)) {
        pare_str_add(s, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    } else if (fabs(value) >= 0x1p63 && fabs(value) < 1e40) {
        pare_str_printf(s, "%.0f", value);
    } else {
        pare_format_real(value, text);
        pare_str_add(s, text);
        if (!strpbrk(text, ".e")) pare_str_add(s, ".0");
    }
}

static void dump(pare_str *s, const pare_jval *v, int level)
{
    const char *key = NULL;
    bool is_object = v->type == PARE_J_OBJECT;
    switch (v->type) {
    case PARE_J_NULL: pare_str_add(s, "null"); return;
    case PARE_J_BOOL: pare_str_add(s, v->is.truth ? "true" : "false"); return;
    case PARE_J_INT: pare_str_printf(s, "%lld", (long long)v->is.whole); return;
    case PARE_J_REAL: dump_real(s, v->is.real); return;
    case PARE_J_TEXT: pare_json_quote(s, v->is.text); return;
    case PARE_J_ARRAY:
    case PARE_J_OBJECT: break;
    }
    pare_str_add(s, is_object ? "{" : "[");
    for (uint32_t i = 0; i < v->n; i++) {
        if (i) pare_str_add(s, ",");
        dump_line(s, level + 1);
        const pare_jval *item = is_object ? pare_j_member(v, i, &key) : pare_j_at(v, i);
        if (is_object) {
            pare_json_quote(s, key);
            pare_str_add(s, ": ");
        }
        dump(s, item, level + 1);
    }
    if (v->n) dump_line(s, level);
    pare_str_add(s, is_object ? "}" : "]");
}

pare_status pare_j_dump(const pare_jval *v, int level, char **out, pare_err *err)
{
    static const pare_jval null = {.type = PARE_J_NULL};
    pare_str s = {0};
    dump(&s, v ? v : &null, level);
    size_t n = s.n;
    *out = pare_str_take(&s);
    return *out ? PARE_OK : pare_no_memory(err, "JSON text", n);
}
