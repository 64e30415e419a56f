/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words repeat: what the model made of a piece is kept, per thread. Cells are open-addressed by hash; keys and ids lie in one
 * blob ([bytes of key][ids][key, padded to 4]). When either is full everything is forgotten, which is cheap and needs no order.
 */
#include "text/tok.h"

enum { CELLS = 1 << 16, BLOB = 6 << 20, MAX_KEY = 255 };

const int32_t *pare_tok_cache_find(const pare_tok_cache *c, uint64_t hash, const char *at, size_t n, uint32_t *n_ids)
{
    if (!c->cells || n > MAX_KEY) return NULL;
    uint32_t tag = (uint32_t)(hash >> 32) | 1;
    for (uint32_t i = (uint32_t)hash & (CELLS - 1); c->cells[i].hash; i = (i + 1) & (CELLS - 1)) {
        if (c->cells[i].hash != tag) continue;
        const uint32_t *entry = (const uint32_t *)(const void *)(c->blob + c->cells[i].at);
        if (entry[0] != n || memcmp(entry + 2 + entry[1], at, n) != 0) continue;
        *n_ids = entry[1];
        return (const int32_t *)(entry + 2);
    }
    return NULL;
}

void pare_tok_cache_empty(pare_tok_cache *c)
{
    if (c->cells && c->used) memset(c->cells, 0, CELLS * sizeof *c->cells);
    c->used = 0;
    c->blob_n = 0;
}

pare_status pare_tok_cache_put(pare_tok_cache *c, uint64_t hash, const char *at, size_t n, const int32_t *ids, size_t n_ids, pare_err *err)
{
    if (n > MAX_KEY || n_ids > MAX_KEY * 4) return PARE_OK;
    if (!c->cells) {
        c->cells = pare_alloc_zero(CELLS, sizeof *c->cells);
        c->blob = c->cells ? pare_alloc(BLOB) : NULL;
        if (!c->blob) {
            pare_tok_cache_clear(c);
            return pare_no_memory(err, "cache of words", BLOB);
        }
    }
    size_t need = 8 + n_ids * 4 + (n + 3) / 4 * 4;
    if (c->used >= CELLS / 2 || need > BLOB - c->blob_n) pare_tok_cache_empty(c);
    uint32_t *entry = (uint32_t *)(void *)(c->blob + c->blob_n), i = (uint32_t)hash & (CELLS - 1);
    entry[0] = (uint32_t)n;
    entry[1] = (uint32_t)n_ids;
    if (n_ids) memcpy(entry + 2, ids, n_ids * 4);
    memcpy(entry + 2 + n_ids, at, n);
    while (c->cells[i].hash) i = (i + 1) & (CELLS - 1);
    c->cells[i] = (struct pare_tok_cell){(uint32_t)(hash >> 32) | 1, (uint32_t)c->blob_n};
    c->used++;
    c->blob_n += need;
    return PARE_OK;
}

void pare_tok_cache_clear(pare_tok_cache *c)
{
    pare_dealloc(c->cells);
    pare_dealloc(c->blob);
    *c = (pare_tok_cache){0};
}
