/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SentencePiece models ("tokenizer.model", "spiece.model"): a protobuf message, of which these fields are read.
 *
 *   1 pieces: {1 text, 2 score (f32), 3 type: 1 normal 2 unknown 3 control 4 user defined 6 byte}
 *   2 trainer: {3 model: 1 unigram 2 bpe, 35 byte_fallback, 40 unk_id, 41 bos_id, 42 eos_id}
 *   3 normalizer: {2 precompiled map}
 *
 * A BPE becomes what transformers' LlamaTokenizer makes of it, a unigram model what its T5Tokenizer does.
 */
#include <math.h>
#include "text/tok.h"

typedef struct field { uint32_t number; uint64_t value; pare_rd bytes; } field;
typedef struct model {
    pare_tok_pieces pieces;
    int64_t kind, byte_fallback, unk, bos, eos;
    pare_tspan charsmap;
} model;

static bool varint(pare_rd *r, uint64_t *out)
{
    uint8_t byte;
    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (!pare_rd_u8(r, &byte)) return false;
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return true;
    }
    return false;
}

static bool next_field(pare_rd *r, field *f)
{
    uint64_t key;
    uint32_t word;
    if (!varint(r, &key)) return false;
    f->number = (uint32_t)(key >> 3);
    f->value = 0;
    f->bytes = (pare_rd){0};
    switch (key & 7) {
    case 0: return varint(r, &f->value);
    case 1: return pare_rd_u64(r, &f->value);
    case 2:
        if (!varint(r, &f->value) || f->value > r->n - r->pos) return false;
        f->bytes.n = (size_t)f->value;
        return pare_rd_bytes(r, f->bytes.n, &f->bytes.at);
    case 5:
        if (!pare_rd_u32(r, &word)) return false;
        f->value = word;
        return true;
    }
    return false;
}

static bool read_piece(pare_rd r, pare_tok_piece *piece)
{
    field f;
    *piece = (pare_tok_piece){.text = {"", 0}, .type = 1};
    while (r.pos < r.n) {
        if (!next_field(&r, &f)) return false;
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1) piece->text = (pare_tspan){f.bytes.at ? (const char *)f.bytes.at : "", f.bytes.n};
        if (f.number == 2) memcpy(&piece->score, &bits, 4);
        if (f.number == 3) piece->type = (int)bits;
    }
    return isfinite(piece->score);
}

static bool read_spec(pare_rd r, model *m, bool trainer)
{
    field f;
    while (r.pos < r.n) {
        if (!next_field(&r, &f)) return false;
        int64_t value = (int32_t)(uint32_t)f.value; /* -1 is written with 64 bits */
        if (!trainer && f.number == 2) m->charsmap = (pare_tspan){(const char *)f.bytes.at, f.bytes.n};
        if (!trainer) continue;
        if (f.number == 3) m->kind = value;
        if (f.number == 35) m->byte_fallback = value;
        if (f.number == 40) m->unk = value;
        if (f.number == 41) m->bos = value;
        if (f.number == 42) m->eos = value;
    }
    return true;
}

static pare_status read_model(const pare_map *map, const char *path, model *m, pare_err *err)
{
    pare_rd r = {.at = map->at, .n = map->n};
    field f;
    *m = (model){.kind = 1, .unk = 0, .bos = 1, .eos = 2};
    while (r.pos < r.n) {
        pare_tok_piece piece;
        size_t at = r.pos;
        bool ok = next_field(&r, &f);
        if (ok && f.number == 1) {
            ok = read_piece(f.bytes, &piece) && pare_utf8_valid(piece.text.at, piece.text.n);
            if (ok && m->pieces.n >= PARE_TOK_MAX_ID) return pare_fail(err, PARE_ERR_FORMAT, "%s: too many pieces", path);
            if (ok && !PARE_VEC_PUSH(&m->pieces, piece)) return pare_no_memory(err, path, m->pieces.n * sizeof piece);
        } else if (ok && (f.number == 2 || f.number == 3)) {
            ok = read_spec(f.bytes, m, f.number == 2);
        }
        if (!ok) return pare_fail(err, PARE_ERR_FORMAT, "%s: field at byte %zu of %zu is no part of a SentencePiece model", path, at, map->n);
    }
    if (m->unk < 0 || m->unk >= (int64_t)m->pieces.n) return pare_fail(err, PARE_ERR_FORMAT, "%s: unk_id %lld of %zu pieces", path, (long long)m->unk, m->pieces.n);
    return PARE_OK;
}

/* Control pieces are special, user defined ones only added. */
static void write_added(pare_str *json, const model *m, bool t5)
{
    bool first = true;
    pare_str_add(json, ",\"added_tokens\":[");
    for (size_t i = 0; i < m->pieces.n; i++) {
        const pare_tok_piece *p = &m->pieces.at[i];
        bool unknown = p->type == 2;
        if ((p->type != 3 && p->type != 4 && !unknown) || p->text.n == 0) continue;
        pare_str_printf(json, "%s{\"content\":", first ? "" : ",");
        pare_tok_write_text(json, p->text);
        pare_str_printf(json, ",\"normalized\":false,\"special\":%s}", p->type == 3 || unknown ? "true" : "false");
        first = false;
    }
    for (int i = 0; t5 && i < 100; i++) {
        pare_str_printf(json, "%s{\"content\":\"<extra_id_%d>\",\"special\":true}", first ? "" : ",", i);
        first = false;
    }
    pare_str_add(json, "]");
}

static void write_base64(pare_str *json, pare_tspan data)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < data.n; i += 3) {
        uint32_t bits = 0;
        size_t k = data.n - i < 3 ? data.n - i : 3;
        for (size_t j = 0; j < 3; j++) bits = bits << 8 | (j < k ? (uint8_t)data.at[i + j] : 0);
        for (size_t j = 0; j < 4; j++) pare_str_addn(json, j <= k ? &digits[bits >> (18 - 6 * j) & 63] : "=", 1);
    }
}

static void write_template(pare_str *json, int64_t bos, int64_t eos)
{
    const char *names[] = {"single", "pair"};
    pare_str_add(json, ",\"post_processor\":{\"type\":\"TemplateProcessing\"");
    for (int pair = 0; pair < 2; pair++) {
        pare_str_printf(json, ",\"%s\":[", names[pair]);
        for (int b = 0; b <= pair; b++) {
            if (b) pare_str_add(json, ",");
            if (bos >= 0) pare_str_printf(json, "{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":%d}},", b && eos < 0 ? 1 : 0);
            pare_str_printf(json, "{\"Sequence\":{\"id\":\"%s\",\"type_id\":%d}}", b ? "B" : "A", b && eos < 0 ? 1 : 0);
            if (eos >= 0) pare_str_add(json, ",{\"SpecialToken\":{\"id\":\"eos\",\"type_id\":0}}");
        }
        pare_str_add(json, "]");
    }
    pare_str_printf(json, ",\"special_tokens\":{\"bos\":{\"ids\":[%lld]},\"eos\":{\"ids\":[%lld]}}}", (long long)(bos < 0 ? 0 : bos), (long long)(eos < 0 ? 0 : eos));
}

static pare_status write_bpe(pare_str *json, const model *m, const pare_jdoc *config, const char *path, pare_err *err)
{
    const pare_jval *root = config ? pare_jdoc_root(config) : NULL;
    bool space = pare_j_bool(pare_j_get(root, "add_prefix_space"), true), legacy = pare_j_bool(pare_j_get(root, "legacy"), false);
    bool bos = pare_j_bool(pare_j_get(root, "add_bos_token"), true), eos = pare_j_bool(pare_j_get(root, "add_eos_token"), false);
    int64_t n = (int64_t)m->pieces.n;
    pare_str_printf(json, "{\"model\":{\"type\":\"BPE\",\"fuse_unk\":true,\"byte_fallback\":%s,\"unk_token\":", m->byte_fallback ? "true" : "false");
    pare_tok_write_text(json, m->pieces.at[m->unk].text);
    pare_str_add(json, ",\"vocab\":");
    pare_status st = pare_tok_write_vocab(json, &m->pieces, path, err);
    if (st != PARE_OK) return st;
    pare_str_add(json, ",\"merges\":");
    st = pare_tok_write_merges(json, &m->pieces, path, err);
    pare_str_printf(json, "},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"%s\",\"split\":false},"
                    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},"
                    "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]}", !space ? "never" : legacy ? "always" : "first",
                    space ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
    write_added(json, m, false);
    write_template(json, bos && m->bos < n ? m->bos : -1, eos && m->eos < n ? m->eos : -1);
    pare_str_add(json, "}");
    return st;
}

static void write_unigram(pare_str *json, const model *m)
{
    char number[32];
    pare_str_printf(json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":%lld,\"vocab\":[", (long long)m->unk);
    for (size_t i = 0; i < m->pieces.n; i++) {
        pare_str_add(json, i ? ",[" : "[");
        pare_tok_write_text(json, m->pieces.at[i].text);
        pare_format_real(m->pieces.at[i].score, number);
        pare_str_printf(json, ",%s]", number);
    }
    for (int i = 99; i >= 0; i--) pare_str_printf(json, ",[\"<extra_id_%d>\",0]", i);
    pare_str_add(json, "]}");
    if (m->charsmap.n) {
        pare_str_add(json, ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        write_base64(json, m->charsmap);
        pare_str_add(json, "\"}");
    }
    pare_str_add(json, ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\","
                       "\"prepend_scheme\":\"always\",\"split\":true}]},\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\xE2\x96\x81\",\"prepend_scheme\":\"always\"}");
    write_added(json, m, true);
    write_template(json, -1, m->eos < (int64_t)m->pieces.n ? m->eos : -1);
    pare_str_add(json, "}");
}

static pare_status load(const char *path, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_map map = {0};
    model m = {0};
    pare_jdoc *config = NULL;
    pare_str json = {0};
    *out = NULL;
    PARE_TRY(pare_map_open(path, &map, err));
    PARE_TRY(read_model(&map, path, &m, err));
    PARE_TRY(pare_tok_config(folder, &config, err));
    const char *class = pare_tok_config_token(config, "tokenizer_class", m.kind == 1 ? "T5Tokenizer" : "LlamaTokenizer");
    if (m.kind != 1 && m.kind != 2) PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: SentencePiece model of type %lld (unigram and bpe are read)", path, (long long)m.kind);
    if (!pare_str_starts(class, m.kind == 1 ? "T5Tokenizer" : "LlamaTokenizer"))
        PARE_FAIL(err, PARE_ERR_UNSUPPORTED, "%s: what %s makes of a SentencePiece model is not known; a tokenizer.json is needed", path, class);
    if (m.kind == 2) PARE_TRY(write_bpe(&json, &m, config, path, err));
    else write_unigram(&json, &m);
    PARE_TRY(pare_tok_read_written(&json, path, folder, out, err));
    for (size_t i = 0; m.kind == 1 && i < m.pieces.n; i++) pare_tok_unigram_set_score(*out, i, m.pieces.at[i].score);
    if ((*out)->bos < 0 && m.kind == 2 && m.bos >= 0 && m.bos < (*out)->size) (*out)->bos = (int32_t)m.bos;
    if ((*out)->eos < 0 && m.eos >= 0 && m.eos < (*out)->size) (*out)->eos = (int32_t)m.eos;
out:
    PARE_VEC_CLEAR(&m.pieces);
    pare_jdoc_free(config);
    pare_str_clear(&json);
    pare_map_close(&map);
    return st;
}

static bool probe(const char *name, const uint8_t *head, size_t n)
{
    return pare_str_ends(name, ".model") && n > 4 && head[0] == 10; /* field 1, a message */
}

static const char *const files[] = {"tokenizer.model", "spiece.model", NULL};
const pare_tok_source pare_tok_source_sentencepiece = {.name = "tokenizer.model", .help = "SentencePiece model (unigram, bpe)", .files = files, .probe = probe, .load = load};
