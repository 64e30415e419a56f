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
enum { PANEL = 32, AHEAD = 512, MOST = 512, VALUES = MOST + 16 }; /* blocks at most; bytes; numbers a row at most, and from row to row */
enum { TURNS = 4 }; /* of ROWS rows whose panel and sums are made together */
enum { MIDDLE, ZEROS, SHIFTS };

/*
 * Numbers of ROWS rows in one panel, VALUES a row: one a block, or one a lane (16 a block; U3 U2: 8), or, PACKED, one for 1 << step columns.
 * Scales and shifts stand there times the scale of the token. PACKED reads up to 16 numbers from any of them on.
 */
typedef struct panel { float *scale, *shift; int32_t *zero; } panel;

/* What a block loop works on: blocks [b0, b1) of the panel, of ROWS rows that have block b0 at w, w + apart, w + 2 apart .... */
typedef struct span {
    const uint8_t *w;
    int64_t apart;
    const uint8_t *q;            /* limbs of the token from the panel's begin on */
    const int32_t *sum;          /* by starts_of() */
    const float *x_scale;
    panel p;
    int64_t b0, b1, units;       /* units: of bytes that share a scale when lanes have their own, 1 or 2 */
    int step;                    /* PACKED */
    const int32_t *lane_at;      /* PACKED: where, from a unit's first value on, that of a lane lies */
    bool fresh;                  /* sums begin with 0, not with acc */
    float (*acc)[16];
} span;

typedef void (*blocks_fn)(const span *s);

/*
 * Of the including file: n sums of q (byte kinds: 0) as block loops want them, the same for all rows: in `out`, or where they are. May write up to
 * 15 more.
 */
static const int32_t *starts_of(const pare_wmat *w, int limbs, const int32_t *sum, int64_t n, int32_t *out);

/* The sums of ROWS rows from their lanes, as pare_lanes_sum(). */
static void sums_of_rows(float (*acc)[16], float *sums);

/* The same for TURNS turns, whose sums belong side by side: row r's are y[r * part] and what follows. */
static void sums_of_turns(float (*acc)[ROWS][16], float *y, int64_t part);

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

/* Of the including file: n scales as f32, times x where that is given; dtype is a constant where this is inlined. May write up to 15 more. */
INLINE void scales_of(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t n, const float *x, float *out);

/*
 * A zero point as the block loops want it: of byte kinds a pair of int16, in the domain of stored bytes. With limbs (PACKED) a pair, too: z and
 * -2^k z, which meet -(sum mod 2^k) and sum / 2^k of a lane (split_sum): -z * sum exactly in one vpdpwssd. |sum| < 2^15 * 2^k, z <= 2^(15-k).
 */
static inline int zero_shift(pare_wkind kind) { return kind == PARE_W_U4 ? 11 : 12; }

static inline int32_t zero_as(pare_wkind kind, int limbs, int32_t z)
{
    const int32_t factor = pare_wkind_bytes(kind) ? 1 : PACKED && limbs > 1 ? -(1 << zero_shift(kind)) : 0;
    z -= kind == PARE_W_I8 ? 128 : 0;
    return (int32_t)(((uint32_t)z & 0xffff) | (uint32_t)(z * factor) << 16);
}

/* Of the including file: n zero points by zero_as(). May write up to 15 more. */
INLINE void zeros_of(const pare_wmat *w, int limbs, int64_t at, int64_t n, int32_t *out);

/* Every one of n values `times` times, into room for 8 more. */
static inline void spread(const void *from, int64_t n, int64_t times, void *to)
{
    const int32_t *in = from;
    int32_t *out = to;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < times; j += 8) _mm256_storeu_si256((__m256i *)(void *)(out + i * times + j), _mm256_set1_epi32(in[i]));
}

/* out = a * b, n values and up to 7 behind them. */
INLINE void products(const float *a, const float *b, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
}

/* How scales meet lanes: columns a value of the panel stands for, values a block, values a group when groups are plain to spread (else 0). */
typedef struct spacing { int64_t step, each, times, group; int limbs; } spacing;

static inline int64_t lane_columns(pare_wkind kind) { return pare_wkind_bytes(kind) ? 2 : kind == PARE_W_U4 ? 8 : 16; }

static inline spacing spacing_of(const pare_wmat *w, bool lanes, int limbs)
{
    const int64_t width = lane_columns(w->kind);
    spacing s = { .step = lanes ? width : PARE_ACT_BLOCK, .group = w->groups > 1 ? w->group : w->cols, .limbs = limbs };
    if (PACKED && lanes && PARE_ACT_BLOCK % s.group == 0) s.step = s.group;
    s.each = PARE_ACT_BLOCK / s.step;
    if (w->groups > 1 && (lanes ? PARE_ACT_BLOCK % s.group == 0 && s.group % s.step == 0 : s.group == PARE_ACT_BLOCK)) s.times = s.group / s.step;
    return s;
}

/* What rows need for n blocks from b0 on; x: the token's scale for each value. 0 behind a row. */
typedef struct stretch { int64_t b0, n, group, have, most; const float *x; } stretch;

static inline stretch stretch_of(const pare_wmat *w, int64_t b0, int64_t n, const spacing *sp)
{
    stretch st = { .b0 = b0, .n = n };
    if (sp->times == 0) return st;
    st.group = b0 * sp->each / sp->times, st.most = n * sp->each / sp->times;
    st.have = w->groups - st.group < st.most ? w->groups - st.group : st.most;
    return st;
}

/* One row, whose first scale is number `first`: any groups. */
static void fill_any(const pare_wmat *w, int64_t first, const stretch *st, const spacing *sp, float *scale, float *shift, int32_t *zero)
{
    int64_t c = st->b0 * PARE_ACT_BLOCK, g = st->b0 ? c / sp->group : 0;
    for (int64_t i = 0; i < st->n * sp->each; i++, c += sp->step) {
        scale[i] = shift[i] = 0.0f;
        zero[i] = 0;
        if (c >= w->cols) continue;
        while (c >= (g + 1) * sp->group) g++;
        scale[i] = pare_wmat_scale(w, first + g) * st->x[i];
        if (w->zero) zero[i] = zero_as(w->kind, sp->limbs, w->zero[first + g]);
        if (w->shift) shift[i] = w->shift[first + g] * st->x[i];
    }
}

/* The same where each group is `times` values. */
INLINE void fill_groups(const pare_dtype dtype, const pare_wmat *w, int64_t first, const stretch *st, const spacing *sp, float *scale, float *shift, int32_t *zero)
{
    first += st->group;
    if (sp->times == 1) {
        scales_of(dtype, w, first, st->have, st->x, scale);
        for (int64_t i = st->have; i < st->most; i++) scale[i] = 0.0f;
        if (w->zero) zeros_of(w, sp->limbs, first, st->have, zero);
        for (int64_t i = st->have; w->zero && i < st->most; i++) zero[i] = 0;
        for (int64_t i = 0; w->shift && i < st->most; i++) shift[i] = i < st->have ? w->shift[first + i] * st->x[i] : 0.0f;
        return;
    }
    float f[VALUES];
    int32_t z[VALUES];
    scales_of(dtype, w, first, st->have, NULL, f);
    for (int64_t i = st->have; i < st->most; i++) f[i] = 0.0f;
    spread(f, st->most, sp->times, scale);
    products(scale, st->x, st->n * sp->each, scale);
    for (int64_t i = 0; w->zero && i < st->most; i++) z[i] = i < st->have ? zero_as(w->kind, sp->limbs, w->zero[first + i]) : 0;
    if (w->zero) spread(z, st->most, sp->times, zero);
    if (!w->shift) return;
    for (int64_t i = 0; i < st->most; i++) f[i] = i < st->have ? w->shift[first + i] : 0.0f;
    spread(f, st->most, sp->times, shift);
    products(shift, st->x, st->n * sp->each, shift);
}

INLINE void fill_panels(const pare_wmat *w, const int64_t *first, const stretch *st, const spacing *sp, const panel *p)
{
    for (int i = 0; i < ROWS; i++) {
        float *scale = p->scale + i * VALUES, *shift = p->shift + i * VALUES;
        int32_t *zero = p->zero + i * VALUES;
        if (sp->times == 0) fill_any(w, first[i], st, sp, scale, shift, zero);
        else if (w->scale_dtype == PARE_BF16) fill_groups(PARE_BF16, w, first[i], st, sp, scale, shift, zero);
        else if (w->scale_dtype == PARE_F16) fill_groups(PARE_F16, w, first[i], st, sp, scale, shift, zero);
        else fill_groups(PARE_F32, w, first[i], st, sp, scale, shift, zero);
    }
}

/* ------------------------------------------------------------------------------------------ one token, whole blocks */

/*
 * The case of decoding: one token, rows that are whole blocks, scales as they come or one a row or for all, few enough for two panels. The
 * panel of the next turns is filled before the block loops of these run: its loads wait for memory beside them, and its stores
 * are done when wider loads want them. Rows of a stream lie one after the other, and so do their scales: a panel has those of
 * some turns, and their sums are taken together, for both are short chains of instructions that wait for one another, one turn alone.
 */

/* What comes in later turns of scales and zero points: few bytes a row, which no prefetcher sees in time. This far ahead: */
INLINE int64_t turns_on(int64_t bytes) { return bytes + 128; }

/* Of the including file: scales_of() for ROWS rows, of which each has its scales `next` numbers after those of the one before. Asks for coming rows', too. */
INLINE void scales_of_rows(const pare_dtype dtype, const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out);

/* zeros_of() for them. */
INLINE void zeros_of_rows(const pare_wmat *w, int limbs, int64_t at, int64_t next, int64_t n, int32_t *out);

/* Out of line each: together they would want more registers than there are. */
#define APART static __attribute__((noinline)) void
APART decode_bf16(const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out) { scales_of_rows(PARE_BF16, w, at, next, n, x, out); }
APART decode_f16(const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out) { scales_of_rows(PARE_F16, w, at, next, n, x, out); }
APART decode_f32(const pare_wmat *w, int64_t at, int64_t next, int64_t n, const float *x, float *out) { scales_of_rows(PARE_F32, w, at, next, n, x, out); }

APART decode_zeros(const pare_wmat *w, int64_t at, int64_t next, int64_t n, int limbs, int32_t *out)
{
    if (w->groups > 1) {
        zeros_of_rows(w, limbs, at, next, n, out);
        return;
    }
    for (int i = 0; i < ROWS; i++) /* the scale is for the end, and only a zero point is wanted */
        for (int64_t j = 0; j < n; j++) out[i * VALUES + j] = zero_as(w->kind, limbs, w->zero[at + i * next]);
}

static void decode_panel(const pare_wmat *w, int64_t number, int64_t part, int64_t n, int limbs, const float *x, const panel *p)
{
    const int64_t at = w->scale_rows == 1 ? number * w->groups : 0, next = w->scale_rows == 1 ? part * w->groups : 0;
    if (w->groups > 1) (w->scale_dtype == PARE_BF16 ? decode_bf16 : w->scale_dtype == PARE_F16 ? decode_f16 : decode_f32)(w, at, next, n, x, p->scale);
    if (w->zero) decode_zeros(w, at, next, n, limbs, p->zero);
    for (int i = 0; w->shift && i < ROWS; i++)
        for (int64_t j = 0; j < n; j++) p->shift[i * VALUES + j] = w->shift[at + i * next + j] * x[j];
}

/* Rows row0 + i * part + turn; s: all but w, p and acc. */
static void decode_rows(blocks_fn run, const pare_wmat *w, int64_t row0, int64_t part, const spacing *sp, bool each, span *s, float *y)
{
    float scale[2][ROWS * VALUES], shift[2][ROWS * VALUES], x_scale[VALUES], sums[ROWS];
    int32_t zero[2][ROWS * VALUES];
    _Alignas(64) int32_t ready[MOST * 16];
    _Alignas(64) float acc[TURNS][ROWS][16];
    const int64_t n = s->b1 * sp->each;
    const bool panels = each || w->zero;
    const int64_t turns = panels && (w->groups == 1 || n * TURNS > MOST) ? 1 : TURNS; /* a panel */
    panel p[2];
    for (int i = 0; i < 2; i++) p[i] = (panel){ scale[i], shift[i], zero[i] };
    if (sp->each == 1) memcpy(x_scale, s->x_scale, (size_t)n * 4);
    else spread(s->x_scale, s->b1, sp->each, x_scale);
    for (int64_t i = 1; i < turns && panels; i++) memcpy(x_scale + i * n, x_scale, (size_t)n * 4);
    if (s->sum) s->sum = starts_of(w, sp->limbs, s->sum, s->b1 * (w->kind == PARE_W_U4 ? 16 : 8), ready);
    s->fresh = true, s->apart = part * w->row_bytes;
    s->w = w->data + row0 * w->row_bytes;
    for (int64_t turn = -turns; turn < part; turn += turns) {
        const int64_t next = turn + turns, left = part - next, count = turn < 0 ? 0 : left < 0 ? part - turn : turns;
        if (panels && left > 0) decode_panel(w, row0 + next, part, n * (left < turns ? left : turns), sp->limbs, x_scale, &p[next / turns % 2]);
        const panel *at = &p[turn / turns % 2 != 0];
        for (int64_t i = 0; i < count; i++, s->w += w->row_bytes) {
            s->p = (panel){ at->scale + i * n, at->shift + i * n, at->zero + i * n };
            s->acc = acc[i];
            run(s);
        }
        if (count == TURNS) sums_of_turns(acc, y + turn, part);
        for (int64_t i = 0; i < count && count < TURNS; i++) {
            sums_of_rows(acc[i], sums);
            for (int r = 0; r < ROWS; r++) y[turn + i + r * part] = sums[r];
        }
        for (int64_t i = 0; i < count && !each; i++)
            for (int r = 0; r < ROWS; r++) y[turn + i + r * part] *= pare_wmat_scale(w, w->scale_rows == 1 ? row0 + turn + i + r * part : 0);
    }
}

/* ------------------------------------------------------------------------------------------------------------ any case */

/* The driver; family_of(kind, limbs) gives the eight block loops of FAMILY. unit: blocks in a unit of memory (U3, and U2 of 512 bits: 2). */
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
    const int64_t last_bytes = bytes ? last : w->kind == PARE_W_U4 ? (last + 1) / 2 : w->kind == PARE_W_U3 ? (last + 255) / 256 * 96 : (last + 3) / 4;
    const spacing sp = spacing_of(w, lanes, x->limbs);
    float x_scale[VALUES], scale[ROWS * VALUES], shift[ROWS * VALUES];
    int32_t zero[ROWS * VALUES];
    /* Rows r, r + part, r + 2 part ...; then, where some are left, the last ROWS ones. Fewer rows than ROWS: each ROWS times, by itself. */
    const int64_t part = rows / ROWS, turns = part ? part + (rows % ROWS != 0) : rows;
    const int64_t most = MOST / sp.each < PANEL ? MOST / sp.each : PANEL; /* blocks a panel */
    int32_t lane_at[16], ready[PANEL * 16 + 16];
    span s = { .units = w->group == 64 ? 2 : 1, .step = __builtin_ctzll((unsigned long long)sp.step), .lane_at = lane_at, .p = { scale, shift, zero } };
    for (int i = 0; i < 16; i++) lane_at[i] = lanes ? (int32_t)(i * lane_columns(w->kind) / sp.step) : i * (int)unit / 16;
    int64_t begin = 0;
    if (x->n == 1 && part && !last && (w->scale_rows == 1 || w->scale_rows >= w->rows) && (!each || sp.times == 1) && blocks * sp.each <= MOST) {
        s.q = x->q, s.sum = x->sum, s.x_scale = x->scale, s.b0 = 0, s.b1 = blocks;
        decode_rows(run, w, row0, part, &sp, each, &s, y);
        begin = part;
        s.p = (panel){ scale, shift, zero };
    }
    for (int64_t t0 = 0; t0 < x->n; t0 += TOKENS) {
        const int64_t tokens = x->n - t0 < TOKENS ? x->n - t0 : TOKENS;
        for (int64_t turn = begin; turn < turns; turn++) {
            const int64_t r = part && turn == part ? rows - ROWS : turn, step = part == 0 ? 0 : turn == part ? 1 : part; /* rows r, r + step ... */
            _Alignas(64) float acc[TOKENS][ROWS][16];
            float sums[ROWS];
            uint8_t tail[ROWS][128];
            const uint8_t *row = w->data + (row0 + r) * w->row_bytes;
            int64_t first[ROWS]; /* number of a row's first scale */
            for (int i = 0; i < ROWS; i++) {
                const int64_t number = row0 + r + i * step;
                first[i] = (w->scale_rows == 1 ? number : number / w->scale_rows) * w->groups;
                if (!last) continue;
                memset(tail[i], 0, sizeof tail[i]);
                memcpy(tail[i], row + i * step * w->row_bytes + whole * block_bytes, (size_t)last_bytes);
            }
            for (int64_t b0 = 0; b0 < blocks; b0 += most) {
                const int64_t n = blocks - b0 < most ? blocks - b0 : most, n_whole = whole - b0 < n ? whole - b0 : n;
                stretch st = stretch_of(w, b0, n, &sp);
                st.x = x_scale;
                for (int64_t t = 0; t < tokens; t++) {
                    s.q = (const uint8_t *)x->q + (t0 + t) * x->q_stride + b0 * block_q;
                    s.sum = x->sum ? starts_of(w, x->limbs, x->sum + (t0 + t) * x->sum_stride + b0 * block_sums, n * block_sums, ready) : NULL;
                    s.x_scale = x->scale + (t0 + t) * x->scale_stride + b0;
                    s.acc = acc[t];
                    s.fresh = b0 == 0;
                    if (turn == begin || tokens > 1 || blocks > most) {
                        if (sp.each == 1) memcpy(x_scale, s.x_scale, (size_t)n * 4);
                        else spread(s.x_scale, n, sp.each, x_scale);
                    }
                    if (each || w->zero) fill_panels(w, first, &st, &sp, &s.p);
                    s.w = row + b0 * block_bytes, s.apart = step * w->row_bytes;
                    s.b0 = 0, s.b1 = n_whole;
                    if (n_whole) run(&s), s.fresh = false;
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
