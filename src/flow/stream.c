/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying a plan out. Steps run one after the other in file order; inside a step rows are cut into pieces by shape (never
 * by thread count) and computed in parallel, while the chunk before is hashed and written on the background thread.
 *
 * Memory: two chunk buffers (CHUNK_BYTES each, or the whole of a part whose bytes are scattered over the layer), the small
 * parts of one layer, a piece's codes per thread, and for per-tensor and per-column schemes one layer in f32. Input stays
 * in the mapped file.
 */
#include <string.h>

#include "flow/flow.h"
#include "flow/step.h"

#define SYNC_BYTES (UINT64_C(256) << 20) /* durable and journalled at least this often */
#define SYNC_SECONDS 1.0

/* ------------------------------------------------------------------------------------------- writing in the background */

static pare_status write_emission(void *arg, pare_err *err) {
    pare_stream *s = arg;
    for (int i = 0; i < s->emission.n; i++) {
        const pare_status st = pare_writer_append(s->writer, s->emission.at[i].data, s->emission.at[i].n, err);
        if (st != PARE_OK) return st;
    }
    return PARE_OK;
}

pare_status pare_stream_wait(pare_stream *s, pare_err *err) {
    const pare_status st = pare_background_wait(s->background, err);
    pare_dealloc_aligned(s->emission.owned);
    s->emission.owned = NULL;
    return st;
}

/* Hands spans over to the writer; they must stay untouched until the next-but-one emission or pare_stream_wait(). */
pare_status pare_stream_emit(pare_stream *s, const pare_emission *e, pare_err *err) {
    pare_status st = pare_stream_wait(s, err);
    if (st == PARE_OK) st = pare_check_cancel(s->ctx, err);
    if (st != PARE_OK) {
        pare_dealloc_aligned(e->owned);
        return st;
    }
    s->emission = *e;
    s->slot ^= 1;
    return pare_background_start(s->background, write_emission, s, err);
}

/* The buffer that no emission reads any more, at least n bytes. */
pare_status pare_stream_buffer(pare_stream *s, size_t n, uint8_t **out, pare_err *err) {
    pare_stream_slot *slot = &s->slots[s->slot];
    if (slot->cap < n) {
        pare_dealloc_aligned(slot->at);
        slot->cap = 0;
        slot->at = pare_alloc_aligned(64, n);
        if (!slot->at) return pare_no_memory(err, "rows of a layer", n);
        slot->cap = n;
    }
    *out = slot->at;
    return PARE_OK;
}

/* ---------------------------------------------------------------------------------------------------------- the loop */

static pare_status sync_point(pare_stream *s, int64_t done, bool force, pare_err *err) {
    const uint64_t position = pare_out_position(s->writer->out);
    pare_status st;
    if (done == s->journalled) return PARE_OK;
    if (!force && position - s->synced_at < SYNC_BYTES && pare_now() - s->synced_time < SYNC_SECONDS) return PARE_OK;
    if ((st = pare_stream_wait(s, err)) != PARE_OK) return st;
    if ((st = pare_writer_sync(s->writer, err)) != PARE_OK) return st;
    if ((st = pare_journal_steps(s->journal, s->plan, s->journalled, done, err)) != PARE_OK) return st;
    s->journalled = done;
    s->synced_at = pare_out_position(s->writer->out);
    s->synced_time = pare_now();
    return PARE_OK;
}

static pare_status open_shard(pare_stream *s, int shard, int64_t done_tensors, pare_err *err) {
    const pare_plan_shard *sh = &s->plan->shards[shard];
    pare_kv *kv;
    int n_kv;
    char *path = NULL;
    pare_status st = pare_plan_metadata(s->plan, shard, &kv, &n_kv, err);
    if (st != PARE_OK) return st;
    path = pare_path_join(s->folder, sh->file);
    if (!path) return pare_no_memory(err, sh->file, 0);
    st = pare_writer_open(s->plan->container, path, sh->specs, sh->n, kv, n_kv, done_tensors, &s->writer, err);
    if (st == PARE_OK) st = pare_out_overlap(s->writer->out, s->ctx, err);
    pare_dealloc(path);
    s->synced_at = 0;
    s->synced_time = pare_now();
    return st;
}

static pare_status close_shard(pare_stream *s, int shard, int64_t done, char hash[65], pare_err *err) {
    uint64_t bytes = 0;
    pare_status st = sync_point(s, done, true, err);
    if (st == PARE_OK) st = pare_stream_wait(s, err);
    if (st != PARE_OK) return st;
    pare_writer *w = s->writer;
    s->writer = NULL;
    if ((st = pare_writer_close(w, hash, &bytes, err)) != PARE_OK) return st;
    if (bytes != s->plan->shards[shard].file_bytes)
        return pare_fail(err, PARE_ERR_DATA, "%s: %llu bytes written, %llu planned", s->plan->shards[shard].file, (unsigned long long)bytes,
                         (unsigned long long)s->plan->shards[shard].file_bytes);
    return pare_journal_shard(s->journal, shard, hash, err);
}

static pare_status run_shard(pare_stream *s, int shard, int64_t *step, int64_t resume_step, char hash[65], pare_err *err) {
    const pare_plan *plan = s->plan;
    int64_t done_tensors = 0;
    pare_status st;
    for (; *step < resume_step && plan->steps[*step].shard == shard; ++*step) done_tensors += plan->steps[*step].n;
    s->journalled = *step;
    if ((st = open_shard(s, shard, done_tensors, err)) != PARE_OK) return st;
    for (; *step < plan->n_steps && plan->steps[*step].shard == shard; ++*step) {
        const pare_plan_item *item = &plan->items[plan->steps[*step].item];
        pare_report_progress(s->ctx, s->what, item->name, s->done_bytes, plan->input_bytes, "bytes");
        if ((st = pare_stream_step(s, &plan->steps[*step], err)) != PARE_OK) return st;
        s->done_bytes += item->in_bytes;
        if ((st = sync_point(s, *step + 1, false, err)) != PARE_OK) return st;
    }
    return close_shard(s, shard, *step, hash, err);
}

pare_status pare_stream_run(pare_ctx *ctx, pare_plan *plan, const pare_weights *weights, const char *folder, const pare_stream_options *options,
                            pare_journal *journal, const pare_journal_state *state, char (*shard_hash)[65], pare_err *err) {
    pare_stream s = {.ctx = ctx, .plan = plan, .weights = weights, .folder = folder, .options = *options, .journal = journal, .what = "write"};
    pare_status st = PARE_OK;
    int64_t step = 0;
    if (plan->quantized) s.what = "quantize";
    PARE_TRY(pare_background_new(ctx, &s.background, err));
    for (; step < plan->n_steps && plan->steps[step].shard < state->shards_done; step++) s.done_bytes += plan->items[plan->steps[step].item].in_bytes;
    for (int shard = state->shards_done; shard < plan->n_shards; shard++)
        PARE_TRY(run_shard(&s, shard, &step, state->steps_done, shard_hash[shard], err));
    pare_report_progress(ctx, s.what, NULL, plan->input_bytes, plan->input_bytes, "bytes");
out:
    /* what a cancelled run has finished is worth keeping for --resume */
    if (st == PARE_ERR_CANCELLED && s.writer) sync_point(&s, step, true, NULL);
    if (s.background) pare_stream_wait(&s, NULL);
    pare_background_free(s.background);
    pare_writer_abort(s.writer);
    pare_dealloc_aligned(s.slots[0].at);
    pare_dealloc_aligned(s.slots[1].at);
    return st;
}
