/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotary embeddings as config.json says. With D rotated columns, base b and f_i = b^(-2i/D), i < D/2:
 *   default    f_i
 *   linear     f_i / factor                                             (positions squeezed)
 *   dynamic    b grows with the sequence beyond max_position_embeddings (NTK-aware; the engine works it out as the sequence grows)
 *   llama3     f_i / factor where the wave is longer than the old context, f_i where it is much shorter, a blend between
 *   yarn       f_i / factor below, f_i above, a ramp between the dimensions that turn beta_slow and beta_fast times; cos and sin grow a little
 *   longrope   f_i / short_factor_i, or / long_factor_i when the sequence is longer than the original context
 * Old configs say rope_theta and rope_scaling {type}, new ones rope_parameters {rope_theta, rope_type}, also one block a kind of layer (Gemma 3).
 */
#include <math.h>
#include <string.h>

#include "model/settings.h"

enum { MAX_DIM = 1 << 16 };

typedef struct rope_source {
    const pare_jval *config, *block, *second; /* the block that scales; one that may hold what it lacks */
    int64_t positions;                        /* of the model; 0 = not known */
} rope_source;

static bool is_object(const pare_jval *v) { return v && pare_j_type(v) == PARE_J_OBJECT && pare_j_count(v) > 0; }

static const pare_jval *key(const rope_source *s, const char *name)
{
    const pare_jval *v = pare_j_get(s->block, name);
    return pare_j_type(v) != PARE_J_NULL ? v : pare_j_get(s->second, name);
}

static bool has(const rope_source *s, const char *name) { return pare_j_type(key(s, name)) != PARE_J_NULL; }

static double positive(pare_graph *g, const rope_source *s, const char *name, double or_else)
{
    const pare_jval *v = key(s, name);
    const bool number = pare_j_type(v) == PARE_J_INT || pare_j_type(v) == PARE_J_REAL;
    if (pare_j_type(v) == PARE_J_NULL && or_else > 0) return or_else;
    const double x = number ? pare_j_real(v, 0) : 0;
    if (x > 0 && x < 1e30) return x;
    if (pare_j_type(v) == PARE_J_NULL)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: the rotary embedding has no '%s'", name);
    else
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' of the rotary embedding is not a number above 0", name);
    return 1;
}

static rope_source find_source(pare_graph *g, const pare_jval *config, const char *layer_type)
{
    const pare_jval *old = pare_j_get(config, "rope_scaling"), *all = pare_j_get(config, "rope_parameters");
    const pare_jval *own = layer_type ? pare_j_get(all, layer_type) : all;
    rope_source s = {.config = config, .positions = pare_j_int(pare_j_get(config, "max_position_embeddings"), 0)};
    if (s.positions <= 0) s.positions = g->max_positions;
    /* Old Gemma 3 configs: rope_scaling is about the layers that see everything. */
    if (layer_type && strcmp(layer_type, "full_attention") != 0) old = NULL;
    s.block = is_object(old) ? old : is_object(own) ? own : NULL;
    /* The old block takes the place of the new one; with one a kind of layer it is laid over it. */
    s.second = layer_type && is_object(old) && is_object(own) ? own : NULL;
    return s;
}

/* Context that the model was trained with before it was stretched. */
static double original_context(pare_graph *g, const rope_source *s)
{
    static const char name[] = "original_max_position_embeddings";
    const pare_jval *top = pare_j_get(s->config, name);
    const int64_t n = pare_j_type(top) == PARE_J_INT ? pare_j_int(top, 0) : 0;
    return n > 1 ? (double)n : positive(g, s, name, (double)s->positions);
}

static float *plain(pare_graph *g, int64_t dim, double theta)
{
    float *f = pare_arena_alloc(&g->arena, (size_t)(dim / 2) * sizeof *f);
    if (!f) {
        pare_g_fail(g, PARE_ERR_MEMORY, "rotary embedding: no memory");
        return NULL;
    }
    for (int64_t i = 0; i < dim / 2; i++) f[i] = (float)(1 / pow(theta, (double)(2 * i) / (double)dim));
    return f;
}

static void scale_linear(pare_graph *g, const rope_source *s, float *f, int64_t n)
{
    const double factor = positive(g, s, "factor", 0);
    for (int64_t i = 0; i < n; i++) f[i] = (float)(f[i] / factor);
}

/* Llama 3.1: waves shorter than original/high stay, longer than original/low are stretched, those between are blended. */
static void scale_llama3(pare_graph *g, const rope_source *s, float *f, int64_t n)
{
    const double factor = positive(g, s, "factor", 0), low = positive(g, s, "low_freq_factor", 0), high = positive(g, s, "high_freq_factor", 0);
    const double original = original_context(g, s);
    if (!g->failed && high <= low)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: the rotary embedding has high_freq_factor %g, not above low_freq_factor %g", high, low);
    for (int64_t i = 0; i < n && !g->failed; i++) {
        const double wave = 2 * acos(-1) / f[i];
        if (wave < original / high) continue;
        const double keep = wave > original / low ? 0 : (original / wave - low) / (high - low);
        f[i] = (float)((1 - keep) * f[i] / factor + keep * f[i]);
    }
}

static double yarn_magnitude(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1; }

/* Dimension whose wave turns that often over the original context. */
static double yarn_dimension(double turns, double dim, double theta, double original)
{
    return dim * log(original / (turns * 2 * acos(-1))) / (2 * log(theta));
}

/* Peng et al., "YaRN", section 3.2 and 3.4. */
static float scale_yarn(pare_graph *g, const rope_source *s, float *f, int64_t dim, double theta)
{
    const double original = original_context(g, s);
    const double factor = positive(g, s, "factor", (double)s->positions / original);
    const double fast = positive(g, s, "beta_fast", 32), slow = positive(g, s, "beta_slow", 1);
    double low = yarn_dimension(fast, (double)dim, theta, original), high = yarn_dimension(slow, (double)dim, theta, original);
    if (theta <= 1) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: YaRN with rope_theta %g, not above 1", theta);
    if (g->failed) return 1;
    if (pare_j_bool(key(s, "truncate"), true)) low = floor(low), high = ceil(high);
    if (low < 0) low = 0;
    if (high > (double)(dim - 1)) high = (double)(dim - 1);
    if (low == high) high += 0.001;
    for (int64_t i = 0; i < dim / 2; i++) {
        const double at = ((double)i - low) / (high - low), ramp = at < 0 ? 0 : at > 1 ? 1 : at;
        f[i] = (float)(f[i] / factor * ramp + f[i] * (1 - ramp));
    }
    if (has(s, "attention_factor")) return (float)positive(g, s, "attention_factor", 0);
    const double m = pare_j_real(key(s, "mscale"), 0), all = pare_j_real(key(s, "mscale_all_dim"), 0);
    return (float)(m != 0 && all != 0 ? yarn_magnitude(factor, m) / yarn_magnitude(factor, all) : yarn_magnitude(factor, 1));
}

static float *divided(pare_graph *g, const rope_source *s, const char *name, int64_t dim, double theta)
{
    const pare_jval *list = key(s, name);
    float *f = plain(g, dim, theta);
    if (pare_j_type(list) != PARE_J_ARRAY || pare_j_count(list) != (size_t)(dim / 2))
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' of the rotary embedding has %zu numbers, expected %lld", name, pare_j_count(list), (long long)(dim / 2));
    for (int64_t i = 0; i < dim / 2 && !g->failed; i++) {
        const double x = pare_j_real(pare_j_at(list, (size_t)i), 0);
        if (!(x > 0 && x < 1e30))
            pare_g_fail(g, PARE_ERR_FORMAT, "config.json: '%s' of the rotary embedding holds %g, not a number above 0", name, x);
        else
            f[i] = (float)(f[i] / x);
    }
    return f;
}

/* Ding et al., "LongRoPE", as Phi-3 uses it. */
static void scale_longrope(pare_graph *g, const rope_source *s, int64_t dim, double theta, pare_rope *out)
{
    const double original = original_context(g, s);
    if (!(original > 1)) pare_g_fail(g, PARE_ERR_FORMAT, "config.json: LongRoPE with an original context of %g", original);
    if (g->failed) return;
    const double factor = positive(g, s, "factor", (double)s->positions / original);
    out->inv_freq = divided(g, s, "short_factor", dim, theta);
    out->long_inv_freq = divided(g, s, "long_factor", dim, theta);
    out->original = (int64_t)original;
    if (has(s, "attention_factor"))
        out->scale = (float)positive(g, s, "attention_factor", 0);
    else if (factor > 1)
        out->scale = (float)sqrt(1 + log(factor) / log(original));
    out->long_scale = out->scale;
}

/* Dynamic NTK: inside max_position_embeddings nothing changes. */
static void scale_dynamic(pare_graph *g, const rope_source *s, int64_t dim, pare_rope *out)
{
    out->factor = (float)positive(g, s, "factor", 0);
    out->original = s->positions;
    out->dynamic = true;
    if (s->positions < 1 || dim < 4)
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: a dynamic rotary embedding of %lld columns over %lld positions", (long long)dim, (long long)s->positions);
}

static const char *type_of(const rope_source *s)
{
    const char *second = pare_j_text(pare_j_get(s->second, "rope_type"), pare_j_text(pare_j_get(s->second, "type"), "default"));
    const char *type = pare_j_text(pare_j_get(s->block, "rope_type"), pare_j_text(pare_j_get(s->block, "type"), second));
    const bool phi3 = pare_j_type(key(s, "short_factor")) == PARE_J_ARRAY; /* early Phi-3 said "su" or "yarn" */
    return strcmp(type, "su") == 0 || (strcmp(type, "yarn") == 0 && phi3) ? "longrope" : type;
}

/* Rotated columns: as the caller says, or the config's part of the head. */
static int64_t rotated(pare_graph *g, const rope_source *s, int64_t head_dim, int64_t rotary_dim)
{
    if (rotary_dim <= 0) {
        const double own = pare_j_real(key(s, "partial_rotary_factor"), -1);
        const double part = own >= 0 ? own : pare_g_real(g, s->config, "partial_rotary_factor", 1, 0, 1);
        rotary_dim = part >= 0 && part <= 1 ? (int64_t)((double)head_dim * part) : -1;
    }
    if (rotary_dim < 2 || rotary_dim > head_dim || rotary_dim % 2 || head_dim > MAX_DIM) {
        pare_g_fail(g, PARE_ERR_FORMAT, "config.json: a rotary embedding of %lld of the %lld columns of a head", (long long)rotary_dim, (long long)head_dim);
        return 2;
    }
    return rotary_dim;
}

void pare_g_rope_of(pare_graph *g, const pare_jval *config, const char *layer_type, int64_t head_dim, int64_t rotary_dim, double theta, pare_rope *out)
{
    const rope_source s = find_source(g, config, layer_type);
    const char *type = type_of(&s);
    /* With one block a kind of layer the caller knows which value outside them is meant. */
    const double outside = layer_type ? theta : pare_g_real(g, config, "rope_theta", theta, 1e-6, 1e30);
    const double base = positive(g, &s, "rope_theta", outside);
    const int64_t dim = rotated(g, &s, head_dim, rotary_dim);
    memset(out, 0, sizeof *out);
    out->head_dim = head_dim;
    out->dim = dim;
    out->theta = (float)base;
    out->factor = out->scale = out->long_scale = 1;
    if (g->failed) return;
    float *f = plain(g, dim, base);
    if (!f) return;
    out->inv_freq = f;
    if (strcmp(type, "linear") == 0)
        scale_linear(g, &s, f, dim / 2);
    else if (strcmp(type, "dynamic") == 0)
        scale_dynamic(g, &s, dim, out);
    else if (strcmp(type, "llama3") == 0)
        scale_llama3(g, &s, f, dim / 2);
    else if (strcmp(type, "yarn") == 0)
        out->scale = scale_yarn(g, &s, f, dim, base);
    else if (strcmp(type, "longrope") == 0)
        scale_longrope(g, &s, dim, base, out);
    else if (strcmp(type, "default") != 0)
        pare_g_fail(g, PARE_ERR_UNSUPPORTED, "config.json: rotary embedding of type '%s' is not known (default, linear, dynamic, yarn, longrope, llama3)", type);
}
