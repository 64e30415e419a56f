/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded buffers, random numbers and row cases of the kernel checks; see kernel_check.h. */
#include "kernel_check.h"
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

static struct slot { uint8_t *base; uint8_t *at; } slots[GUARD_SLOTS];

void *guarded(int slot, size_t bytes)
{
    struct slot *s = &slots[slot];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = GUARD_BYTES + page;
    assert_true(slot < GUARD_SLOTS && bytes <= GUARD_BYTES);
    if (!s->base) {
        s->base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(s->base != MAP_FAILED);
        assert_int_equal(mprotect(s->base + room, page, PROT_NONE), 0);
    }
    s->at = s->base + room - bytes;
    memset(s->at - 256, 0xa5, bytes + 256);
    return s->at;
}

void assert_canaries(int slot)
{
    for (int i = 1; i <= 256; i++)
        if (slots[slot].at[-i] != 0xa5) fail_msg("slot %d: byte %d before the buffer was written", slot, -i);
}

void assert_same(const char *what, const pare_kernels *k, int64_t n, const void *want, const void *got, size_t bytes)
{
    if (memcmp(want, got, bytes) == 0) return;
    const uint8_t *a = want, *b = got;
    size_t i = 0;
    while (a[i] == b[i]) i++;
    fail_msg("%s at %s, n = %lld: byte %zu is %02x, not %02x", what, k->isa, (long long)n, i, b[i], a[i]);
}

static uint64_t state = 88172645463325252u;

uint32_t rnd32(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

float rnd_normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += rnd32() / 4294967296.0;
    return (float)(sum - 6.0);
}

float rnd_scaled(void)
{
    uint32_t u = rnd32();
    float f;
    if ((u & 0x7f800000u) == 0x7f800000u) u &= 0xbfffffffu;
    memcpy(&f, &u, 4);
    return f;
}

static float nudge(float f, int ulps)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if (u & 0x7fffffffu) u += (uint32_t)ulps;
    memcpy(&f, &u, 4);
    return f;
}

void fill(float *x, int64_t n, int pattern, float scale)
{
    for (int64_t i = 0; i < n; i++) {
        switch (pattern) {
        case 0: x[i] = rnd_normal() * scale * 40; break;
        case 1: x[i] = rnd_scaled(); break;
        case 2: x[i] = nudge(((float)((int)(rnd32() % 600) - 300) + 0.5f) * scale, (int)(rnd32() % 9) - 4); break;
        case 3: x[i] = rnd32() & 1 ? 0.0f : -0.0f; break;
        case 4: x[i] = (rnd32() & 1 ? 3e38f : -3e38f) * (rnd_normal() > 1 ? 1e-3f : 1.0f); break;
        case 5: x[i] = (rnd32() & 1 ? 1 : -1) * (float)(rnd32() % 1000) * 0x1p-149f; break;
        default: x[i] = rnd_normal() * scale * (i % 37 == 5 ? 1000.0f : 3.0f); break;
        }
        if (!(fabsf(x[i]) <= 3.4e38f)) x[i] = 1.0f;
    }
}

static const struct { int64_t n, group; } shapes[] = {
    { 1, 1 },    { 2, 2 },    { 7, 7 },     { 8, 8 },     { 15, 15 },   { 16, 16 },   { 17, 17 },     { 31, 31 },    { 32, 32 },
    { 33, 33 },  { 63, 63 },  { 64, 32 },   { 100, 32 },  { 129, 32 },  { 128, 128 }, { 300, 128 },   { 511, 64 },   { 512, 128 },
    { 513, 64 }, { 777, 24 }, { 1023, 5 },  { 1024, 32 }, { 4096, 128 }, { 4097, 4097 }, { 3000, 1000 }, { 2049, 512 }, { 95, 1 },
};
static const struct { int bits, umin, umax; } ranges[] = { { 8, 0, 255 }, { 8, 1, 255 }, { 4, 0, 15 }, { 4, 1, 15 }, { 3, 0, 7 }, { 2, 0, 3 }, { 1, 0, 1 }, { 6, 0, 63 } };
enum { SHAPES = sizeof shapes / sizeof shapes[0], RANGES = sizeof ranges / sizeof ranges[0], SCALES = 10, CASES = SHAPES * RANGES * SCALES };

static float make_scale(int kind)
{
    static const float odd[] = { 0.0f, -0.0f, INFINITY, NAN, 0x1p-149f, 0x1p-130f, 0x1p127f, 3.4028235e38f, 0x1p-126f, 0x1.fffffep-1f };
    switch (kind) {
    case 0: return 0.01f * (1.0f + (float)(rnd32() % 1000) / 500.0f);
    case 1: return 0x1p-7f;
    case 2: return pare_round_to(PARE_BF16, fabsf(rnd_normal()) * 0.01f + 1e-4f);
    case 3: return pare_round_to(PARE_F16, fabsf(rnd_normal()) * 0.01f + 1e-4f);
    case 4: return -0.013f;
    case 5: return odd[rnd32() % 10];
    case 6: return nudge(0.007874016f, (int)(rnd32() % 64));
    case 7: return fabsf(rnd_scaled());
    default: return 0.001f * (float)(1 + rnd32() % 999);
    }
}

bool row_case_make(int i, row_case *c)
{
    if (i >= CASES) return false;
    const int kind = i % SCALES, range = i / SCALES % RANGES, shape = i / SCALES / RANGES;
    c->q = (pare_row_quant){ .n = shapes[shape].n, .group = shapes[shape].group, .bits = ranges[range].bits, .umin = ranges[range].umin, .umax = ranges[range].umax };
    c->groups = (c->q.n + c->q.group - 1) / c->q.group;
    c->pattern = kind < 5 ? (i / 7) % 3 : (int)(rnd32() % PATTERNS);
    for (int64_t g = 0; g < c->groups; g++) {
        static const int32_t wild[] = { INT32_MAX, INT32_MIN, 1 << 20, -(1 << 20), (1 << 20) + 1, 40000, -300, 256 };
        c->scale[g] = make_scale(kind == 8 ? (int)(rnd32() % 8) : kind);
        c->zero[g] = kind == 9 ? wild[rnd32() % 8] : kind & 1 ? 1 << (c->q.bits - 1) : (int32_t)(rnd32() % (1u << c->q.bits));
    }
    return true;
}
