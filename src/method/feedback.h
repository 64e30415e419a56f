/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error feedback: rounding a layer column by column so that later columns make up for the errors of earlier ones, under any grid that a
 * pare_rounder serves. GPTQ is this with scales chosen one way; other methods may call it with targets and scales of their own.
 *
 * Letters: W [rows, cols] the target, Q what is stored, E = W - Q, H = sum x x^T + damping, loss = tr(E H E^T). Columns are put in an order; a column's
 * index in that order is its place, and the last place is rounded first. With H = L L^T (L lower, in places) the loss of a row is |e L|^2, and
 *
 *     (e L)_j = L_jj (w_j - q_j) + sum over i > j of e_i L_ij     so     q_j = round(w_j + sum over i > j of e_i L_ij / L_jj)
 *
 * That is GPTQ (arXiv 2210.17323, eq. 2 and 3, and its Cholesky form, step 3) without its inverse: the rows of its upper factor of H^-1, divided by their
 * diagonal, undo the same triangle (QuIP, arXiv 2307.13304, theorem 6). One factorization of n^3 / 6 multiply-adds instead of three times as
 * many, and errors that are added up once instead of being carried through the weights.
 */
#ifndef PARE_METHOD_FEEDBACK_H
#define PARE_METHOD_FEEDBACK_H
#include "linalg/linalg.h"
#include "quant/quant.h"

/* H of a layer's inputs, in places, with its factor. */
typedef struct pare_curvature {
    int64_t n;
    int32_t *column;    /* [n] column at a place */
    float *square;      /* [n, n]: on and below the diagonal L, above it H */
    float *diag;        /* [n] diagonal of H with what was added, in places */
    float *added;       /* [n] what was added, in places */
    float *cost;        /* [n] L_jj^2, of columns, in units of their mean: what a squared error costs that only later columns can make up for */
    double damping;     /* parts of the mean diagonal that were added */
    int retries;        /* times that it was raised */
    int64_t dead;       /* columns whose input was always 0 */
    bool flat;          /* H = 0: no input was ever anything but 0; then H = 1 */
} pare_curvature;

/*
 * hessian [n, n], both triangles. Damping: the share of the mean diagonal that is added to the diagonal. Where the factorization fails it is doubled
 * (from at least 0.01), until it is above 1: then PARE_ERR_DATA with the pivot. NaN, infinity or a negative diagonal: PARE_ERR_DATA. Dead columns
 * get at least a hundredth of the mean. by_diagonal: places by rising diagonal, so that columns with the largest inputs are rounded first, while all others can
 * still make up for them; else the first column is rounded first.
 */
pare_status pare_curvature_new(pare_ctx *ctx, const char *name, int64_t n, const float *hessian, double damping, bool by_diagonal, pare_curvature **out, pare_err *err);
void pare_curvature_free(pare_curvature *h);

typedef enum pare_correction { PARE_CORRECT_NONE = 0, PARE_CORRECT_GPTAQ, PARE_CORRECT_QRONOS } pare_correction;
/*
 * W becomes what Q should come near to where inputs have drifted: sum over tokens of |W f - Q x|^2, f the float model's input in the place of x, is
 * least without rounding at W + W D^T H^-1, D = sum x (f - x)^T (`drift`). QRONOS: this (arXiv 2505.11695; its first column apart, which it
 * rounds before the others have moved). GPTAQ (arXiv 2504.02692, eq. 15): only that part in which a column's drift moves columns rounded after it.
 * strength: 1 = all of it.
 */
pare_status pare_curvature_correct(pare_ctx *ctx, const pare_curvature *h, const float *drift, pare_correction how, double strength, int64_t rows, float *w, pare_err *err);

typedef struct pare_feedback {
    bool ordered_groups;  /* groups are runs of places, and their scales are found when the first of them is reached, from weights that make up for all
                             errors so far (q->g_idx says where they are, unless places are columns); else groups are runs of columns, scales of W */
    int sweeps;           /* afterwards: times that every column is rounded again, given all others (exact coordinate descent on the loss) */
} pare_feedback;
/* Fills codes, scales and zero points of q, whose blocks must lie in rows: channel, or group along columns. w [rows, cols] is the target. */
pare_status pare_feedback_round(pare_ctx *ctx, const char *name, const pare_curvature *h, const pare_feedback *how, const float *w, pare_qtensor *q, pare_err *err);

/* tr((W - Q) H (W - Q)^T) / tr(W H W^T) without what was added to H; 0 / 0 = 0. */
pare_status pare_feedback_loss(pare_ctx *ctx, const pare_curvature *h, const float *w, const pare_qtensor *q, double *loss, pare_err *err);
#endif
