/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokenizers of llama2.c ("tok512.bin"): i32 longest token, then for each token f32 score, i32 bytes, the bytes. Ids 0-2 are
 * unknown, BOS and EOS, 3-258 the bytes. A space is put in front; then the pair whose joined spelling has the best score is
 * merged, again and again, the leftmost of equals.
 */
#include <math.h>
#include "text/tok.h"

static pare_status read_pieces(const pare_map *map, const char *path, pare_tok_pieces *pieces, pare_err *err)
{
    pare_rd r = {.at = map->at, .n = map->n};
    uint32_t longest, bits, n;
    const uint8_t *text;
    if (!pare_rd_u32(&r, &longest)) return pare_fail(err, PARE_ERR_FORMAT, "%s: %zu bytes are no tokenizer", path, map->n);
    while (r.pos < r.n) {
        pare_tok_piece piece = {0};
        if (!pare_rd_u32(&r, &bits) || !pare_rd_u32(&r, &n) || n > longest || !pare_rd_bytes(&r, n, &text))
            return pare_fail(err, PARE_ERR_FORMAT, "%s: token %zu ends beyond byte %zu of the file, or is longer than the %u bytes that were said", path, pieces->n, map->n, longest);
        memcpy(&piece.score, &bits, 4);
        piece.text = (pare_tspan){(const char *)text, n};
        if (!isfinite(piece.score)) return pare_fail(err, PARE_ERR_FORMAT, "%s: the score of token %zu is no number", path, pieces->n);
        if (pieces->n >= PARE_TOK_MAX_ID) return pare_fail(err, PARE_ERR_FORMAT, "%s: too many tokens", path);
        if (!PARE_VEC_PUSH(pieces, piece)) return pare_no_memory(err, path, pieces->n * sizeof piece);
    }
    return pieces->n > 258 ? PARE_OK : pare_fail(err, PARE_ERR_FORMAT, "%s: %zu tokens, at least 259 are needed", path, pieces->n);
}

static pare_status load(const char *path, const char *folder, pare_tokenizer **out, pare_err *err)
{
    pare_status st = PARE_OK;
    pare_map map = {0};
    pare_tok_pieces pieces = {0};
    pare_str json = {0};
    float *scores = NULL;
    *out = NULL;
    PARE_TRY(pare_map_open(path, &map, err));
    PARE_TRY(read_pieces(&map, path, &pieces, err));
    pare_str_add(&json, "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":");
    PARE_TRY(pare_tok_write_vocab(&json, &pieces, path, err));
    pare_str_add(&json, ",\"merges\":");
    PARE_TRY(pare_tok_write_merges(&json, &pieces, path, err));
    pare_str_add(&json, "},\"added_tokens\":[");
    for (int i = 0; i < 3; i++) {
        pare_str_printf(&json, "%s{\"id\":%d,\"content\":", i ? "," : "", i);
        pare_tok_write_text(&json, pieces.at[i].text);
        pare_str_add(&json, ",\"special\":true}");
    }
    pare_str_add(&json, "],\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\" \"},"
                        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                        "\"pair\":[{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
                        "\"special_tokens\":{\"bos\":{\"id\":\"bos\",\"ids\":[1],\"tokens\":[\"bos\"]}}},"
                        "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}");
    scores = pare_alloc(pieces.n * sizeof *scores);
    if (!scores) PARE_TRY(pare_no_memory(err, path, pieces.n * sizeof *scores));
    for (size_t i = 0; i < pieces.n; i++) scores[i] = pieces.at[i].score;
    PARE_TRY(pare_tok_read_written(&json, path, NULL, out, err));
    pare_tok_bpe_rank_by_score(*out, scores, pieces.n);
    (*out)->bos = 1;
    (*out)->eos = 2;
out:
    (void)folder;
    pare_dealloc(scores);
    pare_str_clear(&json);
    PARE_VEC_CLEAR(&pieces);
    pare_map_close(&map);
    return st;
}

/* The first token is "<unk>" of score 0. */
static bool probe(const char *name, const uint8_t *head, size_t n)
{
    return pare_str_ends(name, ".bin") && n >= 17 && pare_le32(head) <= 4096 && pare_le32(head + 8) == 5 && !memcmp(head + 12, "<unk>", 5);
}

static const char *const files[] = {"tokenizer.bin", "tok*.bin", NULL};
const pare_tok_source pare_tok_source_karpathy = {.name = "tok*.bin", .help = "tokenizer of llama2.c", .files = files, .probe = probe, .load = load};
