/* SPDX-License-Identifier: Apache-2.0 */
/* Writing every container that can be written: write, read, write again gives the same bytes; interrupted and resumed too. */
#include "make.h"
#include "file/zip.h"

static pare_err err;

/* Sizes that are odd, empty, rank 0 and larger than a buffer of the output file. */
static const pare_spec mixed[] = {
    {"a.weight", PARE_F32, 2, {7, 5}, 140},
    {"b", PARE_I8, 1, {3}, 3},
    {"empty", PARE_F32, 2, {0, 4}, 0},
    {"scalar", PARE_F64, 0, {0}, 8},
    {"half", PARE_F16, 1, {5}, 10},
    {"ids", PARE_I64, 1, {2}, 16},
    {"mask", PARE_BOOL, 3, {1, 3, 1}, 3},
    {"complex", PARE_C64, 1, {1}, 8},
    {"größe/\"quoted\"\\", PARE_U16, 1, {1}, 2},
    {"large", PARE_U8, 2, {1500, 4001}, 6001500},
    {"last", PARE_U32, 1, {1}, 4},
};
enum { N_MIXED = sizeof mixed / sizeof *mixed };

static uint8_t byte_at(int64_t tensor, uint64_t i) { return (uint8_t)(pare_rng_u64(7 + (uint64_t)tensor, i / 8) >> (i % 8 * 8)); }

static uint8_t *bytes_of(int64_t tensor, uint64_t n)
{
    uint8_t *data = malloc((size_t)n + 1);
    for (uint64_t i = 0; i < n; i++) data[i] = byte_at(tensor, i);
    return data;
}

/* Appends `n` bytes of a tensor, from byte `from`, in uneven pieces. */
static void append(pare_writer *w, int64_t tensor, uint64_t from, uint64_t n)
{
    uint8_t *data = bytes_of(tensor, from + n);
    for (uint64_t at = from, piece = 1; at < from + n; at += piece, piece = piece * 3 + 1) {
        if (piece > from + n - at) piece = from + n - at;
        assert_ok(pare_writer_append(w, data + at, (size_t)piece, &err));
    }
    free(data);
}

static const struct pare_kv meta[] = {{"format", "pt"}, {"note", "line\n\"two\"\t\x01"}};

static void write_all(const pare_format *format, const char *path, const pare_spec *specs, int64_t n, char hex[65])
{
    pare_writer *w;
    uint64_t bytes = 0, expected = 0;
    assert_ok(pare_writer_open(format, path, specs, n, meta, 2, 0, &w, &err));
    for (int64_t i = 0; i < n; i++) append(w, i, 0, specs[i].bytes);
    assert_int_equal(pare_writer_tensor(w), n);
    assert_ok(pare_writer_close(w, hex, &bytes, &err));
    assert_ok(format->measure(specs, n, meta, 2, &expected, NULL, &err));
    assert_int_equal(bytes, expected);
    assert_int_equal(pare_file_size(path), expected);
}

static void assert_same_file(const char *a, const char *b)
{
    pare_map x, y;
    assert_ok(pare_map_open(a, &x, &err));
    assert_ok(pare_map_open(b, &y, &err));
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.at, y.at, x.n);
    pare_map_close(&x);
    pare_map_close(&y);
}

static void assert_hash(const char *path, const char *hex)
{
    pare_map m;
    char want[65];
    assert_ok(pare_map_open(path, &m, &err));
    assert_ok(pare_sha256_of(m.at, m.n, want, &err));
    assert_string_equal(hex, want);
    pare_map_close(&m);
}

/* Everything that was written is read back, and written again from what was read. */
static void read_back(const pare_format *format, const char *path, const char *copy, const pare_spec *specs, int64_t n, bool has_meta)
{
    pare_store *s;
    pare_writer *w;
    char hex[65];
    assert_ok(pare_store_open(path, &s, &err));
    assert_ptr_equal(s->format, format);
    assert_int_equal(s->n_tensors, n);
    assert_ok(pare_writer_open(format, copy, specs, n, has_meta ? s->metadata : meta, has_meta ? s->n_metadata : 2, 0, &w, &err));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = n == 1 ? 0 : pare_store_find(s, specs[i].name);
        const uint8_t *data;
        assert_true(at >= 0);
        const pare_tensor *t = &s->tensors[at];
        assert_int_equal(t->dtype, specs[i].dtype);
        assert_int_equal(t->ndim, specs[i].ndim);
        assert_memory_equal(t->shape, specs[i].shape, (size_t)t->ndim * sizeof *t->shape);
        assert_int_equal(t->bytes, specs[i].bytes);
        assert_non_null(t->data);
        assert_ok(pare_store_data(s, at, &data, &err));
        uint8_t *want = bytes_of(i, t->bytes);
        assert_memory_equal(data, want, (size_t)t->bytes);
        free(want);
        assert_ok(pare_writer_append(w, data, (size_t)t->bytes, &err));
        pare_store_release(s, at);
    }
    assert_ok(pare_writer_close(w, hex, NULL, &err));
    assert_hash(copy, hex);
    pare_store_close(s);
    assert_same_file(path, copy);
}

/* Stopped after each tensor, with a part of the next one written too, then resumed. */
static void interrupted(const pare_format *format, const char *whole, const char *whole_hex, const char *path, const pare_spec *specs,
                        int64_t n)
{
    for (int64_t k = 0; k <= n; k++) {
        pare_writer *w;
        char hex[65];
        uint64_t bytes;
        assert_ok(pare_writer_open(format, path, specs, n, meta, 2, 0, &w, &err));
        for (int64_t i = 0; i < k; i++) append(w, i, 0, specs[i].bytes);
        if (k < n && pare_writer_tensor(w) == k) append(w, k, 0, specs[k].bytes / 2);
        assert_ok(pare_writer_sync(w, &err));
        pare_writer_abort(w);
        assert_ok(pare_writer_open(format, path, specs, n, meta, 2, k, &w, &err));
        assert_true(pare_writer_tensor(w) >= k);
        for (int64_t i = k; i < n; i++) append(w, i, 0, specs[i].bytes);
        assert_ok(pare_writer_close(w, hex, &bytes, &err));
        assert_same_file(whole, path);
        assert_string_equal(hex, whole_hex);
    }
}

static void round_trip(const pare_format *format, const pare_spec *specs, int64_t n, bool has_meta)
{
    char hex[65];
    const char *path = test_path(format->file_name), *copy = test_path("copy"), *stopped = test_path("stopped");
    write_all(format, path, specs, n, hex);
    assert_hash(path, hex);
    read_back(format, path, copy, specs, n, has_meta);
    interrupted(format, path, hex, stopped, specs, n);
}

static void safetensors(void **state)
{
    (void)state;
    round_trip(pare_format_find("safetensors"), mixed, N_MIXED, true);
    round_trip(pare_format_find("safetensors"), mixed, 0, true);
    round_trip(pare_format_find("safetensors"), mixed + 2, 1, true);
}

static void npz(void **state)
{
    (void)state;
    round_trip(pare_format_find("npz"), mixed, N_MIXED, false);
    round_trip(pare_format_find("npz"), mixed, 1, false);
    round_trip(pare_format_find("npz"), mixed, 0, false);
}

static void npy(void **state)
{
    (void)state;
    for (int i = 0; i < N_MIXED; i++) {
        char hex[65];
        const char *path = test_path("x.npy"), *copy = test_path("copy"), *stopped = test_path("stopped");
        pare_spec spec = mixed[i];
        write_all(pare_format_find("npy"), path, &spec, 1, hex);
        pare_store *s;
        assert_ok(pare_store_open(path, &s, &err));
        assert_string_equal(s->tensors[0].name, "x");
        pare_store_close(s);
        read_back(pare_format_find("npy"), path, copy, &spec, 1, false);
        interrupted(pare_format_find("npy"), path, hex, stopped, &spec, 1);
    }
}

/* The bytes that numpy 2.4 writes: np.save(np.arange(3, dtype="<i2")). */
static void npy_as_numpy(void **state)
{
    (void)state;
    static const char header[] = "\x93NUMPY\1\0v\0{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }";
    const pare_spec spec = {"x", PARE_I16, 1, {3}, 6};
    pare_writer *w;
    char hex[65];
    assert_ok(pare_writer_open(pare_format_find("npy"), test_path("x.npy"), &spec, 1, NULL, 0, 0, &w, &err));
    assert_ok(pare_writer_append(w, "\0\0\1\0\2\0", 6, &err));
    assert_ok(pare_writer_close(w, hex, NULL, &err));
    char want[134];
    memset(want, ' ', sizeof want);
    memcpy(want, header, sizeof header - 1);
    memcpy(want + 127, "\n\0\0\1\0\2\0", 7);
    pare_map m;
    assert_ok(pare_map_open(test_path("x.npy"), &m, &err));
    assert_int_equal(m.n, sizeof want);
    assert_memory_equal(m.at, want, sizeof want);
    pare_map_close(&m);
}

/* In the proposed order every tensor is aligned to its element. */
static void safetensors_order(void **state)
{
    (void)state;
    const pare_format *format = pare_format_find("safetensors");
    int64_t perm[N_MIXED];
    pare_spec specs[N_MIXED];
    uint64_t offsets[N_MIXED], bytes;
    bool seen[N_MIXED] = {false};
    format->order(mixed, N_MIXED, perm);
    for (int i = 0; i < N_MIXED; i++) {
        assert_false(seen[perm[i]]);
        seen[perm[i]] = true;
        specs[i] = mixed[perm[i]];
    }
    assert_int_equal(perm[0], 2); /* "empty", the first whose size is a multiple of 8 */
    for (int n_meta = 0; n_meta <= 2; n_meta++) {
        assert_ok(format->measure(specs, N_MIXED, meta, n_meta, &bytes, offsets, &err));
        for (int i = 0; i < N_MIXED; i++) assert_int_equal(offsets[i] % pare_dtype_unit(specs[i].dtype), 0);
    }
}

static void npz_alignment(void **state)
{
    (void)state;
    uint64_t offsets[N_MIXED], bytes;
    assert_ok(pare_format_find("npz")->measure(mixed, N_MIXED, NULL, 0, &bytes, offsets, &err));
    for (int i = 0; i < N_MIXED; i++) assert_int_equal(offsets[i] % 64, 0);
}

/* ------------------------------------------------------------------------------------------------------------ refusals */

static pare_status open_with(const char *format, const pare_spec *specs, int64_t n, int64_t resume)
{
    pare_writer *w = NULL;
    pare_status st = pare_writer_open(pare_format_find(format), test_path("refused"), specs, n, meta, 2, resume, &w, &err);
    if (st == PARE_OK) pare_writer_abort(w);
    return st;
}

static void refusals(void **state)
{
    (void)state;
    const pare_spec bf16 = {"w", PARE_BF16, 1, {2}, 4}, f8 = {"w", PARE_F8_E4M3FN, 1, {2}, 2}, wrong = {"w", PARE_F32, 1, {2}, 7},
                    negative = {"w", PARE_F32, 1, {-2}, 8}, reserved = {"__metadata__", PARE_F32, 1, {1}, 4},
                    not_utf8 = {"\xff", PARE_F32, 1, {1}, 4}, none = {"w", PARE_DTYPE_NONE, 1, {1}, 4},
                    odd = {"w", PARE_F4_E2M1, 1, {3}, 2};
    const pare_spec nine = {"w", PARE_F32, 9, {1}, 4};
    const pare_spec huge = {"v", PARE_U8, 1, {INT64_MAX / 8}, INT64_MAX / 8};
    const pare_spec twice[] = {mixed[0], mixed[1], mixed[0]};
    assert_error(open_with("npz", &bf16, 1, 0), PARE_ERR_UNSUPPORTED, "tensor 'w': numpy has no dtype for bf16");
    assert_string_equal(err.hint, "convert to f32 or f16");
    assert_error(open_with("npy", &f8, 1, 0), PARE_ERR_UNSUPPORTED, "tensor 'w': numpy has no dtype for f8_e4m3fn");
    assert_error(open_with("npy", mixed, 2, 0), PARE_ERR_UNSUPPORTED, "an npy file holds one array, 2 were given");
    assert_error(open_with("torch", mixed, 1, 0), PARE_ERR_UNSUPPORTED, "torch files are read but not written");
    assert_error(open_with("safetensors", &wrong, 1, 0), PARE_ERR_USAGE, "tensor 'w' takes 8 bytes, its plan says 7");
    assert_error(open_with("safetensors", &negative, 1, 0), PARE_ERR_FORMAT, "tensor 'w' has size -2 in dimension 0");
    assert_error(open_with("safetensors", &none, 1, 0), PARE_ERR_FORMAT, "tensor 'w' has no known dtype");
    assert_error(open_with("safetensors", &odd, 1, 0), PARE_ERR_FORMAT, "3 elements of 4 bits do not end on a whole byte");
    assert_error(open_with("safetensors", &reserved, 1, 0), PARE_ERR_UNSUPPORTED, "cannot hold a tensor named '__metadata__'");
    assert_error(open_with("safetensors", &not_utf8, 1, 0), PARE_ERR_UNSUPPORTED, "a name in safetensors must be UTF-8");
    assert_error(open_with("safetensors", &nine, 1, 0), PARE_ERR_UNSUPPORTED, "tensor 'w' has 9 dimensions, at most 8 are read");
    assert_error(open_with("safetensors", twice, 3, 0), PARE_ERR_USAGE, "two tensors are named 'a.weight'");
    assert_error(open_with("safetensors", mixed, 2, 3), PARE_ERR_USAGE, "cannot resume after 3 of 2 tensors");
    pare_spec many[9];
    for (int i = 0; i < 9; i++) many[i] = huge;
    for (int f = 0; f < 2; f++)
        assert_error(pare_format_find(f ? "npz" : "safetensors")->measure(many, 9, NULL, 0, NULL, NULL, &err), PARE_ERR_UNSUPPORTED,
                     "the file would be too large");
    assert_int_equal(pare_file_size(test_path("refused")), -1);
}

static void misuse(void **state)
{
    (void)state;
    pare_writer *w;
    char hex[65];
    assert_ok(pare_writer_open(pare_format_find("safetensors"), test_path("misuse"), mixed, 2, NULL, 0, 0, &w, &err));
    append(w, 0, 0, 100);
    assert_error(pare_writer_append(w, meta, 41, &err), PARE_ERR_USAGE, "tensor 'a.weight' takes 140 bytes, 141 were given");
    assert_error(pare_writer_close(w, hex, NULL, &err), PARE_ERR_USAGE, "tensor 'a.weight' got 100 of 140 bytes (0 of 2 tensors are done)");
    assert_ok(pare_writer_open(pare_format_find("safetensors"), test_path("misuse"), mixed, 2, NULL, 0, 0, &w, &err));
    append(w, 0, 0, 140);
    append(w, 1, 0, 3);
    assert_error(pare_writer_append(w, meta, 1, &err), PARE_ERR_USAGE, "1 bytes beyond the last of 2 tensors");
    assert_ok(pare_writer_close(w, hex, NULL, &err));
}

/* A file that another plan began is noticed; so is one that is too short. */
static void resume_elsewhere(void **state)
{
    (void)state;
    char hex[65];
    pare_spec other[N_MIXED];
    const char *const formats[] = {"safetensors", "npz"};
    for (int f = 0; f < 2; f++) {
        write_all(pare_format_find(formats[f]), test_path("refused"), mixed, N_MIXED, hex);
        memcpy(other, mixed, sizeof other);
        other[0].name = "b.weight";
        assert_error(open_with(formats[f], other, N_MIXED, 1), PARE_ERR_FORMAT, "differ from this plan, another run began the file");
        test_write(test_path("refused"), "PK", 2);
        assert_error(open_with(formats[f], mixed, N_MIXED, 1), PARE_ERR_FORMAT, "cannot resume: the file has 2 bytes");
    }
    write_all(pare_format_find("safetensors"), test_path("refused"), mixed, N_MIXED, hex);
    buf b = {0};
    char *whole = NULL;
    size_t n = 0;
    assert_ok(pare_read_file(test_path("refused"), 1 << 26, &whole, &n, &err));
    buf_put(&b, whole, n - 100);
    test_write(test_path("refused"), b.at, b.n);
    assert_error(open_with("safetensors", mixed, N_MIXED, N_MIXED), PARE_ERR_FORMAT, "finished tensors take");
    buf_clear(&b);
    pare_dealloc(whole);
}

/* ---------------------------------------------------------------------------------------------------------------- zip64 */

/* The zip64 forms of all records, at sizes that do not need them. */
static void zip64(void **state)
{
    (void)state;
    for (uint64_t limit = 0; limit <= 4096; limit = limit ? limit * 16 : 1) {
        static const char *const names[] = {"a", "ö/b", "c.npy"};
        pare_zip_out members[3];
        pare_str s = {0};
        for (int i = 0; i < 3; i++) {
            char data[300];
            members[i] = (pare_zip_out){names[i], s.n, (uint64_t)i * 150, 0};
            memset(data, 'a' + i, sizeof data);
            pare_zip_put_header(&s, &members[i], limit);
            assert_int_equal(s.n % PARE_ZIP_ALIGN, 0);
            pare_str_addn(&s, data, (size_t)members[i].size);
            members[i].crc = pare_crc32(0, data, (size_t)members[i].size);
            pare_zip_put_descriptor(&s, &members[i], limit);
        }
        pare_zip_put_directory(&s, members, 3, s.n, limit);
        if (limit == 16 && getenv("PARE_KEEP_ZIP64")) test_write(getenv("PARE_KEEP_ZIP64"), s.at, s.n);
        pare_arena arena = {0};
        pare_zip zip;
        assert_ok(pare_zip_open("x.zip", (const uint8_t *)s.at, s.n, &arena, &zip, &err));
        assert_int_equal(zip.n_members, 3);
        for (int i = 0; i < 3; i++) {
            const pare_zip_member *m = pare_zip_find(&zip, names[i]);
            assert_non_null(m);
            assert_int_equal(m->size, members[i].size);
            assert_ok(pare_zip_check(&zip, m, &err));
        }
        assert_null(pare_zip_find(&zip, "d"));
        pare_arena_clear(&arena);
        pare_str_clear(&s);
    }
}

/* Sizes beyond 4 GiB are planned with zip64 records. */
static void npz_beyond_4_gib(void **state)
{
    (void)state;
    const pare_format *npz_format = pare_format_find("npz");
    const pare_spec small[] = {{"a", PARE_U8, 1, {100}, 100}, {"b", PARE_U8, 1, {1}, 1}};
    const pare_spec large[] = {{"a", PARE_U8, 1, {(int64_t)5 << 30}, (uint64_t)5 << 30}, {"b", PARE_U8, 1, {1}, 1}};
    uint64_t x, y, offsets[2];
    assert_ok(npz_format->measure(small, 2, NULL, 0, &x, offsets, &err));
    assert_ok(npz_format->measure(large, 2, NULL, 0, &y, offsets, &err));
    assert_int_equal(offsets[1] % 64, 0);
    assert_true(offsets[1] > (uint64_t)5 << 30);
    assert_in_range(y - x, (uint64_t)5 << 30, ((uint64_t)5 << 30) + 400);
}

/* ------------------------------------------------------------------------------------------------------------ allocations */

static pare_status write_small(void *arg)
{
    pare_writer *w = NULL;
    char hex[65];
    const uint8_t bytes[24] = {0};
    const pare_spec specs[] = {{"a", PARE_F32, 1, {6}, 24}, {"b", PARE_F32, 1, {0}, 0}, {"c", PARE_U8, 1, {3}, 3}};
    int64_t n = !strcmp(arg, "npy") ? 1 : 3;
    pare_status st = pare_writer_open(pare_format_find(arg), test_path("small"), specs, n, meta, 1, 0, &w, &err);
    if (st != PARE_OK) return st;
    st = pare_writer_append(w, bytes, 24, &err);
    if (st == PARE_OK && n == 3) st = pare_writer_append(w, bytes, 3, &err);
    if (st == PARE_OK) return pare_writer_close(w, hex, NULL, &err);
    pare_writer_abort(w);
    return st;
}

static void allocations(void **state)
{
    (void)state;
    char names[3][16] = {"safetensors", "npz", "npy"};
    for (int i = 0; i < 3; i++) assert_true(test_every_allocation(write_small, names[i]) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors),       cmocka_unit_test(npz),      cmocka_unit_test(npy),    cmocka_unit_test(npy_as_numpy),
        cmocka_unit_test(safetensors_order), cmocka_unit_test(npz_alignment), cmocka_unit_test(refusals), cmocka_unit_test(misuse),
        cmocka_unit_test(resume_elsewhere),  cmocka_unit_test(zip64),    cmocka_unit_test(npz_beyond_4_gib), cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
