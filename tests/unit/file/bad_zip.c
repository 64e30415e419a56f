/* SPDX-License-Identifier: Apache-2.0 */
/* ZIP archives that break one rule each: an npz of two arrays is made and a number in it changed. */
#include "bad.h"

static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";

static void make_archive(buf *b, bool deflate)
{
    zipper z = {.out = b};
    buf npy = {0};
    uint8_t data[24] = {1, 2, 3};
    make_npy(&npy, header, data, sizeof data);
    zip_add(&z, "a.npy", npy.at, npy.n, deflate);
    zip_add(&z, "b.npy", npy.at, npy.n, deflate);
    zip_end(&z);
    buf_clear(&npy);
}

/* The number of `width` bytes at `field` behind the nth signature becomes value. */
static const struct change {
    const char *what, *sign;
    int nth;
    size_t field;
    int width;
    uint64_t value;
    bool deflate;
    const char *expected;
} changes[] = {
    {"count too large", ZIP_END, 0, 10, 2, 3, false, "x.npz: 3 ZIP members do not fit into a directory of 102 bytes"},
    {"count far too large", ZIP_END, 0, 10, 2, 9999, false, "9999 ZIP members do not fit into a directory of"},
    {"count too small", ZIP_END, 0, 10, 2, 1, false, "bytes more than its 1 members take"},
    {"directory too long", ZIP_END, 0, 12, 4, 0xfffff, false, "does not fit before byte"},
    {"directory begins behind the end", ZIP_END, 0, 16, 4, 0xfffff, false, "does not fit before byte"},
    {"directory begins elsewhere", ZIP_END, 0, 16, 4, 1, false, "entry 0 of the ZIP directory is damaged"},
    {"second volume", ZIP_END, 0, 4, 2, 1, false, "x.npz: a ZIP archive in several volumes is not read"},
    {"directory in another volume", ZIP_END, 0, 6, 2, 1, false, "a ZIP archive in several volumes is not read"},
    {"comment that is not there", ZIP_END, 0, 20, 2, 5, false, "x.npz: the ZIP end record is missing (cut off?)"},
    {"end signature wrong", ZIP_END, 0, 3, 1, 7, false, "the ZIP end record is missing"},
    {"entry signature wrong", ZIP_ENTRY, 0, 3, 1, 7, false, "entry 0 of the ZIP directory is damaged"},
    {"second entry signature wrong", ZIP_ENTRY, 1, 3, 1, 7, false, "entry 1 of the ZIP directory is damaged"},
    {"name longer than the directory", ZIP_ENTRY, 0, 28, 2, 60000, false, "entry 0 of the ZIP directory is damaged"},
    {"extra longer than the directory", ZIP_ENTRY, 0, 30, 2, 60000, false, "entry 0 of the ZIP directory is damaged"},
    {"comment longer than the directory", ZIP_ENTRY, 1, 32, 2, 60000, false, "entry 1 of the ZIP directory is damaged"},
    {"encrypted", ZIP_ENTRY, 0, 8, 2, 1, false, "x.npz: member 'a.npy' is encrypted"},
    {"strongly encrypted", ZIP_ENTRY, 0, 8, 2, 0x40, false, "member 'a.npy' is encrypted"},
    {"method bzip2", ZIP_ENTRY, 0, 10, 2, 12, false, "member 'a.npy' is packed by method 12"},
    {"method zstd", ZIP_ENTRY, 0, 10, 2, 93, false, "member 'a.npy' is packed by method 93"},
    {"stored with two sizes", ZIP_ENTRY, 0, 24, 4, 5, false, "stored member 'a.npy' has 94 bytes for 5"},
    {"stored member beyond the directory", ZIP_ENTRY, 0, 20, 4, 0xffffff, false, "stored member 'a.npy' has 16777215 bytes for 94"},
    {"deflated member beyond the directory", ZIP_ENTRY, 0, 20, 4, 0xffffff, true, "member 'a.npy' ends at byte"},
    {"deflated to more than deflate can", ZIP_ENTRY, 0, 24, 4, 0x7fffffff, true, "member 'a.npy' cannot hold 2147483647 bytes in"},
    {"zip64 field missing", ZIP_ENTRY, 0, 24, 4, 0xffffffff, true, "member 'a.npy' cannot hold 4294967295 bytes in"},
    {"local header beyond the directory", ZIP_ENTRY, 0, 42, 4, 0xffffff, false, "member 'a.npy' has no local header at byte 16777215"},
    {"local header elsewhere", ZIP_ENTRY, 0, 42, 4, 1, false, "member 'a.npy' has no local header at byte 1"},
    {"two entries on one member", ZIP_ENTRY, 1, 42, 4, 0, false, "the local header of member 'b.npy' has another name"},
    {"local signature wrong", ZIP_LOCAL, 0, 3, 1, 7, false, "member 'a.npy' has no local header at byte 0"},
    {"local name shorter", ZIP_LOCAL, 0, 26, 2, 4, false, "the local header of member 'a.npy' has another name"},
    {"local name longer than the file", ZIP_LOCAL, 0, 26, 2, 65535, false, "the local header of member 'a.npy' has another name"},
    {"local extra longer than the file", ZIP_LOCAL, 0, 28, 2, 65535, false, "the local header of member 'a.npy' has another name"},
    {"local extra that moves the data", ZIP_LOCAL, 1, 28, 2, 1, false, "member 'b.npy' ends at byte"},
    {"local name differs", ZIP_LOCAL, 0, 30, 1, 'c', false, "the local header of member 'a.npy' has another name"},
    {"names not UTF-8", ZIP_ENTRY, 0, 46, 1, 0xff, false, "the name in entry 0 of the ZIP directory is not UTF-8"},
    {"name with a NUL", ZIP_ENTRY, 0, 47, 1, 0, false, "the name in entry 0 of the ZIP directory is not UTF-8"},
    {"CRC in the directory wrong", ZIP_ENTRY, 0, 16, 4, 1, false, "x.npz: member 'a.npy' is damaged: CRC"},
    {"CRC of a deflated member wrong", ZIP_ENTRY, 1, 16, 4, 1, true, "x.npz: member 'b.npy' is damaged: CRC"},
    {"a byte of the data wrong", ZIP_LOCAL, 1, 35 + 90, 1, 0xaa, false, "member 'b.npy' is damaged: CRC"},
    {"the npy header wrong", ZIP_LOCAL, 0, 35, 1, 0x92, false, "x.npz/a.npy: does not begin like an npy file"},
    {"deflate stream wrong", ZIP_LOCAL, 0, 35, 1, 0xff, true, "x.npz: member 'a.npy' does not inflate"},
    {"deflated data cut off", ZIP_ENTRY, 0, 20, 4, 10, true, "member 'a.npy' does not inflate: the data ends early"},
    {"deflated to more than it says", ZIP_ENTRY, 0, 24, 4, 93, true, "x.npz/a.npy: 6 elements of f32 take 24 bytes, 23 follow"},
    {"deflated to less than it says", ZIP_ENTRY, 0, 24, 4, 95, true, "x.npz/a.npy: 6 elements of f32 take 24 bytes, 25 follow"},
};

static void members(bad_emit *emit, const char *what, const char *name1, const char *name2, const char *expected)
{
    buf b = {0}, npy = {0};
    zipper z = {.out = &b};
    uint8_t data[24] = {1};
    make_npy(&npy, header, data, sizeof data);
    zip_add(&z, name1, npy.at, npy.n, false);
    if (name2) zip_add(&z, name2, npy.at, npy.n, false);
    zip_end(&z);
    emit(&(bad_case){"x.npz", what, b.at, b.n, expected});
    buf_clear(&b);
    buf_clear(&npy);
}

/* The zip64 records: locator and end record are put before the plain end record. */
static void zip64(bad_emit *emit, const char *what, size_t field, int width, uint64_t value, size_t locator, const char *expected)
{
    buf b = {0}, c = {0};
    make_archive(&b, false);
    size_t end = buf_find(&b, ZIP_END, 4, 0), directory = buf_find(&b, ZIP_ENTRY, 4, 0);
    buf_put(&c, b.at, end);
    buf_text(&c, "PK\6\6");
    buf_le(&c, 44, 8);
    buf_le(&c, 45 | 45 << 16, 4);
    buf_le(&c, 0, 8);
    buf_le(&c, 2, 8);
    buf_le(&c, 2, 8);
    buf_le(&c, end - directory, 8);
    buf_le(&c, directory, 8);
    buf_text(&c, "PK\6\7");
    buf_le(&c, 0, 4);
    buf_le(&c, locator ? locator : end, 8);
    buf_le(&c, 1, 4);
    buf_put(&c, b.at + end, b.n - end);
    if (width) buf_set(&c, end + field, value, width);
    emit(&(bad_case){"x.npz", what, c.at, c.n, expected});
    buf_clear(&b);
    buf_clear(&c);
}

static void member_of(bad_emit *emit, const char *what, const char *bytes, size_t n, const char *expected)
{
    buf b = {0};
    zipper z = {.out = &b};
    zip_add(&z, "a.npy", bytes, n, true);
    zip_end(&z);
    emit(&(bad_case){"x.npz", what, b.at, b.n, expected});
    buf_clear(&b);
}

void bad_zip(bad_emit *emit)
{
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct change *c = &changes[i];
        buf b = {0};
        make_archive(&b, c->deflate);
        buf_set(&b, buf_find(&b, c->sign, 4, c->nth) + c->field, c->value, c->width);
        emit(&(bad_case){"x.npz", c->what, b.at, b.n, c->expected});
        buf_clear(&b);
    }
    members(emit, "two members of one name", "a.npy", "a.npy", "two ZIP members are named 'a.npy'");
    members(emit, "a member that is no npy", "a.npy", "readme.txt", "member 'readme.txt' is not an npy file");
    members(emit, "a folder", "a.npy", "x/", "member 'x/' is not an npy file");
    zip64(emit, "zip64 record elsewhere", 0, 0, 0, 1, "the zip64 end record is not at byte 1");
    zip64(emit, "zip64 record behind the end", 0, 0, 0, 0xffffffffff, "the zip64 end record is not at byte 1099511627775");
    zip64(emit, "zip64 signature wrong", 3, 1, 9, 0, "the zip64 end record is not at byte");
    zip64(emit, "zip64 count of 2^64 - 1", 32, 8, UINT64_MAX, 0, "18446744073709551615 ZIP members do not fit");
    zip64(emit, "zip64 directory of 2^64 - 1", 40, 8, UINT64_MAX, 0, "the ZIP directory of 18446744073709551615 bytes");
    zip64(emit, "zip64 directory at 2^64 - 1", 48, 8, UINT64_MAX, 0, "bytes at 18446744073709551615 does not fit");
    zip64(emit, "zip64 volumes", 16, 4, 1, 0, "a ZIP archive in several volumes is not read");
    member_of(emit, "a deflated member of no bytes", "", 0, "x.npz/a.npy: does not begin like an npy file");
    member_of(emit, "a deflated member of a few bytes", "\x93NUMPY\1\0\2", 9, "x.npz/a.npy: does not begin like an npy file");
    member_of(emit, "a deflated npy header beyond the end", "\x93NUMPY\1\0\x76\0{}", 12,
            "an npy header that ends at byte 128 does not fit into 12");
    emit(&(bad_case){"x.npz", "not a ZIP at all", "PK\3\4 and nothing more", 21, "x.npz: the ZIP end record is missing (cut off?)"});
    emit(&(bad_case){"x.npz", "text", "hello", 5, "x.npz: the ZIP end record is missing (cut off?)"});
}
