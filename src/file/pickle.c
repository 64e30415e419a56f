/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pickle machine: protocols 0 to 5 (CPython Lib/pickle.py, Lib/pickletools.py), without the power to do anything.
 *
 * A pickle is a program for a stack machine. The dangerous opcodes are those that name an importable thing (GLOBAL,
 * STACK_GLOBAL, INST) and those that call it (REDUCE, NEWOBJ, OBJ, BUILD). Here a name must be in the short list of
 * pickle_globals.c, and a "call" builds a description (tensor, storage, dict) or an inert value. Opcodes for the extension
 * registry, text persistent ids and out-of-band buffers are refused.
 *
 * Limits: every opcode takes at least one byte of input; at most OBJECTS_MAX values; memo indices must be dense. The
 * machine does not recurse, so depth of nesting is a matter for whoever walks the result.
 */
#include <string.h>
#include "file/pickle.h"

enum { OBJECTS_MAX = 1 << 23, MEMO_SLACK = 4096 };

#define TRY(call)                        \
    do {                                 \
        pare_status try_st = (call);     \
        if (try_st != PARE_OK) return try_st; \
    } while (0)
#define FAIL(...) return pare_fail(vm->err, PARE_ERR_FORMAT, __VA_ARGS__)

/* ----------------------------------------------------------------------------------------------------------- values */

static pare_status count_object(pare_pk_vm *vm)
{
    if (++vm->objects <= OBJECTS_MAX) return PARE_OK;
    return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: the pickle builds more than %d objects", vm->where, OBJECTS_MAX);
}

pare_pk_value *pare_pk_new(pare_pk_vm *vm, pare_pk_type type)
{
    pare_pk_value *v = NULL;
    if (count_object(vm) == PARE_OK && !(v = pare_arena_alloc(vm->arena, sizeof *v))) pare_no_memory(vm->err, "pickle", sizeof *v);
    if (!v) return NULL;
    memset(v, 0, sizeof *v);
    v->type = type;
    return v;
}

/* What pare_pk_new() failed with. */
static pare_status failed(const pare_pk_vm *vm) { return vm->objects > OBJECTS_MAX ? PARE_ERR_UNSUPPORTED : PARE_ERR_MEMORY; }

pare_status pare_pk_push(pare_pk_vm *vm, pare_pk_value *container, pare_pk_value *item)
{
    TRY(count_object(vm)); /* items count too: a few bytes can copy a long list again and again */
    if (container->is.items.n == container->is.items.cap) {
        size_t cap = container->is.items.cap ? container->is.items.cap * 2 : 4;
        pare_pk_value **at = pare_arena_alloc(vm->arena, cap * sizeof *at);
        if (!at) return pare_no_memory(vm->err, "pickle", cap * sizeof *at);
        if (container->is.items.n) memcpy(at, container->is.items.at, container->is.items.n * sizeof *at);
        container->is.items.at = at;
        container->is.items.cap = cap;
    }
    container->is.items.at[container->is.items.n++] = item;
    return PARE_OK;
}

bool pare_pk_is_text(const pare_pk_value *v, const char *text)
{
    return v->type == PARE_PK_TEXT && v->is.text.n == strlen(text) && !memcmp(v->is.text.at, text, v->is.text.n);
}

const pare_pk_value *pare_pk_get(const pare_pk_value *dict, const char *key)
{
    if (dict->type != PARE_PK_DICT) return NULL;
    for (size_t i = dict->is.items.n; i >= 2; i -= 2)
        if (pare_pk_is_text(dict->is.items.at[i - 2], key)) return dict->is.items.at[i - 1];
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------ stack */

static pare_status push(pare_pk_vm *vm, pare_pk_value *v)
{
    if (!v) return failed(vm);
    if (vm->stack.n >= OBJECTS_MAX)
        return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: the pickle's stack grows beyond %d", vm->where, OBJECTS_MAX);
    if (!PARE_VEC_PUSH(&vm->stack, v)) return pare_no_memory(vm->err, "pickle stack", vm->stack.n * sizeof v);
    return PARE_OK;
}

static pare_status push_whole(pare_pk_vm *vm, pare_pk_type type, int64_t whole)
{
    pare_pk_value *v = pare_pk_new(vm, type);
    if (v) v->is.whole = whole;
    return push(vm, v);
}

static pare_status push_text(pare_pk_vm *vm, pare_pk_type type, const void *at, size_t n)
{
    pare_pk_value *v = pare_pk_new(vm, type);
    if (v) {
        v->is.text.at = at;
        v->is.text.n = n;
    }
    return push(vm, v);
}

/* Items above the last mark, or all when there is none. */
static size_t floor_of(const pare_pk_vm *vm) { return vm->marks.n ? vm->marks.at[vm->marks.n - 1] : 0; }

static pare_status pop(pare_pk_vm *vm, pare_pk_value **out)
{
    if (vm->stack.n <= floor_of(vm)) FAIL("%s: byte %zu: the pickle takes from an empty stack", vm->where, vm->in.pos - 1);
    *out = vm->stack.at[--vm->stack.n];
    return PARE_OK;
}

static pare_status pop_mark(pare_pk_vm *vm, size_t *from)
{
    if (!vm->marks.n) FAIL("%s: byte %zu: the pickle has no mark to go back to", vm->where, vm->in.pos - 1);
    *from = vm->marks.at[--vm->marks.n];
    return PARE_OK;
}

static pare_status top_of(pare_pk_vm *vm, pare_pk_value **out)
{
    TRY(pop(vm, out));
    vm->stack.n++;
    return PARE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ input */

static pare_status cut_off(const pare_pk_vm *vm)
{
    return pare_fail(vm->err, PARE_ERR_FORMAT, "%s: the pickle ends in the middle, at byte %zu", vm->where, vm->in.n);
}

/* A little-endian length of `width` bytes, then that many bytes. */
static pare_status read_counted(pare_pk_vm *vm, size_t width, const uint8_t **at, size_t *n)
{
    const uint8_t *p;
    uint64_t length = 0;
    if (!pare_rd_bytes(&vm->in, width, &p)) return cut_off(vm);
    for (size_t i = width; i-- > 0;) length = length << 8 | p[i];
    *n = (size_t)length;
    if (length > vm->in.n - vm->in.pos)
        FAIL("%s: byte %zu: %llu bytes do not fit into the %zu that are left", vm->where, vm->in.pos - width - 1,
             (unsigned long long)length, vm->in.n - vm->in.pos);
    return pare_rd_bytes(&vm->in, *n, at) ? PARE_OK : cut_off(vm);
}

static pare_status read_line(pare_pk_vm *vm, const char **at, size_t *n) { return pare_rd_line(&vm->in, at, n) ? PARE_OK : cut_off(vm); }

/* A number in decimal text, as protocol 0 writes it; "01" and "00" of the INT opcode are the truth values. */
static pare_status read_number_line(pare_pk_vm *vm, bool is_int)
{
    char text[40];
    const char *at;
    size_t n;
    int64_t value;
    TRY(read_line(vm, &at, &n));
    if (is_int && n == 2 && at[0] == '0' && (at[1] == '0' || at[1] == '1')) return push_whole(vm, PARE_PK_BOOL, at[1] == '1');
    if (!is_int && n && at[n - 1] == 'L') n--;
    if (n >= sizeof text) return push_whole(vm, PARE_PK_INERT, 0); /* a number of more digits than anything here needs */
    memcpy(text, at, n);
    text[n] = 0;
    if (!pare_parse_i64(text, &value)) FAIL("%s: byte %zu: '%s' is not a number", vm->where, vm->in.pos, text);
    return push_whole(vm, PARE_PK_INT, value);
}

static pare_status read_float_line(pare_pk_vm *vm)
{
    const char *at;
    size_t n;
    TRY(read_line(vm, &at, &n));
    return push(vm, pare_pk_new(vm, PARE_PK_FLOAT)); /* reals are never looked at */
}

/* Two's complement, little-endian, any width. */
static pare_status read_long(pare_pk_vm *vm, size_t width)
{
    const uint8_t *at;
    size_t n;
    uint64_t value = 0;
    TRY(read_counted(vm, width, &at, &n));
    if (n > 8) return push_text(vm, PARE_PK_LONG, at, n);
    for (size_t i = 0; i < n; i++) value |= (uint64_t)at[i] << (8 * i);
    if (n && n < 8 && at[n - 1] & 0x80) value |= UINT64_MAX << (8 * n);
    return push_whole(vm, PARE_PK_INT, (int64_t)value);
}

/* Text of protocol 0. Escapes never occur in what torch wrote, so they are refused instead of guessed. */
static pare_status read_text_line(pare_pk_vm *vm, bool quoted)
{
    const char *at;
    size_t n;
    TRY(read_line(vm, &at, &n));
    if (quoted) {
        if (n < 2 || at[0] != at[n - 1] || (at[0] != '\'' && at[0] != '"'))
            FAIL("%s: byte %zu: a string without quotes", vm->where, vm->in.pos);
        at++;
        n -= 2;
    }
    if (n && memchr(at, '\\', n))
        return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: byte %zu: escapes in text are not read", vm->where, vm->in.pos);
    return push_text(vm, PARE_PK_TEXT, at, n);
}

static pare_status read_counted_text(pare_pk_vm *vm, pare_pk_type type, size_t width)
{
    const uint8_t *at;
    size_t n;
    TRY(read_counted(vm, width, &at, &n));
    return push_text(vm, type, at, n);
}

static pare_status read_fixed(pare_pk_vm *vm, size_t width)
{
    const uint8_t *p;
    if (!pare_rd_bytes(&vm->in, width, &p)) return cut_off(vm);
    if (width == 1) return push_whole(vm, PARE_PK_INT, p[0]);
    if (width == 2) return push_whole(vm, PARE_PK_INT, pare_le16(p));
    if (width == 4) return push_whole(vm, PARE_PK_INT, (int32_t)pare_le32(p));
    return push(vm, pare_pk_new(vm, PARE_PK_FLOAT));
}

/* ------------------------------------------------------------------------------------------------------- containers */

/* A tuple, list or dict of the stack's items from `from` upwards, in their place. */
static pare_status collect(pare_pk_vm *vm, pare_pk_type type, size_t from)
{
    pare_pk_value *v = pare_pk_new(vm, type);
    size_t n = vm->stack.n - from;
    if (!v) return failed(vm);
    if (type == PARE_PK_DICT && n % 2) FAIL("%s: byte %zu: a dict of %zu keys and values", vm->where, vm->in.pos - 1, n);
    if (n) {
        v->is.items.at = pare_arena_alloc(vm->arena, n * sizeof v);
        if (!v->is.items.at) return pare_no_memory(vm->err, "pickle", n * sizeof v);
        memcpy(v->is.items.at, vm->stack.at + from, n * sizeof v);
        v->is.items.n = v->is.items.cap = n;
    }
    vm->stack.n = from;
    return push(vm, v);
}

static pare_status collect_top(pare_pk_vm *vm, pare_pk_type type, size_t n)
{
    if (vm->stack.n - floor_of(vm) < n) FAIL("%s: byte %zu: the pickle takes from an empty stack", vm->where, vm->in.pos - 1);
    return collect(vm, type, vm->stack.n - n);
}

static pare_status collect_marked(pare_pk_vm *vm, pare_pk_type type)
{
    size_t from;
    TRY(pop_mark(vm, &from));
    return collect(vm, type, from);
}

/* Moves the items from `from` upwards into the container below them. */
static pare_status add_items(pare_pk_vm *vm, size_t from, pare_pk_type type)
{
    size_t n = vm->stack.n - from;
    if (from <= floor_of(vm)) FAIL("%s: byte %zu: the pickle takes from an empty stack", vm->where, vm->in.pos - 1);
    pare_pk_value *container = vm->stack.at[from - 1];
    if (container->type != type && container->type != PARE_PK_INERT)
        FAIL("%s: byte %zu: items are added to something that is no %s", vm->where, vm->in.pos - 1, type == PARE_PK_DICT ? "dict" : "list");
    if (type == PARE_PK_DICT && n % 2) FAIL("%s: byte %zu: a dict of %zu keys and values", vm->where, vm->in.pos - 1, n);
    for (size_t i = from; i < vm->stack.n && container->type == type; i++) TRY(pare_pk_push(vm, container, vm->stack.at[i]));
    vm->stack.n = from;
    return PARE_OK;
}

static pare_status add_top_items(pare_pk_vm *vm, size_t n, pare_pk_type type)
{
    if (vm->stack.n - floor_of(vm) < n) FAIL("%s: byte %zu: the pickle takes from an empty stack", vm->where, vm->in.pos - 1);
    return add_items(vm, vm->stack.n - n, type);
}

static pare_status add_marked_items(pare_pk_vm *vm, pare_pk_type type)
{
    size_t from;
    TRY(pop_mark(vm, &from));
    return add_items(vm, from, type);
}

/* ------------------------------------------------------------------------------------------------------------- memo */

static pare_status memo_put(pare_pk_vm *vm, uint64_t index)
{
    pare_pk_value *v;
    TRY(top_of(vm, &v));
    if (index > vm->memo.n + MEMO_SLACK)
        FAIL("%s: byte %zu: memo index %llu after %zu", vm->where, vm->in.pos, (unsigned long long)index, vm->memo.n);
    while (vm->memo.n <= index)
        if (!PARE_VEC_PUSH(&vm->memo, NULL)) return pare_no_memory(vm->err, "pickle memo", vm->memo.n * sizeof v);
    vm->memo.at[index] = v;
    return PARE_OK;
}

static pare_status memo_get(pare_pk_vm *vm, uint64_t index)
{
    if (index >= vm->memo.n || !vm->memo.at[index])
        FAIL("%s: byte %zu: memo %llu is empty", vm->where, vm->in.pos, (unsigned long long)index);
    return push(vm, vm->memo.at[index]);
}

/* The index is text ('p', 'g') or binary of `width` bytes. */
static pare_status memo(pare_pk_vm *vm, bool put, size_t width)
{
    uint64_t index = 0;
    if (width) {
        const uint8_t *p;
        if (!pare_rd_bytes(&vm->in, width, &p)) return cut_off(vm);
        index = width == 1 ? p[0] : pare_le32(p);
    } else {
        pare_pk_value *v;
        TRY(read_number_line(vm, false));
        TRY(pop(vm, &v));
        if (v->type != PARE_PK_INT || v->is.whole < 0) FAIL("%s: byte %zu: a memo index that is no number", vm->where, vm->in.pos);
        index = (uint64_t)v->is.whole;
    }
    return put ? memo_put(vm, index) : memo_get(vm, index);
}

/* -------------------------------------------------------------------------------------------------- names and calls */

static pare_status push_global(pare_pk_vm *vm, const char *module, size_t module_n, const char *name, size_t name_n)
{
    const struct pare_pk_global *g;
    TRY(pare_pk_find_global(vm, module, module_n, name, name_n, &g));
    pare_pk_value *v = pare_pk_new(vm, PARE_PK_GLOBAL);
    if (v) v->is.global = g;
    return push(vm, v);
}

static pare_status global_lines(pare_pk_vm *vm)
{
    const char *module, *name;
    size_t module_n, name_n;
    TRY(read_line(vm, &module, &module_n));
    TRY(read_line(vm, &name, &name_n));
    return push_global(vm, module, module_n, name, name_n);
}

static pare_status global_stack(pare_pk_vm *vm)
{
    pare_pk_value *module, *name;
    TRY(pop(vm, &name));
    TRY(pop(vm, &module));
    if (module->type != PARE_PK_TEXT || name->type != PARE_PK_TEXT)
        FAIL("%s: byte %zu: a global whose name is no text", vm->where, vm->in.pos - 1);
    return push_global(vm, module->is.text.at, module->is.text.n, name->is.text.at, name->is.text.n);
}

/* callable, args -> result. extra: NEWOBJ_EX's keyword arguments are dropped first. */
static pare_status call(pare_pk_vm *vm, bool extra)
{
    pare_pk_value *callable, *args, *result = NULL;
    if (extra) TRY(pop(vm, &args));
    TRY(pop(vm, &args));
    TRY(pop(vm, &callable));
    if (args->type != PARE_PK_TUPLE) FAIL("%s: byte %zu: a call whose arguments are no tuple", vm->where, vm->in.pos - 1);
    TRY(pare_pk_apply(vm, callable, args, &result));
    return push(vm, result);
}

/* OBJ: mark, class, args...; INST: the class is named in the text. */
static pare_status call_marked(pare_pk_vm *vm, bool named)
{
    pare_pk_value *class_of, *args, *result = NULL;
    TRY(collect_marked(vm, PARE_PK_TUPLE));
    TRY(pop(vm, &args));
    if (named) {
        TRY(global_lines(vm));
        TRY(pop(vm, &class_of));
    } else {
        if (!args->is.items.n) FAIL("%s: byte %zu: an object without a class", vm->where, vm->in.pos - 1);
        class_of = args->is.items.at[0];
        args->is.items.at++;
        args->is.items.n--;
    }
    TRY(pare_pk_apply(vm, class_of, args, &result));
    return push(vm, result);
}

/* State given to an object: attributes of dicts and inert objects are of no interest. */
static pare_status build(pare_pk_vm *vm)
{
    pare_pk_value *state, *object;
    TRY(pop(vm, &state));
    TRY(top_of(vm, &object));
    if (object->type == PARE_PK_DICT || object->type == PARE_PK_INERT || object->type == PARE_PK_TENSOR) return PARE_OK;
    FAIL("%s: byte %zu: state for something that is no object", vm->where, vm->in.pos - 1);
}

static pare_status persistent(pare_pk_vm *vm)
{
    pare_pk_value *id, *storage = NULL;
    TRY(pop(vm, &id));
    TRY(pare_pk_storage_of(vm, id, &storage));
    return push(vm, storage);
}

/* ---------------------------------------------------------------------------------------------------------- opcodes */

static pare_status op_stack(pare_pk_vm *vm, uint8_t op)
{
    pare_pk_value *v;
    size_t from;
    switch (op) {
    case '(':
        if (!PARE_VEC_PUSH(&vm->marks, vm->stack.n)) return pare_no_memory(vm->err, "pickle marks", vm->marks.n * sizeof from);
        return PARE_OK;
    case '0':
        /* With nothing above the mark, POP takes the mark. */
        if (vm->marks.n && vm->stack.n == floor_of(vm)) return pop_mark(vm, &from);
        return pop(vm, &v);
    case '1':
        TRY(pop_mark(vm, &from));
        vm->stack.n = from;
        return PARE_OK;
    default: /* '2' */
        TRY(top_of(vm, &v));
        return push(vm, v);
    }
}

static pare_status op_container(pare_pk_vm *vm, uint8_t op)
{
    switch (op) {
    case ')': return push(vm, pare_pk_new(vm, PARE_PK_TUPLE));
    case ']': return push(vm, pare_pk_new(vm, PARE_PK_LIST));
    case '}': return push(vm, pare_pk_new(vm, PARE_PK_DICT));
    case 0x8f: return push(vm, pare_pk_new(vm, PARE_PK_LIST)); /* set */
    case 't': return collect_marked(vm, PARE_PK_TUPLE);
    case 'l': return collect_marked(vm, PARE_PK_LIST);
    case 'd': return collect_marked(vm, PARE_PK_DICT);
    case 0x91: return collect_marked(vm, PARE_PK_LIST);        /* frozenset */
    case 0x85: return collect_top(vm, PARE_PK_TUPLE, 1);
    case 0x86: return collect_top(vm, PARE_PK_TUPLE, 2);
    case 0x87: return collect_top(vm, PARE_PK_TUPLE, 3);
    case 'a': return add_top_items(vm, 1, PARE_PK_LIST);
    case 's': return add_top_items(vm, 2, PARE_PK_DICT);
    case 'e': return add_marked_items(vm, PARE_PK_LIST);
    case 0x90: return add_marked_items(vm, PARE_PK_LIST);
    default: return add_marked_items(vm, PARE_PK_DICT);        /* 'u' */
    }
}

static pare_status op_protocol(pare_pk_vm *vm, uint8_t op)
{
    uint8_t version;
    uint64_t frame;
    if (op == 0x80) {
        if (!pare_rd_u8(&vm->in, &version)) return cut_off(vm);
        if (version > 5)
            return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: pickle protocol %u is not read (0 to 5 are)", vm->where, version);
        return PARE_OK;
    }
    if (!pare_rd_u64(&vm->in, &frame)) return cut_off(vm);
    if (frame > vm->in.n - vm->in.pos)
        FAIL("%s: a pickle frame of %llu bytes does not fit into the %zu that are left", vm->where, (unsigned long long)frame,
             vm->in.n - vm->in.pos);
    return PARE_OK;
}

static pare_status refuse(const pare_pk_vm *vm, uint8_t op)
{
    if (op == 'P')
        return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: byte %zu: persistent ids as text are not read", vm->where, vm->in.pos - 1);
    if (op >= 0x82 && op <= 0x84)
        return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: byte %zu: the pickle uses the extension registry", vm->where, vm->in.pos - 1);
    if (op == 0x97 || op == 0x98)
        return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, "%s: byte %zu: the pickle keeps buffers elsewhere", vm->where, vm->in.pos - 1);
    return pare_fail(vm->err, PARE_ERR_FORMAT, "%s: byte %zu: 0x%02x is no pickle opcode", vm->where, vm->in.pos - 1, op);
}

static pare_status step(pare_pk_vm *vm, uint8_t op)
{
    switch (op) {
    case '(': case '0': case '1': case '2': return op_stack(vm, op);
    case ')': case ']': case '}': case 't': case 'l': case 'd': case 'a': case 's': case 'e': case 'u':
    case 0x85: case 0x86: case 0x87: case 0x8f: case 0x90: case 0x91: return op_container(vm, op);
    case 0x80: case 0x95: return op_protocol(vm, op);
    case 'N': return push(vm, pare_pk_new(vm, PARE_PK_NONE));
    case 0x88: return push_whole(vm, PARE_PK_BOOL, 1);
    case 0x89: return push_whole(vm, PARE_PK_BOOL, 0);
    case 'I': return read_number_line(vm, true);
    case 'L': return read_number_line(vm, false);
    case 'F': return read_float_line(vm);
    case 'G': return read_fixed(vm, 8);
    case 'J': return read_fixed(vm, 4);
    case 'M': return read_fixed(vm, 2);
    case 'K': return read_fixed(vm, 1);
    case 0x8a: return read_long(vm, 1);
    case 0x8b: return read_long(vm, 4);
    case 'S': return read_text_line(vm, true);
    case 'V': return read_text_line(vm, false);
    case 'U': case 0x8c: return read_counted_text(vm, PARE_PK_TEXT, 1);
    case 'T': case 'X': return read_counted_text(vm, PARE_PK_TEXT, 4);
    case 0x8d: return read_counted_text(vm, PARE_PK_TEXT, 8);
    case 'C': return read_counted_text(vm, PARE_PK_BYTES, 1);
    case 'B': return read_counted_text(vm, PARE_PK_BYTES, 4);
    case 0x8e: case 0x96: return read_counted_text(vm, PARE_PK_BYTES, 8);
    case 'p': return memo(vm, true, 0);
    case 'q': return memo(vm, true, 1);
    case 'r': return memo(vm, true, 4);
    case 0x94: return memo_put(vm, vm->memo.n);
    case 'g': return memo(vm, false, 0);
    case 'h': return memo(vm, false, 1);
    case 'j': return memo(vm, false, 4);
    case 'c': return global_lines(vm);
    case 0x93: return global_stack(vm);
    case 'R': case 0x81: return call(vm, false);
    case 0x92: return call(vm, true);
    case 'o': return call_marked(vm, false);
    case 'i': return call_marked(vm, true);
    case 'b': return build(vm);
    case 'Q': return persistent(vm);
    default: return refuse(vm, op);
    }
}

pare_status pare_pickle_run(const char *where, const uint8_t *bytes, size_t n, pare_arena *arena, pare_pk_storages *storages, size_t *used,
                            const pare_pk_value **out, pare_err *err)
{
    pare_pk_vm machine = {.where = where, .in = {bytes, n, 0}, .arena = arena, .storages = storages, .err = err};
    pare_pk_vm *vm = &machine;
    pare_status st = PARE_OK;
    pare_pk_value *result = NULL;
    uint8_t op = 0;
    while (st == PARE_OK) {
        if (!pare_rd_u8(&vm->in, &op)) {
            st = cut_off(vm);
            break;
        }
        if (op == '.') {
            vm->marks.n = 0;
            st = pop(vm, &result);
            break;
        }
        st = step(vm, op);
    }
    *used = vm->in.pos;
    *out = result;
    PARE_VEC_CLEAR(&vm->stack);
    PARE_VEC_CLEAR(&vm->memo);
    PARE_VEC_CLEAR(&vm->marks);
    return st;
}
