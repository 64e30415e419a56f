/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a Llama-shaped BF16 checkpoint with random normal weights, for the benchmarks:
 *   gen_model FOLDER HIDDEN FFN LAYERS VOCAB HEADS KV_HEADS
 * 2048 5632 22 32000 32 4 is the 1.1-billion-parameter shape (2.2 GB).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "file/file.h"
#include "num/num.h"

#define TABLE (INT64_C(1) << 20) /* normal samples, drawn from again and again by a random index */

typedef struct shape { int64_t hidden, ffn, layers, vocab, heads, kv; } shape;

static int64_t add(pare_spec *specs, int64_t n, const char *name, int64_t rows, int64_t cols) {
    pare_spec *s = &specs[n];
    memset(s, 0, sizeof *s);
    s->name = pare_strdup(name);
    s->dtype = PARE_BF16;
    s->ndim = cols ? 2 : 1;
    s->shape[0] = rows;
    s->shape[1] = cols;
    s->bytes = (uint64_t)(rows * (cols ? cols : 1)) * 2;
    return n + 1;
}

static int64_t list(const shape *z, pare_spec *specs) {
    const int64_t h = z->hidden, kv = z->hidden / z->heads * z->kv;
    const struct { const char *name; int64_t rows, cols; } layer[] = {
        {"self_attn.q_proj", h, h}, {"self_attn.k_proj", kv, h}, {"self_attn.v_proj", kv, h}, {"self_attn.o_proj", h, h}, {"mlp.gate_proj", z->ffn, h},
        {"mlp.up_proj", z->ffn, h}, {"mlp.down_proj", h, z->ffn}, {"input_layernorm", h, 0}, {"post_attention_layernorm", h, 0}};
    char name[128];
    int64_t n = add(specs, 0, "model.embed_tokens.weight", z->vocab, h);
    for (int64_t i = 0; i < z->layers; i++)
        for (size_t k = 0; k < sizeof layer / sizeof *layer; k++) {
            snprintf(name, sizeof name, "model.layers.%lld.%s.weight", (long long)i, layer[k].name);
            n = add(specs, n, name, layer[k].rows, layer[k].cols);
        }
    n = add(specs, n, "model.norm.weight", h, 0);
    return add(specs, n, "lm_head.weight", z->vocab, h);
}

static void write_config(const char *folder, const shape *z) {
    char path[4096];
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *f = fopen(path, "w");
    if (!f) exit(1);
    fprintf(f,
            "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": %lld, \"intermediate_size\": %lld, "
            "\"num_hidden_layers\": %lld, \"vocab_size\": %lld, \"num_attention_heads\": %lld, \"num_key_value_heads\": %lld, "
            "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\"}\n",
            (long long)z->hidden, (long long)z->ffn, (long long)z->layers, (long long)z->vocab, (long long)z->heads, (long long)z->kv);
    fclose(f);
}

int main(int argc, char **argv) {
    pare_err err = {0};
    pare_writer *w = NULL;
    char path[4096];
    if (argc != 8) {
        fprintf(stderr, "usage: gen_model FOLDER HIDDEN FFN LAYERS VOCAB HEADS KV_HEADS\n");
        return 2;
    }
    const shape z = {strtoll(argv[2], 0, 10), strtoll(argv[3], 0, 10), strtoll(argv[4], 0, 10), strtoll(argv[5], 0, 10), strtoll(argv[6], 0, 10), strtoll(argv[7], 0, 10)};
    pare_spec *specs = calloc((size_t)(z.layers * 9 + 3), sizeof *specs);
    uint16_t *table = malloc(TABLE * 2), *row = malloc((size_t)(z.ffn + z.hidden) * 2);
    if (!specs || !table || !row) return 1;
    const uint64_t key = pare_rng_key(1, "bench");
    for (int64_t i = 0; i < TABLE; i++) table[i] = pare_f32_to_bf16((float)(0.02 * pare_rng_normal(key, (uint64_t)i)));
    mkdir(argv[1], 0777);
    write_config(argv[1], &z);
    snprintf(path, sizeof path, "%s/model.safetensors", argv[1]);
    const struct pare_kv meta = {"format", "pt"};
    const int64_t n = list(&z, specs);
    uint64_t state = 88172645463325252u;
    if (pare_writer_open(pare_format_find("safetensors"), path, specs, n, &meta, 1, 0, &w, &err) != PARE_OK) goto failed;
    for (int64_t t = 0; t < n; t++) {
        const int64_t cols = specs[t].ndim == 2 ? specs[t].shape[1] : specs[t].shape[0], rows = specs[t].ndim == 2 ? specs[t].shape[0] : 1;
        for (int64_t r = 0; r < rows; r++) {
            for (int64_t c = 0; c < cols; c++) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* xorshift64 */
                row[c] = table[state >> 44];
            }
            if (pare_writer_append(w, row, (size_t)cols * 2, &err) != PARE_OK) goto failed;
        }
    }
    if (pare_writer_close(w, NULL, NULL, &err) == PARE_OK) return 0;
failed:
    fprintf(stderr, "gen_model: %s\n", err.text);
    return 1;
}
