/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the tokenizer: spelling <-> id, and a trie over bytes whose edges lie in one hash table. */
#include <pthread.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "text/tok.h"

/* Keyed, so that a file cannot be made to collide; no result depends on it. */
static uint64_t hash_key;
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;
static void draw_key(void)
{
    if (getrandom(&hash_key, sizeof hash_key, GRND_NONBLOCK) != (ssize_t)sizeof hash_key) hash_key = 0x9E3779B97F4A7C15u ^ (uintptr_t)&hash_key;
}

uint64_t pare_tok_hash(const char *at, size_t n)
{
    pthread_once(&hash_once, draw_key);
    return XXH3_64bits_withSeed(at, n, hash_key);
}

/* ----------------------------------------------------------------------------------------------------------- vocabulary */

static pare_status resize_slots(pare_tok_vocab *v, size_t slots, pare_err *err)
{
    pare_tok_slot *at = pare_alloc(slots * sizeof *at);
    if (!at) return pare_no_memory(err, "vocabulary", slots * sizeof *at);
    for (size_t i = 0; i < slots; i++) at[i].id = -1;
    uint32_t mask = (uint32_t)slots - 1;
    for (size_t i = 0; v->slots && i <= v->mask; i++) {
        if (v->slots[i].id < 0) continue;
        uint32_t to = v->slots[i].hash & mask;
        while (at[to].id >= 0) to = (to + 1) & mask;
        at[to] = v->slots[i];
    }
    pare_dealloc(v->slots);
    v->slots = at;
    v->mask = mask;
    return PARE_OK;
}

pare_status pare_tok_vocab_reserve(pare_tok_vocab *v, size_t count, pare_err *err)
{
    size_t slots = 64;
    if (count > PARE_TOK_MAX_ID) count = PARE_TOK_MAX_ID;
    while (slots < count * 2) slots *= 2;
    return v->slots && slots <= (size_t)v->mask + 1 ? PARE_OK : resize_slots(v, slots, err);
}

static pare_status place_id(pare_tok_vocab *v, pare_tspan spelling, size_t id, pare_err *err)
{
    if (id >= v->cap) {
        size_t cap = v->cap ? v->cap : 64;
        while (cap <= id) cap *= 2;
        pare_tspan *at = pare_realloc(v->by_id, cap * sizeof *at);
        if (!at) return pare_no_memory(err, "vocabulary", cap * sizeof *at);
        memset(at + v->cap, 0, (cap - v->cap) * sizeof *at);
        v->by_id = at;
        v->cap = cap;
    }
    v->by_id[id] = spelling;
    if (id >= v->size) v->size = id + 1;
    return PARE_OK;
}

pare_status pare_tok_vocab_add(pare_tok_vocab *v, pare_tspan spelling, int64_t id, const char *where, pare_err *err)
{
    if (id < 0 || id >= PARE_TOK_MAX_ID)
        return pare_fail(err, PARE_ERR_FORMAT, "%s: token id %lld: ids lie between 0 and %d", where, (long long)id, PARE_TOK_MAX_ID - 1);
    pare_status st = PARE_OK;
    if (!v->slots || v->count + v->count / 2 >= v->mask) st = pare_tok_vocab_reserve(v, v->count * 2 + 32, err);
    if (st == PARE_OK) st = place_id(v, spelling, (size_t)id, err);
    if (st != PARE_OK) return st;
    uint32_t hash = (uint32_t)pare_tok_hash(spelling.at, spelling.n), at = hash & v->mask;
    for (; v->slots[at].id >= 0; at = (at + 1) & v->mask) {
        if (v->slots[at].hash != hash || !pare_tspan_same(v->by_id[v->slots[at].id], spelling)) continue;
        v->slots[at].id = (int32_t)id;
        return PARE_OK;
    }
    v->slots[at] = (pare_tok_slot){hash, (int32_t)id};
    v->count++;
    return PARE_OK;
}

int32_t pare_tok_vocab_find(const pare_tok_vocab *v, const char *at, size_t n)
{
    if (!v->slots) return -1;
    uint32_t hash = (uint32_t)pare_tok_hash(at, n);
    for (uint32_t i = hash & v->mask; v->slots[i].id >= 0; i = (i + 1) & v->mask)
        if (v->slots[i].hash == hash && pare_tspan_same(v->by_id[v->slots[i].id], (pare_tspan){at, n})) return v->slots[i].id;
    return -1;
}

void pare_tok_vocab_clear(pare_tok_vocab *v)
{
    pare_dealloc(v->by_id);
    pare_dealloc(v->slots);
    *v = (pare_tok_vocab){0};
}

/* ----------------------------------------------------------------------------------------------------------------- trie */

static void link_edge(pare_tok_trie *trie, struct pare_tok_edge edge)
{
    uint32_t at = (edge.key * 0x9E3779B1u) >> 7 & trie->mask;
    while (trie->edges[at].child) at = (at + 1) & trie->mask;
    trie->edges[at] = edge;
}

static pare_status grow_edges(pare_tok_trie *trie, pare_err *err)
{
    size_t slots = trie->edges ? ((size_t)trie->mask + 1) * 2 : 64;
    struct pare_tok_edge *old = trie->edges;
    uint32_t n = old ? trie->mask + 1 : 0;
    trie->edges = pare_alloc_zero(slots, sizeof *old);
    if (!trie->edges) {
        trie->edges = old;
        return pare_no_memory(err, "trie", slots * sizeof *old);
    }
    trie->mask = (uint32_t)slots - 1;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].child) link_edge(trie, old[i]);
    pare_dealloc(old);
    return PARE_OK;
}

static pare_status new_node(pare_tok_trie *trie, uint32_t *out, pare_err *err)
{
    if (trie->nodes == trie->cap) {
        if (trie->nodes >= 1u << 24) return pare_fail(err, PARE_ERR_UNSUPPORTED, "trie: more than %d nodes", 1 << 24);
        size_t cap = trie->cap ? (size_t)trie->cap * 2 : 64;
        int32_t *value = pare_realloc(trie->value, cap * sizeof *value);
        if (!value) return pare_no_memory(err, "trie", cap * sizeof *value);
        trie->value = value;
        trie->cap = (uint32_t)cap;
    }
    trie->value[trie->nodes] = -1;
    *out = trie->nodes++;
    return PARE_OK;
}

static pare_status new_child(pare_tok_trie *trie, uint32_t node, uint8_t byte, uint32_t *out, pare_err *err)
{
    pare_status st = PARE_OK;
    if (node && trie->used + trie->used / 2 >= trie->mask) PARE_TRY(grow_edges(trie, err));
    PARE_TRY(new_node(trie, out, err));
    if (node == 0) {
        trie->first[byte] = *out;
    } else {
        link_edge(trie, (struct pare_tok_edge){node << 8 | byte, *out});
        trie->used++;
    }
out:
    return st;
}

pare_status pare_tok_trie_add(pare_tok_trie *trie, const char *at, size_t n, int32_t value, pare_err *err)
{
    pare_status st = PARE_OK;
    uint32_t node = 0;
    if (trie->nodes == 0) PARE_TRY(new_node(trie, &node, err));
    if (!trie->edges) PARE_TRY(grow_edges(trie, err));
    for (size_t i = 0; i < n; i++) {
        uint32_t next = pare_tok_trie_step(trie, node, (uint8_t)at[i]);
        if (next == 0) PARE_TRY(new_child(trie, node, (uint8_t)at[i], &next, err));
        node = next;
    }
    trie->value[node] = value;
out:
    return st;
}

void pare_tok_trie_clear(pare_tok_trie *trie)
{
    pare_dealloc(trie->edges);
    pare_dealloc(trie->value);
    *trie = (pare_tok_trie){0};
}
