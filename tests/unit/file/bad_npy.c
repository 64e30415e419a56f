/* SPDX-License-Identifier: Apache-2.0 */
/* npy files that break one rule each. */
#include "bad.h"

#define D "'descr': '<f4', "
#define F "'fortran_order': False, "
#define S "'shape': (2, 3), "

/* Header text, bytes of data, expected message. */
static const struct { const char *what, *header; size_t data; const char *expected; } headers[] = {
    {"header empty", "", 24, "x.npy: npy header: does not begin with '{'"},
    {"header is a list", "[" D F S "]\n", 24, "npy header: does not begin with '{'"},
    {"header not closed", "{" D F S, 24, "npy header: a quoted key and ':' were expected"},
    {"something follows", "{" D F S "} x\n", 24, "npy header: something follows its '}'"},
    {"two dictionaries", "{" D F S "}{}\n", 24, "npy header: something follows its '}'"},
    {"empty dictionary", "{}\n", 24, "'descr', 'fortran_order' and 'shape' are not all there"},
    {"descr missing", "{" F S "}\n", 24, "'descr', 'fortran_order' and 'shape' are not all there"},
    {"order missing", "{" D S "}\n", 24, "'descr', 'fortran_order' and 'shape' are not all there"},
    {"shape missing", "{" D F "}\n", 24, "'descr', 'fortran_order' and 'shape' are not all there"},
    {"descr twice", "{" D D F S "}\n", 24, "npy header: 'descr' stands twice"},
    {"order twice", "{" D F F S "}\n", 24, "npy header: 'fortran_order' stands twice"},
    {"shape twice", "{" D F S S "}\n", 24, "npy header: 'shape' stands twice"},
    {"unknown key", "{" D F S "'x': 1}\n", 24, "npy header: unknown key 'x'"},
    {"no comma", "{'descr': '<f4' 'fortran_order': False, " S "}\n", 24, "npy header: ',' or '}' was expected"},
    {"no colon", "{'descr' '<f4', " F S "}\n", 24, "npy header: a quoted key and ':' were expected"},
    {"key is no text", "{1: 2, " F S "}\n", 24, "npy header: a quoted key and ':' were expected"},
    {"quotes differ", "{'descr\": '<f4', " F S "}\n", 24, "npy header: a quoted key and ':' were expected"},
    {"key with an escape", "{'d\\x65scr': '<f4', " F S "}\n", 24, "npy header: a quoted key and ':' were expected"},
    {"key too long", "{'descrdescrdescrdescrdescrdescrdescr': '<f4', " F S "}\n", 24, "npy header: a quoted key and ':' were expected"},
    {"descr is a number", "{'descr': 4, " F S "}\n", 24, "npy header: 'descr' is not a type string"},
    {"descr is a call", "{'descr': eval('1'), " F S "}\n", 24, "npy header: 'descr' is not a type string"},
    {"descr is None", "{'descr': None, " F S "}\n", 24, "npy header: 'descr' is not a type string"},
    {"structured array", "{'descr': [('a', '<f4')], " F S "}\n", 24, "x.npy: a structured array is not read"},
    {"objects", "{'descr': '|O', " F S "}\n", 24, "an array of Python objects ('|O') is not read"},
    {"objects without order", "{'descr': 'O', " F S "}\n", 24, "an array of Python objects ('O') is not read"},
    {"text", "{'descr': '<U7', " F S "}\n", 24, "an array of text ('<U7') is not read"},
    {"byte strings", "{'descr': '|S7', " F S "}\n", 24, "an array of text ('|S7') is not read"},
    {"raw bytes (bf16 of ml_dtypes)", "{'descr': '|V2', " F S "}\n", 12, "numpy dtype '|V2' is not read"},
    {"complex128", "{'descr': '<c16', " F S "}\n", 96, "numpy dtype '<c16' is not read"},
    {"long double", "{'descr': '<f16', " F S "}\n", 96, "numpy dtype '<f16' is not read"},
    {"dates", "{'descr': '<M8[ns]', " F S "}\n", 48, "numpy dtype '<M8[ns]' is not read"},
    {"descr without order", "{'descr': 'f4', " F S "}\n", 24, "numpy dtype 'f4' is not read"},
    {"descr empty", "{'descr': '', " F S "}\n", 24, "numpy dtype '' is not read"},
    {"descr is only an order", "{'descr': '<', " F S "}\n", 24, "numpy dtype '<' is not read"},
    {"descr with a size behind", "{'descr': '<f44', " F S "}\n", 24, "numpy dtype '<f44' is not read"},
    {"order is a number", "{" D "'fortran_order': 0, " S "}\n", 24, "'fortran_order' is neither True nor False"},
    {"order is text", "{" D "'fortran_order': 'False', " S "}\n", 24, "'fortran_order' is neither True nor False"},
    {"order in lower case", "{" D "'fortran_order': false, " S "}\n", 24, "'fortran_order' is neither True nor False"},
    {"shape is a list", "{" D F "'shape': [2, 3], }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"shape is a number", "{" D F "'shape': 6, }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"shape is a number in brackets", "{" D F "'shape': (6), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"shape not closed", "{" D F "'shape': (2, 3", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"shape with two commas", "{" D F "'shape': (2,, 3), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"shape without a comma", "{" D F "'shape': (2 3), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"size negative", "{" D F "'shape': (2, -3), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"size is a real", "{" D F "'shape': (2.0, 3), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"size in hex", "{" D F "'shape': (0x2, 3), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"size beyond 64 bits", "{" D F "'shape': (99999999999999999999, ), }\n", 24, "npy header: 'shape' is not a tuple of sizes"},
    {"nine dimensions", "{" D F "'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }\n", 4, "an array of more than 8 dimensions is not read"},
    {"product overflows", "{" D F "'shape': (4294967296, 4294967296), }\n", 24, "the product of its shape is too large"},
    {"bytes overflow", "{" D F "'shape': (4611686018427387904, ), }\n", 24, "the product of its shape is too large"},
    {"data cut off", "{" D F S "}\n", 23, "x.npy: 6 elements of f32 take 24 bytes, 23 follow the npy header"},
    {"data missing", "{" D F S "}\n", 0, "6 elements of f32 take 24 bytes, 0 follow the npy header"},
    {"bytes left over", "{" D F S "}\n", 25, "6 elements of f32 take 24 bytes, 25 follow the npy header"},
    {"an array of an exabyte", "{'descr': '|u1', " F "'shape': (1152921504606846976,), }\n", 24,
     "take 1152921504606846976 bytes, 24 follow the npy header"},
};

static void one(bad_emit *emit, const char *what, const void *bytes, size_t n, const char *expected)
{
    emit(&(bad_case){"x.npy", what, bytes, n, expected});
}

void bad_npy(bad_emit *emit)
{
    uint8_t zeros[128] = {0};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        buf b = {0};
        make_npy(&b, headers[i].header, zeros, headers[i].data);
        one(emit, headers[i].what, b.at, b.n, headers[i].expected);
        buf_clear(&b);
    }
    one(emit, "empty file", "", 0, "x.npy: the file is empty");
    one(emit, "only the magic", "\x93NUMPY", 6, "x.npy: does not begin like an npy file");
    one(emit, "another magic", "\x93NUMPX\1\0\2\0{}", 12, "does not begin like an npy file");
    one(emit, "version 0", "\x93NUMPY\0\0\2\0{}", 12, "npy version 0.0 is not read");
    one(emit, "version 4", "\x93NUMPY\4\0\2\0\0\0{}", 14, "npy version 4.0 is not read");
    one(emit, "version 1.1", "\x93NUMPY\1\1\2\0{}", 12, "npy version 1.1 is not read");
    one(emit, "header beyond the end", "\x93NUMPY\1\0\x76\0{}", 12, "an npy header that ends at byte 128 does not fit into 12");
    one(emit, "version 2 without a length", "\x93NUMPY\2\0\2\0", 10, "an npy file of 10 bytes has no header");
    one(emit, "version 2, header above the limit", "\x93NUMPY\2\0\xff\xff\xff\xff{}", 14,
            "an npy header of 4294967307 bytes is above the limit of 1048576");
    one(emit, "version 3, header beyond the end", "\x93NUMPY\3\0\x74\0\0\0{}", 14,
            "an npy header that ends at byte 128 does not fit into 14");
}
