/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a text is cut into windows. The two protocols of the field are not comparable with each other: a number always belongs to one.
 *   gptq      Frantar et al. 2022 (arXiv 2210.17323, evaluation): the whole text is tokenized once, windows do not overlap, every token that follows
 *             another one of its window is scored; the tail that fills no window is left out
 *   llamacpp  the perplexity tool of llama.cpp: the same windows, but the first token of each is BOS where the tokenizer begins texts
 *             with it (add_bos there; not with GPT-2 or Qwen), and only positions ctx/2 ... ctx-2 are scored, so that every prediction sees at least half a window
 */
#include "eval/eval.h"
#include <string.h>

static int64_t from_start(int64_t ctx)
{
    (void)ctx;
    return 0;
}

static int64_t from_middle(int64_t ctx) { return ctx / 2; }

static const pare_protocol pare_protocol_gptq = { "gptq", "windows of ctx, every next token scored", 2048, false, from_start };
static const pare_protocol pare_protocol_llamacpp = { "llamacpp", "windows of ctx, second half scored", 512, true, from_middle };

static const pare_protocol *const all[] = {
#define PARE_PROTOCOL(p) &p,
#include "eval/protocols.def"
#undef PARE_PROTOCOL
    NULL
};

const pare_protocol *const *pare_protocols(void) { return all; }

const pare_protocol *pare_protocol_find(const char *name)
{
    for (const pare_protocol *const *p = all; *p; p++)
        if (strcmp((*p)->name, name) == 0) return *p;
    return NULL;
}

int64_t pare_protocol_windows(int64_t n, int64_t ctx, int64_t limit)
{
    int64_t whole = n / ctx;
    if (!whole) return n >= 2;
    return limit > 0 && limit < whole ? limit : whole;
}

pare_window pare_protocol_window(const pare_protocol *p, int64_t n, int64_t ctx, int64_t i)
{
    const int64_t size = n < ctx ? n : ctx;
    return (pare_window){ .first = i * ctx, .n = size, .score = p->score(size) };
}
