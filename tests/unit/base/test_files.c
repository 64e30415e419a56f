/* SPDX-License-Identifier: Apache-2.0 */
/* Output files, mapped files, paths and folders, hashing. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/support.h"

static pare_err err;

/* Bytes that differ everywhere, so that a misplaced block shows. */
static uint8_t *noise(size_t n)
{
    uint8_t *data = malloc(n + 8);
    for (size_t i = 0; i < n; i += 8) pare_put_le64(data + i, pare_rng_u64(9, i));
    return data;
}

static void assert_file(const char *path, const void *data, size_t n)
{
    pare_map map;
    assert_ok(pare_map_open(path, &map, &err));
    assert_int_equal(map.n, n);
    assert_memory_equal(map.at, data, n);
    pare_map_close(&map);
}

static void sha256(void **state)
{
    (void)state;
    char hex[65];
    assert_ok(pare_sha256_of("abc", 3, hex, &err));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(pare_sha256_of("", 0, hex, &err));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static pare_ctx *overlap_ctx; /* not NULL: full buffers are written in its background */

static void write_in_pieces(const char *path, const uint8_t *data, size_t n, uint64_t expected, bool sync)
{
    pare_out *o;
    char hex[65], want[65];
    assert_ok(pare_out_open(path, 0, expected, true, &o, &err));
    if (overlap_ctx) assert_ok(pare_out_overlap(o, overlap_ctx, &err));
    for (size_t at = 0, k = 0; at < n; k++) {
        size_t piece = 1 + (size_t)(pare_rng_u64(3, k) % 700001);
        if (piece > n - at) piece = n - at;
        assert_ok(pare_out_write(o, data + at, piece, &err));
        at += piece;
        assert_int_equal(pare_out_position(o), at);
        if (sync && k % 3 == 0) assert_ok(pare_out_sync(o, &err));
    }
    assert_ok(pare_out_close(o, hex, &err));
    assert_ok(pare_sha256_of(data, n, want, &err));
    assert_string_equal(hex, want);
    assert_file(path, data, n);
}

static void out_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 511, 4095, 4096, 4097, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9000001};
    uint8_t *data = noise(9000001);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_in_pieces(test_path("out"), data, sizes[i], 0, false);
        write_in_pieces(test_path("out"), data, sizes[i], sizes[i], true);
        write_in_pieces(test_path("out"), data, sizes[i], 10 << 20, true); /* reserved more than was written */
    }
    struct stat info;
    assert_int_equal(stat(test_path("out"), &info), 0);
    assert_true(info.st_blocks * 512 < 9000001 + 65536); /* what was reserved too much is given back */
    free(data);
}

static void out_overlapped(void **state)
{
    (void)state;
    const size_t n = 33000001;
    uint8_t *data = noise(n);
    for (int threads = 1; threads <= 2; threads++) {
        pare_ctx ctx;
        assert_ok(pare_ctx_init_base(&ctx, &(pare_ctx_options){.threads = threads}, &err));
        overlap_ctx = &ctx;
        write_in_pieces(test_path("out"), data, n, n, false);
        write_in_pieces(test_path("out"), data, n, 0, true);
        overlap_ctx = NULL;
        pare_ctx_clear_base(&ctx);
    }
    free(data);
}

/* The same on a file system in memory, where direct I/O may not exist. */
static void out_tmpfs(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/pare-test-%ld", (long)getpid());
    if (access("/dev/shm", W_OK) != 0) skip();
    uint8_t *data = noise(5000001);
    write_in_pieces(path, data, 5000001, 5000001, true);
    unlink(path);
    free(data);
}

static void out_resume(void **state)
{
    (void)state;
    static const size_t cuts[] = {1, 4095, 4096, 100000, 4 << 20, (4 << 20) + 5, 8 << 20, 8999999};
    const size_t n = 9000001;
    const char *path = test_path("resumed");
    uint8_t *data = noise(n);
    char hex[65], want[65];
    pare_out *o;
    assert_ok(pare_sha256_of(data, n, want, &err));
    for (size_t i = 0; i < 2 * sizeof cuts / sizeof *cuts; i++) {
        size_t cut = cuts[i / 2];
        bool hash = i % 2;
        assert_ok(pare_out_open(path, 0, n, true, &o, &err));
        assert_ok(pare_out_write(o, data, cut, &err));
        assert_ok(pare_out_sync(o, &err));
        assert_ok(pare_out_write(o, "lost", 4, &err)); /* after the journal's last entry */
        pare_out_abort(o);
        assert_ok(pare_out_open(path, cut, n, hash, &o, &err));
        assert_int_equal(pare_out_position(o), cut);
        assert_ok(pare_out_write(o, data + cut, n - cut, &err));
        assert_ok(pare_out_close(o, hex, &err));
        assert_string_equal(hex, hash ? want : "");
        assert_file(path, data, n);
    }
    assert_error(pare_out_open(path, n + 1, n + 2, true, &o, &err), PARE_ERR_DATA, "9000001");
    assert_error(pare_out_open(test_path("none"), 5, 9, true, &o, &err), PARE_ERR_IO, "none");
    free(data);
}

static void out_disk_full(void **state)
{
    (void)state;
    pare_out *o;
    assert_error(pare_out_open(test_path("huge"), 0, 1ull << 60, false, &o, &err), PARE_ERR_IO, "disk full");
    assert_non_null(strstr(err.text, "1152921504606846976"));
    assert_null(o);
    assert_error(pare_out_open(test_path("no/such/folder"), 0, 0, false, &o, &err), PARE_ERR_IO, "cannot create");
}

/* The limit on file sizes stands in for a disk that fills up while writing. The error stays: the file has a hole. */
static void out_fails_late(void **state)
{
    (void)state;
    struct rlimit before, tight;
    uint8_t *data = noise(1 << 20);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    for (int threads = 0; threads <= 2; threads++) { /* 0: not overlapped */
        pare_out *o;
        pare_ctx ctx;
        pare_status st = PARE_OK;
        assert_ok(pare_ctx_init_base(&ctx, &(pare_ctx_options){.threads = threads}, &err));
        assert_ok(pare_out_open(test_path("late"), 0, 0, true, &o, &err));
        if (threads) assert_ok(pare_out_overlap(o, &ctx, &err));
        tight = before;
        tight.rlim_cur = 6 << 20;
        setrlimit(RLIMIT_FSIZE, &tight);
        for (int i = 0; i < 20 && st == PARE_OK; i++) st = pare_out_write(o, data, 1 << 20, &err);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(st, PARE_ERR_IO);
        assert_non_null(strstr(err.text, "disk full"));
        assert_error(pare_out_write(o, data, 1, &err), PARE_ERR_IO, "disk full");
        assert_error(pare_out_sync(o, &err), PARE_ERR_IO, "disk full");
        assert_error(pare_out_close(o, NULL, &err), PARE_ERR_IO, "disk full");
        pare_ctx_clear_base(&ctx);
    }
    free(data);
}

static pare_status write_a_file(void *arg)
{
    pare_out *o;
    char hex[65];
    pare_status st = pare_out_open(arg, 0, 5 << 20, true, &o, NULL);
    if (st == PARE_OK) st = pare_out_write(o, "abc", 3, NULL);
    if (o) {
        pare_status close_st = pare_out_close(o, hex, NULL);
        if (st == PARE_OK) st = close_st;
    }
    if (st == PARE_OK) st = pare_write_file_atomic(test_path("atomic"), "x", 1, NULL);
    if (st == PARE_OK) st = pare_copy_file(test_path("atomic"), test_path("copy"), hex, NULL);
    return st;
}

static void out_no_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(write_a_file, (void *)(uintptr_t)test_path("memory")) > 5);
}

static void atomic_files(void **state)
{
    (void)state;
    const char *path = test_path("sub/deeper/a.json");
    pare_names names;
    assert_error(pare_write_file_atomic(path, "x", 1, &err), PARE_ERR_IO, "sub/deeper");
    assert_ok(pare_make_folder(test_path("sub/deeper"), &err));
    assert_ok(pare_make_folder(test_path("sub/deeper/"), &err));
    assert_ok(pare_write_file_atomic(path, "first", 5, &err));
    assert_ok(pare_write_file_atomic(path, "second", 6, &err));
    assert_ok(pare_write_file_atomic(test_path("sub/deeper/empty"), "", 0, &err));
    assert_file(path, "second", 6);
    assert_file(test_path("sub/deeper/empty"), "", 0);
    assert_int_equal(symlink("a.json", test_path("sub/deeper/link")), 0);
    assert_int_equal(symlink("nowhere", test_path("sub/deeper/broken")), 0);
    assert_ok(pare_make_folder(test_path("sub/deeper/folder"), &err));
    assert_ok(pare_list_folder(test_path("sub/deeper"), &names, &err));
    assert_int_equal(names.n, 3);
    assert_string_equal(names.at[0], "a.json");
    assert_string_equal(names.at[1], "empty");
    assert_string_equal(names.at[2], "link");
    pare_names_clear(&names);
    assert_error(pare_make_folder(test_path("sub/deeper/a.json/x"), &err), PARE_ERR_IO, "a.json");
    assert_error(pare_list_folder(test_path("none"), &names, &err), PARE_ERR_IO, "none");
    assert_int_equal(pare_file_size(path), 6);
    assert_int_equal(pare_file_size(test_path("sub")), -1);
    assert_int_equal(symlink(test_path("sub/deeper"), test_path("to_deeper")), 0);
    assert_ok(pare_remove_tree(test_path("to_deeper"), &err)); /* the link, not what it points to */
    assert_true(pare_path_exists(path));
    assert_ok(pare_remove_tree(test_path("sub"), &err));
    assert_false(pare_path_exists(test_path("sub")));
    assert_ok(pare_remove_tree(test_path("sub"), &err));
}

static void copies(void **state)
{
    (void)state;
    uint8_t *data = noise(700001);
    char hex[65], want[65];
    test_write(test_path("from"), data, 700001);
    assert_ok(pare_copy_file(test_path("from"), test_path("to"), hex, &err));
    assert_ok(pare_sha256_of(data, 700001, want, &err));
    assert_string_equal(hex, want);
    assert_file(test_path("to"), data, 700001);
    assert_error(pare_copy_file(test_path("absent"), test_path("to"), NULL, &err), PARE_ERR_IO, "absent");
    free(data);
}

static void maps(void **state)
{
    (void)state;
    pare_map map;
    uint8_t *data = noise(100000);
    test_write(test_path("mapped"), data, 100000);
    assert_ok(pare_map_open(test_path("mapped"), &map, &err));
    pare_map_sequential(&map);
    pare_map_drop(&map, 5000, 60000);
    pare_map_drop(&map, 50000, SIZE_MAX);
    pare_map_drop(&map, 200000, 1);
    assert_memory_equal(map.at, data, 100000);
    assert_true(map.mtime_ns > 0);
    pare_map_close(&map);
    test_write(test_path("empty"), "", 0);
    assert_ok(pare_map_open(test_path("empty"), &map, &err));
    assert_int_equal(map.n, 0);
    pare_map_close(&map);
    assert_error(pare_map_open(test_folder(), &map, &err), PARE_ERR_IO, "folder");
    assert_error(pare_map_open("/dev/null", &map, &err), PARE_ERR_IO, "regular");
    char *text;
    size_t n;
    assert_ok(pare_read_file(test_path("mapped"), 100000, &text, &n, &err));
    assert_int_equal(n, 100000);
    assert_int_equal(text[n], 0);
    pare_dealloc(text);
    assert_ok(pare_read_file("/proc/self/status", 1 << 20, &text, &n, &err)); /* says it has 0 bytes */
    assert_true(n > 100 && strlen(text) == n);
    pare_dealloc(text);
    assert_error(pare_read_file("/proc/self/status", 10, &text, &n, &err), PARE_ERR_FORMAT, "10 bytes");
    free(data);
}

static void paths(void **state)
{
    (void)state;
    static const char *const safe[] = {"a", "a.safetensors", "sub/a.bin", "..a", "a..b/c"};
    static const char *const unsafe[] = {"", "/a", "../a", "a/..", "a/../b", "a//b", "a/", ".", "./a", "a\nb", "a\\b", "a\x7f"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++) assert_true(pare_path_is_safe(safe[i]));
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) assert_false(pare_path_is_safe(unsafe[i]));
    static const struct { const char *folder, *name, *joined; } joins[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (size_t i = 0; i < 4; i++) {
        char *joined = pare_path_join(joins[i].folder, joins[i].name);
        assert_string_equal(joined, joins[i].joined);
        pare_dealloc(joined);
    }
    static const struct { const char *path, *folder, *name; } cuts[] = {{"a/b", "a", "b"}, {"b", ".", "b"}, {"/b", "/", "b"}, {"/x/y/z", "/x/y", "z"}};
    for (size_t i = 0; i < 4; i++) {
        char *folder = pare_path_folder(cuts[i].path);
        assert_string_equal(folder, cuts[i].folder);
        assert_string_equal(pare_path_name(cuts[i].path), cuts[i].name);
        pare_dealloc(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256),        cmocka_unit_test(out_sizes),      cmocka_unit_test(out_overlapped), cmocka_unit_test(out_tmpfs),     cmocka_unit_test(out_resume),
        cmocka_unit_test(out_disk_full), cmocka_unit_test(out_fails_late), cmocka_unit_test(out_no_memory), cmocka_unit_test(atomic_files),
        cmocka_unit_test(copies),        cmocka_unit_test(maps),           cmocka_unit_test(paths),
    };
    if (!*test_folder()) return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
