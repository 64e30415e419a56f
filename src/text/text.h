/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Face header of src/text: text to token ids and back, and chat templates. A tokenizer runs the pipeline of the `tokenizers`
 * library (normalizer, pre-tokenizer, model, post-processor; decoder) and gives identical ids. Where it comes from is a
 * source: one tok_*.c file that ends in a const pare_tok_source, plus one line in tokenizers.def.
 */
#ifndef PARE_TEXT_H
#define PARE_TEXT_H
#include "base/base.h"
#include "file/file.h"

typedef struct pare_tokenizer pare_tokenizer;
typedef PARE_VEC(int32_t) pare_ids;

/* One place that tokenizers come from: "tokenizer.json", "vocab.json + merges.txt", "vocab.txt", "tokenizer.model", "tok*.bin". */
typedef struct pare_tok_source {
    const char *name, *help;
    const char *const *files;      /* companion file names that a folder is asked for, in order, NULL-terminated; "*.bin" globs */
    /* Does this file look like mine? (name and first bytes; for a path given by hand) */
    bool (*probe)(const char *name, const uint8_t *head, size_t n);
    /* path: the file; folder: where companions lie (tokenizer_config.json, special_tokens_map.json, merges.txt), may be NULL. */
    pare_status (*load)(const char *path, const char *folder, pare_tokenizer **out, pare_err *err);
} pare_tok_source;
const pare_tok_source *const *pare_tok_sources(void); /* NULL-terminated, in order of preference */

/* Tokenizer of a model folder, or of one tokenizer file. PARE_ERR_IO naming what was looked for when there is none. */
pare_status pare_tokenizer_open(const char *folder_or_file, pare_tokenizer **out, pare_err *err);
/* tokenizer.json text in memory (fuzzing, tests). */
pare_status pare_tokenizer_parse(const char *json, size_t n, const char *where, pare_tokenizer **out, pare_err *err);
void pare_tokenizer_free(pare_tokenizer *t);

/* The number of ids, added tokens included (largest id + 1). */
int64_t pare_tokenizer_size(const pare_tokenizer *t);
const char *pare_tokenizer_kind(const pare_tokenizer *t);      /* "bpe", "unigram", "wordpiece", "wordlevel" */
/* Id of a whole token (raw spelling of the vocabulary, added tokens too); -1 when absent. */
int32_t pare_tokenizer_find(const pare_tokenizer *t, const char *token, size_t n);
/* Raw spelling of a token ("Ġthe", "▁the", "<0x0A>"); NULL for an id outside. Borrowed. */
const char *pare_tokenizer_token(const pare_tokenizer *t, int32_t id, size_t *n);
bool pare_tokenizer_is_special(const pare_tokenizer *t, int32_t id);
/* -1 when the tokenizer names none (from tokenizer_config.json, special_tokens_map.json, or the post-processor). */
int32_t pare_tokenizer_bos(const pare_tokenizer *t);
int32_t pare_tokenizer_eos(const pare_tokenizer *t);
int32_t pare_tokenizer_pad(const pare_tokenizer *t);
int32_t pare_tokenizer_mask(const pare_tokenizer *t);

/*
 * Appends the ids of text (n bytes; malformed UTF-8 is replaced by U+FFFD first, as Python's errors="replace" does).
 * special: run the post-processor (BOS, [CLS] ... [SEP]), as encode(add_special_tokens=True). Thread-safe on one tokenizer:
 * scratch (NULL = made for the call) keeps buffers between calls of one thread.
 */
typedef struct pare_tok_scratch pare_tok_scratch;
pare_status pare_tok_scratch_new(pare_tok_scratch **out, pare_err *err);
void pare_tok_scratch_free(pare_tok_scratch *s);
pare_status pare_tokenizer_encode(const pare_tokenizer *t, const char *text, size_t n, bool special, pare_tok_scratch *scratch, pare_ids *out,
                                  pare_err *err);
/* A pair (BERT's two segments): ids and, when types is not NULL, token type ids. */
pare_status pare_tokenizer_encode_pair(const pare_tokenizer *t, const char *a, size_t na, const char *b, size_t nb, bool special, pare_tok_scratch *scratch,
                                       pare_ids *out, pare_ids *types, pare_err *err);
/* Text of n ids, as decode(skip_special_tokens=skip). Never splits: malformed bytes become U+FFFD. Appends to out. */
pare_status pare_tokenizer_decode(const pare_tokenizer *t, const int32_t *ids, int64_t n, bool skip_special, pare_str *out, pare_err *err);

/*
 * Streaming decode: feed ids one by one; what is certain is appended to out as whole UTF-8 characters, so that the pieces
 * together equal pare_tokenizer_decode() of all ids. end() flushes the rest.
 */
typedef struct pare_tok_stream pare_tok_stream;
pare_status pare_tok_stream_new(const pare_tokenizer *t, bool skip_special, pare_tok_stream **out, pare_err *err);
void pare_tok_stream_free(pare_tok_stream *s);
pare_status pare_tok_stream_add(pare_tok_stream *s, int32_t id, pare_str *out, pare_err *err);
pare_status pare_tok_stream_end(pare_tok_stream *s, pare_str *out, pare_err *err);

/* ------------------------------------------------------------------------------------------------------- chat templates */
/* The checkpoint's own template (chat_template.jinja, or chat_template of tokenizer_config.json) in a safe subset of Jinja. */
typedef struct pare_chat pare_chat;
typedef struct pare_chat_message { const char *role, *content; } pare_chat_message;
/* PARE_ERR_UNSUPPORTED with line and construct when the template leaves the subset (docs/chat-templates.md). */
pare_status pare_chat_parse(const char *text, size_t n, const char *where, pare_chat **out, pare_err *err);
/* PARE_ERR_IO saying so when the folder has none. Special tokens (bos_token, ...) come from tokenizer_config.json. */
pare_status pare_chat_open(const char *folder, pare_chat **out, pare_err *err);
void pare_chat_free(pare_chat *chat);
pare_status pare_chat_set(pare_chat *chat, const char *variable, const char *value, pare_err *err); /* "bos_token", ... */
/* Steps and output are bounded: a template that loops for ever ends in PARE_ERR_DATA. */
pare_status pare_chat_render(const pare_chat *chat, const pare_chat_message *messages, size_t n, bool add_generation_prompt, pare_str *out,
                             pare_err *err);
#endif
