/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What matvec_int with 256 and 512 bits share: the loop over rows, panels of columns and tokens, scales and zero points of a panel, and
 * the table of block loops. The including file says how many rows go together, and whether values of a panel lie as close as groups of
 * columns do and the block loop brings them to their lanes, or there is one for every lane: enum { ROWS, PACKED }.
 *
 * The ROWS rows are not neighbours but lie rows / ROWS apart, so that each is a stream of its own through memory, which goes on where its
 * row ends: what prefetchers can follow (kernel/ref/roof_read.c). The block loops ask for what lies AHEAD bytes on in a stream.
 */
#ifndef PARE_KERNEL_X86_MATVEC_INT_H
#define PARE_KERNEL_X86_MATVEC_INT_H
#include <immintrin.h>
#include "kernel/ref/matvec_rows.h"
#include "kernel/variants.h"

#define INLINE static inline __attribute__((always_inline))
enum { PANEL = 32, AHEAD = 1024 }; /* blocks, bytes */
enum { MIDDLE, ZEROS, SHIFTS };

/* Scales and zero points of one row in one panel: one a block, or one a lane (16 a block; U3 U2: 8), or, PACKED, one for 1 << step columns. */
typedef struct panel { float scale[PANEL * 64 + 8]; int32_t zero[PANEL * 64 + 8]; float shift[PANEL * 64 + 8]; } panel;

/* What a block loop works on: blocks [b0, b1) of the panel, of ROWS rows that have block b0 at w, w + apart, w + 2 apart .... */
typedef struct span {
    const uint8_t *w;
    int64_t apart;
    const uint8_t *q;            /* limbs of the token from the panel's begin on */
    const int32_t *sum;
    const float *x_scale;
    const panel *p;              /* [ROWS] */
    int64_t b0, b1, units;       /* units: of bytes that share a scale when lanes have their own, 1 or 2 */
    int step;                    /* PACKED */
    const int32_t *lane_at;      /* PACKED: where, from a unit's first value on, that of a lane lies */
    float (*acc)[16];
} span;

typedef void (*blocks_fn)(const span *s);

/* The sums of ROWS rows from their lanes, as pare_lanes_sum(). */
static void sums_of_rows(float (*acc)[16], float *sums);

/* Does a group that is no multiple of a block put one scale into every lane? */
static inline bool lanes_fit(const pare_wmat *w)
{
    if (w->groups <= 1 || w->group % PARE_ACT_BLOCK == 0) return true;
    if (pare_wkind_bytes(w->kind)) return w->group == 64 || (w->group <= 32 && w->group % 2 == 0 && 32 % w->group == 0); /* a unit has 32 columns */
    return w->group % (w->kind == PARE_W_U4 ? 8 : 16) == 0;
}

/* ------------------------------------------------------------------------------------------------------------- dispatch */

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
/* All families, and which serves a kind. */
#define FAMILIES \
    FAMILY(u4_1, U4_1) \
    FAMILY(u4_3, U4_3) \
    FAMILY(u3_1, U3_1) \
    FAMILY(u3_3, U3_3) \
    FAMILY(u2_1, U2_1) \
    FAMILY(u2_3, U2_3) \
    FAMILY(i8_1, I8_1) \
    FAMILY(i8_2, I8_2) \
    FAMILY(u8_1, U8_1) \
    FAMILY(u8_2, U8_2) \
    static const blocks_fn *family_of(pare_wkind kind, int limbs) \
    { \
        switch (kind) { \
        case PARE_W_U4: return limbs == 1 ? u4_1 : u4_3; \
        case PARE_W_U3: return limbs == 1 ? u3_1 : u3_3; \
        case PARE_W_U2: return limbs == 1 ? u2_1 : u2_3; \
        case PARE_W_I8: return limbs == 1 ? i8_1 : i8_2; \
        default: return limbs == 1 ? u8_1 : u8_2; \
        } \
    }

/* ----------------------------------------------------------------------------------------------------------------- rows */

/* n scales as f32. */
static inline void scales_of(const pare_wmat *w, int64_t at, int64_t n, float *out)
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
static inline void zeros_of(const pare_wmat *w, int64_t at, int64_t n, int32_t *out)
{
    const uint32_t offset = w->kind == PARE_W_I8 ? 128 : 0, pair = pare_wkind_bytes(w->kind) ? 0x10001 : 1, mask = pare_wkind_bytes(w->kind) ? 0xffff : 0xff;
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)(((w->zero[at + i] - offset) & mask) * pair);
}

/* Every one of n values `times` times, into room for 8 more. */
static inline void spread(const void *from, int64_t n, int64_t times, void *to)
{
    const int32_t *in = from;
    int32_t *out = to;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < times; j += 8) _mm256_storeu_si256((__m256i *)(void *)(out + i * times + j), _mm256_set1_epi32(in[i]));
}

/* How scales meet lanes: columns a value of the panel stands for, values a block, values a group when groups are plain to spread (else 0). */
typedef struct spacing { int64_t step, each, times, group; } spacing;

static inline int64_t lane_columns(pare_wkind kind) { return pare_wkind_bytes(kind) ? 2 : kind == PARE_W_U4 ? 8 : 16; }

static inline spacing spacing_of(const pare_wmat *w, bool lanes)
{
    const int64_t width = lane_columns(w->kind);
    spacing s = { .step = lanes ? width : PARE_ACT_BLOCK, .group = w->groups > 1 ? w->group : w->cols };
    if (PACKED && lanes && PARE_ACT_BLOCK % s.group == 0) s.step = s.group;
    s.each = PARE_ACT_BLOCK / s.step;
    if (w->groups > 1 && (lanes ? PARE_ACT_BLOCK % s.group == 0 && s.group % s.step == 0 : s.group == PARE_ACT_BLOCK)) s.times = s.group / s.step;
    return s;
}

/* What a row (its first scale is number `first`) needs of block b0 and the n - 1 behind it; what lies behind the row is 0. */
static inline void fill_panel(const pare_wmat *w, int64_t first, int64_t b0, int64_t n, const spacing *sp, panel *p)
{
    int64_t c = b0 * PARE_ACT_BLOCK, g = b0 ? c / sp->group : 0;
    const int64_t all = n * sp->each;
    if (sp->times) {
        float f[PANEL * 64];
        int32_t z[PANEL * 64];
        const int64_t most = sp->times == 1 ? all : all / sp->times, have = w->groups - g < most ? w->groups - g : most;
        float *scale = sp->times == 1 ? p->scale : f;
        int32_t *zero = sp->times == 1 ? p->zero : z;
        scales_of(w, first + g, have, scale);
        for (int64_t i = have; i < most; i++) scale[i] = 0.0f;
        if (w->zero) {
            zeros_of(w, first + g, have, zero);
            for (int64_t i = have; i < most; i++) zero[i] = 0;
        }
        if (sp->times > 1) spread(f, most, sp->times, p->scale);
        if (sp->times > 1 && w->zero) spread(z, most, sp->times, p->zero);
        if (!w->shift) return;
        float *shift = sp->times == 1 ? p->shift : f;
        memcpy(shift, w->shift + first + g, (size_t)have * 4);
        for (int64_t i = have; i < most; i++) shift[i] = 0.0f;
        if (sp->times > 1) spread(f, most, sp->times, p->shift);
        return;
    }
    for (int64_t i = 0; i < all; i++, c += sp->step) {
        p->scale[i] = p->shift[i] = 0.0f;
        p->zero[i] = 0;
        if (c >= w->cols) continue;
        while (c >= (g + 1) * sp->group) g++;
        p->scale[i] = pare_wmat_scale(w, first + g);
        if (w->zero) zeros_of(w, first + g, 1, &p->zero[i]);
        if (w->shift) p->shift[i] = w->shift[first + g];
    }
}

/* The driver; family_of(kind, limbs) gives the eight block loops of FAMILY. unit: blocks in a unit of memory (U3 U2 of 512 bits: 2). */
INLINE void matvec_int_rows(const blocks_fn *(*family_of)(pare_wkind kind, int limbs), int64_t unit, const pare_wmat *w, int64_t row0, int64_t rows, const pare_mvact *x,
                            float *y, int64_t y_stride)
{
    enum { TOKENS = 8 };
    const bool bytes = pare_wkind_bytes(w->kind), each = w->groups > 1 || w->shift, lanes = w->groups > 1 && w->group % PARE_ACT_BLOCK != 0;
    if (!lanes_fit(w) || (bytes && w->shift)) {
        pare_matvec_int_rows(w, row0, rows, x, y, y_stride);
        return;
    }
    const blocks_fn run = family_of(w->kind, x->limbs)[w->shift ? 6 + lanes : (w->zero ? 3 : 0) + (lanes ? 2 : each ? 1 : 0)];
    const int64_t block_bytes = bytes ? 128 : w->kind == PARE_W_U4 ? 64 : w->kind == PARE_W_U3 ? 48 : 32, block_sums = w->kind == PARE_W_U4 ? 16 : 8;
    const int64_t block_q = x->limbs * (bytes ? 256 : 128), whole = w->cols / (PARE_ACT_BLOCK * unit) * unit; /* blocks that lie there in whole units */
    const int64_t last = w->cols - whole * PARE_ACT_BLOCK, blocks = whole + (last ? unit : 0);
    const int64_t last_bytes = bytes ? last : w->kind == PARE_W_U4 ? (last + 1) / 2 : w->kind == PARE_W_U3 ? (last + 127) / 128 * 48 : (last + 3) / 4;
    const spacing sp = spacing_of(w, lanes);
    panel panels[ROWS];
    /* Rows r, r + part, r + 2 part ...; then, where some are left, the last ROWS ones. Fewer rows than ROWS: each ROWS times, by itself. */
    const int64_t part = rows / ROWS, turns = part ? part + (rows % ROWS != 0) : rows;
    int32_t lane_at[16];
    span s = { .units = w->group == 64 ? 2 : 1, .step = __builtin_ctzll((unsigned long long)sp.step), .lane_at = lane_at, .p = panels };
    for (int i = 0; i < 16; i++) lane_at[i] = (int32_t)(i * lane_columns(w->kind) / sp.step);
    for (int64_t t0 = 0; t0 < x->n; t0 += TOKENS) {
        const int64_t tokens = x->n - t0 < TOKENS ? x->n - t0 : TOKENS;
        for (int64_t turn = 0; turn < turns; turn++) {
            const int64_t r = part && turn == part ? rows - ROWS : turn, step = part == 0 ? 0 : turn == part ? 1 : part; /* rows r, r + step ... */
            _Alignas(64) float acc[TOKENS][ROWS][16];
            float sums[ROWS];
            uint8_t tail[ROWS][128];
            const uint8_t *row = w->data + (row0 + r) * w->row_bytes;
            int64_t first[ROWS]; /* number of a row's first scale */
            memset(acc, 0, (size_t)tokens * sizeof acc[0]);
            for (int i = 0; i < ROWS; i++) {
                const int64_t number = row0 + r + i * step;
                first[i] = (w->scale_rows == 1 ? number : number / w->scale_rows) * w->groups;
                if (!last) continue;
                memset(tail[i], 0, sizeof tail[i]);
                memcpy(tail[i], row + i * step * w->row_bytes + whole * block_bytes, (size_t)last_bytes);
            }
            for (int64_t b0 = 0; b0 < blocks; b0 += PANEL) {
                const int64_t n = blocks - b0 < PANEL ? blocks - b0 : PANEL, n_whole = whole - b0 < n ? whole - b0 : n;
                if (each || w->zero)
                    for (int i = 0; i < ROWS; i++) fill_panel(w, first[i], b0, n, &sp, &panels[i]);
                for (int64_t t = 0; t < tokens; t++) {
                    s.q = (const uint8_t *)x->q + (t0 + t) * x->q_stride + b0 * block_q;
                    s.sum = x->sum ? x->sum + (t0 + t) * x->sum_stride + b0 * block_sums : NULL;
                    s.x_scale = x->scale + (t0 + t) * x->scale_stride + b0;
                    s.acc = acc[t];
                    s.w = row + b0 * block_bytes, s.apart = step * w->row_bytes;
                    s.b0 = 0, s.b1 = n_whole;
                    run(&s);
                    if (n_whole == n) continue;
                    s.w = tail[0], s.apart = sizeof tail[0];
                    s.b0 = n_whole, s.b1 = n;
                    run(&s);
                }
            }
            for (int64_t t = 0; t < tokens; t++) {
                sums_of_rows(acc[t], sums);
                for (int i = 0; i < ROWS; i++)
                    y[(t0 + t) * y_stride + r + i * step] = each ? sums[i] : sums[i] * pare_wmat_scale(w, first[i]);
            }
        }
    }
}
#endif
