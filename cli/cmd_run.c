/* SPDX-License-Identifier: Apache-2.0 */
/* pare run MODEL: text out of a model, or the numbers behind it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "session.h"

typedef struct prompt {
    char *text;   /* NULL when ids were given */
    int32_t *ids; /* freed with pare_free() or free(), see given_ids */
    int64_t n;
    bool given_ids;
} prompt;

typedef struct output {
    const cli *c;
    cli_npy *npy;
    bool stream;
} output;

/* --------------------------------------------------------------------------------------------------------------- prompts */

static bool parse_ids(const cli *c, const char *text, prompt *p) {
    int64_t cap = 0;
    for (const char *at = text; *at;) {
        char *end;
        errno = 0;
        const long long id = strtoll(at, &end, 10);
        if (end == at || errno || id < 0 || id > INT32_MAX || (*end && *end != ',' && *end != ' ')) {
            cli_usage(c, "--ids: '%.20s' is no list of token ids (1,15,7)", at);
            return false;
        }
        if (p->n == cap) {
            int32_t *grown = realloc(p->ids, sizeof *grown * (size_t)(cap = cap ? 2 * cap : 64));
            if (!grown) {
                cli_usage(c, "--ids: out of memory");
                return false;
            }
            p->ids = grown;
        }
        p->given_ids = true;
        p->ids[p->n++] = (int32_t)id;
        for (at = end; *at == ',' || *at == ' ';) at++;
    }
    if (!p->n) cli_usage(c, "--ids: no token ids");
    return p->n > 0;
}

static void prompt_clear(prompt *p) {
    if (p->given_ids)
        free(p->ids);
    else
        pare_free(p->ids);
    free(p->text);
    memset(p, 0, sizeof *p);
}

/* Ids of a text, through the chat template when --chat. */
static int tokenize(cli *c, const pare_session *s, prompt *p) {
    char *rendered = NULL;
    const char *text = p->text, *system = cli_text(c, "system");
    const bool chat = cli_has(c, "chat");
    if (p->given_ids) return 0;
    if (chat) {
        const pare_message messages[] = {{"system", system}, {"user", p->text}};
        if (pare_session_chat(s, system ? messages : messages + 1, system ? 2 : 1, &rendered, &c->err) != PARE_OK) return cli_fail(c, &c->err);
        text = rendered;
    }
    const pare_status st = pare_session_tokenize(s, text, strlen(text), !chat, &p->ids, &p->n, &c->err);
    pare_free(rendered);
    return st == PARE_OK ? 0 : cli_fail(c, &c->err);
}

/* ---------------------------------------------------------------------------------------------------------------- output */

static bool piece(void *user, const char *text, size_t bytes) {
    const output *o = user;
    if (!o->stream) return true;
    fwrite(text, 1, bytes, stdout);
    return fflush(stdout) == 0;
}

static pare_status logits(void *user, int64_t position, const float *row, int64_t vocab, pare_err *err) {
    const output *o = user;
    (void)position;
    (void)vocab;
    if (cli_npy_row(o->npy, row)) return PARE_OK;
    err->code = PARE_ERR_IO;
    snprintf(err->text, sizeof err->text, "%s: cannot write: %s", cli_text(o->c, "logits"), strerror(errno));
    return PARE_ERR_IO;
}

static void put_result(pare_json *j, const pare_generated *g) {
    pare_json_int(j, "prompt_tokens", g->prompt_tokens);
    pare_json_int(j, "generated_tokens", g->generated_tokens);
    pare_json_array(j, "tokens");
    for (int64_t i = 0; i < g->generated_tokens; i++) pare_json_int(j, NULL, g->tokens[i]);
    pare_json_end(j);
    pare_json_text(j, "text", g->text);
    pare_json_text(j, "stop_reason", g->stop_reason);
    pare_json_real(j, "prefill_seconds", g->prefill_seconds);
    pare_json_real(j, "decode_seconds", g->decode_seconds);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) pare_json_int(j, "max_rss_bytes", (int64_t)usage.ru_maxrss * 1024); /* mapped weights included */
}

static void print_stats(const cli *c, const pare_session *s, const pare_generated *g) {
    const pare_session_info *i = pare_session_get_info(s);
    if (c->quiet) return;
    fprintf(stderr, "%s: %lld prompt tokens in %.3f s (%.1f tokens/s), %lld generated in %.3f s (%.1f tokens/s), loaded in %.3f s; ended by %s\n", i->summary,
            (long long)g->prompt_tokens, g->prefill_seconds, g->prefill_seconds > 0 ? (double)g->prompt_tokens / g->prefill_seconds : 0.0, (long long)g->generated_tokens,
            g->decode_seconds, g->decode_seconds > 0 ? (double)(g->generated_tokens > 1 ? g->generated_tokens - 1 : g->generated_tokens) / g->decode_seconds : 0.0,
            i->load_seconds, g->stop_reason);
}

/* ---------------------------------------------------------------------------------------------------------------- decode */

static bool generate_options(cli *c, pare_generate_options *o) {
    int64_t n = 256, seed = 0;
    *o = (pare_generate_options){.ignore_eos = cli_has(c, "ignore-eos"), .temperature = 0};
    if (!cli_int(c, "n", 0, INT32_MAX, &n) || !cli_real(c, "temp", &o->temperature) || !cli_int(c, "top-k", 0, INT32_MAX, &o->top_k) ||
        !cli_real(c, "top-p", &o->top_p) || !cli_real(c, "min-p", &o->min_p) || !cli_real(c, "repetition-penalty", &o->repetition_penalty) ||
        !cli_int(c, "seed", 0, INT64_MAX, &seed))
        return false;
    o->max_tokens = n ? n : -1;
    o->seed = (uint64_t)seed;
    o->n_stop = cli_list(c, "stop", &o->stop);
    return true;
}

static int run_one(cli *c, pare_session *s, prompt *p, pare_generate_options *o, output *out, pare_generated *g) {
    int code = tokenize(c, s, p);
    if (code) return code;
    o->piece = piece;
    o->logits = out->npy ? logits : NULL;
    o->user = out;
    if (pare_generate(s, p->ids, p->n, o, g, &c->err) != PARE_OK) {
        if (out->stream) cli_puts("\n");
        return cli_fail(c, &c->err);
    }
    if (out->stream) cli_puts("\n");
    print_stats(c, s, g);
    return 0;
}

/* Lines of a file: plain text, or JSON objects with a "prompt". */
static int run_batch(cli *c, pare_session *s, pare_generate_options *o, output *out) {
    size_t n;
    char *text = cli_read_text(c, cli_text(c, "batch"), &n);
    pare_json *j = NULL;
    int code = 0, count = 0;
    if (!text) return 1;
    if (c->json && pare_json_new(2, &j, &c->err) != PARE_OK) code = cli_fail(c, &c->err);
    if (j) pare_json_array(j, NULL);
    for (char *at = text, *save = NULL; code == 0 && (at = strtok_r(count ? NULL : at, "\n", &save)) != NULL; count++) {
        prompt p = {.text = strdup(at)};
        pare_generated g = {0};
        if (!p.text) {
            code = cli_usage(c, "out of memory");
            break;
        }
        if (out->stream && !c->quiet) fprintf(stderr, "> %s\n", at);
        code = run_one(c, s, &p, o, out, &g);
        if (code == 0 && j) {
            pare_json_object(j, NULL);
            pare_json_text(j, "prompt", at);
            put_result(j, &g);
            pare_json_end(j);
        }
        pare_generated_clear(&g);
        prompt_clear(&p);
    }
    free(text);
    if (j && code == 0) {
        pare_json_end(j);
        return cli_print_json(c, j);
    }
    pare_json_free(j);
    return code;
}

/* ------------------------------------------------------------------------------------------------------------- encoders */

static int run_encoder(cli *c, pare_session *s, prompt *p, output *out) {
    const pare_session_info *info = pare_session_get_info(s);
    float *rows = NULL, *vector = NULL;
    int64_t dim = 0;
    int code = tokenize(c, s, p);
    if (code) return code;
    if (out->npy) {
        const int64_t cols = pare_session_columns(s);
        rows = malloc(sizeof *rows * (size_t)(p->n * cols));
        if (!rows) return cli_usage(c, "out of memory");
        if (pare_session_forward(s, p->ids, p->n, true, rows, &c->err) != PARE_OK) code = cli_fail(c, &c->err);
        for (int64_t i = 0; code == 0 && i < p->n; i++) cli_npy_row(out->npy, rows + i * cols);
        free(rows);
        if (code == 0 && !c->quiet) fprintf(stderr, "%s: %lld rows of %lld numbers\n", info->summary, (long long)p->n, (long long)cols);
        if (code || !p->text) return code;
    }
    if (!p->text) return cli_usage(c, "%s gives vectors: with --ids it needs --logits FILE.npy for the rows", info->summary);
    if (pare_session_embed(s, p->text, strlen(p->text), &vector, &dim, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    if (c->json) {
        pare_json *j = NULL;
        if (pare_json_new(0, &j, &c->err) != PARE_OK) return cli_fail(c, &c->err);
        pare_json_object(j, NULL);
        pare_json_int(j, "prompt_tokens", p->n);
        pare_json_array(j, "embedding");
        for (int64_t i = 0; i < dim; i++) pare_json_real(j, NULL, (double)vector[i]);
        pare_json_end(j);
        pare_json_end(j);
        code = cli_print_json(c, j);
    } else
        for (int64_t i = 0; i < dim; i++) cli_print("%.8g%c", (double)vector[i], i + 1 < dim ? ' ' : '\n');
    pare_free(vector);
    return code;
}

/* ----------------------------------------------------------------------------------------------------------------- entry */

static bool take_prompt(cli *c, prompt *p, int *code) {
    const char *text = cli_text(c, "prompt"), *ids = cli_text(c, "ids"), *file = cli_text(c, "prompt-file");
    size_t n;
    *code = 2;
    if (!text) text = cli_text(c, "text");
    if ((text != NULL) + (ids != NULL) + (file != NULL) + (cli_text(c, "batch") != NULL) > 1) {
        cli_usage(c, "one of -p, --prompt-file, --ids, --batch");
        return false;
    }
    if (cli_text(c, "image")) {
        cli_usage(c, "--image: this version runs text models only");
        return false;
    }
    if (ids) return parse_ids(c, ids, p);
    if (cli_text(c, "batch")) return true;
    *code = 1;
    p->text = text ? strdup(text) : cli_read_text(c, file ? file : "-", &n);
    return p->text != NULL;
}

static int run(cli *c) {
    pare_session_options so;
    pare_generate_options o;
    prompt p = {0};
    pare_session *s = NULL;
    pare_generated g = {0};
    output out = {.c = c};
    int code;
    if (!generate_options(c, &o)) return 2;
    if (!cli_session_options(c, &so, &code) || !cli_int(c, "ctx", 1, INT32_MAX, &so.ctx)) return 2;
    if (!take_prompt(c, &p, &code)) goto out;
    if (!cli_session_open(c, c->argv[0], &so, &s, &code)) goto out;
    code = 1;
    if (cli_text(c, "logits") && !(out.npy = cli_npy_open(c, cli_text(c, "logits"), pare_session_columns(s)))) goto out;
    out.stream = !c->json && strcmp(pare_session_get_info(s)->kind, "encoder") != 0;
    if (out.stream) cli_progress_begin(true); /* the text itself shows progress */
    if (strcmp(pare_session_get_info(s)->kind, "encoder") == 0)
        code = run_encoder(c, s, &p, &out);
    else if (cli_text(c, "batch"))
        code = run_batch(c, s, &o, &out);
    else {
        code = run_one(c, s, &p, &o, &out, &g);
        if (code == 0 && c->json) {
            pare_json *j = NULL;
            if (pare_json_new(2, &j, &c->err) != PARE_OK)
                code = cli_fail(c, &c->err);
            else {
                pare_json_object(j, NULL);
                put_result(j, &g);
                pare_json_end(j);
                code = cli_print_json(c, j);
            }
        }
    }
    cli_session_profile(c, s);
out:
    if (out.npy) {
        const int closed = cli_npy_close(c, out.npy, code == 0);
        if (!code) code = closed;
    }
    pare_generated_clear(&g);
    pare_session_close(s);
    prompt_clear(&p);
    return code;
}

static const cli_flag flags[] = {{"prompt", 'p', "TEXT", "text to continue (default: standard input)", false},
                                 {"prompt-file", 0, "FILE", "the same from a file", false},
                                 {"ids", 0, "1,15,7", "token ids instead of text", false},
                                 {"text", 0, "TEXT", "the same as -p", false},
                                 {"image", 0, "FILE", "input of vision models", false},
                                 {"batch", 0, "FILE", "a prompt a line", false},
                                 {"chat", 0, NULL, "the prompt is a message: goes through the checkpoint's own chat template", false},
                                 {"system", 0, "TEXT", "system message of --chat", false},
                                 {"n", 'n', "N", "tokens to generate at most (default 256; 0: the prompt only)", false},
                                 {"temp", 0, "T", "temperature; 0 is greedy (default)", false},
                                 {"top-k", 0, "K", "choose among the K likeliest (0: off)", false},
                                 {"top-p", 0, "P", "choose among the likeliest that hold P of the probability (0: off)", false},
                                 {"min-p", 0, "P", "leave out what is less than P times as likely as the likeliest (0: off)", false},
                                 {"repetition-penalty", 0, "R", "makes tokens that were there less likely (1: off)", false},
                                 {"seed", 0, "S", "of the random choice", false},
                                 {"stop", 0, "TEXT", "end before this text; may be given several times", true},
                                 {"ignore-eos", 0, NULL, "go on after the end-of-text token", false},
                                 {"ctx", 0, "N", "positions to keep (default: what the model allows, at most 4096)", false},
                                 {"logits", 0, "FILE.npy", "write the f32 logits of every prompt and generated position", false},
                                 CLI_SESSION_FLAGS,
                                 {0}};

const cli_command cli_cmd_run = {
    .name = "run", .args = "MODEL -p PROMPT", .summary = "Generate text with a model, quantized or not",
    .details = "Text goes to standard output as it is made, figures to standard error.\n"
               "An encoder (BERT and the like) prints the vector of the text; an encoder-decoder (T5, BART) answers the text.\n"
               "\n"
               "  pare run models/demo -p 'In the beginning' -n 60\n"
               "  pare run models/demo -p 'In the beginning' --temp 0.8 --top-p 0.95 --seed 7\n"
               "  pare run out/W4A16 --fast --ids 1,15,7 -n 8 --logits logits.npy --json",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
