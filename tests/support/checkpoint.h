/* SPDX-License-Identifier: Apache-2.0 */
/* What tests do to checkpoints on disk. */
#ifndef PARE_TEST_CHECKPOINT_H
#define PARE_TEST_CHECKPOINT_H
#include "support/support.h"

/* x [rows, cols] (a vector: cols = 1) as it lies in the file; what is left there is written back. */
typedef void (*test_tensor_fn)(float *x, int64_t rows, int64_t cols, const void *user);
/* One f32 tensor of folder/model.safetensors. Fails the test when it is not there. */
void test_change_tensor(const char *folder, const char *name, test_tensor_fn edit, const void *user);
#endif
