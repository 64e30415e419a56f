/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the tokenizer. Encoding runs
 *
 *   text -> valid UTF-8 -> cut at added tokens -> normalizers -> cut at normalized added tokens -> pre-tokenizers -> model -> template
 *
 * and decoding runs tokens through a chain of decoders. Every component is a const descriptor at the end of its file, listed
 * in the .def of its family; nested Sequences of tokenizer.json are flattened into one chain when it is read. A loaded
 * tokenizer is never written again, so threads share it; what changes while encoding lies in pare_tok_scratch.
 */
#ifndef PARE_TEXT_TOK_H
#define PARE_TEXT_TOK_H
#include <string.h>
#include "text/text.h"

enum {
    PARE_TOK_MAX_STAGES = 16,     /* pre-tokenizers (and normalizers, decoders) in one chain */
    PARE_TOK_MAX_ID = 1 << 24,    /* ids beyond are refused as absurd */
    PARE_TOK_MAX_FILE = 1 << 30,
};

typedef struct pare_tspan { const char *at; size_t n; } pare_tspan;
#define PARE_TSPAN(literal) ((pare_tspan){literal, sizeof(literal) - 1})
static inline bool pare_tspan_same(pare_tspan a, pare_tspan b) { return a.n == b.n && memcmp(a.at, b.at, a.n) == 0; }

/* ----------------------------------------------------------------------------------------------------------- vocabulary */
typedef struct pare_tok_slot { uint32_t hash; int32_t id; } pare_tok_slot; /* id -1 = free */
typedef struct pare_tok_vocab {
    pare_tspan *by_id;            /* [size]; at == NULL where no token has the id */
    size_t size, cap, count;      /* size = largest id + 1, count = different spellings */
    pare_tok_slot *slots;
    uint32_t mask;
} pare_tok_vocab;
/* spelling must outlive the vocabulary (the tokenizer's arena). A spelling that is there already gets the new id, as in the library. */
pare_status pare_tok_vocab_add(pare_tok_vocab *v, pare_tspan spelling, int64_t id, const char *where, pare_err *err);
pare_status pare_tok_vocab_reserve(pare_tok_vocab *v, size_t count, pare_err *err);
int32_t pare_tok_vocab_find(const pare_tok_vocab *v, const char *at, size_t n);
void pare_tok_vocab_clear(pare_tok_vocab *v);
uint64_t pare_tok_hash(const char *at, size_t n);

/* Trie over bytes; every node is a number, 0 the root. */
typedef struct pare_tok_trie {
    struct pare_tok_edge { uint32_t key, child; } *edges; /* key = node << 8 | byte; child 0 = free */
    uint32_t mask, used;
    int32_t *value;               /* [nodes], -1 = no key ends here */
    uint32_t nodes, cap;
    uint32_t first[256];          /* children of the root */
} pare_tok_trie;
pare_status pare_tok_trie_add(pare_tok_trie *trie, const char *at, size_t n, int32_t value, pare_err *err);
void pare_tok_trie_clear(pare_tok_trie *trie);
static inline uint32_t pare_tok_trie_step(const pare_tok_trie *trie, uint32_t node, uint8_t byte)
{
    if (node == 0) return trie->first[byte];
    uint32_t key = node << 8 | byte;
    for (uint32_t at = (key * 0x9E3779B1u) >> 7 & trie->mask;; at = (at + 1) & trie->mask) {
        if (trie->edges[at].child == 0) return 0;
        if (trie->edges[at].key == key) return trie->edges[at].child;
    }
}

/* ---------------------------------------------------------------------------------------------------------- components */
typedef struct pare_tok_member { pare_tspan vocab, merges; } pare_tok_member; /* raw JSON of the two big members; at NULL = absent */

/* flags that a normalizer returns */
enum { PARE_TOK_SAME = 1,         /* nothing changes: out was not used */
       PARE_TOK_HEAD_LOST = 2 };  /* characters at the start were removed (prepend_scheme "first" looks at that) */

typedef struct pare_tok_norm {
    const char *type;
    pare_status (*parse)(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err);  /* NULL: no members */
    /* Appends the normalized text to out (empty at first). */
    pare_status (*run)(const void *self, pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err);
    void (*free)(void *self);     /* NULL: all lies in the arena */
} pare_tok_norm;

/* start: begins where the original text begins. raw: bytes whose byte-level mapping is still to be done. */
typedef struct pare_piece { const char *at; size_t n; bool start, raw; } pare_piece;
typedef struct pare_tok_pre {
    const char *type;
    pare_status (*parse)(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err);
    /* Hands the parts of a piece, in order, to pare_tok_next(s, stage + 1, part, err). */
    pare_status (*split)(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err);
    void (*free)(void *self);
} pare_tok_pre;
/* Gives a piece to the stage (or to the model after the last one). Empty pieces vanish. */
pare_status pare_tok_next(pare_tok_scratch *s, int stage, pare_piece piece, pare_err *err);

typedef struct pare_tok_model {
    const char *type, *kind;
    /* v: the "model" object without its big members. Fills t->vocab. */
    pare_status (*parse)(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, void **self, pare_err *err);
    /* Appends the ids of a piece to out. */
    pare_status (*encode)(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err);
    /* May be NULL. The same for bytes that stand for their byte-level characters. */
    pare_status (*encode_raw)(const void *self, const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_ids *out, pare_err *err);
    void (*free)(void *self);
} pare_tok_model;

/* A post-processor adds parts to the two templates; see post_template.c. */
enum { PARE_TOK_PART_A, PARE_TOK_PART_B, PARE_TOK_PART_ID };
typedef struct pare_tok_part { int what; int32_t id, type; } pare_tok_part;
typedef struct pare_tok_template { PARE_VEC(pare_tok_part) single, pair; bool set; } pare_tok_template;
typedef struct pare_tok_post {
    const char *type;
    pare_status (*parse)(pare_tokenizer *t, const pare_jval *v, pare_err *err);
} pare_tok_post;

/*
 * Decoders work as a pipe: push() gets the text of a token in one or more chunks of whole characters, finish() tells that there
 * are no more. What a stage knows for certain it passes on at once with pare_tok_emit(), so that streaming and decoding at once
 * are the same code. A token whose end is not told ends with the next one or with finish().
 */
enum { PARE_TOK_FIRST = 1, PARE_TOK_LAST = 2, PARE_TOK_WHOLE = 3 };   /* of a chunk: it begins, it ends a token */
typedef struct pare_tok_pipe pare_tok_pipe;
typedef struct pare_tok_stage {
    const struct pare_tok_dec *ops;
    const void *self;
    pare_str held, run;           /* the beginning of a token; the stage's own */
    uint64_t count;               /* the stage's own */
    bool holds;
} pare_tok_stage;
typedef struct pare_tok_dec {
    const char *type;
    pare_status (*parse)(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err);
    pare_status (*push)(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_err *err);
    pare_status (*finish)(pare_tok_pipe *pipe, int stage, pare_err *err);   /* NULL: nothing is held back */
    void (*free)(void *self);
} pare_tok_dec;
struct pare_tok_pipe {
    pare_tok_scratch *scratch;    /* for regular expressions */
    pare_str *out;
    int n;
    pare_tok_stage at[PARE_TOK_MAX_STAGES];
};
pare_status pare_tok_emit(pare_tok_pipe *pipe, int from, pare_tspan chunk, int part, pare_err *err);
/* For stages that look at whole tokens: token() is called with each, when it is complete. */
typedef pare_status pare_tok_token_fn(pare_tok_pipe *pipe, int stage, pare_tspan token, pare_err *err);
pare_status pare_tok_whole_push(pare_tok_pipe *pipe, int stage, pare_tspan chunk, int part, pare_tok_token_fn *token, pare_err *err);
pare_status pare_tok_whole_finish(pare_tok_pipe *pipe, int stage, pare_tok_token_fn *token, pare_err *err);

/* --------------------------------------------------------------------------------------------------------- the tokenizer */
typedef struct pare_tok_added {
    pare_tspan content, form;     /* as written; as the normalizer makes it (what is looked for and decoded) */
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
} pare_tok_added;

typedef struct pare_tok_step { const void *ops; void *self; } pare_tok_step;
typedef struct pare_tok_chain { pare_tok_step at[PARE_TOK_MAX_STAGES]; int n; } pare_tok_chain;

struct pare_tokenizer {
    uint64_t serial;              /* which tokenizer a scratch's cache belongs to */
    pare_arena arena;
    const char *where;            /* for messages */
    pare_tok_vocab vocab;
    const pare_tok_model *model;
    void *model_self;
    pare_tok_chain norm, pre, dec;
    pare_tok_template post;
    PARE_VEC(pare_tok_added) added;          /* by ascending id */
    pare_tok_trie plain, normal;             /* index into added, by content and by form */
    pare_tok_trie specials;                  /* contents of special tokens */
    bool begins[2][256];                     /* first bytes of plain and of normal */
    int64_t size;
    int32_t bos, eos, pad, mask;
    int32_t next_id;                         /* while added tokens are read */
};

pare_status pare_tok_new(const char *where, pare_tokenizer **out, pare_err *err);
/* Adds one token by the library's rules: known contents keep their id, others get the next one. */
pare_status pare_tok_add_token(pare_tokenizer *t, const pare_tok_added *token, pare_err *err);
/* After model, chains and added tokens are in: tries, size, special tokens of the template. */
pare_status pare_tok_finish(pare_tokenizer *t, pare_err *err);
/* Is this the content of a special token? */
bool pare_tok_is_special_text(const pare_tokenizer *t, pare_tspan text);
const pare_tok_added *pare_tok_added_of(const pare_tokenizer *t, int32_t id); /* NULL when the id is no added token */
/*
 * The next added token in text, looked for from *pos on: its bytes with the spaces that it takes, none before `from`. False: none.
 */
bool pare_tok_next_added(const pare_tokenizer *t, bool normalized, pare_tspan text, size_t *pos, size_t from, size_t *begin, size_t *end, int32_t *id);
/* Parses one component description ({"type": ...}, or NULL/null for none) of a family into the tokenizer. */
pare_status pare_tok_set_normalizer(pare_tokenizer *t, const pare_jval *v, pare_err *err);
pare_status pare_tok_set_pre_tokenizer(pare_tokenizer *t, const pare_jval *v, pare_err *err);
pare_status pare_tok_set_post_processor(pare_tokenizer *t, const pare_jval *v, pare_err *err);
pare_status pare_tok_set_decoder(pare_tokenizer *t, const pare_jval *v, pare_err *err);
pare_status pare_tok_set_model(pare_tokenizer *t, const pare_jval *v, const pare_tok_member *big, pare_err *err);
/* Scores of a BPE's tokens by id: pairs are then merged by the score of what they become, and equal scores from the left. */
void pare_tok_bpe_rank_by_score(pare_tokenizer *t, const float *scores, size_t n);
/* Exact scores of a unigram model's first tokens, instead of those that went through text. */
void pare_tok_unigram_set_score(pare_tokenizer *t, size_t id, double score);
/* Reads bos_token, ... of the files beside the tokenizer; folder may be NULL. */
pare_status pare_tok_read_special(pare_tokenizer *t, const char *folder, pare_err *err);

/* -------------------------------------------------------------------------------------------------------------- helpers */
/* Room for more bytes behind s->n (and a NUL). */
bool pare_tok_reserve(pare_str *s, size_t more);
static inline void pare_tok_push(pare_str *s, const char *at, size_t n)
{
    if (n >= s->cap - s->n || s->failed) {
        if (!pare_tok_reserve(s, n)) return;
    }
    memcpy(s->at + s->n, at, n);
    s->n += n;
    s->at[s->n] = 0;
}
void pare_tok_push_char(pare_str *s, uint32_t c);
/* The character at p of valid UTF-8, and its bytes. */
static inline uint32_t pare_tok_char(const char *p, size_t *len)
{
    const uint8_t *u = (const uint8_t *)p;
    if (u[0] < 0x80) return *len = 1, u[0];
    if (u[0] < 0xE0) return *len = 2, (uint32_t)(u[0] & 31) << 6 | (u[1] & 63u);
    if (u[0] < 0xF0) return *len = 3, (uint32_t)(u[0] & 15) << 12 | (uint32_t)(u[1] & 63) << 6 | (u[2] & 63u);
    return *len = 4, (uint32_t)(u[0] & 7) << 18 | (uint32_t)(u[1] & 63) << 12 | (uint32_t)(u[2] & 63) << 6 | (u[3] & 63u);
}
static inline size_t pare_tok_char_bytes(char lead)
{
    uint8_t u = (uint8_t)lead;
    return u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
}
pare_status pare_tok_text_failed(const pare_str *s, const char *what, pare_err *err); /* PARE_OK or out of memory */
/* The one character of a JSON text member; fails when it is missing or longer. */
pare_status pare_tok_get_char(const pare_tokenizer *t, const pare_jval *v, const char *key, const char *or_else, pare_tspan *out, pare_err *err);
pare_status pare_tok_get_text(pare_tokenizer *t, const pare_jval *v, const char *key, pare_tspan *out, pare_err *err); /* into the arena */
pare_status pare_tok_alloc(pare_tokenizer *t, size_t bytes, void *out, pare_err *err);                                 /* zeroed, in the arena */

/* Character classes as the library's languages have them (tok_unicode.c). */
bool pare_tok_is_space(uint32_t c);      /* White_Space */
bool pare_tok_is_numeric(uint32_t c);    /* N* */
bool pare_tok_is_punctuation(uint32_t c);
bool pare_tok_is_word(uint32_t c);       /* \w of Rust's regex */
bool pare_tok_is_other(uint32_t c);      /* C*, as BERT's cleaning sees it */
bool pare_tok_is_mark(uint32_t c);       /* M* */
bool pare_tok_is_nonspacing(uint32_t c); /* Mn */
/* Appends the lower case of a character. */
void pare_tok_push_lower(pare_str *s, uint32_t c);
/* "Ranges of \p{NAME} that the regex library does not know yet", as class text; "" for none. Appends to out. */
void pare_tok_newer_ranges(const char *category, pare_str *out);

/* The byte-level alphabet: 1 or 2 bytes of UTF-8 for each byte; -1 for a character that is not in it. */
extern const char pare_tok_byte_text[256][3];
int pare_tok_byte_of(uint32_t c);

/* Canonical decomposition (norm_unicode.c), for BERT. */
pare_status pare_tok_nfd(pare_tok_scratch *s, pare_tspan in, pare_str *out, int *flags, pare_err *err);

/* Regular expressions (tok_regex.c): the library's syntax on PCRE2. */
typedef struct pare_tok_regex pare_tok_regex;
pare_status pare_tok_regex_new(const char *where, pare_tspan pattern, bool literal, pare_tok_regex **out, pare_err *err);
void pare_tok_regex_free(pare_tok_regex *r);
bool pare_tok_regex_knows_script(const char *name, bool *failed);
bool pare_tok_regex_is_char(const pare_tok_regex *r); /* a literal of one character */
pare_status pare_tok_regex_translate(const char *where, pare_tspan pattern, pare_str *out, pare_err *err); /* for tests */
typedef struct pare_tok_find {
    const pare_tok_regex *regex;
    pare_tok_scratch *s;
    pare_tspan text;
    size_t pos, last_end;
    bool any;
} pare_tok_find;
static inline pare_tok_find pare_tok_find_all(const pare_tok_regex *r, pare_tok_scratch *s, pare_tspan text) { return (pare_tok_find){.regex = r, .s = s, .text = text}; }
/* The next match; *found false at the end. */
pare_status pare_tok_find_next(pare_tok_find *f, size_t *begin, size_t *end, bool *found, pare_err *err);
/* {"String": x} or {"Regex": x} of a "pattern" member. */
pare_status pare_tok_get_pattern(pare_tokenizer *t, const pare_jval *v, pare_tok_regex **out, pare_err *err);

/* What becomes of the delimiters when text is cut at them (split_behavior.c). */
typedef enum pare_tok_behavior { PARE_TOK_REMOVED, PARE_TOK_ISOLATED, PARE_TOK_MERGED_PREVIOUS, PARE_TOK_MERGED_NEXT, PARE_TOK_CONTIGUOUS } pare_tok_behavior;
pare_status pare_tok_get_behavior(const pare_tokenizer *t, const pare_jval *v, const char *or_else, pare_tok_behavior *out, pare_err *err);
typedef struct pare_tok_cutter {
    pare_tok_scratch *s;
    int stage;
    pare_piece piece;
    pare_tok_behavior behavior;
    size_t begin, end;            /* the span held back */
    bool held, held_match, previous;
} pare_tok_cutter;
/* Spans cover the piece in order; match: a delimiter. */
pare_status pare_tok_cut(pare_tok_cutter *c, size_t begin, size_t end, bool match, pare_err *err);
pare_status pare_tok_cut_end(pare_tok_cutter *c, pare_err *err);
/* Cuts at every character of the class. */
pare_status pare_tok_cut_class(pare_tok_scratch *s, int stage, pare_piece in, bool (*is)(uint32_t), pare_tok_behavior behavior, pare_err *err);

/* ------------------------------------------------------------------------------------------------------------- encoding */
struct pare_tok_matcher;          /* PCRE2's match data, tok_regex.c */
void pare_tok_matcher_free(struct pare_tok_matcher *m);

/* Pieces that were met before and their ids (tok_cache.c); emptied when full. */
typedef struct pare_tok_cache { struct pare_tok_cell { uint32_t hash, at; } *cells; uint32_t used; uint8_t *blob; size_t blob_n; } pare_tok_cache;
const int32_t *pare_tok_cache_find(const pare_tok_cache *c, uint64_t hash, const char *at, size_t n, uint32_t *n_ids);
pare_status pare_tok_cache_put(pare_tok_cache *c, uint64_t hash, const char *at, size_t n, const int32_t *ids, size_t n_ids, pare_err *err);
void pare_tok_cache_empty(pare_tok_cache *c);
void pare_tok_cache_clear(pare_tok_cache *c);

struct pare_tok_scratch {
    uint64_t serial;
    const pare_tokenizer *t;      /* while a call runs */
    pare_ids *out;
    pare_str fixed, norm[2], stage[PARE_TOK_MAX_STAGES], mapped, word;
    PARE_VEC(int32_t) code, code2;           /* code points; symbols */
    struct pare_tok_matcher *matcher;
    pare_tok_cache cache;
    void *work; size_t work_cap;  /* arrays of the model, by pare_tok_work() */
};
/* At least `bytes` of scratch memory for a model; content is undefined. */
pare_status pare_tok_work(pare_tok_scratch *s, size_t bytes, void *out, pare_err *err);
/* Runs the normalizers over a text; the result is borrowed until the next call. */
pare_status pare_tok_normalize(const pare_tokenizer *t, pare_tok_scratch *s, pare_tspan in, pare_tspan *out, int *flags, pare_err *err);

/* ------------------------------------------------------------------------------------------------------ other sources */
/*
 * Files that are no tokenizer.json are told in its words: a source writes the document that transformers would make of them
 * and has it read. Pieces of a SentencePiece model: text, score and type.
 */
typedef struct pare_tok_piece { pare_tspan text; float score; int type; } pare_tok_piece;
typedef PARE_VEC(pare_tok_piece) pare_tok_pieces;
/* {"a": 0, "b": 1} of pieces; and every pair of pieces that joined make a piece: the merges of a BPE, by rank. */
pare_status pare_tok_write_vocab(pare_str *json, const pare_tok_pieces *pieces, const char *where, pare_err *err);
pare_status pare_tok_write_merges(pare_str *json, const pare_tok_pieces *pieces, const char *where, pare_err *err);
void pare_tok_write_text(pare_str *json, pare_tspan text);
/* tokenizer_config.json of the folder, or NULL. */
pare_status pare_tok_config(const char *folder, pare_jdoc **out, pare_err *err);
/* Text of a token member of it ("bos_token": "x" or {"content": "x"}). */
const char *pare_tok_config_token(const pare_jdoc *config, const char *key, const char *or_else);
/* Reads the document that a source has written, then the special tokens of the folder. */
pare_status pare_tok_read_written(pare_str *json, const char *where, const char *folder, pare_tokenizer **out, pare_err *err);

/* ------------------------------------------------------------------------------------------------------ JSON of vocabularies */
typedef struct pare_tok_json { const char *at, *end, *begin; const char *where; } pare_tok_json;
/* Finds the raw text of model.vocab and model.merges; appends the document with null in their place to rest. */
pare_status pare_tok_json_split(const char *json, size_t n, const char *where, pare_str *rest, pare_tok_member *big, pare_err *err);
void pare_tok_json_space(pare_tok_json *j);
bool pare_tok_json_take(pare_tok_json *j, char c);          /* skips white space, takes c when it is next */
pare_status pare_tok_json_fail(const pare_tok_json *j, const char *what, pare_err *err);
/* A string: into buffer (emptied first). */
pare_status pare_tok_json_text(pare_tok_json *j, pare_str *buffer, pare_err *err);
pare_status pare_tok_json_id(pare_tok_json *j, int64_t *out, pare_err *err);
pare_status pare_tok_json_real(pare_tok_json *j, double *out, pare_err *err);
/* {"token": id, ...} into t->vocab. */
pare_status pare_tok_json_vocab(pare_tokenizer *t, pare_tspan text, pare_err *err);
#endif
