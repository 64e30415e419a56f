/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat templates inside: a subset of Jinja as transformers sets it up (docs/chat-templates.md). Text becomes tokens (chat_lex.c),
 * tokens a tree in an arena (chat_parse.c, chat_expr.c), and a run walks the tree over values in an arena of its own (chat_run.c,
 * chat_eval.c). Filters, tests, methods and functions are rows of chat_calls.def. Values are plain data: nothing in here can
 * reach a file, the environment or an object of the host.
 */
#ifndef PARE_TEXT_CHAT_H
#define PARE_TEXT_CHAT_H
#include <stdlib.h>
#include <string.h>
#include "text/text.h"

enum {
    CHAT_MAX_TEMPLATE = 1 << 20,  /* bytes of a template */
    CHAT_MAX_NESTING = 100,       /* of blocks and parentheses while parsing */
    CHAT_MAX_DEPTH = 600,         /* of evaluation, macros included; of nested values when printed or compared */
    CHAT_MAX_STEPS = 1000000,     /* nodes evaluated and items visited, and 256 bytes of text touched count as one */
    CHAT_MAX_TEXT = 16 << 20,     /* bytes of one text, so of the output too */
    CHAT_MAX_MEMORY = 256 << 20,  /* bytes of all values of a run */
    CHAT_MAX_RANGE = 100000       /* items of range(), as Jinja's sandbox */
};

typedef struct chat_text { const char *at; size_t n; } chat_text;
#define CHAT_TEXT(literal) ((chat_text){ (literal), sizeof(literal) - 1 })
bool chat_text_is(chat_text t, const char *word);
bool chat_text_same(chat_text a, chat_text b);

/* -------------------------------------------------------------------------------------------------------------- tokens */
typedef enum chat_kind_of_token {
    CHAT_T_END, CHAT_T_DATA, CHAT_T_PRINT, CHAT_T_PRINT_END, CHAT_T_BLOCK, CHAT_T_BLOCK_END, CHAT_T_NAME, CHAT_T_TEXT, CHAT_T_INT, CHAT_T_REAL,
    CHAT_T_OP
} chat_kind_of_token;
typedef struct chat_token {
    chat_kind_of_token kind;
    int line;
    chat_text text;       /* as written; without quotes and escapes for CHAT_T_TEXT */
    int64_t i;
    double r;
} chat_token;
typedef PARE_VEC(chat_token) chat_tokens;
/* source: normalised to \n, without its last newline; lives as long as the tokens do. Ends in a CHAT_T_END. */
pare_status chat_lex(pare_arena *arena, chat_text source, const char *where, chat_tokens *out, pare_err *err);

/* ---------------------------------------------------------------------------------------------------------------- tree */
typedef enum chat_kind_of_node {
    /* statements: lists by `next` */
    CHAT_N_DATA, CHAT_N_PRINT, CHAT_N_IF, CHAT_N_BRANCH, CHAT_N_FOR, CHAT_N_SET, CHAT_N_SET_BLOCK, CHAT_N_MACRO, CHAT_N_PARAM, CHAT_N_FILTER_BLOCK,
    CHAT_N_WITH, CHAT_N_GENERATION, CHAT_N_BREAK, CHAT_N_CONTINUE,
    /* expressions */
    CHAT_N_UNDEFINED, CHAT_N_NONE, CHAT_N_BOOL, CHAT_N_INT, CHAT_N_REAL, CHAT_N_TEXT, CHAT_N_NAME, CHAT_N_LIST, CHAT_N_TUPLE, CHAT_N_DICT, CHAT_N_PAIR,
    CHAT_N_ATTR, CHAT_N_ITEM, CHAT_N_SLICE, CHAT_N_CALL, CHAT_N_METHOD, CHAT_N_ARG, CHAT_N_FILTER, CHAT_N_TEST, CHAT_N_NOT, CHAT_N_NEG, CHAT_N_POS,
    CHAT_N_MATH, CHAT_N_COMPARE, CHAT_N_OPERAND, CHAT_N_AND, CHAT_N_OR, CHAT_N_COND, CHAT_N_CONCAT
} chat_kind_of_node;
/* Operators of CHAT_N_MATH and CHAT_N_OPERAND. */
typedef enum chat_op {
    CHAT_ADD, CHAT_SUB, CHAT_MUL, CHAT_DIV, CHAT_FLOORDIV, CHAT_MOD, CHAT_POW, CHAT_EQ, CHAT_NE, CHAT_LT, CHAT_LE, CHAT_GT, CHAT_GE, CHAT_IN, CHAT_NOT_IN
} chat_op;

struct chat_callee;
typedef struct chat_node {
    chat_kind_of_node kind;
    chat_op op;
    int line;
    chat_text text;                 /* name, attribute, data */
    struct chat_node *a, *b, *c, *d;
    struct chat_node *next;         /* in the list that it is part of */
    const struct chat_callee *callee; /* of a filter or test */
    int64_t i;
    double r;
} chat_node;

typedef struct chat_parser {
    pare_arena *arena;
    const chat_token *at;           /* the token at hand; the last one is CHAT_T_END */
    const char *where;
    pare_err *err;
    int depth, loops, macros;       /* nesting; loops that break may leave; macros around */
} chat_parser;
pare_status chat_parse_template(chat_parser *p, chat_node **out);
/* For chat_parse.c and chat_expr.c. */
pare_status chat_node_new(chat_parser *p, chat_kind_of_node kind, chat_node **out);
pare_status chat_parse_tuple(chat_parser *p, bool condition, chat_node **out);     /* a, b, c or one expression */
pare_status chat_parse_expr(chat_parser *p, bool condition, chat_node **out);
pare_status chat_parse_target(chat_parser *p, bool space, chat_node **out);        /* of set and for: name, names, ns.name */
pare_status chat_parse_filters(chat_parser *p, chat_node *input, bool named, chat_node **out); /* named: the filter's name comes first, without | */
bool chat_is_op(const chat_parser *p, const char *op);
bool chat_is_name(const chat_parser *p, const char *name);
bool chat_take_op(chat_parser *p, const char *op);
bool chat_take_name(chat_parser *p, const char *name);
pare_status chat_want_op(chat_parser *p, const char *op);
pare_status chat_want_name(chat_parser *p, chat_text *out);
pare_status chat_unexpected(chat_parser *p, const char *wanted);                   /* PARE_ERR_FORMAT about the token at hand */
pare_status chat_outside(chat_parser *p, int line, const char *what, chat_text name); /* PARE_ERR_UNSUPPORTED */
pare_status chat_enter(chat_parser *p);                                            /* one level deeper; p->depth-- leaves */

/* -------------------------------------------------------------------------------------------------------------- values */
typedef enum chat_kind {
    CHAT_UNDEFINED, CHAT_NONE, CHAT_BOOL, CHAT_INT, CHAT_REAL, CHAT_STR, CHAT_LIST, CHAT_TUPLE, CHAT_DICT,
    CHAT_VIEW,     /* range(), dict.items(): can be walked and counted */
    CHAT_ITER,     /* what map and select give: can be walked once */
    CHAT_SPACE,    /* namespace() */
    CHAT_LOOP, CHAT_MACRO, CHAT_FUNCTION
} chat_kind;
struct chat_list;
struct chat_dict;
struct chat_loop;
struct chat_macro;
typedef struct chat_value {
    chat_kind kind;
    union {
        bool b;
        int64_t i;
        double r;
        chat_text s;
        struct chat_list *list;
        struct chat_dict *dict;   /* CHAT_DICT and CHAT_SPACE */
        struct chat_loop *loop;
        struct chat_macro *macro;
        const struct chat_callee *function;
    };
} chat_value;
typedef struct chat_list { chat_value *at; size_t n; } chat_list;
typedef struct chat_pair { chat_value key, value; } chat_pair;
typedef struct chat_dict { chat_pair *at; size_t n, cap; } chat_dict;
typedef struct chat_loop { chat_list *list; size_t i; int depth; } chat_loop;
typedef struct chat_variable { chat_text name; chat_value value; struct chat_variable *next; } chat_variable;
typedef struct chat_scope { struct chat_scope *parent; chat_variable *variables; } chat_scope;
typedef struct chat_macro { const chat_node *node; chat_scope *scope; } chat_macro;

struct pare_chat {
    pare_arena arena;
    char *where;
    chat_node *tree;
    chat_variable *extra;     /* pare_chat_set, newest first; text only */
};

typedef struct chat_run {
    const pare_chat *chat;
    pare_err *err;
    pare_arena arena;
    chat_scope *scope;
    pare_str *out;
    chat_value piped;         /* what the first filter of a filter block or block set gets */
    int64_t steps;
    int depth, loops, line;
    enum { CHAT_GO_ON, CHAT_BREAK, CHAT_CONTINUE } jump;
} chat_run;

/* One use of a filter, test, method or function: slot[i] is the value of the i-th parameter, NULL when not given. */
enum { CHAT_SLOTS = 5 };
typedef struct chat_use {
    const struct chat_callee *callee;
    chat_value self;
    chat_value *slot[CHAT_SLOTS];
    chat_value *arg;          /* all, positional ones first, and their keywords (n = 0 for none) */
    chat_text *key;
    size_t n, positional;
} chat_use;
typedef pare_status (*chat_function)(chat_run *r, chat_use *u, chat_value *out);
typedef enum chat_role { CHAT_FILTER_ROLE, CHAT_TEST_ROLE, CHAT_STR_METHOD, CHAT_LIST_METHOD, CHAT_DICT_METHOD, CHAT_GLOBAL } chat_role;
/* parameters: names parted by spaces, "*" for any; run NULL: Jinja has it, pare does not. */
typedef struct chat_callee { chat_role role; const char *name; chat_function run; int required; const char *parameters; } chat_callee;
const chat_callee *chat_callee_find(chat_role role, chat_text name);   /* chat_calls.c */
/* Is there a method of this name that pare has (known: that Python has) on any kind of value? */
bool chat_method_exists(chat_text name, bool *known);
pare_status chat_callee_use(chat_run *r, chat_use *u, chat_value *out);/* fills the slots, calls */

/* chat_value.c */
chat_value chat_undefined(void);
chat_value chat_none(void);
chat_value chat_bool(bool b);
chat_value chat_int(int64_t i);
chat_value chat_str(chat_text s);
pare_status chat_fail(chat_run *r, pare_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
pare_status chat_memory(chat_run *r, size_t count, size_t size, void **out);
pare_status chat_charge(chat_run *r, size_t bytes);                   /* one step and bytes / 256 more */
pare_status chat_add(chat_run *r, pare_str *s, chat_text t);          /* bounded append */
pare_status chat_keep(chat_run *r, pare_str *s, chat_value *out);     /* text into the arena; clears s */
pare_status chat_list_new(chat_run *r, chat_kind kind, size_t n, chat_value *out);
const char *chat_kind_name(chat_value v);
bool chat_truth(chat_value v);
bool chat_number(chat_value v, double *out);                          /* bool, int, real */
bool chat_integer(chat_value v, int64_t *out);                        /* bool, int */
pare_status chat_equal(chat_run *r, chat_value a, chat_value b, bool *out);
pare_status chat_less(chat_run *r, chat_value a, chat_value b, bool *out);
pare_status chat_contains(chat_run *r, chat_value in, chat_value what, bool *out);
pare_status chat_items(chat_run *r, chat_value v, chat_list **out);   /* what a loop over v visits; borrowed where it can be */
pare_status chat_lookup(chat_run *r, const chat_dict *d, chat_value key, chat_value **out); /* NULL when absent */
pare_status chat_dict_put(chat_run *r, chat_dict *d, chat_value key, chat_value value);
pare_status chat_attribute(chat_run *r, chat_value v, chat_text name, chat_value *out);
pare_status chat_item(chat_run *r, chat_value v, chat_value key, chat_value *out);
pare_status chat_slice(chat_run *r, chat_value v, const chat_value bounds[3], chat_value *out);

/* chat_print.c */
pare_status chat_print(chat_run *r, chat_value v, pare_str *out);     /* str(v) */
pare_status chat_to_text(chat_run *r, chat_value v, chat_text *out);  /* the same; borrowed when v is text */
void chat_real_text(double value, char out[40]);                      /* as Python prints it */
typedef struct chat_json { bool ascii, sort; chat_text indent, item, key; bool pretty; } chat_json;
pare_status chat_print_json(chat_run *r, chat_value v, const chat_json *how, int level, pare_str *out);

/* chat_chars.c: characters as Python's str has them. A malformed byte is one character. */
size_t chat_char(chat_text t, size_t at, uint32_t *c);                /* bytes of the character at `at` */
size_t chat_length(chat_text t);
bool chat_is_space(uint32_t c);
chat_text chat_strip(chat_text t, const chat_text *chars, bool left, bool right); /* chars NULL: white space */
typedef enum chat_case { CHAT_UPPER, CHAT_LOWER, CHAT_TITLE } chat_case;
void chat_push_case(pare_str *s, uint32_t c, chat_case how);
void chat_push_char(pare_str *s, uint32_t c);
bool chat_is_cased(uint32_t c, bool *upper);
bool chat_is_printable(uint32_t c);
bool chat_is_letter(uint32_t c);
bool chat_is_digit(uint32_t c);
size_t chat_line(chat_text t, size_t at, size_t *end);                /* splitlines: where the next line begins; *end: without its break */

/* chat_eval.c and chat_run.c */
pare_status chat_eval(chat_run *r, const chat_node *n, chat_value *out);
pare_status chat_math(chat_run *r, chat_op op, chat_value a, chat_value b, chat_value *out);
pare_status chat_compare(chat_run *r, chat_op op, chat_value a, chat_value b, bool *out);
pare_status chat_execute(chat_run *r, const chat_node *list);
pare_status chat_assign(chat_run *r, const chat_node *target, chat_value v);
pare_status chat_macro_call(chat_run *r, const chat_macro *m, const chat_use *u, chat_value *out);
bool chat_find_variable(const chat_run *r, chat_text name, chat_value *out);
#endif
