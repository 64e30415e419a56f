/* SPDX-License-Identifier: Apache-2.0 */
/* Lesson F3: the same small model in float32 and bfloat16: dtypes of its parameters, its answers, its bytes. */
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lesson.h"

/*
 * The course's DummyModel: embedding 2 x 2, then linear, layer norm, linear, layer norm, linear. Its weights come from
 * torch.manual_seed(123) and are written out here, so that no torch is needed to repeat the numbers.
 */
typedef struct linear {
    float w[4], b[2]; /* [out, in], [out] */
} linear;
typedef struct dummy_model {
    float embedding[4];
    linear linear_1, linear_2, head; /* layer norms: weight 1, bias 0, eps 1e-5 */
} dummy_model;

static const dummy_model model = {
    {-0.111467116f, 0.120362945f, -0.369634509f, -0.240417972f},
    {{-0.446811616f, 0.320244014f, -0.261270404f, 0.2646088f}, {-0.6001423f, -0.429018408f}},
    {{-0.259632677f, -0.138960421f, -0.53942585f, 0.463007033f}, {-0.166757822f, 0.22697258f}},
    {{0.500025928f, 0.131738245f, 0.193358839f, 0.682540953f}, {-0.318911791f, 0.22397697f}}};

static const char *const parameters[11] = {"token_embedding.weight", "linear_1.weight",   "linear_1.bias",      "layernorm_1.weight", "layernorm_1.bias", "linear_2.weight",
                                           "linear_2.bias",          "layernorm_2.weight", "layernorm_2.bias", "head.weight",        "head.bias"};
enum { PARAMETERS = 30 }; /* elements: 4 + 6 + 4 + 6 + 4 + 6 */

/* Every operation computes in float32 and rounds its result to the dtype, as torch does on a CPU. */
static void linear_forward(const linear *l, pare_dtype t, float x[2]) {
    float y[2];
    for (int o = 0; o < 2; o++) {
        const float sum = x[0] * rounded_to(t, l->w[2 * o]) + x[1] * rounded_to(t, l->w[2 * o + 1]);
        y[o] = rounded_to(t, sum + rounded_to(t, l->b[o]));
    }
    x[0] = y[0];
    x[1] = y[1];
}

static void norm_forward(pare_dtype t, float x[2]) {
    const float mean = (x[0] + x[1]) / 2, a = x[0] - mean, b = x[1] - mean;
    const float inverse = 1 / sqrtf((a * a + b * b) / 2 + 1e-5f);
    x[0] = rounded_to(t, a * inverse);
    x[1] = rounded_to(t, b * inverse);
}

static void forward(pare_dtype t, int token, float logits[2]) {
    logits[0] = rounded_to(t, model.embedding[2 * token]);
    logits[1] = rounded_to(t, model.embedding[2 * token + 1]);
    linear_forward(&model.linear_1, t, logits);
    norm_forward(t, logits);
    linear_forward(&model.linear_2, t, logits);
    norm_forward(t, logits);
    linear_forward(&model.head, t, logits);
}

static void dtypes(show *s, const char *key, const char *heading, pare_dtype t) {
    show_begin(s, key, heading);
    for (int i = 0; i < 11 && !s->code; i++) {
        if (s->j) pare_json_text(s->j, parameters[i], pare_dtype_get_info(t)->torch);
        show_line(s, "%s is loaded in torch.%s", parameters[i], pare_dtype_get_info(t)->torch);
    }
    show_end(s);
}

/* Input [[1, 0], [0, 1]]: four tokens, two logits each. */
static void compare(show *s) {
    static const int tokens[4] = {1, 0, 0, 1};
    float wide[8], narrow[8], mean = 0, most = 0, lane[4] = {0};
    char text[2][32];
    for (int i = 0; i < 4; i++) {
        forward(PARE_F32, tokens[i], wide + 2 * i);
        forward(PARE_BF16, tokens[i], narrow + 2 * i);
    }
    for (int i = 0; i < 8; i++) {
        const float d = fabsf(wide[i] - narrow[i]);
        lane[i % 4] += d;
        most = fmaxf(most, d);
    }
    mean = (lane[0] + lane[1] + lane[2] + lane[3]) / 8;
    show_floats(s, "logits_fp32", "logits in fp32, a row for each token of [[1, 0], [0, 1]]", wide, 4, 2, "%.4f");
    show_floats(s, "logits_bf16", "logits in bf16", narrow, 4, 2, "%.8g");
    show_real(s, "mean_diff", NULL, "%g", mean);
    show_real(s, "max_diff", NULL, "%g", most);
    shortest_double(mean, text[0]);
    shortest_double(most, text[1]);
    show_line(s, "Mean diff: %s | Max diff: %s", text[0], text[1]);
    show_say(s, "(An older torch printed a mean of 0.0009978711605072021. In fp16 a CPU of that time refused: "
                "\"addmm_impl_cpu_\" not implemented for 'Half'.)");
}

static void memory(show *s) {
    /* Salesforce/blip-image-captioning-base: parameters, and int64 position ids that no cast touches */
    const int64_t blip = 247414076, ids = 4096, wide = blip * 4 + ids, narrow = blip * 2 + ids;
    show_begin(s, "memory", "Memory");
    show_int(s, "dummy_fp32", "DummyModel in fp32, bytes", PARAMETERS * 4);
    show_int(s, "dummy_bf16", "DummyModel in bf16, bytes", PARAMETERS * 2);
    show_int(s, "blip_fp32", "blip-image-captioning-base in fp32, bytes", wide);
    show_int(s, "blip_bf16", "blip-image-captioning-base in bf16, bytes", narrow);
    show_real(s, "blip_relative", "relative", NULL, (double)narrow / (double)wide);
    show_say(s, "Not exactly one half: 4096 bytes of whole-number position ids stay as they are. pare convert MODEL -o OUT --dtype bf16 leaves integer tensors alone, too.");
    show_end(s);
}

/* Loaded directly in a dtype: no larger copy is made on the way. */
static void load_directly(show *s) {
    static const pare_dtype dtypes_here[2] = {PARE_F32, PARE_BF16};
    static const char *const keys[2] = {"loaded_fp32", "loaded_bf16"}, *const labels[2] = {"bytes of weights, loaded with --dtype f32", "bytes of weights, loaded with --dtype bf16"};
    struct stat st;
    if (s->code || stat(cli_text(s->c, "model") ? cli_text(s->c, "model") : "models/demo", &st) != 0) return; /* a lesson by numbers alone, elsewhere */
    show_begin(s, "load", "A model that is here, loaded in a dtype");
    for (int i = 0; i < 2 && !s->code; i++) {
        pare_session *m = NULL;
        const pare_session_options o = {.dtype = dtypes_here[i]};
        if (!show_ok(s, pare_session_open(s->c->ctx, cli_text(s->c, "model") ? cli_text(s->c, "model") : "models/demo", s->c->hub_cache, &o, &m, &s->c->err))) break;
        show_int(s, keys[i], labels[i], (int64_t)pare_session_get_info(m)->weight_bytes);
        pare_session_close(m);
    }
    show_end(s);
}

static void sizes(show *s) {
    static const double gb[5] = {28, 14, 7, 3.5, 1.75};
    static const char *const names[5] = {"fp32", "fp16, bf16", "int8", "int4", "int2"};
    const pare_series series = {"7B", NULL, gb, names, 5};
    const pare_chart chart = {PARE_CHART_BARS, "Weights of a model with 7 billion parameters (a T4 has 16 GB)", NULL, "GB", false, false, &series, 1};
    show_chart(s, "sizes", &chart);
}

static void run(show *s) {
    show_say(s, "Casting a model is the simplest compression: every float parameter gets another dtype. Check what is loaded, cast a copy, compare answers and bytes.");
    dtypes(s, "dtypes", "As loaded", PARE_F32);
    dtypes(s, "dtypes_cast", "After casting to bfloat16", PARE_BF16);
    show_begin(s, "compare", "Its answers");
    compare(s);
    show_end(s);
    memory(s);
    load_directly(s);
    sizes(s);
    show_say(s, "A default dtype set before loading makes new models small from the start; it does not change those that exist.");
}

const lesson lesson_casting = {.id = "F3", .title = "Loading models by data type", .teaches = "the same model in fp32 and bf16: dtypes, answers, bytes", .run = run};
