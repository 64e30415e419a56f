/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel tables: one per level of isa.def, filled once. A level's table is its recompiled references, with the hand-written
 * variants of this and lower levels put over them in the order of variants.def. Also here: pare_ctx_new and pare_ctx_free, which
 * add the choice of a level to what base knows of a context.
 */
#include <pthread.h>
#include <string.h>
#include "kernel/cpu.h"
#include "kernel/kernel.h"

enum {
#define PARE_ISA(name, bits) LEVEL_##name,
#include "kernel/isa.def"
#undef PARE_ISA
    LEVELS
};

#define PARE_ISA(name, bits) extern const pare_kernels pare_kernels_at_##name;
#include "kernel/isa.def"
#undef PARE_ISA

static const struct {
    const char *name;
    uint32_t needs;
    const pare_kernels *references;
} levels[LEVELS] = {
#define PARE_ISA(name, bits) { #name, (uint32_t)(bits), &pare_kernels_at_##name },
#include "kernel/isa.def"
#undef PARE_ISA
};

#include "kernel/variants.h"

static struct {
    pthread_once_t once;
    pare_kernels table[LEVELS];
    uint32_t cpu;
} state = { .once = PTHREAD_ONCE_INIT };

static void fill(void)
{
    state.cpu = pare_cpu_bits();
    for (int level = 0; level < LEVELS; level++) {
        pare_kernels *k = &state.table[level];
        *k = *levels[level].references;
#define PARE_VARIANT(op, isa)                                  \
    if (LEVEL_##isa <= level) {                                \
        k->op = pare_##op##_##isa;                             \
        k->op##_variant = "x86/" #op "_" #isa;                 \
    }
#if defined(__x86_64__)
#include "kernel/variants.def"
#endif
#undef PARE_VARIANT
    }
}

static bool runs_here(int level)
{
    return (levels[level].needs & state.cpu) == levels[level].needs;
}

const pare_kernels *pare_kernels_get(const char *isa)
{
    pthread_once(&state.once, fill);
    for (int level = LEVELS - 1; level >= 0; level--) {
        if (isa && strcmp(isa, levels[level].name) != 0) continue;
        if (runs_here(level)) return &state.table[level];
        if (isa) return NULL;
    }
    return NULL;
}

int pare_kernels_levels(const char *names[], bool available[], int max)
{
    pthread_once(&state.once, fill);
    for (int level = 0; level < LEVELS && level < max; level++) {
        names[level] = levels[level].name;
        available[level] = runs_here(level);
    }
    return LEVELS;
}

/* ------------------------------------------------------------------------------------------------------------ context */

static pare_status no_such_level(const char *isa, pare_err *err)
{
    char have[128] = "";
    bool known = false;
    for (int level = 0; level < LEVELS; level++) {
        known = known || strcmp(isa, levels[level].name) == 0;
        if (!runs_here(level)) continue;
        if (have[0]) strncat(have, ", ", sizeof have - strlen(have) - 1);
        strncat(have, levels[level].name, sizeof have - strlen(have) - 1);
    }
    const pare_status st = pare_fail(err, PARE_ERR_USAGE, known ? "isa '%s': this CPU cannot run it" : "isa '%s': no such kernel level", isa);
    pare_hint(err, "levels that run here: %s", have);
    return st;
}

pare_status pare_ctx_new(const pare_ctx_options *options, pare_ctx **out, pare_err *err)
{
    *out = NULL;
    const char *isa = options ? options->isa : NULL;
    const pare_kernels *kernels = pare_kernels_get(isa);
    if (!kernels) return no_such_level(isa ? isa : "(best)", err);
    pare_ctx *ctx = pare_alloc_zero(1, sizeof *ctx);
    if (!ctx) return pare_no_memory(err, "context", sizeof *ctx);
    const pare_status st = pare_ctx_init_base(ctx, options, err);
    if (st != PARE_OK) {
        pare_dealloc(ctx);
        return st;
    }
    ctx->kernels = kernels;
    *out = ctx;
    return PARE_OK;
}

void pare_ctx_free(pare_ctx *ctx)
{
    if (!ctx) return;
    pare_ctx_clear_base(ctx);
    pare_dealloc(ctx);
}

const char *pare_ctx_isa(const pare_ctx *ctx)
{
    return ctx->kernels->isa;
}
