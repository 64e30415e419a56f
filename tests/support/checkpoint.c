/* SPDX-License-Identifier: Apache-2.0 */
#include "support/checkpoint.h"

#include "file/file.h"

void test_change_tensor(const char *folder, const char *name, test_tensor_fn edit, const void *user)
{
    pare_store *s;
    pare_err err = { 0 };
    const uint8_t *data;
    char *path = pare_path_join(folder, "model.safetensors");
    assert_ok(pare_store_open(folder, &s, &err));
    const int64_t t = pare_store_find(s, name);
    if (t < 0) fail_msg("%s is not there", name);
    assert_int_equal(s->tensors[t].dtype, PARE_F32);
    assert_ok(pare_store_data(s, t, &data, &err));
    const int64_t n = (int64_t)s->tensors[t].numel, cols = s->tensors[t].ndim > 1 ? s->tensors[t].shape[1] : 1;
    const long offset = (long)(data - s->files[0].map.at);
    float *copy = malloc((size_t)n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, data, (size_t)n * sizeof *copy);
    pare_store_close(s);
    edit(copy, n / cols, cols, user);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(copy, sizeof *copy, (size_t)n, f), n);
    assert_int_equal(fclose(f), 0);
    free(copy);
    pare_dealloc(path);
}
