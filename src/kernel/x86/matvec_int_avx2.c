/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matvec_int with AVX2: two rows at a time, 128 columns (a block) after the other, all tokens over one panel of columns while its weights
 * are in the first cache. Bytes of weights stay in their order: masks and shifts give planes, which meet planes of activations.
 *
 *   U4        2 x 32 bytes a block: nibbles, vpmaddubsw (at most 15 * 128 * 2 * 2 in 16 bits), vpmaddwd with 1
 *   U3 U2     32 (+ 16) bytes a block: four planes of 2 bits (+ the third bit moved to bit 2)
 *   I8 U8     4 x 32 bytes a block: widened to 16 bits, zero point subtracted, vpmaddwd
 *
 * A lane of wmat.h is a 32-bit lane here: 0 ... 7 in the first vector, 8 ... 15 in the second (U3 U2: of even and odd blocks). Zero points
 * of U4, U3 and U2 enter as V - zero * (sum of q in the lane). Groups that do not begin where lanes do are left to the reference.
 */
#include <immintrin.h>
#include "kernel/ref/matvec_rows.h"
#include "kernel/variants.h"

enum { PANEL = 32 }; /* blocks */
enum { MIDDLE, ZEROS, SHIFTS };

/* Scales and zero points of one row in one panel: one a block, or one a lane (16 a block; U3 U2: 8). */
typedef struct panel { float scale[PANEL * 64 + 8]; int32_t zero[PANEL * 64 + 8]; float shift[PANEL * 64 + 8]; } panel;

/* What a block loop works on: blocks [b0, b1) of the panel, of two rows that have block b0 at w[0] and w[1]. */
typedef struct span {
    const uint8_t *w[2];
    const uint8_t *q;            /* limbs of the token from the panel's begin on */
    const int32_t *sum;
    const float *x_scale;
    const panel *p[2];
    int64_t b0, b1, units;       /* units: of bytes that share a scale when lanes have their own, 1 or 2 */
    int64_t ahead;               /* ahead: bytes from a place in a row to one that is needed some time later */
    __m256 *acc;                 /* [row][2] */
} span;

#define INLINE static inline __attribute__((always_inline))
#define LOAD(at) _mm256_loadu_si256((const __m256i *)(const void *)(at))

INLINE __m256i low_bits(__m256i v, int shift, int mask)
{
    return _mm256_and_si256(shift ? _mm256_srli_epi16(v, shift) : v, _mm256_set1_epi8((char)mask));
}

/* Term of one vector: acc + (float)v * s, minus (float)sum * shift. `lane` points into the panel's arrays. */
INLINE __m256 add_term(__m256 acc, __m256i v, __m256i sum, const panel *p, int64_t lane, const int lanes, const int zero, int middle, __m256 x_scale, const int each)
{
    if (zero == MIDDLE) v = _mm256_sub_epi32(v, _mm256_slli_epi32(sum, middle));
    if (zero == ZEROS) {
        const __m256i z = lanes ? LOAD(p->zero + lane) : _mm256_set1_epi32(p->zero[lane]);
        v = _mm256_sub_epi32(v, _mm256_mullo_epi32(z, sum));
    }
    __m256 s = x_scale;
    if (each) s = _mm256_mul_ps(x_scale, lanes ? _mm256_loadu_ps(p->scale + lane) : _mm256_broadcast_ss(p->scale + lane));
    acc = _mm256_add_ps(acc, _mm256_mul_ps(_mm256_cvtepi32_ps(v), s));
    if (zero == SHIFTS) {
        const __m256 t = _mm256_mul_ps(lanes ? _mm256_loadu_ps(p->shift + lane) : _mm256_broadcast_ss(p->shift + lane), x_scale);
        acc = _mm256_sub_ps(acc, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), t));
    }
    return acc;
}

/* planes of codes times planes of q, all limbs, as exact 32-bit lanes. q: bytes between planes 64, between limbs 64 * planes. */
INLINE __m256i dot_planes(const __m256i *u, const int planes, const uint8_t *q, const int limbs)
{
    const __m256i ones = _mm256_set1_epi16(1), many = _mm256_set1_epi16(256);
    __m256i v = _mm256_setzero_si256();
    for (int limb = 0; limb < limbs; limb++) {
        __m256i m = _mm256_maddubs_epi16(u[0], LOAD(q + limb * planes * 64));
        for (int i = 1; i < planes; i++) m = _mm256_add_epi16(m, _mm256_maddubs_epi16(u[i], LOAD(q + (limb * planes + i) * 64)));
        if (limb == 0) v = _mm256_madd_epi16(m, limbs == 1 ? ones : many);
        else if (limb == 1) v = _mm256_slli_epi32(_mm256_add_epi32(v, _mm256_madd_epi16(m, ones)), 8);
        else v = _mm256_add_epi32(v, _mm256_madd_epi16(m, ones));
    }
    return v;
}

/* Does a group that is no multiple of a block put one scale into every lane? */
static bool lanes_fit(const pare_wmat *w)
{
    if (w->groups <= 1 || w->group % PARE_ACT_BLOCK == 0) return true;
    if (pare_wkind_bytes(w->kind)) return w->group == 64 || (w->group <= 32 && w->group % 2 == 0 && 32 % w->group == 0); /* a unit has 32 columns */
    return w->group % (w->kind == PARE_W_U4 ? 8 : 16) == 0;
}

/* -------------------------------------------------------------------------------------------------------------- 4 bits */

INLINE void blocks_u4(const span *s, const int limbs, const int lanes, const int zero, const int each)
{
    __m256 acc[2][2] = { { s->acc[0], s->acc[1] }, { s->acc[2], s->acc[3] } };
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 128;
        const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
        for (int h = 0; h < 2; h++) {
            const __m256i sum = LOAD(s->sum + b * 16 + h * 8);
            for (int r = 0; r < 2; r++) {
                const uint8_t *at = s->w[r] + (b - s->b0) * 64 + h * 32;
                const __m256i w = LOAD(at), u[2] = { low_bits(w, 0, 15), low_bits(w, 4, 15) };
                if (h == 0) _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
                const __m256i v = dot_planes(u, 2, q + h * 32, limbs);
                acc[r][h] = add_term(acc[r][h], v, sum, s->p[r], lanes ? b * 16 + h * 8 : b, lanes, zero, 3, x_scale, each);
            }
        }
    }
    for (int i = 0; i < 4; i++) s->acc[i] = acc[i / 2][i % 2];
}

/* --------------------------------------------------------------------------------------------------------- 3 and 2 bits */

/* The four planes of a block: 2 low bits of each code, with the third bit above them. */
INLINE void planes_of(const uint8_t *at, const int bits, __m256i u[4])
{
    const __m256i w = LOAD(at);
    for (int p = 0; p < 4; p++) u[p] = low_bits(w, 2 * p, 3);
    if (bits == 2) return;
    /* bit 4 (j % 2) + p of byte j / 2 belongs to byte j of plane p: nibbles to bytes, in order */
    const __m256i two = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(at + 32)));
    const __m256i each = _mm256_shuffle_epi8(two, _mm256_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15));
    const __m256i high = _mm256_blendv_epi8(each, _mm256_srli_epi16(each, 4), _mm256_set1_epi16((short)0xff00));
    const __m256i four = _mm256_set1_epi8(4);
    u[0] = _mm256_or_si256(u[0], _mm256_and_si256(_mm256_slli_epi16(high, 2), four));
    u[1] = _mm256_or_si256(u[1], _mm256_and_si256(_mm256_add_epi8(high, high), four));
    u[2] = _mm256_or_si256(u[2], _mm256_and_si256(high, four));
    u[3] = _mm256_or_si256(u[3], _mm256_and_si256(_mm256_srli_epi16(high, 1), four));
}

INLINE void blocks_u3u2(const span *s, const int bits, const int limbs, const int lanes, const int zero, const int each)
{
    const int bytes = bits == 3 ? 48 : 32;
    __m256 acc[2][2] = { { s->acc[0], s->acc[1] }, { s->acc[2], s->acc[3] } };
    for (int64_t pair = s->b0 & -2; pair < s->b1; pair += 2)
        for (int h = 0; h < 2; h++) {
            const int64_t b = pair + h;
            if (b < s->b0 || b >= s->b1) continue;
            const uint8_t *q = s->q + pair / 2 * limbs * 256 + h * 32;
            const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
            const __m256i sum = LOAD(s->sum + b * 8);
            for (int r = 0; r < 2; r++) {
                __m256i u[4];
                const uint8_t *at = s->w[r] + (b - s->b0) * bytes;
                planes_of(at, bits, u);
                if (bits == 3 || h == 0) _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
                const __m256i v = dot_planes(u, 4, q, limbs);
                acc[r][h] = add_term(acc[r][h], v, sum, s->p[r], lanes ? b * 8 : b, lanes, zero, bits - 1, x_scale, each);
            }
        }
    for (int i = 0; i < 4; i++) s->acc[i] = acc[i / 2][i % 2];
}

/* -------------------------------------------------------------------------------------------------------------- 8 bits */

INLINE __m256i widen(const uint8_t *at, const int is_signed)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
    return is_signed ? _mm256_cvtepi8_epi16(v) : _mm256_cvtepu8_epi16(v);
}

/* zero: of U8 without zero points the middle is subtracted like any other; z holds pairs of int16. */
INLINE void blocks_8(const span *s, const int is_signed, const int limbs, const int lanes, const int zero, const int each)
{
    const __m256 high = _mm256_set1_ps(16384.0f);
    __m256 acc[2][2] = { { s->acc[0], s->acc[1] }, { s->acc[2], s->acc[3] } };
    for (int64_t b = s->b0; b < s->b1; b++) {
        const uint8_t *q = s->q + b * limbs * 256;
        const __m256 x_scale = _mm256_broadcast_ss(s->x_scale + b);
        for (int r = 0; r < 2; r++) {
            const uint8_t *at = s->w[r] + (b - s->b0) * 128;
            _mm_prefetch((const char *)at + s->ahead, _MM_HINT_T0);
            _mm_prefetch((const char *)at + s->ahead + 64, _MM_HINT_T0);
            __m256i v[2][2] = { { _mm256_setzero_si256(), _mm256_setzero_si256() }, { _mm256_setzero_si256(), _mm256_setzero_si256() } };
            for (int unit = 0; unit < 4; unit++)
                for (int h = 0; h < 2; h++) {
                    __m256i w = widen(at + unit * 32 + h * 16, is_signed);
                    const int64_t lane = lanes ? (b * 4 + unit) * 16 + h * 8 : b;
                    if (zero == ZEROS) w = _mm256_sub_epi16(w, lanes ? LOAD(s->p[r]->zero + lane) : _mm256_set1_epi32(s->p[r]->zero[b]));
                    else if (!is_signed && zero == MIDDLE) w = _mm256_sub_epi16(w, _mm256_set1_epi16(128));
                    for (int limb = 0; limb < limbs; limb++)
                        v[limb][h] = _mm256_add_epi32(v[limb][h], _mm256_madd_epi16(w, LOAD(q + (unit * limbs + limb) * 64 + h * 32)));
                    if (unit % (lanes ? s->units : 4) != (lanes ? s->units : 4) - 1) continue;
                    __m256 f = _mm256_cvtepi32_ps(v[0][h]), scale = x_scale;
                    if (limbs > 1) f = _mm256_add_ps(_mm256_mul_ps(f, high), _mm256_cvtepi32_ps(v[1][h]));
                    if (each) scale = _mm256_mul_ps(x_scale, lanes ? _mm256_loadu_ps(s->p[r]->scale + lane) : _mm256_broadcast_ss(s->p[r]->scale + b));
                    acc[r][h] = _mm256_add_ps(acc[r][h], _mm256_mul_ps(f, scale));
                    v[0][h] = v[1][h] = _mm256_setzero_si256();
                }
        }
    }
    for (int i = 0; i < 4; i++) s->acc[i] = acc[i / 2][i % 2];
}

/* ------------------------------------------------------------------------------------------------------------- dispatch */

typedef void (*blocks_fn)(const span *s);

#define FAMILY(name, call)                                                        \
    static void name##_0(const span *s) { call(0, MIDDLE, 0); }                   \
    static void name##_1(const span *s) { call(0, MIDDLE, 1); }                   \
    static void name##_2(const span *s) { call(1, MIDDLE, 1); }                   \
    static void name##_3(const span *s) { call(0, ZEROS, 0); }                    \
    static void name##_4(const span *s) { call(0, ZEROS, 1); }                    \
    static void name##_5(const span *s) { call(1, ZEROS, 1); }                    \
    static void name##_6(const span *s) { call(0, SHIFTS, 1); }                   \
    static void name##_7(const span *s) { call(1, SHIFTS, 1); }                   \
    static const blocks_fn name[8] = { name##_0, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7 };
#define U4_1(lanes, zero, each) blocks_u4(s, 1, lanes, zero, each)
#define U4_3(lanes, zero, each) blocks_u4(s, 3, lanes, zero, each)
#define U3_1(lanes, zero, each) blocks_u3u2(s, 3, 1, lanes, zero, each)
#define U3_3(lanes, zero, each) blocks_u3u2(s, 3, 3, lanes, zero, each)
#define U2_1(lanes, zero, each) blocks_u3u2(s, 2, 1, lanes, zero, each)
#define U2_3(lanes, zero, each) blocks_u3u2(s, 2, 3, lanes, zero, each)
#define I8_1(lanes, zero, each) blocks_8(s, 1, 1, lanes, zero, each)
#define I8_2(lanes, zero, each) blocks_8(s, 1, 2, lanes, zero, each)
#define U8_1(lanes, zero, each) blocks_8(s, 0, 1, lanes, zero, each)
#define U8_2(lanes, zero, each) blocks_8(s, 0, 2, lanes, zero, each)
FAMILY(u4_1, U4_1)
FAMILY(u4_3, U4_3)
FAMILY(u3_1, U3_1)
FAMILY(u3_3, U3_3)
FAMILY(u2_1, U2_1)
FAMILY(u2_3, U2_3)
FAMILY(i8_1, I8_1)
FAMILY(i8_2, I8_2)
FAMILY(u8_1, U8_1)
FAMILY(u8_2, U8_2)

static const blocks_fn *family_of(pare_wkind kind, int limbs)
{
    switch (kind) {
    case PARE_W_U4: return limbs == 1 ? u4_1 : u4_3;
    case PARE_W_U3: return limbs == 1 ? u3_1 : u3_3;
    case PARE_W_U2: return limbs == 1 ? u2_1 : u2_3;
    case PARE_W_I8: return limbs == 1 ? i8_1 : i8_2;
    default: return limbs == 1 ? u8_1 : u8_2;
    }
}

/* ----------------------------------------------------------------------------------------------------------------- rows */

/* n scales as f32. */
static void scales_of(const pare_wmat *w, int64_t at, int64_t n, float *out)
{
    const uint8_t *from = (const uint8_t *)w->scale + at * (w->scale_dtype == PARE_F32 ? 4 : 2);
    int64_t i = 0;
    if (w->scale_dtype == PARE_F32) memcpy(out, from, (size_t)n * 4), i = n;
    for (; i + 8 <= n; i += 8) {
        const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(from + i * 2));
        _mm256_storeu_ps(out + i, w->scale_dtype == PARE_F16 ? _mm256_cvtph_ps(h) : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)));
    }
    for (; i < n; i++) out[i] = pare_wmat_scale(w, at + i);
}

/* Zero points: of byte kinds as pairs of int16, in the domain of stored bytes. */
static void zeros_of(const pare_wmat *w, int64_t at, int64_t n, int32_t *out)
{
    const int32_t offset = w->kind == PARE_W_I8 ? 128 : 0, pair = pare_wkind_bytes(w->kind) ? 0x10001 : 1, mask = pare_wkind_bytes(w->kind) ? 0xffff : 0xff;
    for (int64_t i = 0; i < n; i++) out[i] = ((w->zero[at + i] - offset) & mask) * pair;
}

/* Every one of n values `times` times, into room for 8 more. */
static void spread(const void *from, int64_t n, int64_t times, void *to)
{
    const int32_t *in = from;
    int32_t *out = to;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < times; j += 8) _mm256_storeu_si256((__m256i *)(void *)(out + i * times + j), _mm256_set1_epi32(in[i]));
}

/* What row r needs of block b0 and the n - 1 behind it; what lies behind the row is 0. */
static void fill_panel(const pare_wmat *w, int64_t r, int64_t b0, int64_t n, bool lanes, panel *p)
{
    const int64_t first = r / w->scale_rows * w->groups, width = pare_wkind_bytes(w->kind) ? 2 : w->kind == PARE_W_U4 ? 8 : 16;
    const int64_t step = lanes ? width : PARE_ACT_BLOCK, each = n * (PARE_ACT_BLOCK / step), group = w->groups > 1 ? w->group : w->cols;
    int64_t c = b0 * PARE_ACT_BLOCK, g = c / group;
    if (group % step == 0 && group / step * step == group && (group == step || (lanes && PARE_ACT_BLOCK % group == 0))) {
        float f[PANEL * 64];
        int32_t z[PANEL * 64];
        const int64_t times = group / step, most = each / times, have = w->groups - g < most ? w->groups - g : most;
        memset(f + have, 0, (size_t)(most - have) * 4);
        scales_of(w, first + g, have, f);
        spread(f, most, times, p->scale);
        memset(z + have, 0, (size_t)(most - have) * 4);
        if (w->zero) zeros_of(w, first + g, have, z), spread(z, most, times, p->zero);
        if (w->shift) memcpy(f, w->shift + first + g, (size_t)have * 4), spread(f, most, times, p->shift);
        return;
    }
    for (int64_t i = 0; i < each; i++, c += step) {
        p->scale[i] = p->shift[i] = 0.0f;
        p->zero[i] = 0;
        if (c >= w->cols) continue;
        while (c >= (g + 1) * group) g++;
        p->scale[i] = pare_wmat_scale(w, first + g);
        if (w->zero) zeros_of(w, first + g, 1, &p->zero[i]);
        if (w->shift) p->shift[i] = w->shift[first + g];
    }
}

static float finish(const __m256 *acc, float row_scale, bool each)
{
    float lanes[16];
    _mm256_storeu_ps(lanes, acc[0]);
    _mm256_storeu_ps(lanes + 8, acc[1]);
    const float sum = pare_lanes_sum(lanes);
    return each ? sum : sum * row_scale;
}

void pare_matvec_int_avx2(const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x, float *y, int64_t y_stride)
{
    enum { TOKENS = 8 };
    const bool bytes = pare_wkind_bytes(w->kind), each = w->groups > 1 || w->shift, lanes = w->groups > 1 && w->group % PARE_ACT_BLOCK != 0;
    if (!lanes_fit(w) || (bytes && w->shift)) {
        pare_matvec_int_rows(w, row0, rows, x, y, y_stride);
        return;
    }
    const blocks_fn run = family_of(w->kind, x->limbs)[w->shift ? 6 + lanes : (w->zero ? 3 : 0) + (lanes ? 2 : each ? 1 : 0)];
    const int64_t block_bytes = bytes ? 128 : w->kind == PARE_W_U4 ? 64 : w->kind == PARE_W_U3 ? 48 : 32;
    const int64_t whole = w->kind == PARE_W_U3 ? x->blocks : w->cols / PARE_ACT_BLOCK, block_q = x->limbs * (bytes ? 256 : 128), block_sums = w->kind == PARE_W_U4 ? 16 : 8;
    const int64_t last = w->cols - whole * PARE_ACT_BLOCK, last_bytes = bytes ? last : w->kind == PARE_W_U4 ? (last + 1) / 2 : (last + 3) / 4;
    panel panels[2];
    for (int64_t t0 = 0; t0 < x->n; t0 += TOKENS) {
        const int64_t tokens = x->n - t0 < TOKENS ? x->n - t0 : TOKENS;
        for (int64_t r = 0; r < rows; r += 2) {
            const int64_t pair[2] = { row0 + r, row0 + r + (r + 1 < rows) };
            const uint8_t *row[2] = { w->data + pair[0] * w->row_bytes, w->data + pair[1] * w->row_bytes };
            uint8_t tail[2][128];
            __m256 acc[TOKENS][4];
            for (int64_t t = 0; t < tokens; t++)
                for (int i = 0; i < 4; i++) acc[t][i] = _mm256_setzero_ps();
            for (int64_t b0 = 0; b0 < x->blocks; b0 += PANEL) {
                const int64_t n = x->blocks - b0 < PANEL ? x->blocks - b0 : PANEL, n_whole = whole - b0 < n ? whole - b0 : n;
                span s = { .p = { &panels[0], &panels[1] }, .units = w->group == 64 ? 2 : 1, .ahead = w->row_bytes < 4096 ? 2 * w->row_bytes : 4096 };
                for (int i = 0; i < 2; i++) {
                    if (each || w->zero) fill_panel(w, pair[i], b0, n, lanes, &panels[i]);
                    if (n_whole == n) continue;
                    memset(tail[i], 0, sizeof tail[i]);
                    memcpy(tail[i], row[i] + whole * block_bytes, (size_t)last_bytes);
                }
                for (int64_t t = 0; t < tokens; t++) {
                    s.q = (const uint8_t *)x->q + (t0 + t) * x->q_stride + b0 * block_q;
                    s.sum = x->sum ? x->sum + (t0 + t) * x->sum_stride + b0 * block_sums : NULL;
                    s.x_scale = x->scale + (t0 + t) * x->scale_stride + b0;
                    s.acc = acc[t];
                    s.w[0] = row[0] + b0 * block_bytes, s.w[1] = row[1] + b0 * block_bytes;
                    s.b0 = 0, s.b1 = n_whole;
                    run(&s);
                    if (n_whole == n) continue;
                    s.b0 = n_whole, s.b1 = n;
                    s.w[0] = tail[0], s.w[1] = tail[1];
                    run(&s);
                }
            }
            for (int64_t t = 0; t < tokens; t++)
                for (int i = 0; i < 2 && r + i < rows; i++)
                    y[(t0 + t) * y_stride + r + i] = finish(&acc[t][2 * i], each ? 1.0f : pare_wmat_scale(w, pair[i] / w->scale_rows * w->groups), each);
        }
    }
}
