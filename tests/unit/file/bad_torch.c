/* SPDX-License-Identifier: Apache-2.0 */
/* torch files that break one rule each: pickles first, then the ZIP and legacy forms around them. */
#include "bad.h"

#define B(text) text, sizeof(text) - 1
#define G(module, name) "c" module "\n" name "\n"
#define FLOATS(numel) PK_STORAGE("FloatStorage", "0", numel)

/* A pickle as data.pkl of a ZIP whose storage 0 has 24 bytes. */
static const struct { const char *what, *pickle; size_t n; const char *expected; } pickles[] = {
    {"empty", B(""), "x.pt/archive/data.pkl: the pickle ends in the middle, at byte 0"},
    {"only a protocol", B("\x80\x02"), "the pickle ends in the middle, at byte 2"},
    {"protocol cut off", B("\x80"), "the pickle ends in the middle, at byte 1"},
    {"protocol 6", B("\x80\x06N."), "pickle protocol 6 is not read"},
    {"only a stop", B("."), "byte 0: the pickle takes from an empty stack"},
    {"no stop", B("N"), "the pickle ends in the middle, at byte 1"},
    {"unknown opcode", B("\x01."), "byte 0: 0x01 is no pickle opcode"},
    {"unknown opcode 0xff", B("N\xff."), "byte 1: 0xff is no pickle opcode"},
    {"frame beyond the end", B("\x80\x04\x95\xff\0\0\0\0\0\0\0N."), "a pickle frame of 255 bytes does not fit into the 2 that are left"},
    {"frame cut off", B("\x80\x04\x95\1\0"), "the pickle ends in the middle"},
    {"extension 1", B("\x82\x01."), "byte 0: the pickle uses the extension registry"},
    {"extension 2", B("\x83\x01\0."), "the pickle uses the extension registry"},
    {"extension 4", B("\x84\x01\0\0\0."), "the pickle uses the extension registry"},
    {"buffer elsewhere", B("\x97."), "the pickle keeps buffers elsewhere"},
    {"read-only buffer elsewhere", B("N\x98."), "the pickle keeps buffers elsewhere"},
    {"text persistent id", B("Pstorage\n."), "byte 0: persistent ids as text are not read"},
    /* names */
    {"os.system", B(G("os", "system") "(Vecho no\ntR."),
     "names 'os.system', which is not on the list of what a checkpoint may hold; nothing was run"},
    {"posix.system, only named", B(G("posix", "system") "."), "names 'posix.system', which is not on the list"},
    {"builtins.eval", B(G("builtins", "eval") "(V1\ntR."), "names 'builtins.eval'"},
    {"builtins.exec", B(G("__builtin__", "exec") "."), "names '__builtin__.exec'"},
    {"builtins.getattr", B(G("builtins", "getattr") "."), "names 'builtins.getattr'"},
    {"builtins.__import__", B(G("builtins", "__import__") "."), "names 'builtins.__import__'"},
    {"subprocess.Popen by stack", B("\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93."), "names 'subprocess.Popen'"},
    {"class by INST", B("(Vx\nios\nsystem\n."), "names 'os.system'"},
    {"dotted path into a listed module", B(G("torch", "serialization.os.system") "."), "names 'torch.serialization.os.system'"},
    {"listed name in another module", B(G("evil", "OrderedDict") "."), "names 'evil.OrderedDict'"},
    {"other name in a listed module", B(G("collections", "OrderedDictX") "."), "names 'collections.OrderedDictX'"},
    {"beginning of a listed name", B(G("collections", "Ordered") "."), "names 'collections.Ordered'"},
    {"empty name", B(G("", "") "."), "names '.'"},
    {"a model class", B(G("__main__", "Net") ")\x81."), "names '__main__.Net'"},
    {"torch.jit", B(G("torch.jit._pickle", "build_intlist") "."), "names 'torch.jit._pickle.build_intlist'"},
    {"quantized tensor", B(G("torch._utils", "_rebuild_qtensor") "."), "names 'torch._utils._rebuild_qtensor'"},
    {"sparse tensor", B(G("torch._utils", "_rebuild_sparse_tensor") "."), "names 'torch._utils._rebuild_sparse_tensor'"},
    {"unknown torch dtype", B(G("torch", "float12") "."), "names 'torch.float12'"},
    {"name cut off", B("ctorch\nSi"), "the pickle ends in the middle"},
    {"name is no text", B("\x80\x04K\1K\2\x93."), "a global whose name is no text"},
    {"name of a single text", B("\x80\x04\x8c\1a\x93."), "the pickle takes from an empty stack"},
    /* calls */
    {"a call of a number", B("K\1)R."), "byte 3: a call of something that is no name"},
    {"a call without a tuple", B(G("collections", "OrderedDict") "K\1R."), "a call whose arguments are no tuple"},
    {"a call of a dtype", B(G("torch", "float32") ")R."), "'torch.dtype' may be named here but not called"},
    {"a call of a storage class", B(G("torch", "FloatStorage") ")R."), "'torch.FloatStorage' may be named here but not called"},
    {"a call of torch.Tensor", B(G("torch", "Tensor") ")\x81."), "'torch.Tensor' may be named here but not called"},
    {"a pickle in a pickle", B(G("torch.storage", "_load_from_bytes") "(C\1.tR."),
     "a storage that is a pickle of its own (torch.storage._load_from_bytes) is not read"},
    {"state for a number", B("K\1Nb."), "state for something that is no object"},
    {"an object without a class", B("(o."), "an object without a class"},
    {"an object of no class", B("(K\1o."), "a call of something that is no name"},
    {"dict of no pairs", B(G("collections", "OrderedDict") "((lK\1atR."), "a dict made of something other than pairs"},
    {"dict of triples", B(G("collections", "OrderedDict") "((l(K\1K\2K\3tatR."), "a dict made of something other than pairs"},
    {"size of a number", B(G("torch", "Size") "(K\1tR."), "torch.Size of no sequence"},
    /* stack, marks, memo */
    {"pop from nothing", B("0."), "byte 0: the pickle takes from an empty stack"},
    {"copy of nothing", B("2."), "byte 0: the pickle takes from an empty stack"},
    {"tuple without a mark", B("t."), "byte 0: the pickle has no mark to go back to"},
    {"pop to a mark that is not there", B("1."), "the pickle has no mark to go back to"},
    {"append to nothing", B("Na."), "byte 1: the pickle takes from an empty stack"},
    {"append to a number", B("K\1Na."), "items are added to something that is no list"},
    {"append to a tuple", B(")Na."), "items are added to something that is no list"},
    {"extend a dict", B("}(Ne."), "items are added to something that is no list"},
    {"set in a list", B("]NNs."), "items are added to something that is no dict"},
    {"set with one item", B("}(Nu."), "a dict of 1 keys and values"},
    {"dict of three", B("(NNNd."), "a dict of 3 keys and values"},
    {"mark under the items", B("](Na."), "the pickle takes from an empty stack"},
    {"tuple of two from one", B("N\x86."), "the pickle takes from an empty stack"},
    {"tuple across a mark", B("NN(N\x87."), "the pickle takes from an empty stack"},
    {"memo that is empty", B("h\5."), "byte 2: memo 5 is empty"},
    {"memo that was skipped", B("Nq\3h\2."), "memo 2 is empty"},
    {"memo of nothing", B("q\0."), "the pickle takes from an empty stack"},
    {"memo index far away", B("Nr\xff\xff\xff\x7f."), "memo index 2147483647 after 0"},
    {"memo index is no number", B("Npx\n."), "'x' is not a number"},
    {"memo index negative", B("Np-1\n."), "a memo index that is no number"},
    /* numbers and text */
    {"number that is none", B("Ix\n."), "'x' is not a number"},
    {"number cut off", B("I12"), "the pickle ends in the middle"},
    {"binary number cut off", B("J\1\2"), "the pickle ends in the middle"},
    {"real cut off", B("G\1\2"), "the pickle ends in the middle"},
    {"long beyond the end", B("\x8a\x09\1."), "byte 0: 9 bytes do not fit into the 2 that are left"},
    {"long of 2 GB", B("\x8b\xff\xff\xff\x7f\1."), "2147483647 bytes do not fit"},
    {"text beyond the end", B("X\x0a\0\0\0abc."), "byte 0: 10 bytes do not fit into the 4 that are left"},
    {"text of 4 GB", B("X\xff\xff\xff\xff."), "4294967295 bytes do not fit"},
    {"text of 2^64 - 1", B("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), "18446744073709551615 bytes do not fit"},
    {"bytes of 2^63", B("\x8e\0\0\0\0\0\0\0\x80."), "9223372036854775808 bytes do not fit"},
    {"string without quotes", B("Sabc\n."), "a string without quotes"},
    {"string of one quote", B("S'\n."), "a string without quotes"},
    {"string with an escape", B("S'\\x41'\n."), "escapes in text are not read"},
    {"text with an escape", B("V\\u0041\n."), "escapes in text are not read"},
    /* storages */
    {"persistent id of nothing", B("Q."), "the pickle takes from an empty stack"},
    {"persistent id is a number", B("K\1Q."), "a persistent id that is no storage"},
    {"persistent id is another", B("(Vmodule\nVa\nVb\nVc\nVd\ntQ."), "a persistent id that is no storage"},
    {"persistent id of two", B("(Vstorage\nctorch\nFloatStorage\ntQ."), "a persistent id that is no storage"},
    {"storage of a dtype", B(PK_STORAGE("float32", "0", "6") "."), "a storage of no storage class"},
    {"storage of text", B("(Vstorage\nVFloatStorage\nV0\nVcpu\nI6\ntQ."), "a storage of no storage class"},
    {"storage of quantized numbers", B(PK_STORAGE("QInt8Storage", "0", "6") "."), "a tensor of torch.QInt8Storage is not read"},
    {"storage of complex doubles", B(PK_STORAGE("ComplexDoubleStorage", "0", "6") "."),
     "a tensor of torch.ComplexDoubleStorage is not read"},
    {"storage key is a number", B("(Vstorage\nctorch\nFloatStorage\nI0\nVcpu\nI6\ntQ."), "a storage without a key or a size"},
    {"storage size is text", B("(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nV6\ntQ."), "a storage without a key or a size"},
    {"storage size negative", B(PK_STORAGE("FloatStorage", "0", "-6") "."), "a storage without a key or a size"},
    {"view of two", B("(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI6\n(Va\nI0\nttQ."), "a storage view that is not (key, offset, size)"},
    {"view of text", B("(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI6\n(Va\nVb\nVc\nttQ."),
     "a storage view that is not (key, offset, size)"},
    {"view beyond the storage", B("(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI6\n(Va\nI5\nI2\nttQ."),
     "a view of 2 elements at 5 of a storage of 6"},
    /* tensors */
    {"tensor of no arguments", B(G("torch._utils", "_rebuild_tensor_v2") ")R."), "a tensor made of 0 arguments"},
    {"tensor of three arguments", B(G("torch._utils", "_rebuild_tensor") "(" FLOATS("6") "I0\n(ttR."), "a tensor made of 3 arguments"},
    {"tensor of nine arguments", B(G("torch._utils", "_rebuild_tensor_v2") "(" FLOATS("6") "I0\n)))NNNNNtR."),
     "a tensor made of 10 arguments"},
    {"tensor without a storage", B(PK_TENSOR_AT("N", "0", "I6\n", "I1\n") "."), "a tensor without a storage"},
    {"offset is text", B(G("torch._utils", "_rebuild_tensor") "(" FLOATS("6") "V0\n))tR."), "the offset of a tensor is no integer"},
    {"offset negative", B(PK_TENSOR_AT(FLOATS("6"), "-1", "I6\n", "I1\n") "."), "the offset of a tensor is no integer"},
    {"size is a number", B(G("torch._utils", "_rebuild_tensor") "(" FLOATS("6") "I0\nI6\n(I1\nttR."), "the size of a tensor is no tuple"},
    {"stride is a number", B(G("torch._utils", "_rebuild_tensor") "(" FLOATS("6") "I0\n(I6\ntI1\ntR."),
     "the stride of a tensor is no tuple"},
    {"size negative", B(PK_TENSOR("FloatStorage", "6", "I-6\n", "I1\n") "."), "the size of a tensor is not made of non-negative integers"},
    {"size is a real", B(PK_TENSOR("FloatStorage", "6", "F6.0\n", "I1\n") "."),
     "the size of a tensor is not made of non-negative integers"},
    {"size beyond 64 bits", B(PK_TENSOR("FloatStorage", "6", "\x8a\x09\0\0\0\0\0\0\0\0\1", "I1\n") "."),
     "the size of a tensor is not made of non-negative integers"},
    {"stride negative", B(PK_TENSOR("FloatStorage", "6", "I6\n", "I-1\n") "."),
     "the stride of a tensor is not made of non-negative integers"},
    {"more strides than sizes", B(PK_TENSOR("FloatStorage", "6", "I6\n", "I1\nI1\n") "."), "a tensor of 1 sizes and 2 strides"},
    {"nine dimensions", B(PK_TENSOR("FloatStorage", "6", "I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\n", "I1\n") "."),
     "a tensor has 9 dimensions, at most 8 are read"},
    {"typed tensor of untyped bytes", B(PK_TENSOR("UntypedStorage", "24", "I6\n", "I1\n") "."), "a tensor of no dtype"},
    {"v3 without a dtype", B(G("torch._utils", "_rebuild_tensor_v3") "(" FLOATS("6") "I0\n(I6\nt(I1\ntI00\nNNtR."),
     "the dtype of a tensor is none"},
    {"conjugated", B(G("torch._utils", "_rebuild_tensor_v2") "(" FLOATS("6") "I0\n(I6\nt(I1\ntI00\nN(dVconj\nI01\nstR."),
     "a tensor with the 'conj' flag is not read"},
    {"negated", B(G("torch._utils", "_rebuild_tensor_v2") "(" FLOATS("6") "I0\n(I6\nt(I1\ntI00\nN(dVneg\nI01\nstR."),
     "a tensor with the 'neg' flag is not read"},
    {"parameter of nothing", B(G("torch._utils", "_rebuild_parameter") ")R."), "a parameter without a tensor"},
    {"parameter of a number", B(G("torch._utils", "_rebuild_parameter") "(K\1tR."), "a parameter without a tensor"},
    {"type of two", B(G("torch._tensor", "_rebuild_from_type_v2") "(NNtR."), "a tensor of a type made of 2 arguments"},
    {"type made by itself", B(G("torch._tensor", "_rebuild_from_type_v2") "(" G("torch._tensor", "_rebuild_from_type_v2") G("torch",
     "Tensor") ")NtR."),
     "a tensor made by 'torch._tensor._rebuild_from_type_v2' is not read"},
    {"type of a storage", B(G("torch._tensor", "_rebuild_from_type_v2") "(" G("torch._utils", "_rebuild_tensor_v2") G("torch",
     "FloatStorage") ")NtR."),
     "a tensor made by 'torch._utils._rebuild_tensor_v2' is not read"},
    /* what is made of them */
    {"none", B("N."), "x.pt/archive/data.pkl: holds no tensor"},
    {"empty dict", B("}."), "holds no tensor"},
    {"only numbers", B(PK_DICT(PK_ITEM("epoch", "I3\n"))), "holds no tensor"},
    {"something after the pickle", B(PK_DICT(PK_ITEM("w", PK_W)) "xyz"), "3 bytes follow the pickle"},
    {"storage larger than its bytes", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "7", "I6\n", "I1\n")))),
     "storage 'archive/data/0' of tensor 'w' has 24 bytes, 28 are needed"},
    {"storage smaller than its bytes", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "5", "I5\n", "I1\n")))),
     "has 24 bytes, 20 are needed"},
    {"storage of another width", B(PK_DICT(PK_ITEM("w", PK_TENSOR("DoubleStorage", "6", "I6\n", "I1\n")))), "has 24 bytes, 48 are needed"},
    {"storage that is missing", B(PK_DICT(PK_ITEM("w", PK_TENSOR_AT(PK_STORAGE("FloatStorage", "7", "6"), "0", "I6\n", "I1\n")))),
     "storage '7' of tensor 'w' is missing"},
    {"storage key that climbs", B(PK_DICT(PK_ITEM("w", PK_TENSOR_AT(PK_STORAGE("FloatStorage", "../version", "6"), "0", "I6\n", "I1\n")))),
     "storage '../version' of tensor 'w' is missing"},
    {"storage of 2^63 bytes", B(PK_DICT(PK_ITEM("w", PK_TENSOR("DoubleStorage", "9223372036854775807", "I6\n", "I1\n")))),
     "the storage of tensor 'w' has 9223372036854775807 elements"},
    {"tensor beyond its storage", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "6", "I7\n", "I1\n")))),
     "tensor 'w' reaches beyond the 6 elements of its storage (offset 0)"},
    {"offset beyond its storage", B(PK_DICT(PK_ITEM("w", PK_TENSOR_AT(FLOATS("6"), "1", "I6\n", "I1\n")))),
     "tensor 'w' reaches beyond the 6 elements of its storage (offset 1)"},
    {"offset at 2^63 - 1", B(PK_DICT(PK_ITEM("w", PK_TENSOR_AT(FLOATS("6"), "9223372036854775807", "I6\n", "I1\n")))),
     "reaches beyond the 6 elements"},
    {"stride beyond its storage", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "6", "I2\nI3\n", "I4\nI1\n")))),
     "reaches beyond the 6 elements"},
    {"stride at 2^63 - 1", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "6", "I3\nI3\n", "I9223372036854775807\nI1\n")))),
     "reaches beyond the 6 elements"},
    {"product overflows", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "6", "I4294967296\nI4294967296\n", "I0\nI0\n")))),
     "the product of its shape is too large"},
    {"one element repeated to a terabyte", B(PK_DICT(PK_ITEM("w", PK_TENSOR("FloatStorage", "6", "I274877906944\n", "I0\n")))),
     "tensor 'w' repeats 1 elements to 1099511627776 bytes"},
    {"two tensors of one name", B(PK_DICT(PK_ITEM("w", PK_W) PK_ITEM("w", PK_W))), "x.pt: tensor 'w' is already in 'x.pt'"},
    {"two paths that give one name", B(PK_DICT(PK_ITEM("a.b", PK_W) "Va\n(d" PK_ITEM("b", PK_W) "s")), "tensor 'a.b' is already in 'x.pt'"},
    {"name is not UTF-8", B(PK_DICT("U\1\xff" PK_W "s")), "the name of a tensor is not UTF-8 text"},
    {"name with a NUL", B(PK_DICT("U\3a\0b" PK_W "s")), "the name of a tensor is not UTF-8 text"},
    {"tensor under a tuple", B(PK_DICT("(Va\nt" PK_W "s")), "a tensor lies under a key that is neither text nor a number"},
    {"tensor in a list under None", B(PK_DICT("N(l" PK_W "as")), "a tensor lies under a key that is neither text nor a number"},
    {"a list in itself", B("]q\0h\0a."), "containers are nested deeper than 64"},
    {"a dict in itself", B("}q\0Vx\nh\0s."), "containers are nested deeper than 64"},
};

static void pickle_in_zip(bad_emit *emit, const char *what, const void *pickle, size_t n, const char *expected)
{
    buf b = {0};
    make_torch_zip(&b, pickle, n, 24);
    emit(&(bad_case){"x.pt", what, b.at, b.n, expected});
    buf_clear(&b);
}

/* Short pickles with huge meanings. */
static void bombs(bad_emit *emit)
{
    buf b = {0};
    buf_text(&b, "]q"); /* level k: a list with level k-1 in it 10 times; 12 levels: 10^12 paths */
    buf_le(&b, 0, 1);
    for (int level = 1; level < 12; level++) {
        buf_text(&b, "](");
        for (int i = 0; i < 10; i++) {
            buf_text(&b, "h");
            buf_le(&b, (uint64_t)level - 1, 1);
        }
        buf_text(&b, "eq");
        buf_le(&b, (uint64_t)level, 1);
    }
    buf_text(&b, ".");
    pickle_in_zip(emit, "a billion laughs", b.at, b.n, "the object has more than 4194304 parts");
    b.n = 0;
    for (int i = 0; i < 200; i++) buf_text(&b, "(l");
    for (int i = 0; i < 199; i++) buf_text(&b, "a");
    buf_text(&b, ".");
    pickle_in_zip(emit, "200 lists in lists", b.at, b.n, "containers are nested deeper than 64");
    b.n = 0;
    buf_text(&b, "(l("); /* a list of 2000 pairs, made into a dict 10,000 times */
    for (int i = 0; i < 2000; i++) buf_text(&b, "NN\x86");
    buf_text(&b, "e");
    buf_put(&b, "q\0", 2);
    for (int i = 0; i < 10000; i++) {
        buf_text(&b, G("collections", "OrderedDict"));
        buf_put(&b, "h\0\x85R0", 5);
    }
    buf_text(&b, ".");
    pickle_in_zip(emit, "a list copied again and again", b.at, b.n, "the pickle builds more than 8388608 objects");
    buf_clear(&b);
}

void bad_pickle(bad_emit *emit)
{
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        pickle_in_zip(emit, pickles[i].what, pickles[i].pickle, pickles[i].n, pickles[i].expected);
    bombs(emit);
}

/* ------------------------------------------------------------------------------------------------------ torch's forms */

static const char good[] = PK_DICT(PK_ITEM("w", PK_W));

static void members(bad_emit *emit, const char *what, const char *const names[4], const char *const texts[4], const char *expected)
{
    buf b = {0};
    zipper z = {.out = &b};
    for (int i = 0; i < 4 && names[i]; i++) zip_add(&z, names[i], texts[i], strlen(texts[i]), false);
    zip_end(&z);
    emit(&(bad_case){"x.pt", what, b.at, b.n, expected});
    buf_clear(&b);
}

static void legacy(bad_emit *emit, const char *what, size_t at, int width, uint64_t value, size_t cut, const char *expected)
{
    buf b = {0};
    make_torch_legacy(&b, good, sizeof good - 1, 6, 24);
    if (width) buf_set(&b, at, value, width);
    emit(&(bad_case){"x.pt", what, b.at, cut ? b.n - cut : b.n, expected});
    buf_clear(&b);
}

static void legacy_of(bad_emit *emit, const char *what, const char *pickle, const char *keys, const void *data, size_t n,
                      const char *expected)
{
    buf b = {0};
    make_torch_legacy(&b, "", 0, 0, 0);
    b.n -= 7 + 8; /* take back the keys and the size */
    buf_text(&b, pickle);
    buf_text(&b, keys);
    buf_put(&b, data, n);
    emit(&(bad_case){"x.pt", what, b.at, b.n, expected});
    buf_clear(&b);
}

static void bad_legacy(bad_emit *emit)
{
    static const uint8_t six[8 + 24] = {6}, twice[2 * (8 + 24)] = {6, [32] = 6};
    static const char two_ways[] = PK_DICT(PK_ITEM("w", PK_W) PK_ITEM("v", PK_TENSOR("FloatStorage", "5", "I5\n", "I1\n")));
    legacy(emit, "another magic number", 5, 1, 0xfd, 0, "x.pt: is a pickle, but not one that torch.save wrote");
    legacy(emit, "another protocol", 18, 2, 1002, 0, "x.pt: the protocol of this file is not 1001");
    legacy(emit, "storage cut off", 0, 0, 0, 1, "x.pt: storage '0' of 6 elements does not fit into the 23 bytes that are left");
    legacy(emit, "storage size cut off", 0, 0, 0, 25, "x.pt: storage '0' is cut off");
    legacy(emit, "keys cut off", 0, 0, 0, 33, "x.pt: the pickle ends in the middle");
    emit(&(bad_case){"x.pt", "only the magic number", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15,
            "x.pt: the pickle ends in the middle, at byte 0"});
    emit(&(bad_case){"x.pt", "a plain pickle", "\x80\x02}q\0.", 6, "x.pt: is a pickle, but not one that torch.save wrote"});
    legacy_of(emit, "size differs from the tensors'", good, "(lV0\na.", "\7\0\0\0\0\0\0\0", 8,
            "storage '0' has 7 elements, its tensors say 6");
    legacy_of(emit, "a storage that no tensor uses", good, "(lV0\naV1\na.", six, sizeof six,
            "no tensor uses storage '1', so its size is unknown");
    legacy_of(emit, "a storage that is not there", good, "(l.", "", 0, "storage '0' of tensor 'w' is missing");
    legacy_of(emit, "a storage twice", good, "(lV0\naV0\na.", twice, sizeof twice, "storage '0' is there twice");
    legacy_of(emit, "keys are no list", good, "}.", "", 0, "the list of storage keys is no list");
    legacy_of(emit, "a key is no text", good, "(lI0\na.", six, sizeof six, "a storage key that is no text");
    legacy_of(emit, "bytes left over", good, "(lV0\na.", twice, sizeof twice, "32 bytes follow the last storage");
    legacy_of(emit, "two descriptions of a storage", two_ways, "(lV0\na.", six, sizeof six, "storage '0' is described in two ways");
    legacy_of(emit, "a call in the object", "cos\nsystem\n.", "(lV0\na.", six, sizeof six, "x.pt: names 'os.system'");
}

/* Archives of up to two members. */
static const struct archive { const char *what, *names[4], *texts[4], *expected; } archives[] = {
    {"no pickle", {"archive/version"}, {"3\n"},
     "x.pt: is a ZIP archive without data.pkl, so not torch's"},
    {"two pickles", {"a/data.pkl", "b/data.pkl"}, {good, good},
     "x.pt: has two pickles, 'a/data.pkl' and 'b/data.pkl'"},
    {"TorchScript", {"a/data.pkl", "a/constants.pkl"}, {good, good},
     "x.pt: is a TorchScript archive, which is not read"},
    {"byte order unknown", {"a/data.pkl", "a/byteorder"}, {good, "middle"},
     "x.pt: byte order 'middle'"},
    {"byte order too long", {"a/data.pkl", "a/byteorder"}, {good, "little little little"},
     "member 'a/byteorder' has 20 bytes"},
    {"storages in another folder", {"a/data.pkl", "b/data/0"}, {good, "abcdefghijklmnopqrstuvwx"},
     "storage '0' of tensor 'w' is missing"},
};

void bad_torch(bad_emit *emit)
{
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++)
        members(emit, archives[i].what, archives[i].names, archives[i].texts, archives[i].expected);
    bad_legacy(emit);
}
