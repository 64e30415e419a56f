/* SPDX-License-Identifier: Apache-2.0 */
/* pare_session_*: a checkpoint with its engine and tokenizer. */
#include "flow/session.h"
#include <string.h>

/* ------------------------------------------------------------------------------------------------------- open and close */

static pare_status open_tokenizer(pare_session *s, pare_err *err)
{
    pare_err why = { 0 };
    if (!s->folder) return PARE_OK;
    pare_status st = pare_tokenizer_open(s->folder, &s->tokenizer, &why);
    if (st == PARE_OK) return PARE_OK;
    s->tokenizer = NULL;
    if (st == PARE_ERR_MEMORY || st == PARE_ERR_CANCELLED) {
        if (err) *err = why;
        return st;
    }
    /* Ids still work; a tokenizer that is there and cannot be read is worth a line. */
    if (st != PARE_ERR_IO) pare_log(s->ctx, PARE_LOG_WARNING, "%s", why.text);
    return PARE_OK;
}

static void add_eos(pare_session *s, int64_t id)
{
    if (id < 0 || id >= s->graph->vocab || s->n_eos == (int)(sizeof s->eos / sizeof *s->eos)) return;
    for (int i = 0; i < s->n_eos; i++)
        if (s->eos[i] == id) return;
    s->eos[s->n_eos++] = (int32_t)id;
}

static void add_eos_of(pare_session *s, const pare_jval *v)
{
    if (pare_j_type(v) == PARE_J_INT) add_eos(s, pare_j_int(v, -1));
    for (size_t i = 0; pare_j_type(v) == PARE_J_ARRAY && i < pare_j_count(v); i++) add_eos(s, pare_j_int(pare_j_at(v, i), -1));
}

/* Ids that end a text: generation_config.json, else config.json, and the tokenizer's. */
static pare_status find_eos(pare_session *s, pare_err *err)
{
    pare_jdoc *doc = NULL;
    char *path = s->folder ? pare_path_join(s->folder, "generation_config.json") : NULL;
    pare_status st = PARE_OK;
    if (path && pare_path_exists(path)) st = pare_jdoc_load(path, 1 << 20, &doc, err);
    if (st == PARE_OK) {
        const pare_jval *config = s->model->store->config ? pare_jdoc_root(s->model->store->config) : NULL;
        const pare_jval *v = doc ? pare_j_get(pare_jdoc_root(doc), "eos_token_id") : NULL;
        add_eos_of(s, v ? v : pare_j_get(config, "eos_token_id"));
        if (s->tokenizer) add_eos(s, pare_tokenizer_eos(s->tokenizer));
    }
    pare_jdoc_free(doc);
    pare_dealloc(path);
    return st;
}

static const char *kind_of(const pare_graph *g)
{
    return g->encoder ? "encoder-decoder" : g->kind == PARE_G_ENCODER ? "encoder" : "decoder";
}

static void fill_info(pare_session *s)
{
    pare_engine_memory m;
    pare_engine_get_memory(s->engine, &m);
    pare_session_info *i = &s->info;
    i->summary = s->graph->summary;
    i->kind = kind_of(s->graph);
    i->tokenizer = s->tokenizer ? pare_tokenizer_kind(s->tokenizer) : NULL;
    i->vocab = s->graph->vocab;
    i->hidden = s->graph->hidden;
    i->layers = s->graph->layers;
    i->ctx = pare_engine_ctx(s->engine);
    i->weight_bytes = m.weights;
    i->bytes_per_token = m.per_token;
    i->cache_bytes = m.cache;
    i->streamed_bytes = m.streamed_per_step;
    i->bos = s->tokenizer ? pare_tokenizer_bos(s->tokenizer) : -1;
    i->eos = s->n_eos ? s->eos[0] : -1;
}

pare_status pare_session_open(pare_ctx *ctx, const char *model, const char *hub_cache, const pare_session_options *options, pare_session **out, pare_err *err)
{
    pare_status st;
    const double start = pare_now();
    const pare_session_options none = { 0 }, *o = options ? options : &none;
    const pare_engine_options e = { .compute = o->compute, .kv_dtype = o->kv_dtype, .ctx = o->ctx, .sequences = o->sequences, .memory = o->memory, .profile = o->profile };
    pare_session *s = pare_alloc_zero(1, sizeof *s);
    *out = NULL;
    if (!s) return pare_no_memory(err, model, sizeof *s);
    s->ctx = ctx;
    s->options = *o;
    if ((unsigned)o->compute > PARE_COMPUTE_BF16) PARE_FAIL(err, PARE_ERR_USAGE, "compute mode %d does not exist", (int)o->compute);
    PARE_TRY(pare_model_open(ctx, model, hub_cache, &s->model, err));
    if (s->model->store->folder && !(s->folder = pare_strdup(s->model->store->folder))) {
        st = pare_no_memory(err, model, 0);
        goto out;
    }
    PARE_TRY(pare_model_engine(ctx, s->model->weights, o->dtype, &e, &s->engine, err));
    s->graph = pare_engine_graph(s->engine);
    PARE_TRY(open_tokenizer(s, err));
    PARE_TRY(find_eos(s, err));
    fill_info(s);
    s->info.load_seconds = pare_now() - start;
    *out = s;
    return PARE_OK;
out:
    pare_session_close(s);
    return st;
}

void pare_session_close(pare_session *s)
{
    if (!s) return;
    pare_engine_free(s->engine);
    pare_tokenizer_free(s->tokenizer);
    pare_model_close(s->model);
    pare_dealloc(s->folder);
    pare_dealloc(s);
}

const pare_session_info *pare_session_get_info(const pare_session *s) { return &s->info; }

bool pare_session_is_eos(const pare_session *s, int32_t id)
{
    for (int i = 0; i < s->n_eos; i++)
        if (s->eos[i] == id) return true;
    return false;
}

pare_status pare_session_need_decoder(const pare_session *s, const char *what, pare_err *err)
{
    if (s->graph->kind == PARE_G_DECODER && s->graph->logits != PARE_G_NONE) return PARE_OK;
    return pare_fail(err, PARE_ERR_USAGE, "%s: %s predicts no next token (%s), so there is no %s", s->model->path, s->info.kind, s->info.summary, what);
}

/* ----------------------------------------------------------------------------------------------------------------- text */

static pare_status need_tokenizer(const pare_session *s, pare_err *err)
{
    if (s->tokenizer) return PARE_OK;
    pare_fail(err, PARE_ERR_USAGE, "%s: there is no tokenizer beside the weights, so text means nothing to it", s->model->path);
    return pare_hint(err, "give token ids");
}

pare_status pare_session_tokenize(const pare_session *s, const char *text, size_t bytes, bool special, int32_t **ids, int64_t *n, pare_err *err)
{
    pare_ids list = { 0 };
    *ids = NULL;
    *n = 0;
    pare_status st = need_tokenizer(s, err);
    if (st == PARE_OK) st = pare_tokenizer_encode(s->tokenizer, text, bytes, special, NULL, &list, err);
    for (size_t i = 0; st == PARE_OK && i < list.n; i++)
        if (list.at[i] < 0 || list.at[i] >= s->graph->vocab)
            st = pare_fail(err, PARE_ERR_DATA, "%s: the tokenizer makes id %d, and the model knows %lld", s->model->path, (int)list.at[i], (long long)s->graph->vocab);
    if (st == PARE_OK && !list.at && !(list.at = pare_alloc(sizeof *list.at))) st = pare_no_memory(err, "tokens", sizeof *list.at);
    if (st != PARE_OK) {
        PARE_VEC_CLEAR(&list);
        return st;
    }
    *ids = list.at;
    *n = (int64_t)list.n;
    return PARE_OK;
}

pare_status pare_session_detokenize(const pare_session *s, const int32_t *ids, int64_t n, bool skip_special, char **text, pare_err *err)
{
    pare_str out = { 0 };
    *text = NULL;
    pare_status st = need_tokenizer(s, err);
    if (st == PARE_OK) st = pare_tokenizer_decode(s->tokenizer, ids, n, skip_special, &out, err);
    if (st == PARE_OK && !(*text = pare_str_take(&out))) st = pare_no_memory(err, "text", (size_t)n);
    pare_str_clear(&out);
    return st;
}

pare_status pare_session_chat(const pare_session *s, const pare_message *messages, size_t n, char **prompt, pare_err *err)
{
    pare_chat *chat = NULL;
    pare_str out = { 0 };
    pare_status st;
    *prompt = NULL;
    if (!s->folder) return pare_fail(err, PARE_ERR_USAGE, "%s: a single file has no chat template beside it", s->model->path);
    pare_chat_message *list = pare_alloc_zero(n + 1, sizeof *list);
    if (!list) return pare_no_memory(err, "messages", n * sizeof *list);
    for (size_t i = 0; i < n; i++) list[i] = (pare_chat_message){ messages[i].role, messages[i].content };
    PARE_TRY(pare_chat_open(s->folder, &chat, err));
    PARE_TRY(pare_chat_render(chat, list, n, true, &out, err));
    if (!(*prompt = pare_str_take(&out))) st = pare_no_memory(err, "prompt", out.n);
out:
    pare_str_clear(&out);
    pare_chat_free(chat);
    pare_dealloc(list);
    return st;
}

/* -------------------------------------------------------------------------------------------------------------- numbers */

pare_status pare_session_forward(pare_session *s, const int32_t *ids, int64_t n, bool all, float *logits, pare_err *err)
{
    uint8_t *want = NULL;
    if (n < 1) return pare_fail(err, PARE_ERR_USAGE, "%s: nothing to compute (%lld tokens)", s->model->path, (long long)n);
    if (!all && s->graph->kind == PARE_G_DECODER) {
        if (!(want = pare_alloc_zero((size_t)n, 1))) return pare_no_memory(err, "tokens", (size_t)n);
        want[n - 1] = logits != NULL;
    }
    const pare_batch batch = { .n = n, .ids = ids, .want = want };
    pare_status st = pare_engine_step(s->engine, &batch, logits, err);
    pare_dealloc(want);
    return st;
}

int64_t pare_session_columns(const pare_session *s)
{
    const pare_gvalue *v = &s->graph->values.at[s->graph->logits != PARE_G_NONE ? s->graph->logits : s->graph->hidden_out];
    return v->shape[v->ndim - 1];
}

pare_status pare_session_encode(pare_session *s, const int32_t *ids, int64_t n, pare_err *err)
{
    if (!s->graph->encoder) return pare_fail(err, PARE_ERR_USAGE, "%s: is a %s, with no encoder to listen to", s->model->path, s->info.kind);
    return pare_engine_encode(s->engine, 0, ids, n, err);
}

void pare_session_reset(pare_session *s) { pare_engine_truncate(s->engine, 0, 0); }

pare_status pare_session_embed(pare_session *s, const char *text, size_t bytes, float **vector, int64_t *dim, pare_err *err)
{
    int32_t *ids = NULL;
    int64_t n = 0;
    float *out = NULL;
    pare_status st;
    *vector = NULL;
    *dim = 0;
    if (s->graph->kind != PARE_G_ENCODER || s->graph->pooled == PARE_G_NONE)
        return pare_fail(err, PARE_ERR_USAGE, "%s: is a %s without pooling, so a text has no one vector", s->model->path, s->info.kind);
    const pare_gvalue *pooled = &s->graph->values.at[s->graph->pooled];
    const int64_t size = pooled->shape[pooled->ndim - 1];
    PARE_TRY(pare_session_tokenize(s, text, bytes, true, &ids, &n, err));
    if (n < 1) PARE_FAIL(err, PARE_ERR_DATA, "%s: an empty text has no vector", s->model->path);
    if (n > s->info.ctx) n = s->info.ctx; /* as sentence-transformers does: what does not fit is cut */
    if (!(out = pare_alloc((size_t)size * sizeof *out))) {
        st = pare_no_memory(err, "vector", (size_t)size * sizeof *out);
        goto out;
    }
    PARE_TRY(pare_engine_pool(s->engine, &(pare_batch){ .n = n, .ids = ids }, out, err));
    *vector = out;
    *dim = size;
    out = NULL;
out:
    pare_dealloc(out);
    pare_free(ids);
    return st;
}

pare_status pare_session_profile(const pare_session *s, pare_table **out, pare_err *err)
{
    pare_profile_row rows[64];
    const int64_t n = pare_engine_profile(s->engine, rows, 64);
    double total = 0;
    pare_status st;
    PARE_TRY(pare_table_new(out, err));
    PARE_TRY(pare_table_column(*out, "op", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(*out, "what", NULL, PARE_CELL_TEXT, NULL, err));
    PARE_TRY(pare_table_column(*out, "seconds", NULL, PARE_CELL_REAL, "s", err));
    PARE_TRY(pare_table_column(*out, "share", NULL, PARE_CELL_REAL, "%", err));
    PARE_TRY(pare_table_column(*out, "calls", NULL, PARE_CELL_INT, NULL, err));
    PARE_TRY(pare_table_column(*out, "bytes", "weights read", PARE_CELL_BYTES, NULL, err));
    PARE_TRY(pare_table_column(*out, "gmacs", NULL, PARE_CELL_REAL, NULL, err));
    for (int64_t i = 0; i < n; i++) total += rows[i].seconds;
    for (int64_t i = 0; i < n; i++) {
        PARE_TRY(pare_table_row(*out, err));
        PARE_TRY(pare_table_text(*out, "op", rows[i].op, err));
        PARE_TRY(pare_table_text(*out, "what", rows[i].what ? rows[i].what : "", err));
        pare_table_real(*out, "seconds", rows[i].seconds);
        pare_table_real(*out, "share", total > 0 ? 100 * rows[i].seconds / total : 0);
        pare_table_int(*out, "calls", (int64_t)rows[i].calls);
        pare_table_int(*out, "bytes", (int64_t)rows[i].bytes);
        pare_table_real(*out, "gmacs", (double)rows[i].macs * 1e-9);
    }
    return PARE_OK;
out:
    pare_table_free(*out);
    *out = NULL;
    return st;
}
