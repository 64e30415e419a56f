/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What l_*.c files share: binding store tensors to layers, checking their parts, reading parts. Private to src/layout.
 */
#ifndef PARE_LAYOUT_BIND_H
#define PARE_LAYOUT_BIND_H
#include <string.h>
#include "layout/layout.h"

/* ------------------------------------------------------------------------------------------------------------ binding */
struct pare_bind {
    pare_ctx *ctx;                 /* for warnings; may be NULL */
    pare_store *store;
    const pare_jval *config;       /* the quantization dictionary, or NULL */
    const char *where;             /* where it was found, for messages: "config.json: quantization_config" */
    const char *method;            /* its quant_method in lower case (or what legacy keys imply), "" when there is none */
    bool method_read;              /* some layout took charge of that method */
    const pare_layout *layout;     /* the one that is binding now */
    int64_t *owner;                /* [n_tensors] index in list, -1 = free */
    PARE_VEC(pare_weight) list;
    pare_arena *arena;
};
/* True when `method` is the declared one, or none is declared; the layout then is in charge of that method's tensors. */
bool pare_bind_in_charge(pare_bind *b, const char *method);
/* Does t's name end in suffix (and start with something)? *n = length of the stem. */
bool pare_bind_stem(const pare_tensor *t, const char *suffix, size_t *n);
/* Store tensor "<stem><suffix>", -1 when absent. */
int64_t pare_bind_part(const pare_bind *b, const char *stem, size_t n, const char *suffix);
/* The same; absent: one error that names both. */
pare_status pare_bind_need(const pare_bind *b, const char *stem, size_t n, const char *suffix, int64_t *tensor, pare_err *err);
/*
 * Checks a part: dtype among the space-separated container names ("I32 U32"), rank and sizes (-1 in shape = any).
 * tensor -1 passes.
 */
pare_status pare_bind_expect(const pare_bind *b, int64_t tensor, const char *dtypes, int ndim, const int64_t *shape, pare_err *err);
#define PARE_FLOATS "F32 F16 BF16"
/* Adds a layer "<stem>.weight"; the caller has filled ndim, shape, dtype, scheme (but its name), zero_kind, part, n_parts, info. */
pare_status pare_bind_add(pare_bind *b, const char *stem, size_t n, const pare_weight *weight, pare_err *err);
/* After binding: a tensor nobody took that ends in one of these suffixes (NULL-terminated) is an error: its layer has no `main`. */
pare_status pare_bind_no_orphans(const pare_bind *b, const char *const *suffixes, const char *main, pare_err *err);
#define pare_bind_warn(b, ...) \
    do { \
        if ((b)->ctx) pare_log((b)->ctx, PARE_LOG_WARNING, __VA_ARGS__); \
    } while (0)
/* The quantization dictionary of a checkpoint; *doc is set when it came from a file of its own. config NULL: there is none. */
pare_status pare_bind_find_config(pare_bind *b, pare_jdoc **doc, pare_err *err);
/* What the configuration says of the key/value cache; and is this a name of its scales? kv_cache.c */
void pare_bind_kv(pare_bind *b, pare_kvscheme *out);
bool pare_kv_scale_name(const char *name);
/* Integer under any of the given keys (NULL-terminated synonyms). */
int64_t pare_bind_int(const pare_jval *config, const char *const *keys, int64_t or_else);

/* Scheme of a layer that was read: integer codes, activations left alone. */
void pare_scheme_read(pare_scheme *s, int bits, bool symmetric, pare_granularity granularity, int64_t group_size, pare_dtype scale_dtype);

/* ------------------------------------------------------------------------------------------------------------ reading */
/* Bytes of a part; NULL when absent. */
pare_status pare_layer_part(const pare_weights *w, const pare_weight *layer, int slot, const uint8_t **data, pare_err *err);
/* n values from element `first` of a float part. */
pare_status pare_layer_floats(const pare_weights *w, const pare_weight *layer, int slot, int64_t first, int64_t n, float *out, pare_err *err);
/* out[r * groups + g] = part [groups, total][g, row0 + r]: scales stored transposed. */
pare_status pare_layer_floats_t(const pare_weights *w, const pare_weight *layer, int slot, int64_t groups, int64_t total, int64_t row0,
                                int64_t rows, float *out, pare_err *err);
/*
 * A view of rows whose codes lie row after row in `main` (row_bytes each) and whose scales are [rows, groups] (or one for all when shared) in
 * `scale`: false when a part is missing or the scales are in no dtype that kernels read.
 */
bool pare_layer_view(const pare_weights *w, const pare_weight *layer, int main, int scale, pare_wkind kind, int64_t row_bytes, int64_t group, int64_t groups,
                     bool shared, int64_t row0, int64_t rows, pare_wmat *out);
/* g_idx: checks 0 <= v < groups; leaves q->g_idx NULL when it is i / group everywhere. */
pare_status pare_layer_g_idx(const pare_weights *w, const pare_weight *layer, int slot, int64_t groups, int64_t group, pare_qtensor *q,
                             pare_err *err);

/* ------------------------------------------------------------------------------------------------------------ writing */
pare_part pare_part_make(const char *suffix, pare_dtype dtype, pare_part_place place, int64_t unit_rows, int ndim, int64_t d0, int64_t d1);
/* f32 -> stored dtype, contiguous. */
void pare_put_floats(const pare_kernels *k, pare_dtype dtype, const float *src, int64_t n, uint8_t *dst);
/* dst [groups, total] at columns row0 ...: src [rows, groups]. */
void pare_put_floats_t(const pare_kernels *k, pare_dtype dtype, const float *src, int64_t rows, int64_t groups, int64_t row0, int64_t total,
                       uint8_t *dst);
/* Codes as signed bytes, code - 2^(bits-1), and back; back is false when a byte is outside the range of `bits`. */
void pare_codes_to_signed(const uint8_t *codes, int64_t n, int bits, uint8_t *dst);
bool pare_codes_from_signed(const uint8_t *src, int64_t n, int bits, uint8_t *codes);
/* Scale dtype that follows the model: itself for f32, f16, bf16; else f32. */
pare_dtype pare_scale_dtype_of(pare_dtype model_dtype);
/* A language model's tied head has no tensor of its own, yet loaders see a Linear of that name: it belongs to what is left in float. */
bool pare_layout_silent_head(const pare_layout_job *job);
/* Refusals that several layouts share. */
pare_status pare_refuse_matrix(const char *layout, const char *name, int ndim, const int64_t *shape, pare_err *err);
/* "[3, 4]" for messages. */
const char *pare_shape_text(int ndim, const int64_t *shape, char out[96]);
/* Channel on axis 0, or group along the input channels: what checkpoint layouts of matrices know. */
bool pare_scheme_per_row(const pare_scheme *s);
bool pare_scheme_grouped(const pare_scheme *s, int ndim);
/* Groups per row of a channel, group or tensor scheme. */
int64_t pare_scheme_groups(const pare_scheme *s, int64_t cols);
/* Integers with whole zero points or 8-bit floats, scales in f32, f16 or bf16: what layouts store that know no other codes. */
bool pare_scheme_plain(const pare_scheme *s);
/* The group_size member that most formats share: -1 = per channel. */
int64_t pare_scheme_group_field(const pare_scheme *s);

/* Unaligned little-endian words, inlined (compilers make one load or store of each). */
static inline uint32_t pare_word_get(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline void pare_word_put(uint8_t *p, uint32_t v)
{
    const uint8_t bytes[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };
    memcpy(p, bytes, 4);
}

static inline float pare_le32f(const uint8_t *p)
{
    const uint32_t v = pare_word_get(p);
    float f;
    memcpy(&f, &v, 4);
    return f;
}
static inline void pare_put_le32f(uint8_t *p, float f)
{
    uint32_t v;
    memcpy(&v, &f, 4);
    pare_word_put(p, v);
}

/* ------------------------------------------------------------------------------------------------- tiles (tile.c) */
/*
 * Codes [rows, cols] packed under P1 along each row; word j of row r goes to dst[(j * stride + r) * 4]: GPTQ's transposed
 * qweight, written straight into columns of the whole matrix. And back.
 */
void pare_tile_pack_t(const pare_kernels *k, int bits, int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst, int64_t stride);
void pare_tile_unpack_t(const pare_kernels *k, int bits, int64_t rows, int64_t cols, const uint8_t *src, int64_t stride, uint8_t *codes);
/* Codes [rows, cols], 4 bit, rows in eights under P5: word for rows 8j ... 8j+7 and column i goes to dst[(i * stride + j) * 4]. And back. */
void pare_tile_pack_awq(int64_t rows, int64_t cols, const uint8_t *codes, uint8_t *dst, int64_t stride);
void pare_tile_unpack_awq(int64_t rows, int64_t cols, const uint8_t *src, int64_t stride, uint8_t *codes);
/*
 * P1 over values that lie apart, into words that lie apart (zero points): value i is values[i * value_stride] - minus; word j is
 * at dst + j * word_stride * 4. Writes pare_lsb_words(bits, n) words.
 */
void pare_strip_pack(int bits, int64_t n, const int32_t *values, int64_t value_stride, int32_t minus, uint8_t *dst, int64_t word_stride);
/* Fields first ... first+n-1 of a strip of `words` words into out[i * out_stride]. */
void pare_strip_unpack(int bits, int64_t first, int64_t n, const uint8_t *src, int64_t word_stride, int32_t *out, int64_t out_stride);
#endif
