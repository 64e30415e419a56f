/* SPDX-License-Identifier: Apache-2.0 */
/* BLIP captioning: vision transformer with fused qkv, BERT-like text decoder with cross-attention. */
#include "model/model.h"

typedef struct tower { int64_t hidden, layers, ffn; } tower;

static pare_status read_tower(const pare_jval *c, tower *t, int64_t layers, pare_err *err) {
    const pare_config_int wanted[] = {{"hidden_size", &t->hidden, 768, 1 << 20}, {"num_hidden_layers", &t->layers, layers, 4096},
                                      {"intermediate_size", &t->ffn, 3072, 1 << 22}, {NULL, NULL, 0, 0}};
    return pare_config_ints(c, wanted, err);
}

static void add_vision(pare_skeleton *s, const tower *t, int64_t image, int64_t patch) {
    const int64_t h = t->hidden, side = image / patch;
    pare_skel_add(s, PARE_SKEL_PARAMETER, PARE_DTYPE_NONE, "vision_model.embeddings.class_embedding", 3, (const int64_t[]){1, 1, h});
    pare_skel_add(s, PARE_SKEL_PARAMETER, PARE_DTYPE_NONE, "vision_model.embeddings.position_embedding", 3, (const int64_t[]){1, side * side + 1, h});
    pare_skel_conv(s, "vision_model.embeddings.patch_embedding", h, 3, patch, true);
    for (int64_t i = 0; i < t->layers; i++) {
        const char *p = pare_skel_name(s, "vision_model.encoder.layers.%lld", (long long)i);
        pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.qkv", p), 3 * h, h, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.self_attn.projection", p), h, h, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.layer_norm1", p), h, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.fc1", p), t->ffn, h, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.mlp.fc2", p), h, t->ffn, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.layer_norm2", p), h, true);
    }
    pare_skel_norm(s, "vision_model.post_layernorm", h, true);
}

static void add_attention(pare_skeleton *s, const char *p, int64_t h, int64_t source) {
    pare_skel_linear(s, pare_skel_name(s, "%s.self.query", p), h, h, true);
    pare_skel_linear(s, pare_skel_name(s, "%s.self.key", p), h, source, true);
    pare_skel_linear(s, pare_skel_name(s, "%s.self.value", p), h, source, true);
    pare_skel_linear(s, pare_skel_name(s, "%s.output.dense", p), h, h, true);
    pare_skel_norm(s, pare_skel_name(s, "%s.output.LayerNorm", p), h, true);
}

static void add_text(pare_skeleton *s, const tower *t, int64_t vocab, int64_t positions, int64_t source) {
    const int64_t h = t->hidden;
    pare_skel_embedding(s, "text_decoder.bert.embeddings.word_embeddings", vocab, h);
    pare_skel_embedding(s, "text_decoder.bert.embeddings.position_embeddings", positions, h);
    pare_skel_norm(s, "text_decoder.bert.embeddings.LayerNorm", h, true);
    pare_skel_add(s, PARE_SKEL_BUFFER, PARE_I64, "text_decoder.bert.embeddings.position_ids", 2, (const int64_t[]){1, positions});
    for (int64_t i = 0; i < t->layers; i++) {
        const char *p = pare_skel_name(s, "text_decoder.bert.encoder.layer.%lld", (long long)i);
        add_attention(s, pare_skel_name(s, "%s.attention", p), h, h);
        add_attention(s, pare_skel_name(s, "%s.crossattention", p), h, source);
        pare_skel_linear(s, pare_skel_name(s, "%s.intermediate.dense", p), t->ffn, h, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.output.dense", p), h, t->ffn, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.output.LayerNorm", p), h, true);
    }
    pare_skel_linear(s, "text_decoder.cls.predictions.transform.dense", h, h, true);
    pare_skel_norm(s, "text_decoder.cls.predictions.transform.LayerNorm", h, true);
    pare_skel_head(s, "text_decoder.cls.predictions.decoder", vocab, h, true, false); /* its own storage, unlike BERT's */
}

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    const pare_jval *text = pare_j_get(c, "text_config"), *vision = pare_j_get(c, "vision_config");
    tower tt, tv;
    int64_t vocab, positions, image, patch;
    const pare_config_int wanted_text[] = {{"vocab_size", &vocab, 30524, 1 << 26}, {"max_position_embeddings", &positions, 512, 1 << 20}, {NULL, NULL, 0, 0}};
    const pare_config_int wanted_image[] = {{"image_size", &image, 384, 1 << 16}, {"patch_size", &patch, 16, 1 << 12}, {NULL, NULL, 0, 0}};
    pare_status st = PARE_OK;
    PARE_TRY(read_tower(text, &tt, 12, err));
    PARE_TRY(read_tower(vision, &tv, 12, err));
    PARE_TRY(pare_config_ints(text, wanted_text, err));
    PARE_TRY(pare_config_ints(vision, wanted_image, err));
    if (patch == 0) return pare_fail(err, PARE_ERR_FORMAT, "config.json: 'patch_size' is 0");
    add_vision(s, &tv, image, patch);
    add_text(s, &tt, vocab, positions, tv.hidden);
out:
    return st;
}

static const char *const types[] = {"blip", NULL};
const pare_arch pare_arch_blip = {.name = "blip", .help = "BLIP image captioning", .model_types = types, .skeleton = skeleton};
