/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors files that break one rule each. */
#include "bad.h"

#define E(name, dtype, shape, offsets) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* Header text, bytes of data behind it, expected message. */
static const struct { const char *what, *header; size_t data; const char *expected; } headers[] = {
    {"header is an array", "[]", 0, "x.safetensors: the header does not begin with '{'"},
    {"header is text", "\"abc\"", 0, "the header does not begin with '{'"},
    {"header begins with a space", " {}", 0, "the header does not begin with '{'"},
    {"header begins with a byte order mark", "\xef\xbb\xbf{}", 0, "the header does not begin with '{'"},
    {"object not closed", "{", 0, "x.safetensors: line 1 column 1"},
    {"object closed twice", "{}}", 0, "x.safetensors: line 1 column 3"},
    {"garbage after the object", "{} x", 0, "x.safetensors: line 1 column 4"},
    {"trailing comma", "{" E("a", "F32", "[1]", "[0,4]") ",}", 4, "x.safetensors: line 1 column"},
    {"no colon", "{\"a\" {}}", 0, "x.safetensors: line 1 column"},
    {"unquoted key", "{a:{}}", 0, "x.safetensors: line 1 column 2"},
    {"single quotes", "{'a':{}}", 0, "x.safetensors: line 1 column 2"},
    {"key is a number", "{1:{}}", 0, "x.safetensors: line 1 column 2"},
    {"key not closed", "{\"a", 0, "x.safetensors: line 1"},
    {"name is not UTF-8", "{" E("a\xff", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1 column 3: unable to decode byte"},
    {"name is an overlong UTF-8 form", "{" E("a\xc0\xaf", "F32", "[1]", "[0,4]") "}", 4,
     "x.safetensors: line 1 column 3: unable to decode byte"},
    {"name is half a surrogate pair", "{" E("a\\ud800", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"name with a NUL", "{" E("a\\u0000b", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"name with a raw newline", "{" E("a\nb", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"name that ends in a raw newline", "{" E("a\n", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"dtype that ends in a raw newline", "{" E("a", "F32\n", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"space inside a number", "{" E("a", "F32", "[1 2]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"two objects in a list of sizes", "{" E("a", "F32", "[1,]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"bad escape", "{" E("a\\q", "F32", "[1]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"two tensors of one name", "{" E("a", "F32", "[1]", "[0,4]") "," E("a", "F32", "[1]", "[4,8]") "}", 8,
     "tensor 'a' is already in 'x.safetensors'"},
    {"two tensors of one name, escaped", "{" E("a", "F32", "[1]", "[0,4]") "," E("\\u0061", "F32", "[1]", "[4,8]") "}", 8, "duplicate"},
    {"dtype twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "duplicate"},
    {"metadata twice", "{\"__metadata__\":{\"a\":\"b\"},\"__metadata__\":{\"a\":\"b\"}}", 0, "duplicate"},
    {"metadata key twice", "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, "duplicate"},
    {"metadata is an array", "{\"__metadata__\":[]}", 0, "x.safetensors: __metadata__ is not an object"},
    {"metadata is null", "{\"__metadata__\":null}", 0, "__metadata__ is not an object"},
    {"metadata value is a number", "{\"__metadata__\":{\"format\":1}}", 0, "__metadata__ 'format' is not a string"},
    {"metadata value is an object", "{\"__metadata__\":{\"format\":{\"a\":\"b\"}}}", 0, "__metadata__ 'format' is not a string"},
    {"metadata value is null", "{\"__metadata__\":{\"format\":null}}", 0, "__metadata__ 'format' is not a string"},
    {"entry is null", "{\"a\":null}", 0, "the entry of tensor 'a' is not an object"},
    {"entry is a number", "{\"a\":5}", 0, "the entry of tensor 'a' is not an object"},
    {"entry is an array", "{\"a\":[\"F32\",[1],[0,4]]}", 4, "the entry of tensor 'a' is not an object"},
    {"entry is empty", "{\"a\":{}}", 0, "tensor 'a' has no dtype"},
    {"dtype missing", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor 'a' has no dtype"},
    {"dtype is a number", "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor 'a' has no dtype"},
    {"dtype unknown", "{" E("a", "F12", "[1]", "[0,4]") "}", 4, "tensor 'a' has unknown dtype 'F12'"},
    {"dtype in lower case", "{" E("a", "f32", "[1]", "[0,4]") "}", 4, "tensor 'a' has unknown dtype 'f32'"},
    {"dtype empty", "{" E("a", "", "[1]", "[0,4]") "}", 4, "tensor 'a' has unknown dtype ''"},
    {"dtype F6_E2M3", "{" E("a", "F6_E2M3", "[4]", "[0,3]") "}", 3, "dtype 'F6_E2M3', which is not read by this version"},
    {"dtype F6_E3M2", "{" E("a", "F6_E3M2", "[4]", "[0,3]") "}", 3, "dtype 'F6_E3M2', which is not read by this version"},
    {"shape missing", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor 'a' has no shape"},
    {"shape is a number", "{" E("a", "F32", "1", "[0,4]") "}", 4, "tensor 'a' has no shape"},
    {"shape is an object", "{" E("a", "F32", "{}", "[0,4]") "}", 4, "tensor 'a' has no shape"},
    {"size is text", "{" E("a", "F32", "[\"1\"]", "[0,4]") "}", 4, "size 0 of its shape is not a non-negative integer"},
    {"size is negative", "{" E("a", "F32", "[2,-1]", "[0,4]") "}", 4, "size 1 of its shape is not a non-negative integer"},
    {"size is a real", "{" E("a", "F32", "[1.0]", "[0,4]") "}", 4, "size 0 of its shape is not a non-negative integer"},
    {"size has an exponent", "{" E("a", "F32", "[1e0]", "[0,4]") "}", 4, "size 0 of its shape is not a non-negative integer"},
    {"size is true", "{" E("a", "F32", "[true]", "[0,4]") "}", 4, "size 0 of its shape is not a non-negative integer"},
    {"size is null", "{" E("a", "F32", "[null]", "[0,4]") "}", 4, "size 0 of its shape is not a non-negative integer"},
    {"size beyond 64 bits", "{" E("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4,
     "size 0 of its shape is not a non-negative integer"},
    {"size with a leading zero", "{" E("a", "F32", "[01]", "[0,4]") "}", 4, "x.safetensors: line 1"},
    {"nine dimensions", "{" E("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "tensor 'a' has 9 dimensions, at most 8 are read"},
    {"product overflows", "{" E("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "the product of its shape is too large"},
    {"product overflows despite a zero", "{" E("a", "F32", "[4294967296,4294967296,0]", "[0,0]") "}", 0,
     "the product of its shape is too large"},
    {"bytes overflow", "{" E("a", "F64", "[2305843009213693952]", "[0,8]") "}", 8, "the product of its shape is too large"},
    {"offsets missing", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets are not two non-negative integers"},
    {"one offset", "{" E("a", "F32", "[1]", "[4]") "}", 4, "data_offsets are not two non-negative integers"},
    {"three offsets", "{" E("a", "F32", "[1]", "[0,4,8]") "}", 4, "data_offsets are not two non-negative integers"},
    {"offsets are text", "{" E("a", "F32", "[1]", "[\"0\",\"4\"]") "}", 4, "data_offsets are not two non-negative integers"},
    {"offsets are an object", "{" E("a", "F32", "[1]", "{}") "}", 4, "data_offsets are not two non-negative integers"},
    {"begin is negative", "{" E("a", "F32", "[1]", "[-4,0]") "}", 4, "data_offsets are not two non-negative integers"},
    {"end is a real", "{" E("a", "F32", "[1]", "[0,4.0]") "}", 4, "data_offsets are not two non-negative integers"},
    {"end beyond 64 bits", "{" E("a", "F32", "[1]", "[0,18446744073709551616]") "}", 4, "data_offsets are not two non-negative integers"},
    {"end before begin", "{" E("b", "F32", "[1]", "[0,4]") "," E("a", "F32", "[1]", "[4,0]") "}", 8,
     "tensor 'a' begins at byte 4, after its end at 0"},
    {"span too short", "{" E("a", "F32", "[2,3]", "[0,20]") "}", 20, "tensor 'a' of 6 x F32 takes 24 bytes, its offsets span 20"},
    {"span too long", "{" E("a", "F32", "[2,3]", "[0,28]") "}", 28, "tensor 'a' of 6 x F32 takes 24 bytes, its offsets span 28"},
    {"span of an empty tensor", "{" E("a", "F32", "[0]", "[0,4]") "}", 4, "tensor 'a' of 0 x F32 takes 0 bytes, its offsets span 4"},
    {"span of a scalar", "{" E("a", "F32", "[]", "[0,8]") "}", 8, "tensor 'a' of 1 x F32 takes 4 bytes, its offsets span 8"},
    {"half a byte", "{" E("a", "F4", "[3]", "[0,2]") "}", 2, "3 elements of 4 bits do not end on a whole byte"},
    {"hole at the start", "{" E("a", "F32", "[1]", "[4,8]") "}", 8, "tensor 'a' begins at byte 4, the tensor before ends at 0 (hole)"},
    {"hole", "{" E("a", "F32", "[1]", "[0,4]") "," E("b", "F32", "[1]", "[8,12]") "}", 12,
     "tensor 'b' begins at byte 8, the tensor before ends at 4 (hole)"},
    {"overlap", "{" E("a", "F32", "[2]", "[0,8]") "," E("b", "F32", "[1]", "[4,8]") "}", 8,
     "tensor 'b' begins at byte 4, the tensor before ends at 8 (overlap)"},
    {"two tensors on the same bytes", "{" E("a", "F32", "[1]", "[0,4]") "," E("b", "F32", "[1]", "[0,4]") "}", 4,
     "tensor 'b' begins at byte 0, the tensor before ends at 4 (overlap)"},
    {"empty tensor in the middle of another", "{" E("a", "F32", "[2]", "[0,8]") "," E("b", "F32", "[0]", "[4,4]") "}", 8,
     "tensor 'b' begins at byte 4, the tensor before ends at 8 (overlap)"},
    {"data cut off", "{" E("h.3.w", "F32", "[2]", "[0,8]") "}", 4, "x.safetensors: tensor 'h.3.w' ends at byte 8 of 4"},
    {"data missing", "{" E("a", "F32", "[1]", "[0,4]") "}", 0, "tensor 'a' ends at byte 4 of 0"},
    {"bytes left over", "{" E("a", "F32", "[1]", "[0,4]") "}", 5, "the last tensor ends at byte 4 of 5, 1 bytes are left over"},
    {"bytes without tensors", "{}", 3, "the last tensor ends at byte 0 of 3, 3 bytes are left over"},
    {"a tensor that ends at 2^63 - 1", "{" E("a", "U8", "[9223372036854775807]", "[0,9223372036854775807]") "}", 8,
     "the product of its shape is too large"},
    {"a tensor of an exabyte", "{" E("a", "U8", "[1152921504606846976]", "[0,1152921504606846976]") "}", 8,
     "tensor 'a' ends at byte 1152921504606846976 of 8"},
};

static void one(bad_emit *emit, const char *what, const void *bytes, size_t n, const char *expected)
{
    emit(&(bad_case){"x.safetensors", what, bytes, n, expected});
}

/* Arrays in arrays: deeper than any reader should follow. */
static void deep(bad_emit *emit)
{
    buf b = {0}, header = {0};
    buf_text(&header, "{\"a\":");
    buf_fill(&header, '[', 100000);
    buf_le(&header, 0, 1);
    make_safetensors(&b, (char *)header.at, 0);
    one(emit, "nested 100,000 deep", b.at, b.n, "x.safetensors: line 1");
    buf_clear(&b);
    buf_clear(&header);
}

void bad_safetensors(bad_emit *emit)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        buf b = {0};
        make_safetensors(&b, headers[i].header, headers[i].data);
        one(emit, headers[i].what, b.at, b.n, headers[i].expected);
        buf_clear(&b);
    }
    one(emit, "empty file", "", 0, "x.safetensors: a file of 0 bytes has no safetensors header");
    one(emit, "one byte", "\2", 1, "a file of 1 bytes has no safetensors header");
    one(emit, "seven bytes", "\2\0\0\0\0\0\0", 7, "a file of 7 bytes has no safetensors header");
    one(emit, "header of no bytes", "\0\0\0\0\0\0\0\0", 8, "the header does not begin with '{'");
    one(emit, "header beyond the end", "\3\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes does not fit into a file of 10");
    one(emit, "header above the limit", "\1\xe1\xf5\5\0\0\0\0{}", 10, "a header of 100000001 bytes is above the limit of 100000000");
    one(emit, "header at the limit, cut off", "\0\xe1\xf5\5\0\0\0\0{}", 10, "a header of 100000000 bytes does not fit into a file of 10");
    one(emit, "header of 2^64 - 1", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "a header of 18446744073709551615 bytes is above the limit");
    one(emit, "header of 2^63", "\0\0\0\0\0\0\0\x80{}", 10, "a header of 9223372036854775808 bytes is above the limit");
    one(emit, "zeros after the JSON", "\4\0\0\0\0\0\0\0{}\0\0", 12, "x.safetensors: line 1 column 3");
    one(emit, "a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", 63,
            "is a Git LFS pointer of 63 bytes");
    one(emit, "an HTML page", "<!DOCTYPE html><html><head></head></html>", 41, "is above the limit");
    deep(emit);
}
