/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Second half of planning: output tensors -> shard files -> steps. All parts of one layer go into one shard. Inside a shard
 * the container may reorder tensors (safetensors: so that each is naturally aligned), which can pull parts of a layer
 * apart; a step is a run of parts of one layer that stay together, and a layer in two steps is simply computed twice.
 */
#include <stdio.h>
#include <string.h>

#include "flow/flow.h"

static const pare_kv pt_metadata[] = {{"format", "pt"}};

/* Metadata that the container gets; tied names that are not written are recorded as their owner's, the way safetensors' own savers do. */
pare_status pare_plan_metadata(pare_plan *plan, int shard, pare_kv **kv, int *n, pare_err *err) {
    *n = 0;
    *kv = pare_arena_alloc(&plan->arena, sizeof **kv * (size_t)(plan->n_items + 1));
    if (!*kv) return pare_no_memory(err, "plan", 0);
    if (strcmp(plan->container->name, "safetensors") != 0) return PARE_OK;
    (*kv)[(*n)++] = pt_metadata[0];
    for (int64_t i = 0; i < plan->n_items; i++) {
        const pare_plan_item *item = &plan->items[i];
        if (item->action != PARE_ACTION_DROP || !item->tied_to) continue;
        for (int64_t s = 0; s < plan->shards[shard].n; s++)
            if (strcmp(plan->shards[shard].specs[s].name, item->tied_to) == 0) (*kv)[(*n)++] = (pare_kv){item->name, item->tied_to};
    }
    return PARE_OK;
}

static pare_status spec_of(pare_plan *plan, const pare_plan_item *item, int part, pare_spec *spec, pare_err *err) {
    memset(spec, 0, sizeof *spec);
    spec->name = item->name;
    spec->dtype = item->dtype;
    spec->ndim = item->ndim;
    memcpy(spec->shape, item->shape, sizeof spec->shape);
    if (item->action == PARE_ACTION_QUANTIZE) {
        const pare_part *p = &item->parts[part];
        spec->name = pare_arena_printf(&plan->arena, "%s%s", item->module, p->suffix);
        spec->dtype = p->dtype;
        spec->ndim = p->ndim;
        memcpy(spec->shape, p->shape, sizeof p->shape);
    }
    int64_t numel;
    if (!spec->name) return pare_no_memory(err, "plan", 0);
    if (!pare_shape_numel(spec->ndim, spec->shape, &numel)) return pare_fail(err, PARE_ERR_DATA, "%s: too many elements", spec->name);
    spec->bytes = pare_dtype_bytes(spec->dtype, (uint64_t)numel);
    return PARE_OK;
}

/* All output tensors in plan order. */
static pare_status list_specs(pare_plan *plan, pare_spec **specs, pare_plan_spec **owner, int64_t *n, pare_err *err) {
    int64_t count = 0;
    for (int64_t i = 0; i < plan->n_items; i++)
        count += plan->items[i].action == PARE_ACTION_QUANTIZE ? plan->items[i].n_parts : plan->items[i].action != PARE_ACTION_DROP;
    *specs = pare_arena_alloc(&plan->arena, sizeof **specs * (size_t)(count + 1));
    *owner = pare_arena_alloc(&plan->arena, sizeof **owner * (size_t)(count + 1));
    if (!*specs || !*owner) return pare_no_memory(err, "plan", (size_t)count * sizeof **specs);
    *n = 0;
    for (int64_t i = 0; i < plan->n_items; i++) {
        pare_plan_item *item = &plan->items[i];
        const int parts = item->action == PARE_ACTION_QUANTIZE ? item->n_parts : item->action != PARE_ACTION_DROP;
        for (int p = 0; p < parts; p++) {
            const pare_status st = spec_of(plan, item, p, &(*specs)[*n], err);
            if (st != PARE_OK) return st;
            item->out_bytes += (*specs)[*n].bytes;
            (*owner)[(*n)++] = (pare_plan_spec){i, p};
        }
    }
    return PARE_OK;
}

/* Fills shard s with specs [from, to), in the container's order. */
static pare_status fill_shard(pare_plan *plan, int s, const pare_spec *specs, const pare_plan_spec *owner, int64_t from, int64_t to, pare_err *err) {
    pare_plan_shard *shard = &plan->shards[s];
    const int64_t n = to - from;
    int64_t *perm = pare_alloc_zero((size_t)n + 1, sizeof *perm);
    shard->specs = pare_alloc_zero((size_t)n + 1, sizeof *shard->specs);
    shard->owner = pare_alloc_zero((size_t)n + 1, sizeof *shard->owner);
    if (!perm || !shard->specs || !shard->owner) {
        pare_dealloc(perm);
        return pare_no_memory(err, "plan", (size_t)n * sizeof *shard->specs);
    }
    for (int64_t i = 0; i < n; i++) perm[i] = i;
    if (plan->container->order) plan->container->order(specs + from, n, perm);
    for (int64_t i = 0; i < n; i++) {
        shard->specs[i] = specs[from + perm[i]];
        shard->owner[i] = owner[from + perm[i]];
    }
    shard->n = n;
    pare_dealloc(perm);
    return PARE_OK;
}

static char *shard_name(pare_plan *plan, int s) {
    const char *name = plan->container->file_name, *dot = strrchr(name, '.');
    if (plan->n_shards == 1) return pare_arena_strdup(&plan->arena, name);
    return pare_arena_printf(&plan->arena, "%.*s-%05d-of-%05d%s", (int)(dot ? dot - name : (long)strlen(name)), name, s + 1, plan->n_shards, dot ? dot : "");
}

static pare_status measure_shard(pare_plan *plan, int s, pare_err *err) {
    pare_plan_shard *shard = &plan->shards[s];
    pare_kv *kv;
    int n_kv;
    pare_status st = pare_plan_metadata(plan, s, &kv, &n_kv, err);
    if (st != PARE_OK) return st;
    shard->file = shard_name(plan, s);
    if (!shard->file) return pare_no_memory(err, "plan", 0);
    st = plan->container->measure(shard->specs, shard->n, kv, n_kv, &shard->file_bytes, NULL, err);
    plan->output_bytes += shard->file_bytes;
    return st;
}

/* Cuts where a layer would pass the limit; returns the number of shards and, when bounds is given, their first specs. */
static int cut(const pare_spec *specs, const pare_plan_spec *owner, int64_t n, uint64_t limit, int64_t *bounds) {
    int shards = 1;
    uint64_t filled = 0;
    if (bounds) bounds[0] = 0;
    for (int64_t i = 0; i < n;) {
        int64_t end = i;
        uint64_t bytes = 0;
        while (end < n && owner[end].item == owner[i].item) bytes += specs[end++].bytes;
        if (filled && bytes > limit - (filled < limit ? filled : limit)) {
            if (bounds) bounds[shards] = i;
            shards++;
            filled = 0;
        }
        filled += bytes;
        i = end;
    }
    if (bounds) bounds[shards] = n;
    return shards;
}

static pare_status make_steps(pare_plan *plan, pare_err *err) {
    int64_t n = 0;
    for (int s = 0; s < plan->n_shards; s++) n += plan->shards[s].n;
    plan->steps = pare_alloc_zero((size_t)n + 1, sizeof *plan->steps);
    if (!plan->steps) return pare_no_memory(err, "plan", (size_t)n * sizeof *plan->steps);
    for (int s = 0; s < plan->n_shards; s++) {
        const pare_plan_shard *shard = &plan->shards[s];
        for (int64_t i = 0; i < shard->n;) {
            int64_t end = i + 1;
            /* part 0 is streamed, so it may only stand first in a step */
            while (end < shard->n && shard->owner[end].item == shard->owner[i].item && shard->owner[end].part != 0) end++;
            plan->steps[plan->n_steps++] = (pare_plan_step){s, i, end - i, shard->owner[i].item};
            i = end;
        }
    }
    return PARE_OK;
}

pare_status pare_plan_lay_out(pare_plan *plan, uint64_t shard_size, pare_err *err) {
    pare_spec *specs;
    pare_plan_spec *owner;
    int64_t n, *bounds = NULL;
    pare_status st = PARE_OK;
    PARE_TRY(list_specs(plan, &specs, &owner, &n, err));
    plan->n_shards = cut(specs, owner, n, shard_size, NULL);
    bounds = pare_alloc_zero((size_t)plan->n_shards + 1, sizeof *bounds);
    plan->shards = pare_alloc_zero((size_t)plan->n_shards, sizeof *plan->shards);
    if (!bounds || !plan->shards) {
        st = pare_no_memory(err, "plan", 0);
        goto out;
    }
    cut(specs, owner, n, shard_size, bounds);
    for (int s = 0; s < plan->n_shards; s++) {
        PARE_TRY(fill_shard(plan, s, specs, owner, bounds[s], bounds[s + 1], err));
        PARE_TRY(measure_shard(plan, s, err));
    }
    PARE_TRY(make_steps(plan, err));
out:
    pare_dealloc(bounds);
    return st;
}
