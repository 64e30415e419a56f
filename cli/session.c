/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that run a model share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static bool dtype_flag(const cli *c, const char *flag, pare_dtype *out) {
    const char *text = cli_text(c, flag);
    if (!text) return true;
    *out = pare_dtype_parse(text);
    if (*out != PARE_DTYPE_NONE) return true;
    cli_usage(c, "--%s: there is no number format '%s'", flag, text);
    return false;
}

bool cli_session_options(const cli *c, pare_session_options *o, int *code) {
    const int modes = cli_has(c, "exact") + cli_has(c, "fast") + cli_has(c, "bf16");
    *o = (pare_session_options){.profile = cli_has(c, "profile")};
    *code = 2;
    if (modes > 1) {
        cli_usage(c, "--exact, --fast and --bf16 exclude each other");
        return false;
    }
    o->compute = cli_has(c, "fast") ? PARE_COMPUTE_FAST : cli_has(c, "bf16") ? PARE_COMPUTE_BF16 : PARE_COMPUTE_EXACT;
    return dtype_flag(c, "dtype", &o->dtype) && dtype_flag(c, "kv-dtype", &o->kv_dtype) && cli_size(c, "memory", &o->memory);
}

bool cli_session_open(cli *c, const char *model, const pare_session_options *o, pare_session **out, int *code) {
    if (pare_session_open(c->ctx, model, c->hub_cache, o, out, &c->err) == PARE_OK) {
        const pare_session_info *i = pare_session_get_info(*out);
        if (i->streamed_bytes && !c->quiet) {
            char bytes[32];
            cli_format_bytes(i->streamed_bytes, bytes);
            cli_warn(c, "%s: does not fit into the memory given: every step reads %s of weights from the file again", model, bytes);
        }
        return true;
    }
    *code = cli_fail(c, &c->err);
    return false;
}

void cli_session_profile(const cli *c, const pare_session *s) {
    pare_table *t = NULL;
    char *text = NULL;
    pare_err err = {0};
    if (!cli_has(c, "profile")) return;
    if (pare_session_profile(s, &t, &err) == PARE_OK && pare_table_render(t, PARE_TABLE_TEXT, 0, &text, &err) == PARE_OK)
        fprintf(stderr, "%s", text);
    else
        cli_warn(c, "%s", err.text);
    pare_free(text);
    pare_table_free(t);
}

char *cli_read_text(const cli *c, const char *path, size_t *n) {
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = NULL;
    size_t cap = 0;
    pare_err err = {.code = PARE_ERR_IO};
    *n = 0;
    if (!f) {
        snprintf(err.text, sizeof err.text, "%s: cannot open: %s", path, strerror(errno));
        cli_fail(c, &err);
        return NULL;
    }
    for (;;) {
        if (cap - *n < 65536) {
            char *grown = realloc(text, cap = cap ? 2 * cap : 1 << 17);
            if (!grown) {
                snprintf(err.text, sizeof err.text, "%s: out of memory after %zu bytes", path, *n);
                break;
            }
            text = grown;
        }
        const size_t got = fread(text + *n, 1, cap - *n - 1, f);
        *n += got;
        if (got) continue;
        if (ferror(f)) snprintf(err.text, sizeof err.text, "%s: cannot read: %s", path, strerror(errno));
        break;
    }
    if (f != stdin) fclose(f);
    if (err.text[0]) {
        cli_fail(c, &err);
        free(text);
        return NULL;
    }
    text[*n] = '\0';
    return text;
}

/* ------------------------------------------------------------------------------------------------------------------- npy */

struct cli_npy {
    FILE *f;
    char *path, *partial;
    int64_t rows, cols;
    bool failed;
};

enum { NPY_HEADER = 128 };

static bool npy_header(cli_npy *f) {
    char head[NPY_HEADER];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = NPY_HEADER - 10;
    head[9] = 0;
    const int n = snprintf(head + 10, sizeof head - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }", (long long)f->rows, (long long)f->cols);
    head[10 + n] = ' ';
    head[NPY_HEADER - 1] = '\n';
    return fwrite(head, 1, sizeof head, f->f) == sizeof head;
}

cli_npy *cli_npy_open(const cli *c, const char *path, int64_t cols) {
    pare_err err = {.code = PARE_ERR_IO};
    cli_npy *f = calloc(1, sizeof *f);
    const size_t n = strlen(path) + 9;
    if (f) f->path = malloc(n), f->partial = malloc(n);
    if (!f || !f->path || !f->partial) {
        snprintf(err.text, sizeof err.text, "%s: out of memory", path);
        goto failed;
    }
    snprintf(f->path, n, "%s", path);
    snprintf(f->partial, n, "%s.partial", path);
    f->cols = cols;
    if (!(f->f = fopen(f->partial, "wb")) || !npy_header(f)) {
        snprintf(err.text, sizeof err.text, "%s: cannot write: %s", path, strerror(errno));
        goto failed;
    }
    return f;
failed:
    cli_fail(c, &err);
    if (f) cli_npy_close(c, f, false);
    return NULL;
}

bool cli_npy_row(cli_npy *f, const float *row) {
    /* little-endian machines only: the format says '<f4' */
    if (fwrite(row, sizeof *row, (size_t)f->cols, f->f) != (size_t)f->cols) f->failed = true;
    f->rows++;
    return !f->failed;
}

int cli_npy_close(const cli *c, cli_npy *f, bool keep) {
    int code = 0;
    if (!f) return 0;
    if (f->f && keep) {
        if (fseek(f->f, 0, SEEK_SET) != 0 || !npy_header(f)) f->failed = true;
        if (fclose(f->f) != 0) f->failed = true;
        if (f->failed || rename(f->partial, f->path) != 0) {
            pare_err err = {.code = PARE_ERR_IO};
            snprintf(err.text, sizeof err.text, "%s: cannot write: %s", f->path, strerror(errno));
            code = cli_fail(c, &err);
            remove(f->partial);
        }
    } else if (f->f) {
        fclose(f->f);
        remove(f->partial);
    }
    free(f->path);
    free(f->partial);
    free(f);
    return code;
}
