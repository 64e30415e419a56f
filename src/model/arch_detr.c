/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DETR with a ResNet-50-style bottleneck backbone: frozen batch norms are buffers (weight, bias, mean, variance), positions are
 * sines, heads are a classifier and a three-layer box predictor.
 */
#include "model/model.h"

typedef struct detr_sizes { int64_t d, enc, dec, enc_ffn, dec_ffn, queries, labels; } detr_sizes;

static void add_conv_norm(pare_skeleton *s, const char *p, int64_t out, int64_t in, int64_t k) {
    static const char *const stat[] = {"weight", "bias", "running_mean", "running_var"};
    pare_skel_conv(s, pare_skel_name(s, "%s.convolution", p), out, in, k, false);
    for (int i = 0; i < 4; i++) pare_skel_add(s, PARE_SKEL_BUFFER_FLOAT, PARE_DTYPE_NONE, pare_skel_name(s, "%s.normalization.%s", p, stat[i]), 1, &out);
}

static void add_backbone(pare_skeleton *s) {
    static const int64_t depth[] = {3, 4, 6, 3}, width[] = {256, 512, 1024, 2048};
    const char *root = "model.backbone.conv_encoder.model";
    int64_t in = 64;
    add_conv_norm(s, pare_skel_name(s, "%s.embedder.embedder", root), 64, 3, 7);
    for (int st = 0; st < 4; st++)
        for (int64_t b = 0; b < depth[st]; b++) {
            const char *p = pare_skel_name(s, "%s.encoder.stages.%d.layers.%lld", root, st, (long long)b);
            const int64_t out = width[st], mid = out / 4;
            if (b == 0) add_conv_norm(s, pare_skel_name(s, "%s.shortcut", p), out, in, 1);
            add_conv_norm(s, pare_skel_name(s, "%s.layer.0", p), mid, in, 1);
            add_conv_norm(s, pare_skel_name(s, "%s.layer.1", p), mid, mid, 3);
            add_conv_norm(s, pare_skel_name(s, "%s.layer.2", p), out, mid, 1);
            in = out;
        }
}

static void add_attention(pare_skeleton *s, const char *p, const char *name, int64_t d) {
    static const char *const proj[] = {"k_proj", "v_proj", "q_proj", "out_proj"};
    for (int k = 0; k < 4; k++) pare_skel_linear(s, pare_skel_name(s, "%s.%s.%s", p, name, proj[k]), d, d, true);
    pare_skel_norm(s, pare_skel_name(s, "%s.%s_layer_norm", p, name), d, true);
}

static void add_layers(pare_skeleton *s, const char *stack, const detr_sizes *z, int64_t n, int64_t ffn, bool decoder) {
    for (int64_t i = 0; i < n; i++) {
        const char *p = pare_skel_name(s, "model.%s.layers.%lld", stack, (long long)i);
        add_attention(s, p, "self_attn", z->d);
        if (decoder) add_attention(s, p, "encoder_attn", z->d);
        pare_skel_linear(s, pare_skel_name(s, "%s.fc1", p), ffn, z->d, true);
        pare_skel_linear(s, pare_skel_name(s, "%s.fc2", p), z->d, ffn, true);
        pare_skel_norm(s, pare_skel_name(s, "%s.final_layer_norm", p), z->d, true);
    }
    if (decoder) pare_skel_norm(s, "model.decoder.layernorm", z->d, true);
}

static pare_status skeleton(const pare_jval *c, pare_skeleton *s, pare_err *err) {
    detr_sizes z;
    const int64_t named = (int64_t)pare_j_count(pare_j_get(c, "id2label"));
    const pare_config_int wanted[] = {{"d_model", &z.d, -1, 1 << 16},           {"encoder_layers", &z.enc, -1, 4096},   {"decoder_layers", &z.dec, -1, 4096},
                                      {"encoder_ffn_dim", &z.enc_ffn, -1, 1 << 22}, {"decoder_ffn_dim", &z.dec_ffn, -1, 1 << 22},
                                      {"num_queries", &z.queries, -1, 1 << 20}, {"num_labels", &z.labels, named ? named : 91, 1 << 20}, {NULL, NULL, 0, 0}};
    const pare_status st = pare_config_ints(c, wanted, err);
    if (st != PARE_OK) return st;
    add_backbone(s);
    pare_skel_conv(s, "model.input_projection", z.d, 2048, 1, true);
    pare_skel_embedding(s, "model.query_position_embeddings", z.queries, z.d);
    add_layers(s, "encoder", &z, z.enc, z.enc_ffn, false);
    add_layers(s, "decoder", &z, z.dec, z.dec_ffn, true);
    pare_skel_head(s, "class_labels_classifier", z.labels + 1, z.d, true, false);
    for (int i = 0; i < 3; i++) pare_skel_linear(s, pare_skel_name(s, "bbox_predictor.layers.%d", i), i == 2 ? 4 : z.d, z.d, true);
    return PARE_OK;
}

static const char *const types[] = {"detr", NULL};
const pare_arch pare_arch_detr = {.name = "detr", .help = "DETR with a ResNet-50 backbone", .model_types = types, .skeleton = skeleton};
