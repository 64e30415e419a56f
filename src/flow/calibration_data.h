/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibration data: windows of token ids of one length, out of the bundled text, a text, JSON lines or a file of ids. docs/calibration.md.
 */
#ifndef PARE_FLOW_CALIBRATION_DATA_H
#define PARE_FLOW_CALIBRATION_DATA_H
#include "base/base.h"
#include "text/text.h"

typedef struct pare_calibration_options {
    const char *file;            /* NULL = the bundled text */
    int64_t samples, seq_len;    /* windows and tokens of one; 0 = 128, 2048; of a file of rows all rows, whole rows */
    uint64_t seed;
    bool no_bos;                 /* no beginning-of-sequence id at the head of a window, also where the tokenizer adds one to a text */
    int64_t vocab;               /* ids are below this */
    int64_t max_positions;       /* of the model: windows are never longer; 0 = no limit */
} pare_calibration_options;

typedef struct pare_calibration_data {
    int32_t *ids;                /* [windows][len] */
    int64_t windows, len;
    int64_t source_tokens;       /* of the whole text or file */
    int64_t distinct;            /* different ids among them */
    bool bundled;
    char hash[65];               /* SHA-256 of the ids as little-endian int32, row after row */
    char what[200];              /* "bundled text, 128 windows of 2048 tokens, seed 0" */
} pare_calibration_data;

/*
 * tok may be NULL for files of ids. Text: each part (a file of the bundle; the whole file of a user; its lines of JSON joined by an empty line) is
 * tokenized once without special ids and cut into windows that do not overlap, at places drawn from (seed, name of the part); parts give windows in
 * proportion to their tokens. Where the tokenizer begins a text with BOS every window begins with it, and has one token of text less: models park
 * attention on the first position, and without BOS another token becomes that sink and distorts what is measured.
 * Parts that hold too few windows by themselves are joined into one text first.
 *   fewer tokens than samples * seq_len   fewer windows; PARE_LOG_WARNING with the numbers
 *   shorter than one window               one shorter window; PARE_LOG_WARNING
 *   one token repeated, or next to it     PARE_LOG_WARNING with the numbers
 *   fewer than 2 tokens                   PARE_ERR_DATA
 *   more tokens than max_positions        shorter windows; PARE_LOG_WARNING where seq_len was given, otherwise PARE_LOG_INFO
 * Files of ids: .npy of integers or .json; [windows, len] is used as it is: the first `samples` rows in order, each cut to seq_len, with a warning
 * where max_positions cuts them; one row is cut like text. An id outside the vocabulary: PARE_ERR_DATA that names it.
 */
pare_status pare_calibration_load(pare_ctx *ctx, const pare_tokenizer *tok, const pare_calibration_options *options, pare_calibration_data *out, pare_err *err);
void pare_calibration_clear(pare_calibration_data *data);
#endif
