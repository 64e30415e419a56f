/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed world of pickle.c: every name that a checkpoint may mention, and what a "call" of it builds. torch tensors
 * (torch/_utils.py: _rebuild_*), storages, dtypes and the plain containers become descriptions; configuration objects that
 * state dicts carry in the wild (argparse.Namespace, numpy scalars, paths, dates) become inert. Anything else is an error
 * that names it.
 */
#include <string.h>
#include "file/pickle.h"

enum kind {
    DICT = 1,        /* OrderedDict and friends */
    INERT,           /* harmless, ignored */
    SIZE,            /* torch.Size: a tuple */
    TENSOR_V1, TENSOR_V2, TENSOR_V3, PARAMETER, FROM_TYPE,
    STORAGE,         /* a storage class; dtype NONE = untyped */
    OTHER_STORAGE,   /* a storage class of a dtype that pare does not have */
    DTYPE,
    CLASS,           /* may be mentioned, not called */
    NESTED           /* a pickle within the pickle */
};

typedef struct pare_pk_global { const char *module, *name; enum kind kind; pare_dtype dtype; } global;

static const global globals[] = {
    {"collections", "OrderedDict", DICT, 0},
    {"collections", "defaultdict", DICT, 0},
    {"collections", "Counter", DICT, 0},
    {"builtins", "dict", DICT, 0},
    {"__builtin__", "dict", DICT, 0},
    {"torch._utils", "_rebuild_tensor", TENSOR_V1, 0},
    {"torch._utils", "_rebuild_tensor_v2", TENSOR_V2, 0},
    {"torch._utils", "_rebuild_tensor_v3", TENSOR_V3, 0},
    {"torch._utils", "_rebuild_parameter", PARAMETER, 0},
    {"torch._utils", "_rebuild_parameter_with_state", PARAMETER, 0},
    {"torch._tensor", "_rebuild_from_type_v2", FROM_TYPE, 0},
    {"torch", "Size", SIZE, 0},
    {"torch", "Tensor", CLASS, 0},
    {"torch._C", "TensorBase", CLASS, 0},
    {"torch.nn.parameter", "Parameter", CLASS, 0},
    {"torch.nn.parameter", "Buffer", CLASS, 0},
    {"torch", "device", INERT, 0},
    {"torch.serialization", "_get_layout", INERT, 0},
    {"torch._utils", "_get_layout", INERT, 0},
    {"torch", "FloatStorage", STORAGE, PARE_F32},
    {"torch", "DoubleStorage", STORAGE, PARE_F64},
    {"torch", "HalfStorage", STORAGE, PARE_F16},
    {"torch", "BFloat16Storage", STORAGE, PARE_BF16},
    {"torch", "LongStorage", STORAGE, PARE_I64},
    {"torch", "IntStorage", STORAGE, PARE_I32},
    {"torch", "ShortStorage", STORAGE, PARE_I16},
    {"torch", "CharStorage", STORAGE, PARE_I8},
    {"torch", "ByteStorage", STORAGE, PARE_U8},
    {"torch", "BoolStorage", STORAGE, PARE_BOOL},
    {"torch", "ComplexFloatStorage", STORAGE, PARE_C64},
    {"torch", "UntypedStorage", STORAGE, PARE_DTYPE_NONE},
    {"torch.storage", "UntypedStorage", STORAGE, PARE_DTYPE_NONE},
    {"torch.storage", "_UntypedStorage", STORAGE, PARE_DTYPE_NONE},
    {"torch", "ComplexDoubleStorage", OTHER_STORAGE, 0},
    {"torch", "QInt8Storage", OTHER_STORAGE, 0},
    {"torch", "QInt32Storage", OTHER_STORAGE, 0},
    {"torch", "QUInt8Storage", OTHER_STORAGE, 0},
    {"torch", "QUInt4x2Storage", OTHER_STORAGE, 0},
    {"torch", "QUInt2x4Storage", OTHER_STORAGE, 0},
    {"torch.storage", "TypedStorage", OTHER_STORAGE, 0},
    {"torch.storage", "_load_from_bytes", NESTED, 0},
    {"argparse", "Namespace", INERT, 0},
    {"numpy", "dtype", INERT, 0},
    {"numpy", "ndarray", INERT, 0},
    {"numpy.core.multiarray", "scalar", INERT, 0},
    {"numpy.core.multiarray", "_reconstruct", INERT, 0},
    {"numpy._core.multiarray", "scalar", INERT, 0},
    {"numpy._core.multiarray", "_reconstruct", INERT, 0},
    {"_codecs", "encode", INERT, 0},
    {"copyreg", "_reconstructor", INERT, 0},
    {"copy_reg", "_reconstructor", INERT, 0},
    {"pathlib", "Path", INERT, 0},
    {"pathlib", "PosixPath", INERT, 0},
    {"pathlib", "PurePosixPath", INERT, 0},
    {"pathlib", "WindowsPath", INERT, 0},
    {"datetime", "datetime", INERT, 0},
    {"datetime", "date", INERT, 0},
    {"datetime", "timedelta", INERT, 0},
    {"builtins", "set", INERT, 0},
    {"builtins", "frozenset", INERT, 0},
    {"builtins", "list", INERT, 0},
    {"builtins", "tuple", INERT, 0},
    {"builtins", "object", INERT, 0},
    {"builtins", "int", INERT, 0},
    {"builtins", "float", INERT, 0},
    {"builtins", "bool", INERT, 0},
    {"builtins", "str", INERT, 0},
    {"builtins", "bytes", INERT, 0},
    {"builtins", "bytearray", INERT, 0},
    {"builtins", "complex", INERT, 0},
    {"builtins", "slice", INERT, 0},
    {"builtins", "range", INERT, 0},
    {"__builtin__", "set", INERT, 0},
    {"__builtin__", "frozenset", INERT, 0},
    {"__builtin__", "list", INERT, 0},
    {"__builtin__", "tuple", INERT, 0},
    {"__builtin__", "object", INERT, 0},
    {"__builtin__", "int", INERT, 0},
    {"__builtin__", "long", INERT, 0},
    {"__builtin__", "float", INERT, 0},
    {"__builtin__", "bool", INERT, 0},
    {"__builtin__", "str", INERT, 0},
    {"__builtin__", "unicode", INERT, 0},
    {"__builtin__", "bytearray", INERT, 0},
    {"__builtin__", "complex", INERT, 0},
    {"__builtin__", "slice", INERT, 0},
    {"__builtin__", "xrange", INERT, 0},
};

/* torch.float32 and so on; one row a dtype, made when first needed by name. */
#define ROW(d) [d] = {"torch", NULL, DTYPE, d}
static const global dtypes[PARE_DTYPE_COUNT] = {
    ROW(PARE_F64), ROW(PARE_F32), ROW(PARE_F16), ROW(PARE_BF16), ROW(PARE_F8_E4M3FN), ROW(PARE_F8_E5M2), ROW(PARE_F8_E4M3FNUZ),
    ROW(PARE_F8_E5M2FNUZ), ROW(PARE_F8_E8M0), ROW(PARE_I8), ROW(PARE_I16), ROW(PARE_I32), ROW(PARE_I64), ROW(PARE_U8), ROW(PARE_U16),
    ROW(PARE_U32), ROW(PARE_U64), ROW(PARE_BOOL), ROW(PARE_C64),
};
#undef ROW

#define TRY(call)                        \
    do {                                 \
        pare_status try_st = (call);     \
        if (try_st != PARE_OK) return try_st; \
    } while (0)
#define REFUSE(...) return pare_fail(vm->err, PARE_ERR_UNSUPPORTED, __VA_ARGS__)
#define FAIL(...) return pare_fail(vm->err, PARE_ERR_FORMAT, __VA_ARGS__)

static bool same(const char *text, const char *at, size_t n) { return strlen(text) == n && !memcmp(text, at, n); }

pare_status pare_pk_find_global(pare_pk_vm *vm, const char *module, size_t module_n, const char *name, size_t name_n,
                                const struct pare_pk_global **out)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (same(globals[i].name, name, name_n) && same(globals[i].module, module, module_n)) {
            *out = &globals[i];
            return PARE_OK;
        }
    if (same("torch", module, module_n))
        for (int d = 1; d < PARE_DTYPE_COUNT; d++) {
            const pare_dtype_info *info = pare_dtype_get_info((pare_dtype)d);
            if (dtypes[d].kind != DTYPE || !info || !info->torch || !same(info->torch, name, name_n)) continue;
            *out = &dtypes[d];
            return PARE_OK;
        }
    pare_fail(vm->err, PARE_ERR_UNSUPPORTED,
              "%s: names '%.*s.%.*s', which is not on the list of what a checkpoint may hold; nothing was run", vm->where,
              (int)(module_n < 120 ? module_n : 120), module, (int)(name_n < 120 ? name_n : 120), name);
    pare_hint(vm->err, "save only the state_dict, best as safetensors");
    return PARE_ERR_UNSUPPORTED;
}

/* -------------------------------------------------------------------------------------------------------- containers */

/* dict(), dict(pairs), dict(other), defaultdict(factory[, ...]) */
static pare_status make_dict(pare_pk_vm *vm, const pare_pk_value *args, pare_pk_value **out)
{
    pare_pk_value *dict = pare_pk_new(vm, PARE_PK_DICT);
    *out = dict;
    for (size_t k = 0; dict && k < args->is.items.n; k++) {
        const pare_pk_value *from = args->is.items.at[k];
        bool is_dict = from->type == PARE_PK_DICT;
        if (!is_dict && from->type != PARE_PK_LIST && from->type != PARE_PK_TUPLE) continue;
        for (size_t i = 0; i < from->is.items.n; i++) {
            pare_pk_value *item = from->is.items.at[i];
            if (is_dict) TRY(pare_pk_push(vm, dict, item));
            else {
                if ((item->type != PARE_PK_LIST && item->type != PARE_PK_TUPLE) || item->is.items.n != 2)
                    FAIL("%s: byte %zu: a dict made of something other than pairs", vm->where, vm->in.pos - 1);
                TRY(pare_pk_push(vm, dict, item->is.items.at[0]));
                TRY(pare_pk_push(vm, dict, item->is.items.at[1]));
            }
        }
    }
    return PARE_OK;
}

static pare_status make_size(pare_pk_vm *vm, const pare_pk_value *args, pare_pk_value **out)
{
    pare_pk_value *size = pare_pk_new(vm, PARE_PK_TUPLE);
    *out = size;
    if (!size || !args->is.items.n) return PARE_OK;
    const pare_pk_value *from = args->is.items.at[0];
    if (from->type != PARE_PK_TUPLE && from->type != PARE_PK_LIST)
        FAIL("%s: byte %zu: torch.Size of no sequence", vm->where, vm->in.pos - 1);
    size->is.items = from->is.items;
    size->is.items.cap = size->is.items.n; /* shares the items; growing copies them first */
    return PARE_OK;
}

/* ----------------------------------------------------------------------------------------------------------- tensors */

static pare_status read_extent(pare_pk_vm *vm, const pare_pk_value *v, const char *what, int64_t *out, int *n)
{
    if (v->type != PARE_PK_TUPLE && v->type != PARE_PK_LIST)
        FAIL("%s: byte %zu: the %s of a tensor is no tuple", vm->where, vm->in.pos - 1, what);
    if (v->is.items.n > PARE_MAX_DIMS)
        REFUSE("%s: a tensor has %zu dimensions, at most %d are read", vm->where, v->is.items.n, PARE_MAX_DIMS);
    *n = (int)v->is.items.n;
    for (int i = 0; i < *n; i++) {
        const pare_pk_value *item = v->is.items.at[i];
        if (item->type != PARE_PK_INT || item->is.whole < 0)
            FAIL("%s: byte %zu: the %s of a tensor is not made of non-negative integers", vm->where, vm->in.pos - 1, what);
        out[i] = item->is.whole;
    }
    return PARE_OK;
}

/* torch keeps lazily conjugated or negated views as a flag beside the bytes. */
static pare_status check_flags(pare_pk_vm *vm, const pare_pk_value *v)
{
    const char *const flags[] = {"conj", "neg"};
    for (size_t i = 0; i < 2; i++) {
        const pare_pk_value *flag = pare_pk_get(v, flags[i]);
        if (flag && flag->type == PARE_PK_BOOL && flag->is.whole)
            REFUSE("%s: a tensor with the '%s' flag is not read", vm->where, flags[i]);
    }
    return PARE_OK;
}

/* (storage, offset, size, stride, ...): v2 adds requires_grad, hooks[, metadata], v3 puts a dtype before the metadata. */
static pare_status make_tensor(pare_pk_vm *vm, enum kind kind, const pare_pk_value *args, pare_pk_value **out)
{
    pare_pk_value *const *a = args->is.items.at;
    size_t n = args->is.items.n, least = kind == TENSOR_V1 ? 4 : kind == TENSOR_V2 ? 6 : 7;
    int strides = 0;
    if (n < least || n > least + 1) FAIL("%s: byte %zu: a tensor made of %zu arguments", vm->where, vm->in.pos - 1, n);
    if (a[0]->type != PARE_PK_STORAGE) FAIL("%s: byte %zu: a tensor without a storage", vm->where, vm->in.pos - 1);
    if (a[1]->type != PARE_PK_INT || a[1]->is.whole < 0)
        FAIL("%s: byte %zu: the offset of a tensor is no integer", vm->where, vm->in.pos - 1);
    pare_pk_tensor *t = pare_arena_alloc(vm->arena, sizeof *t);
    if (!t) return pare_no_memory(vm->err, "pickle", sizeof *t);
    memset(t, 0, sizeof *t);
    t->storage = a[0]->is.storage;
    t->dtype = t->storage->dtype;
    t->offset = a[1]->is.whole;
    TRY(read_extent(vm, a[2], "size", t->shape, &t->ndim));
    TRY(read_extent(vm, a[3], "stride", t->strides, &strides));
    if (strides != t->ndim) FAIL("%s: byte %zu: a tensor of %d sizes and %d strides", vm->where, vm->in.pos - 1, t->ndim, strides);
    if (kind == TENSOR_V3) {
        if (a[6]->type != PARE_PK_GLOBAL || a[6]->is.global->kind != DTYPE)
            FAIL("%s: byte %zu: the dtype of a tensor is none", vm->where, vm->in.pos - 1);
        t->dtype = a[6]->is.global->dtype;
    }
    if (n > least) TRY(check_flags(vm, a[least]));
    if (t->dtype == PARE_DTYPE_NONE) FAIL("%s: byte %zu: a tensor of no dtype", vm->where, vm->in.pos - 1);
    if ((*out = pare_pk_new(vm, PARE_PK_TENSOR))) (*out)->is.tensor = t;
    return PARE_OK;
}

static pare_status take_parameter(pare_pk_vm *vm, const pare_pk_value *args, pare_pk_value **out)
{
    if (!args->is.items.n || args->is.items.at[0]->type != PARE_PK_TENSOR)
        FAIL("%s: byte %zu: a parameter without a tensor", vm->where, vm->in.pos - 1);
    *out = args->is.items.at[0];
    return PARE_OK;
}

/* (function, type, args, state): a tensor that carries Python attributes. */
static pare_status make_from_type(pare_pk_vm *vm, const pare_pk_value *args, pare_pk_value **out)
{
    pare_pk_value *const *a = args->is.items.at;
    if (args->is.items.n != 4 || a[0]->type != PARE_PK_GLOBAL || a[1]->type != PARE_PK_GLOBAL || a[2]->type != PARE_PK_TUPLE)
        FAIL("%s: byte %zu: a tensor of a type made of %zu arguments", vm->where, vm->in.pos - 1, args->is.items.n);
    enum kind kind = a[0]->is.global->kind;
    if (a[1]->is.global->kind != CLASS || kind < TENSOR_V1 || kind > PARAMETER)
        REFUSE("%s: a tensor made by '%s.%s' is not read", vm->where, a[0]->is.global->module,
               a[0]->is.global->name ? a[0]->is.global->name : "dtype");
    return kind == PARAMETER ? take_parameter(vm, a[2], out) : make_tensor(vm, kind, a[2], out);
}

/* ------------------------------------------------------------------------------------------------------------- entry */

pare_status pare_pk_apply(pare_pk_vm *vm, const pare_pk_value *callable, const pare_pk_value *args, pare_pk_value **out)
{
    if (callable->type != PARE_PK_GLOBAL) FAIL("%s: byte %zu: a call of something that is no name", vm->where, vm->in.pos - 1);
    const global *g = callable->is.global;
    pare_status st = PARE_OK;
    *out = NULL;
    switch (g->kind) {
    case DICT: st = make_dict(vm, args, out); break;
    case INERT: *out = pare_pk_new(vm, PARE_PK_INERT); break;
    case SIZE: st = make_size(vm, args, out); break;
    case TENSOR_V1: case TENSOR_V2: case TENSOR_V3: st = make_tensor(vm, g->kind, args, out); break;
    case PARAMETER: st = take_parameter(vm, args, out); break;
    case FROM_TYPE: st = make_from_type(vm, args, out); break;
    case NESTED: REFUSE("%s: a storage that is a pickle of its own (torch.storage._load_from_bytes) is not read", vm->where);
    case STORAGE: case OTHER_STORAGE: case DTYPE: case CLASS:
        REFUSE("%s: byte %zu: '%s.%s' may be named here but not called", vm->where, vm->in.pos - 1, g->module, g->name ? g->name : "dtype");
    }
    return st;
}

/* The view of a legacy storage: None or (key, offset, size). */
static pare_status read_view(pare_pk_vm *vm, const pare_pk_value *view, pare_pk_storage *s)
{
    if (view->type == PARE_PK_NONE) return PARE_OK;
    pare_pk_value *const *v = view->is.items.at;
    if ((view->type != PARE_PK_TUPLE && view->type != PARE_PK_LIST) || view->is.items.n != 3 || v[1]->type != PARE_PK_INT ||
        v[2]->type != PARE_PK_INT || v[1]->is.whole < 0 || v[2]->is.whole < 0)
        FAIL("%s: byte %zu: a storage view that is not (key, offset, size)", vm->where, vm->in.pos - 1);
    s->view_offset = (uint64_t)v[1]->is.whole;
    s->view_numel = (uint64_t)v[2]->is.whole;
    if (s->view_offset > s->numel || s->view_numel > s->numel - s->view_offset)
        FAIL("%s: a view of %llu elements at %llu of a storage of %llu", vm->where, (unsigned long long)s->view_numel,
             (unsigned long long)s->view_offset, (unsigned long long)s->numel);
    return PARE_OK;
}

pare_status pare_pk_storage_of(pare_pk_vm *vm, const pare_pk_value *id, pare_pk_value **out)
{
    pare_pk_value *const *a = id->is.items.at;
    size_t n = id->type == PARE_PK_TUPLE ? id->is.items.n : 0;
    if ((n != 5 && n != 6) || !pare_pk_is_text(a[0], "storage"))
        FAIL("%s: byte %zu: a persistent id that is no storage", vm->where, vm->in.pos - 1);
    if (a[1]->type != PARE_PK_GLOBAL || (a[1]->is.global->kind != STORAGE && a[1]->is.global->kind != OTHER_STORAGE))
        FAIL("%s: byte %zu: a storage of no storage class", vm->where, vm->in.pos - 1);
    if (a[1]->is.global->kind == OTHER_STORAGE)
        REFUSE("%s: a tensor of %s.%s is not read", vm->where, a[1]->is.global->module, a[1]->is.global->name);
    if (a[2]->type != PARE_PK_TEXT || a[4]->type != PARE_PK_INT || a[4]->is.whole < 0)
        FAIL("%s: byte %zu: a storage without a key or a size", vm->where, vm->in.pos - 1);
    pare_pk_storage *s = pare_arena_alloc(vm->arena, sizeof *s);
    if (!s) return pare_no_memory(vm->err, "pickle", sizeof *s);
    uint64_t numel = (uint64_t)a[4]->is.whole;
    *s = (pare_pk_storage){a[2]->is.text.at, a[2]->is.text.n, a[1]->is.global->dtype, numel, 0, numel};
    if (n == 6) TRY(read_view(vm, a[5], s));
    if (vm->storages && !PARE_VEC_PUSH(vm->storages, s)) return pare_no_memory(vm->err, "pickle", vm->storages->n * sizeof s);
    if ((*out = pare_pk_new(vm, PARE_PK_STORAGE))) (*out)->is.storage = s;
    return PARE_OK;
}
