/* SPDX-License-Identifier: Apache-2.0 */
#include "matvec_case.h"

const matvec_shape matvec_shapes[MATVEC_SHAPES] = {
    { 1, 1, 0, 1 },      { 3, 2, 1, 1 },      { 2, 7, 3, 1 },       { 5, 16, 8, 1 },     { 4, 31, 0, 1 },      { 9, 32, 32, 1 },    { 3, 64, 32, 1 },
    { 6, 100, 32, 1 },   { 8, 127, 64, 1 },   { 7, 128, 0, 1 },     { 1, 128, 128, 1 },  { 2, 172, 43, 1 },    { 13, 172, 0, 1 },   { 4, 256, 128, 1 },
    { 5, 256, 64, 1 },   { 12, 384, 128, 1 }, { 3, 300, 128, 1 },   { 11, 320, 0, 1 },   { 4, 512, 256, 1 },   { 5, 500, 256, 1 },  { 2, 640, 128, 2 },
    { 16, 640, 0, 16 },  { 6, 513, 16, 1 },   { 8, 1024, 32, 1 },   { 8, 1024, 128, 4 }, { 9, 1100, 128, 1 },  { 4, 1100, 96, 1 },  { 10, 896, 0, 1 },
    { 5, 896, 128, 1 },  { 3, 1408, 48, 1 },  { 8, 2048, 128, 1 },  { 3, 2816, 0, 1 },
    { 71, 256, 128, 1 }, { 46, 512, 32, 1 },  { 67, 512, 0, 1 },      { 17, 2560, 16, 1 },
};

static int64_t row_bytes(pare_wkind kind, int64_t cols)
{
    switch (kind) {
    case PARE_W_F32: return cols * 4;
    case PARE_W_F16:
    case PARE_W_BF16: return cols * 2;
    case PARE_W_T4:
    case PARE_W_U4: return (cols + 1) / 2;
    case PARE_W_U3: return (cols + 255) / 256 * 96;
    case PARE_W_U2: return (cols + 3) / 4;
    default: return cols;
    }
}

static void floats(pare_wkind kind, void *at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float f = rnd32() % 50 == 0 ? rnd_normal() * 1e-6f : rnd_normal();
        if (kind == PARE_W_F32) memcpy((uint8_t *)at + i * 4, &f, 4);
        const uint16_t h = kind == PARE_W_F16 ? pare_f32_to_f16(f) : pare_f32_to_bf16(f);
        if (kind != PARE_W_F32) memcpy((uint8_t *)at + i * 2, &h, 2);
    }
}

pare_wmat matvec_weights(pare_wkind kind, const matvec_shape *s, pare_dtype scale_dtype, int zero)
{
    const int64_t bytes = row_bytes(kind, s->cols), group = s->group ? s->group : s->cols, groups = (s->cols + group - 1) / group;
    const int64_t scales = (s->rows + s->scale_rows - 1) / s->scale_rows * groups;
    const int most = kind == PARE_W_U4 ? 16 : kind == PARE_W_U3 ? 8 : kind == PARE_W_U2 ? 4 : 255;
    uint8_t *data = guarded(0, (size_t)(s->rows * bytes));
    pare_wmat w = { .kind = kind, .rows = s->rows, .cols = s->cols, .row_bytes = bytes, .data = data, .group = group, .groups = groups, .scale_rows = s->scale_rows,
                    .scale_dtype = scale_dtype };
    if (kind <= PARE_W_BF16) {
        w.groups = 1, w.group = s->cols, w.scale_rows = 1;
        floats(kind, data, s->rows * s->cols);
        return w;
    }
    static const pare_dtype f8[] = { PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ };
    w.code_dtype = f8[rnd32() % 4];
    for (int64_t i = 0; i < s->rows * bytes; i++) {
        do data[i] = (uint8_t)rnd32();
        while (kind == PARE_W_F8 && !(pare_f8_to_f32(w.code_dtype, data[i]) - pare_f8_to_f32(w.code_dtype, data[i]) == 0.0f));
        if (rnd32() % 64 == 0 && kind != PARE_W_F8) data[i] = rnd32() & 1 ? 0xff : 0x80; /* the ends of the range next to each other */
    }
    uint8_t *scale = guarded(1, (size_t)(scales * (scale_dtype == PARE_F32 ? 4 : 2)));
    for (int64_t i = 0; i < scales; i++) {
        const float f = (0.5f + (float)(rnd32() % 1024) / 512.0f) * (rnd32() % 9 ? 0.01f : -0.02f);
        const uint16_t h = scale_dtype == PARE_F16 ? pare_f32_to_f16(f) : pare_f32_to_bf16(f);
        if (scale_dtype == PARE_F32) memcpy(scale + i * 4, &f, 4);
        else memcpy(scale + i * 2, &h, 2);
    }
    w.scale = scale;
    if (kind == PARE_W_T4) {
        static float table[16];
        for (int i = 0; i < 16; i++) table[i] = rnd_normal();
        w.table = table;
    }
    if (kind == PARE_W_F8 || kind == PARE_W_T4 || zero == ZERO_MIDDLE) return w;
    uint8_t *z = guarded(2, (size_t)scales);
    float *shift = guarded(3, (size_t)scales * 4);
    for (int64_t i = 0; i < scales; i++) z[i] = (uint8_t)(rnd32() % (unsigned)(most + 1)), shift[i] = rnd_normal() * 0.02f;
    if (zero == ZERO_ANY) w.zero = z;
    else w.shift = shift;
    return w;
}

static double number(pare_dtype dtype, const void *at, int64_t i)
{
    float f;
    uint16_t h;
    if (dtype == PARE_F32) return memcpy(&f, (const uint8_t *)at + i * 4, 4), (double)f;
    memcpy(&h, (const uint8_t *)at + i * 2, 2);
    return (double)(dtype == PARE_F16 ? pare_f16_to_f32(h) : pare_bf16_to_f32(h));
}

double matvec_value(const pare_wmat *w, int64_t r, int64_t c)
{
    const uint8_t *row = w->data + r * w->row_bytes, *unit = row + c / 256 * 96, *own = unit + c % 256 / 4, *both = unit + 64 + c % 128 / 4;
    const int64_t at = w->kind <= PARE_W_BF16 ? 0 : r / w->scale_rows * w->groups + c / w->group, high = c % 256 / 128;
    int u = 0, middle = 128;
    switch (w->kind) {
    case PARE_W_F32: return number(PARE_F32, row, c);
    case PARE_W_F16: return number(PARE_F16, row, c);
    case PARE_W_BF16: return number(PARE_BF16, row, c);
    case PARE_W_T4: return (double)w->table[row[c / 2] >> (c % 2 * 4) & 15] * number(w->scale_dtype, w->scale, at);
    case PARE_W_F8: return (double)pare_f8_to_f32(w->code_dtype, row[c]) * number(w->scale_dtype, w->scale, at);
    case PARE_W_I8: u = (int8_t)row[c] + 128; break;
    case PARE_W_U8: u = row[c]; break;
    case PARE_W_U4: u = c & 1 ? row[c / 2] >> 4 : row[c / 2] & 15, middle = 8; break;
    case PARE_W_U2: u = row[c / 4] >> 2 * (c & 3) & 3, middle = 2; break;
    default:
        u = c % 4 == 0 ? *own & 7 : c % 4 == 1 ? *own >> 5 : c % 4 == 2 ? *both >> 3 * high & 7 : (*own >> 3 & 3) + 4 * (*both >> (6 + high) & 1);
        middle = 4;
        break;
    }
    const double s = number(w->scale_dtype, w->scale, at);
    return w->shift ? u * s - (double)w->shift[at] : (u - (w->zero ? w->zero[at] : middle)) * s;
}

pare_mvact matvec_activations(const pare_kernels *k, pare_wkind kind, int limbs, int64_t n, int64_t cols, const float *a)
{
    static int32_t q[8192];
    static float scale[128];
    const bool bytes = kind == PARE_W_I8 || kind == PARE_W_U8;
    const int64_t unit = kind == PARE_W_U3 || kind == PARE_W_U2 ? 256 : 128, padded = (cols + unit - 1) / unit * unit, blocks = (cols + 127) / 128;
    pare_mvact x = { .n = n, .cols = cols, .blocks = blocks, .limbs = limbs, .q_stride = (padded * limbs * (bytes ? 2 : 1) + 63) / 64 * 64,
                     .scale_stride = blocks + blocks % 2, .sum_stride = bytes ? 0 : padded / (kind == PARE_W_U4 ? 8 : 16) };
    uint8_t *out = guarded(4, (size_t)(n * x.q_stride));
    float *scales = guarded(5, (size_t)(n * x.scale_stride) * 4);
    int32_t *sum = bytes ? NULL : guarded(6, (size_t)(n * x.sum_stride) * 4);
    for (int64_t t = 0; t < n; t++) {
        if (limbs == 1) k->act_int8(a + t * cols, cols, 128, 0.0f, (int8_t *)q, scale);
        else k->act_fixed(a + t * cols, cols, bytes ? 28 : 24, q, scale);
        k->act_arrange(kind, limbs, cols, q, out + t * x.q_stride, sum ? sum + t * x.sum_stride : NULL);
        for (int64_t b = 0; b < x.scale_stride; b++) scales[t * x.scale_stride + b] = scale[b < blocks ? b : blocks - 1];
    }
    x.q = out;
    x.scale = scales;
    x.sum = sum;
    return x;
}
