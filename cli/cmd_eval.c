/* SPDX-License-Identifier: Apache-2.0 */
/* pare eval MODEL: what the model predicts, measured; against a reference, how much of it was lost. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static bool is_reference_file(const char *path) {
    char head[8] = {0};
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    const bool yes = fread(head, 1, 8, f) == 8 && memcmp(head, "PAREREF1", 8) == 0;
    fclose(f);
    return yes;
}

/* ------------------------------------------------------------------------------------------------------------ perplexity */

static int print_perplexity(const cli *c, const pare_session *s, const pare_eval_options *o, const pare_eval_result *r) {
    if (c->json) {
        pare_json *j = NULL;
        pare_err err = {0};
        if (pare_json_new(2, &j, &err) != PARE_OK) return cli_fail(c, &err);
        pare_json_object(j, NULL);
        pare_json_real(j, "perplexity", r->perplexity);
        pare_json_real(j, "nll", r->nll);
        pare_json_real(j, "nll_error", r->nll_error);
        pare_json_int(j, "tokens", r->tokens);
        pare_json_int(j, "windows", r->windows);
        pare_json_text(j, "protocol", o->protocol ? o->protocol : "gptq");
        pare_json_real(j, "seconds", r->seconds);
        if (r->compared) {
            pare_json_real(j, "kl_mean", r->kl_mean);
            pare_json_real(j, "kl_median", r->kl_median);
            pare_json_real(j, "kl_p99", r->kl_p99);
            pare_json_real(j, "kl_max", r->kl_max);
            pare_json_real(j, "top1_agreement", r->top1_agreement);
            pare_json_real(j, "perplexity_ref", r->perplexity_ref);
        }
        pare_json_end(j);
        return cli_print_json(c, j);
    }
    cli_print("%s\n", pare_session_get_info(s)->summary);
    cli_print("perplexity      %.4f +- %.4f  (%lld tokens in %lld windows, protocol %s; %.1f s, %.0f tokens/s)\n", r->perplexity, r->perplexity * r->nll_error,
              (long long)r->tokens, (long long)r->windows, o->protocol ? o->protocol : "gptq", r->seconds, r->seconds > 0 ? (double)r->tokens / r->seconds : 0.0);
    if (r->compared) {
        cli_print("reference       %.4f  (x %.4f)\n", r->perplexity_ref, r->perplexity / r->perplexity_ref);
        cli_print("KL divergence   mean %.6f, median %.6f, 99%% %.6f, max %.4f nats\n", r->kl_mean, r->kl_median, r->kl_p99, r->kl_max);
        cli_print("same top token  %.2f %%\n", 100 * r->top1_agreement);
    }
    return 0;
}

static int run_perplexity(cli *c, pare_session *s, pare_session *against, pare_eval_options *o) {
    pare_eval_result r;
    size_t n;
    char *text = cli_read_text(c, cli_text(c, "text"), &n);
    if (!text) return 1;
    o->against = against;
    const pare_status st = pare_evaluate(s, text, n, o, &r, &c->err);
    free(text);
    cli_progress_end();
    if (st != PARE_OK) return cli_fail(c, &c->err);
    if (!c->quiet && !c->json && r.windows == 1 && !o->windows) cli_warn(c, "the text is one window only: a longer one gives a steadier number");
    return print_perplexity(c, s, o, &r);
}

/* ----------------------------------------------------------------------------------------------------- choices, similarity */

static int run_choices(cli *c, pare_session *s) {
    pare_choices_result r;
    if (pare_evaluate_choices(s, cli_text(c, "choices"), &r, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    cli_progress_end();
    if (!c->json) {
        cli_print("%lld questions: accuracy %.2f %%, normalized by length %.2f %%  (%.1f s)\n", (long long)r.questions, 100 * r.accuracy, 100 * r.accuracy_normalized, r.seconds);
        return 0;
    }
    pare_json *j = NULL;
    if (pare_json_new(2, &j, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    pare_json_object(j, NULL);
    pare_json_int(j, "questions", r.questions);
    pare_json_real(j, "accuracy", r.accuracy);
    pare_json_real(j, "accuracy_normalized", r.accuracy_normalized);
    pare_json_real(j, "seconds", r.seconds);
    pare_json_end(j);
    return cli_print_json(c, j);
}

static int run_similarity(cli *c, pare_session *s, pare_session *against) {
    pare_similarity_result r;
    size_t n;
    if (!against) return cli_usage(c, "%s gives vectors: eval compares them with those of --against MODEL", pare_session_get_info(s)->summary);
    char *text = cli_read_text(c, cli_text(c, "text"), &n);
    if (!text) return 1;
    const pare_status st = pare_evaluate_similarity(s, against, text, n, &r, &c->err);
    free(text);
    cli_progress_end();
    if (st != PARE_OK) return cli_fail(c, &c->err);
    if (!c->json) {
        cli_print("%lld texts: cosine to the reference %.6f on average, %.6f at worst; cosines between neighbouring texts moved by %.6f  (%.1f s)\n", (long long)r.texts,
                  r.cosine_mean, r.cosine_min, r.pair_rmse, r.seconds);
        return 0;
    }
    pare_json *j = NULL;
    if (pare_json_new(2, &j, &c->err) != PARE_OK) return cli_fail(c, &c->err);
    pare_json_object(j, NULL);
    pare_json_int(j, "texts", r.texts);
    pare_json_real(j, "cosine_mean", r.cosine_mean);
    pare_json_real(j, "cosine_min", r.cosine_min);
    pare_json_real(j, "pair_rmse", r.pair_rmse);
    pare_json_real(j, "seconds", r.seconds);
    pare_json_end(j);
    return cli_print_json(c, j);
}

/* ----------------------------------------------------------------------------------------------------------------- entry */

static int run(cli *c) {
    pare_session_options so;
    pare_eval_options o = {.protocol = cli_text(c, "protocol"), .save_reference = cli_text(c, "save-reference"), .state = cli_text(c, "state")};
    pare_session *s = NULL, *against = NULL;
    const char *ref = cli_text(c, "against");
    int code;
    if (!cli_session_options(c, &so, &code) || !cli_int(c, "ctx", 2, INT32_MAX, &o.ctx) || !cli_int(c, "windows", 0, INT64_MAX, &o.windows)) return 2;
    if (!cli_text(c, "text") && !cli_text(c, "choices")) return cli_usage(c, "what to evaluate on: --text FILE or --choices FILE");
    if (cli_text(c, "text") && cli_text(c, "choices")) return cli_usage(c, "--text and --choices are two evaluations");
    so.ctx = o.ctx ? o.ctx : 0;
    if (!cli_session_open(c, c->argv[0], &so, &s, &code)) return code;
    if (ref && is_reference_file(ref))
        o.reference = ref;
    else if (ref) {
        /* the truth to compare with: exact, whatever mode the model itself runs in */
        const pare_session_options exact = {.ctx = so.ctx, .memory = so.memory};
        if (!cli_session_open(c, ref, &exact, &against, &code)) goto out;
    }
    if (cli_text(c, "choices"))
        code = run_choices(c, s);
    else if (strcmp(pare_session_get_info(s)->kind, "encoder") == 0)
        code = run_similarity(c, s, against);
    else
        code = run_perplexity(c, s, against, &o);
    cli_session_profile(c, s);
out:
    pare_session_close(s);
    pare_session_close(against);
    return code;
}

static const cli_flag flags[] = {{"text", 't', "FILE", "text to predict ('-': standard input); for encoders: a text a line", false},
                                 {"protocol", 0, "P", "gptq: every token of windows of 2048 (default); llamacpp: second half of windows of 512", false},
                                 {"ctx", 0, "N", "tokens in a window", false},
                                 {"windows", 0, "N", "how many windows (default: all)", false},
                                 {"against", 0, "REF", "reference: a model, or a file made with --save-reference", false},
                                 {"save-reference", 0, "FILE", "keep this model's predictions, to compare others with later", false},
                                 {"choices", 0, "FILE", "multiple choice: JSON lines of question, choices, answer", false},
                                 {"state", 0, "FILE", "keep finished windows there; run again with it to go on after an interruption", false},
                                 CLI_SESSION_FLAGS,
                                 {0}};

const cli_command cli_cmd_eval = {
    .name = "eval", .args = "MODEL --text FILE", .summary = "Perplexity of a text, and what quantization changed",
    .details = "  pare eval out/W4A16 --text wiki.test.raw --against original\n"
               "  pare eval original --text wiki.test.raw --save-reference wiki.ref\n"
               "  pare eval out/W4A16 --text wiki.test.raw --against wiki.ref --fast --json\n"
               "\n"
               "The two protocols give different numbers: compare within one.",
    .flags = flags, .min_args = 1, .max_args = 1, .run = run};
