/* SPDX-License-Identifier: Apache-2.0 */
/* Reading every container: files that torch and numpy wrote (tests/golden/containers), real models, and small ones made here. */
#include "make.h"

static pare_err err;

#define B(text) text, sizeof(text) - 1

static const pare_tensor *tensor_of(const pare_store *s, const char *name)
{
    int64_t i = pare_store_find(s, name);
    if (i < 0) fail_msg("no tensor '%s'", name);
    return &s->tensors[i];
}

/* ------------------------------------------------------------------------------------------------------------- golden */

static uint8_t hex_digit(char c) { return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10); }

static void check_tensor(pare_store *s, const char *file, const char *name, const pare_jval *want)
{
    int64_t i = s->n_tensors == 1 && !*name ? 0 : pare_store_find(s, name);
    const pare_jval *shape = pare_j_get(want, "shape");
    const char *hex = pare_j_text(pare_j_get(want, "hex"), ""), *dtype = pare_j_text(pare_j_get(want, "dtype"), "");
    const uint8_t *data;
    if (i < 0 && !strncmp(name, "state_dict.", 11)) i = pare_store_find(s, name + 11); /* the wrapper is left out */
    if (i < 0) fail_msg("%s: no tensor '%s'", file, name);
    const pare_tensor *t = &s->tensors[i];
    assert_string_equal(pare_dtype_get_info(t->dtype)->safetensors, dtype);
    assert_int_equal(t->ndim, pare_j_count(shape));
    for (int k = 0; k < t->ndim; k++) assert_int_equal(t->shape[k], pare_j_int(pare_j_at(shape, (size_t)k), -1));
    assert_int_equal(t->bytes * 2, strlen(hex));
    assert_ok(pare_store_data(s, i, &data, &err));
    assert_int_equal((uintptr_t)data % pare_dtype_unit(t->dtype), 0);
    for (uint64_t k = 0; k < t->bytes; k++)
        if (data[k] != (hex_digit(hex[2 * k]) << 4 | hex_digit(hex[2 * k + 1])))
            fail_msg("%s: '%s' differs at byte %d", file, name, (int)k);
    pare_store_release(s, i);
}

static void golden(void **state)
{
    (void)state;
    const char *folder = PARE_SOURCE_DIR "/tests/golden/containers";
    char *list = pare_path_join(folder, "expected.json");
    pare_jdoc *doc;
    if (!pare_path_exists(list)) {
        pare_dealloc(list);
        skip();
    }
    assert_ok(pare_jdoc_load(list, 1 << 24, &doc, &err));
    const pare_jval *files = pare_j_get(pare_jdoc_root(doc), "files");
    assert_true(pare_j_count(files) > 10);
    for (size_t i = 0; i < pare_j_count(files); i++) {
        const char *file, *name;
        const pare_jval *entry = pare_j_member(files, i, &file), *tensors = pare_j_get(entry, "tensors");
        char *path = pare_path_join(folder, file);
        pare_store *s = NULL;
        pare_status st = pare_store_open(path, &s, &err);
        pare_dealloc(path);
        if (pare_j_bool(pare_j_get(entry, "refuse"), false)) {
            assert_int_equal(st, PARE_ERR_UNSUPPORTED);
            continue;
        }
        if (st != PARE_OK) fail_msg("%s", err.text);
        assert_int_equal(s->n_tensors, pare_j_count(tensors));
        for (size_t k = 0; k < pare_j_count(tensors); k++) {
            const pare_jval *want = pare_j_member(tensors, k, &name);
            check_tensor(s, file, name, want);
        }
        pare_store_close(s);
    }
    pare_jdoc_free(doc);
    pare_dealloc(list);
}

static void golden_alias(void **state)
{
    (void)state;
    pare_store *s;
    if (!pare_path_exists(PARE_SOURCE_DIR "/tests/golden/containers/tied-zip.pt")) skip();
    assert_ok(pare_store_open(PARE_SOURCE_DIR "/tests/golden/containers/tied-zip.pt", &s, &err));
    assert_int_equal(tensor_of(s, "embed.weight")->alias_of, -1);
    assert_int_equal(tensor_of(s, "head.weight")->alias_of, 0);
    pare_store_close(s);
}

/* -------------------------------------------------------------------------------------------------------- real models */

static const char *models(void)
{
    const char *folder = getenv("PARE_MODELS");
    return folder && *folder ? folder : PARE_SOURCE_DIR "/../shared/models";
}

static void resnet(void **state)
{
    (void)state;
    pare_store *s;
    char *path = pare_path_join(models(), "resnet-cifar10");
    if (!pare_path_exists(path)) {
        print_message("no models at %s: skipped\n", models());
        pare_dealloc(path);
        skip();
    }
    assert_ok(pare_store_open(path, &s, &err));
    pare_dealloc(path);
    assert_string_equal(s->format->name, "torch");
    const pare_tensor *t = tensor_of(s, "module.conv1.weight");
    assert_int_equal(t->dtype, PARE_F32);
    assert_int_equal(t->ndim, 4);
    assert_int_equal(t->shape[0], 16);
    assert_int_equal(t->shape[1], 3);
    uint64_t parameters = 0;
    for (int64_t i = 0; i < s->n_tensors; i++) {
        const pare_tensor *x = &s->tensors[i];
        const uint8_t *data;
        double sum = 0;
        if (!strstr(x->name, "running") && !strstr(x->name, "num_batches")) parameters += x->numel;
        if (!strstr(x->name, "conv")) continue;
        assert_ok(pare_store_data(s, i, &data, &err));
        for (uint64_t k = 0; k < x->numel; k++) sum += (double)((const float *)data)[k] * ((const float *)data)[k];
        assert_true(sum / (double)x->numel > 1e-5 && sum / (double)x->numel < 1);
        pare_store_release(s, i);
    }
    assert_int_equal(parameters, 269722); /* ResNet-20 */
    pare_store_close(s);
}

static void tinystories(void **state)
{
    (void)state;
    pare_store *s;
    char *path = pare_path_join(models(), "tinystories-656k");
    if (!pare_path_exists(path)) {
        print_message("no models at %s: skipped\n", models());
        pare_dealloc(path);
        skip();
    }
    assert_ok(pare_store_open(path, &s, &err));
    assert_string_equal(s->folder, path);
    assert_non_null(s->config);
    assert_string_equal(pare_store_metadata(s, "format"), "pt");
    assert_string_equal(pare_store_metadata(s, "model.embed_tokens.weight"), "lm_head.weight");
    assert_int_equal(pare_store_find(s, "model.embed_tokens.weight"), -1);
    assert_int_equal(tensor_of(s, "lm_head.weight")->shape[0], 2048);
    pare_store_close(s);
    pare_dealloc(path);
}

/* -------------------------------------------------------------------------------------------------------- safetensors */

static void safetensors_forms(void **state)
{
    (void)state;
    /* The same header as writers write it, and in ways that only the general parser takes. */
    static const char *const headers[] = {
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"e\":{\"dtype\":\"F16\","
        "\"shape\":[0,3],\"data_offsets\":[8,8]},"
        "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]}}   ",
        "{\n \"s\" : {\"shape\": [ ], \"data_offsets\": [8,9], \"dtype\": \"U8\"},\t\"e\": {\"data_offsets\": [8, 8], \"shape\": [0, 3], "
        "\"dtype\": \"F16\"},\r\n"
        "\"a\": {\"dtype\": \"F32\", \"data_offsets\": [0, 8], \"shape\": [2]}, \"__metadata__\": {\"format\": \"pt\"}}\n",
        "{\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"extra\":[1,{}]},\"e\":{\"dtype\":\"F16\",\"shape\":[0,3],"
        "\"data_offsets\":[8,8]},"
        "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]},\"__metadata__\":{\"format\":\"p\\u0074\"}}",
    };
    for (size_t i = 0; i < 3; i++) {
        buf b = {0};
        pare_store *s;
        make_safetensors(&b, headers[i], 9);
        assert_ok(pare_store_open_memory("x", b.at, b.n, NULL, &s, &err));
        assert_string_equal(s->format->name, "safetensors"); /* known by its content */
        assert_int_equal(s->n_tensors, 3);
        assert_string_equal(s->tensors[0].name, "a"); /* in the order of the bytes */
        assert_string_equal(s->tensors[1].name, "e");
        assert_string_equal(s->tensors[2].name, "s");
        assert_int_equal(tensor_of(s, "e")->bytes, 0);
        assert_int_equal(tensor_of(s, "s")->numel, 1);
        assert_string_equal(pare_store_metadata(s, "format"), "pt");
        assert_null(pare_store_metadata(s, "other"));
        assert_int_equal(pare_store_find(s, ""), -1);
        pare_store_close(s);
        buf_clear(&b);
    }
}

/* A header of 118 bytes begins with 'v', as the pointers of Git LFS do. */
static void header_of_118(void **state)
{
    (void)state;
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    buf b = {0};
    pare_store *s;
    buf_le(&b, 118, 8);
    buf_text(&b, header);
    buf_fill(&b, ' ', 118 - strlen(header));
    buf_put(&b, "x", 1);
    assert_ok(pare_store_open_memory("x.safetensors", b.at, b.n, NULL, &s, &err));
    pare_store_close(s);
    buf_clear(&b);
}

/* Data at an odd place in the file comes as an aligned copy. */
static void misaligned(void **state)
{
    (void)state;
    for (size_t pad = 0; pad < 9; pad++) {
        char header[200];
        buf b = {0};
        pare_store *s;
        const uint8_t *data, *again;
        snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}%.*s", (int)pad, "         ");
        make_safetensors(&b, header, 16);
        assert_ok(pare_store_open_memory("x.safetensors", b.at, b.n, NULL, &s, &err));
        assert_ok(pare_store_data(s, 0, &data, &err));
        assert_int_equal((uintptr_t)data % 8, 0);
        assert_memory_equal(data, s->tensors[0].data, 16);
        assert_ok(pare_store_data(s, 0, &again, &err));
        assert_ptr_equal(data, again);
        pare_store_release(s, 0);
        pare_store_release(s, 0);
        assert_ok(pare_store_data(s, 0, &data, &err));
        pare_store_close(s); /* with a copy held */
        buf_clear(&b);
    }
}

static void fifty_thousand(void **state)
{
    (void)state;
    pare_str header = {0};
    buf b = {0};
    pare_store *s;
    enum { N = 50000 };
    for (int i = 0; i < N; i++)
        pare_str_printf(&header, "%s\"model.layers.%d.mlp.experts.%d.weight\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[%d,%d]}",
                        i ? "," : "{", i / 9, i % 9, 2 * i, 2 * i + 2);
    pare_str_add(&header, "}");
    make_safetensors(&b, header.at, 2 * N);
    double begin = pare_now();
    assert_ok(pare_store_open_memory("x.safetensors", b.at, b.n, NULL, &s, &err));
    print_message("50,000 tensors opened in %.1f ms\n", (pare_now() - begin) * 1e3);
    assert_int_equal(s->n_tensors, N);
    for (int i = 0; i < N; i += 7) {
        char name[100];
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%d.weight", i / 9, i % 9);
        assert_int_equal(pare_store_find(s, name), i);
    }
    pare_store_close(s);
    buf_clear(&b);
    pare_str_clear(&header);
}

/* -------------------------------------------------------------------------------------------------------------- torch */

#define SECOND PK_TENSOR_AT(PK_STORAGE("FloatStorage", "0", "6"), "2", "I2\n", "I1\n")
#define NESTED(name, items) "V" name "\n(d" items "s"

static pare_store *open_pickle(const void *pickle, size_t n)
{
    static buf b; /* lives as long as the store */
    pare_store *s = NULL;
    b.n = 0;
    make_torch_zip(&b, pickle, n, 24);
    if (pare_store_open_memory("x.pt", b.at, b.n, NULL, &s, &err) != PARE_OK) fail_msg("%s", err.text);
    return s;
}

static void assert_names(const void *pickle, size_t n, const char *names)
{
    pare_store *s = open_pickle(pickle, n);
    pare_str all = {0};
    for (int64_t i = 0; i < s->n_tensors; i++) pare_str_printf(&all, "%s%s", i ? " " : "", s->tensors[i].name);
    assert_string_equal(all.at ? all.at : "", names);
    pare_str_clear(&all);
    pare_store_close(s);
}

static void torch_names(void **state)
{
    (void)state;
    assert_names(B(PK_DICT(PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("module.w", PK_W) PK_ITEM("epoch", "I3\n"))), "module.w");
    assert_names(B(PK_DICT(NESTED("state_dict", PK_ITEM("w", PK_W)) PK_ITEM("epoch", "I3\n"))), "w");
    assert_names(B(PK_DICT(NESTED("model", PK_ITEM("w", PK_W)) NESTED("optimizer", NESTED("state", "I0\n(d" PK_ITEM("avg", SECOND) "s")))),
                 "w");
    assert_names(B(PK_DICT(NESTED("model", PK_ITEM("w", PK_W)) NESTED("ema", PK_ITEM("w", SECOND)))), "model.w ema.w"); /* two wrappers */
    assert_names(B(PK_DICT(NESTED("model", PK_ITEM("w", PK_W)) PK_ITEM("bias", SECOND))), "model.w bias");               /* one beside it */
    assert_names(B(PK_DICT(NESTED("model", PK_ITEM("w", PK_W)) NESTED("ema", PK_ITEM("decay", "F0.9\n")))), "w");
    assert_names(B(PK_DICT(NESTED("other", PK_ITEM("w", PK_W)))), "other.w");
    assert_names(B(PK_DICT("I7\n(d" PK_ITEM("avg", PK_W) "s")), "7.avg");
    assert_names(B("(l" PK_W "a" SECOND "a."), "0 1");
    assert_names(B("(" PK_W SECOND "t."), "0 1");
    assert_names(B(PK_W "."), "x");
    assert_names(B(PK_DICT(PK_ITEM("w", PK_W) "(Va\nI1\ntI5\ns" "NI6\ns")), "w"); /* odd keys without tensors */
}

/* Views of one storage: the same one twice is an alias, another part is not. */
static void torch_aliases(void **state)
{
    (void)state;
    static const char pickle[] = PK_DICT(PK_ITEM("a", PK_W) PK_ITEM("b", PK_W) PK_ITEM("part", SECOND)
                                             PK_ITEM("flat", PK_TENSOR("FloatStorage", "6", "I6\n", "I1\n"))
                                                 PK_ITEM("t", PK_TENSOR("FloatStorage", "6", "I3\nI2\n", "I1\nI3\n")) PK_ITEM("c", PK_W)
                                                     PK_ITEM("t2", PK_TENSOR("FloatStorage", "6", "I3\nI2\n", "I1\nI3\n"))
                                                         PK_ITEM("wide", PK_TENSOR("FloatStorage", "6", "I1\nI6\n", "I99\nI1\n")));
    pare_store *s = open_pickle(B(pickle));
    const uint8_t *data;
    assert_int_equal(tensor_of(s, "a")->alias_of, -1);
    assert_int_equal(tensor_of(s, "b")->alias_of, 0);
    assert_int_equal(tensor_of(s, "c")->alias_of, 0);
    assert_int_equal(tensor_of(s, "part")->alias_of, -1);
    assert_int_equal(tensor_of(s, "flat")->alias_of, -1);
    assert_int_equal(tensor_of(s, "t")->alias_of, -1);
    assert_int_equal(tensor_of(s, "t2")->alias_of, pare_store_find(s, "t"));
    assert_non_null(tensor_of(s, "wide")->data); /* the stride of a dimension of 1 does not matter */
    assert_null(tensor_of(s, "t")->data);
    assert_ok(pare_store_data(s, pare_store_find(s, "t"), &data, &err));
    assert_memory_equal(data, "\0\1\2\3\x0c\x0d\x0e\x0f\4\5\6\7\x10\x11\x12\x13\x08\x09\x0a\x0b\x14\x15\x16\x17", 24);
    assert_ok(pare_store_data(s, pare_store_find(s, "part"), &data, &err));
    assert_memory_equal(data, "\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", 8);
    pare_store_close(s);
}

/* What state dicts carry beside tensors, and the ways in which tensors are said. */
static void torch_objects(void **state)
{
    (void)state;
    assert_names(B(PK_DICT(PK_ITEM("args", "cargparse\nNamespace\n)\x81}Vlr\nF0.1\nsb") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("x", "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(Vf8\nI0\nI1\ntR(I3\nV<\nNNNtbVabc\ntR")
                               PK_ITEM("w", PK_W))),
                 "w");
    assert_names(
        B(PK_DICT(PK_ITEM(
            "x", "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I2\ntcnumpy\ndtype\n(Vf8\ntRI00\nVab\ntb")
                      PK_ITEM("w", PK_W))),
        "w");
    assert_names(B(PK_DICT(PK_ITEM("d", "ccollections\ndefaultdict\n(c__builtin__\nlist\ntRVk\nI1\ns") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("size", "ctorch\nSize\n((I1\nI2\nttR") PK_ITEM("dtype", "ctorch\nfloat16\n")
                               PK_ITEM("device", "ctorch\ndevice\n(Vcpu\ntR") PK_ITEM("w", PK_W))),
                 "w");
    assert_names(B("ccollections\nOrderedDict\n((l(Vw\n" PK_W "latR."), "w"); /* Python 2 */
    assert_names(B("ccollections\nOrderedDict\n)R(Vw\n" PK_W "u}V_metadata\n}sb."), "w");
    assert_names(B("\x80\x04\x95\0\0\0\0\0\0\0\0}\x94\x8c\1w\x94" PK_W "\x94s."), "w");
    assert_names(B(PK_DICT(PK_ITEM("w", "ctorch._utils\n_rebuild_parameter\n(" PK_W "I01\nccollections\nOrderedDict\n)RtR"))), "w");
    assert_names(
        B(PK_DICT(PK_ITEM("w", "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n(" PK_STORAGE(
                                   "FloatStorage", "0", "6") "I0\n(I6\nt(I1\ntI00\nNt}tR"))),
        "w");
    pare_store *s = open_pickle(B(PK_DICT(PK_ITEM(
        "w", "ctorch._utils\n_rebuild_tensor_v3\n(" PK_STORAGE("UntypedStorage", "0", "24") "I1\n(I11\nt(I1\ntI00\nNctorch\nuint16\ntR"))));
    assert_int_equal(tensor_of(s, "w")->dtype, PARE_U16);
    assert_memory_equal(tensor_of(s, "w")->data, "\2\3\4", 3);
    pare_store_close(s);
}

/* Opcodes that torch's own pickles do not need but others' do. */
static void torch_opcodes(void **state)
{
    (void)state;
    assert_names(B("(dp0\n0g0\nVw\n" PK_W "s."), "w");                                     /* memo in text, POP */
    assert_names(B("}r\0\0\0\0" "0j\0\0\0\0Vw\n" PK_W "s."), "w");                         /* memo in 4 bytes */
    assert_names(B("}(NN1Vw\n" PK_W "s."), "w");                                           /* POP_MARK */
    assert_names(B("}Vw\n" PK_W "2000Vw\n" PK_W "s."), "w");                               /* DUP and POP */
    assert_names(B("}(0Vw\n" PK_W "s."), "w");                                             /* POP takes a mark */
    assert_names(B(PK_DICT(PK_ITEM("s", "\x8f(I1\nI2\n\x90") PK_ITEM("f", "(I1\n\x91") PK_ITEM("w", PK_W))), "w"); /* sets */
    assert_names(B(PK_DICT(PK_ITEM("n", "(I1\niargparse\nNamespace\n") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("n", "(cargparse\nNamespace\nI1\no") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("n", "cargparse\nNamespace\n)}\x92") PK_ITEM("w", PK_W))), "w"); /* NEWOBJ_EX */
    assert_names(
        B(PK_DICT(PK_ITEM("n", "L12345678901234567890123456789012345678901234567890L\n") PK_ITEM("m", "L-5L\n") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("b", "\x96\2\0\0\0\0\0\0\0ab") PK_ITEM("c", "\x8e\1\0\0\0\0\0\0\0a") PK_ITEM("w", PK_W))), "w");
    assert_names(B(PK_DICT(PK_ITEM("i", "J\xff\xff\xff\xff") PK_ITEM("l", "\x8b\2\0\0\0\xff\xff") PK_ITEM("t", "\x88") PK_ITEM("w", PK_W))),
                 "w");
    assert_names(B("(dS'w'\n" PK_W "sT\1\0\0\0v" SECOND "s\x8d\1\0\0\0\0\0\0\0u" SECOND "s."), "w v u");
    assert_names(B("(dJ\xfe\xff\xff\xff" PK_W "s\x8a\x08\0\0\0\0\0\0\0\x80" SECOND "s."), "-2 -9223372036854775808");
}

/* Enough views that the table of them grows; every second one is an alias. */
static void torch_many(void **state)
{
    (void)state;
    enum { N = 3000 };
    buf pickle = {0}, b = {0};
    pare_store *s;
    buf_text(&pickle, "(d");
    for (int i = 0; i < N; i++) {
        char item[400];
        snprintf(item, sizeof item,
                 "Vt%d\nctorch._utils\n_rebuild_tensor\n(" PK_STORAGE("FloatStorage", "0", "6000") "I%d\n(I2\nt(I1\nttRs", i, i / 2);
        buf_text(&pickle, item);
    }
    buf_text(&pickle, ".");
    make_torch_zip(&b, pickle.at, pickle.n, 24000);
    assert_ok(pare_store_open_memory("x.pt", b.at, b.n, NULL, &s, &err));
    assert_int_equal(s->n_tensors, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(s->tensors[i].alias_of, i % 2 ? i - 1 : -1);
        assert_int_equal(s->tensors[i].data[0], i / 2 * 4 & 255);
    }
    pare_store_close(s);
    buf_clear(&b);
    buf_clear(&pickle);
}

/* An archive written by a big-endian machine, and one that was packed again with compression. */
static void torch_forms(void **state)
{
    (void)state;
    static const char pickle[] =
        PK_DICT(PK_ITEM("a", PK_W) PK_ITEM("t", PK_TENSOR("FloatStorage", "6", "I3\nI2\n", "I1\nI3\n")) PK_ITEM("part", SECOND));
    uint8_t bytes[24];
    for (int i = 0; i < 24; i++) bytes[i] = (uint8_t)i;
    for (int form = 0; form < 3; form++) {
        buf b = {0};
        zipper z = {.out = &b};
        pare_store *s;
        const uint8_t *data;
        zip_add(&z, "a/data.pkl", B(pickle), form == 1);
        if (form == 2) zip_add(&z, "a/byteorder", "big", 3, false);
        zip_add(&z, "a/data/0", bytes, 24, form == 1);
        zip_end(&z);
        assert_ok(pare_store_open_memory("x.bin", b.at, b.n, NULL, &s, &err));
        assert_ok(pare_store_data(s, pare_store_find(s, "a"), &data, &err));
        assert_memory_equal(data, form == 2 ? "\3\2\1\0\7\6\5\4" : "\0\1\2\3\4\5\6\7", 8);
        assert_ok(pare_store_data(s, pare_store_find(s, "t"), &data, &err));
        assert_memory_equal(data, form == 2 ? "\3\2\1\0\x0f\x0e\x0d\x0c" : "\0\1\2\3\x0c\x0d\x0e\x0f", 8);
        assert_ok(pare_store_data(s, pare_store_find(s, "part"), &data, &err));
        assert_memory_equal(data, form == 2 ? "\x0b\x0a\x09\x08\x0f\x0e\x0d\x0c" : "\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", 8);
        pare_store_close(s);
        buf_clear(&b);
    }
}

/* Storages that are views of storages, as torch before 0.4 wrote them. */
static void torch_legacy_view(void **state)
{
    (void)state;
    static const char pickle[] =
        PK_DICT(PK_ITEM("a", PK_W) "Vv\nctorch._utils\n_rebuild_tensor\n((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI6\n(V9\nI2\nI3\nttQ"
                                   "I1\n(I2\nt(I1\nttRs");
    buf b = {0};
    pare_store *s;
    const uint8_t *data;
    make_torch_legacy(&b, B(pickle), 6, 24);
    assert_ok(pare_store_open_memory("x.pth", b.at, b.n, NULL, &s, &err));
    assert_ok(pare_store_data(s, pare_store_find(s, "v"), &data, &err));
    assert_memory_equal(data, "\x0c\x0d\x0e\x0f\x10\x11\x12\x13", 8); /* elements 3 and 4 */
    pare_store_close(s);
    buf_clear(&b);
}

/* ------------------------------------------------------------------------------------------------------ folders, shards */

static void write_model(const char *path, const char *tensor)
{
    char header[200];
    buf b = {0};
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", tensor);
    make_safetensors(&b, header, 4);
    test_write(path, b.at, b.n);
    buf_clear(&b);
}

/* A new folder of the test's own; path of a file in it. */
static const char *in_folder(const char *folder, const char *name)
{
    char path[300];
    assert_ok(pare_make_folder(test_path(folder), &err));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return test_path(path);
}

static void folders(void **state)
{
    (void)state;
    pare_store *s;
    assert_error(pare_store_open(test_path("nowhere"), &s, &err), PARE_ERR_IO, "no such file or folder");
    assert_ok(pare_make_folder(test_path("f"), &err));
    assert_error(pare_store_open(test_path("f"), &s, &err), PARE_ERR_FORMAT, "holds no weight file");
    test_write(in_folder("f", "tok.bin"), "\1\2\3\4", 4); /* .bin by name only */
    test_write(in_folder("f", "notes.txt"), "x", 1);
    assert_error(pare_store_open(test_path("f"), &s, &err), PARE_ERR_FORMAT, "holds no weight file");
    write_model(in_folder("f", "odd.safetensors"), "odd");
    assert_ok(pare_store_open(test_path("f"), &s, &err));
    assert_string_equal(s->tensors[0].name, "odd");
    assert_string_equal(s->folder, test_path("f"));
    assert_null(s->config);
    pare_store_close(s);
    write_model(in_folder("f", "other.safetensors"), "other");
    assert_error(pare_store_open(test_path("f"), &s, &err), PARE_ERR_FORMAT,
                 "holds 2 weight files and none has a usual name: odd.safetensors, other.safetensors");
    assert_string_equal(err.hint, "give the path of one of them");
    assert_ok(pare_store_open(in_folder("f", "other.safetensors"), &s, &err));
    assert_null(s->folder);
    pare_store_close(s);
    write_model(in_folder("f", "adapter_model.safetensors"), "adapter");
    assert_ok(pare_store_open(test_path("f"), &s, &err));
    assert_string_equal(s->tensors[0].name, "adapter");
    pare_store_close(s);
    write_model(in_folder("f", "model.safetensors"), "model");
    test_write(in_folder("f", "config.json"), "{\"a\": 1}", 8);
    assert_ok(pare_store_open(test_path("f/"), &s, &err));
    assert_string_equal(s->tensors[0].name, "model");
    assert_string_equal(s->config_text, "{\"a\": 1}");
    assert_int_equal(pare_j_int(pare_j_get(pare_jdoc_root(s->config), "a"), 0), 1);
    pare_store_close(s);
    test_write(in_folder("f", "config.json"), "[1]", 3);
    assert_error(pare_store_open(test_path("f"), &s, &err), PARE_ERR_FORMAT, "config.json: is not a JSON object");
    test_write(in_folder("f", "config.json"), "{", 1);
    assert_error(pare_store_open(test_path("f"), &s, &err), PARE_ERR_FORMAT, "config.json: line 1");
}

static void other_folders(void **state)
{
    (void)state;
    pare_store *s;
    write_model(in_folder("s", "model-00001-of-00002.safetensors"), "a");
    write_model(in_folder("s", "model-00002-of-00002.safetensors"), "b");
    assert_error(pare_store_open(test_path("s"), &s, &err), PARE_ERR_FORMAT, "holds 2 weight files");
    assert_non_null(strstr(err.hint, "the index file (model.safetensors.index.json) is missing"));
    test_write(in_folder("g", "x.gguf"), "GGUF\3\0\0\0", 8);
    assert_error(pare_store_open(test_path("g"), &s, &err), PARE_ERR_UNSUPPORTED, "x.gguf: GGUF files are not read by this version");
    assert_error(pare_store_open(in_folder("g", "x.gguf"), &s, &err), PARE_ERR_UNSUPPORTED, "GGUF files are not read");
}

static pare_status open_index(const char *map, pare_store **s)
{
    char text[600];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {%s}}", map);
    test_write(in_folder("i", "model.safetensors.index.json"), text, strlen(text));
    return pare_store_open(test_path("i"), s, &err);
}

static void shards(void **state)
{
    (void)state;
    pare_store *s;
    write_model(in_folder("i", "m2.safetensors"), "b");
    assert_error(open_index("\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\"", &s), PARE_ERR_IO,
                 "model.safetensors.index.json: shard 'm1.safetensors' is missing (1 of 2)");
    assert_error(open_index("\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\", \"c\": \"m3.safetensors\"", &s), PARE_ERR_IO,
                 "shard 'm1.safetensors' is missing (and 1 more of 3)");
    write_model(in_folder("i", "m1.safetensors"), "a");
    assert_ok(open_index("\"b\": \"m2.safetensors\", \"a\": \"m1.safetensors\"", &s));
    assert_int_equal(s->n_files, 2);
    assert_int_equal(s->n_tensors, 2);
    assert_string_equal(s->files[s->tensors[pare_store_find(s, "b")].file].name, "m2.safetensors");
    pare_store_close(s);
    assert_ok(pare_store_open(in_folder("i", "model.safetensors.index.json"), &s, &err));
    assert_string_equal(s->folder, test_path("i"));
    pare_store_close(s);
    assert_error(open_index("\"a\": \"m1.safetensors\", \"c\": \"m2.safetensors\"", &s), PARE_ERR_FORMAT,
                 "tensor 'c' is not in 'm2.safetensors'");
    assert_error(open_index("\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\", \"c\": \"m2.safetensors\"", &s), PARE_ERR_FORMAT,
                 "tensor 'c' is not in 'm2.safetensors'");
    assert_error(open_index("\"a\": \"m2.safetensors\", \"b\": \"m1.safetensors\"", &s), PARE_ERR_FORMAT,
                 "tensor 'a' is said to be in 'm2.safetensors' but is in 'm1.safetensors'");
    buf b = {0};
    make_safetensors(
        &b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[4,5]}}",
        5);
    test_write(in_folder("i", "m1.safetensors"), b.at, b.n);
    assert_error(open_index("\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\"", &s), PARE_ERR_FORMAT,
                 "tensor 'x' of 'm1.safetensors' is not in the index (3 tensors in the files, 2 in the index)");
    write_model(in_folder("i", "m1.safetensors"), "b");
    assert_error(open_index("\"a\": \"m1.safetensors\", \"b\": \"m2.safetensors\"", &s), PARE_ERR_FORMAT,
                 "m2.safetensors: tensor 'b' is already in 'm1.safetensors'");
    b.n = 0;
    make_npy(&b, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", "x", 1);
    test_write(in_folder("i", "m3.npy"), b.at, b.n);
    assert_error(open_index("\"b\": \"m2.safetensors\", \"m3\": \"m3.npy\"", &s), PARE_ERR_FORMAT,
                 "m3.npy: is npy, but 'm2.safetensors' is safetensors");
    assert_error(open_index("\"b\": \"../m2.safetensors\"", &s), PARE_ERR_FORMAT, "which is not a plain relative file name");
    buf_clear(&b);
}

/* -------------------------------------------------------------------------------------------------------- allocations */

typedef struct memory_file { const char *name; buf bytes; } memory_file;

static pare_status open_and_read(void *arg)
{
    const memory_file *f = arg;
    pare_store *s = NULL;
    pare_status st = pare_store_open_memory(f->name, f->bytes.at, f->bytes.n, NULL, &s, &err);
    for (int64_t i = 0; st == PARE_OK && i < s->n_tensors; i++) {
        const uint8_t *data;
        st = pare_store_data(s, i, &data, &err);
        if (st == PARE_OK) pare_store_release(s, i);
    }
    pare_store_close(s);
    return st;
}

static pare_status open_path(void *arg)
{
    pare_store *s = NULL;
    pare_status st = pare_store_open(arg, &s, &err);
    pare_store_close(s);
    return st;
}

static void allocations(void **state)
{
    (void)state;
    static const char pickle[] = PK_DICT(PK_ITEM("a", PK_W) PK_ITEM("t", PK_TENSOR("FloatStorage", "6", "I3\nI2\n", "I1\nI3\n")));
    memory_file files[] = {{.name = "a.safetensors"}, {.name = "b.safetensors"}, {.name = "x.pt"},
                           {.name = "y.pt"},          {.name = "x.npz"},         {.name = "x.npy"}};
    make_safetensors(&files[0].bytes, "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    make_safetensors(&files[1].bytes,
                     "{\"__metadata__\":{\"k\":\"\\u0061\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    make_torch_zip(&files[2].bytes, B(pickle), 24);
    make_torch_legacy(&files[3].bytes, B(pickle), 6, 24);
    buf npy = {0};
    zipper z = {.out = &files[4].bytes};
    make_npy(&npy, "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }", "abcdefghijklmnopqrstuvwx", 24);
    zip_add(&z, "a.npy", npy.at, npy.n, true);
    zip_add(&z, "b.npy", npy.at, npy.n, false);
    zip_end(&z);
    files[5].bytes = npy;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int n = test_every_allocation(open_and_read, &files[i]);
        print_message("%s: %d allocations\n", files[i].name, n);
        assert_true(n >= 5);
        buf_clear(&files[i].bytes);
    }
    write_model(in_folder("all", "m1.safetensors"), "a");
    static const char index[] = "{\"weight_map\": {\"a\": \"m1.safetensors\"}}";
    test_write(in_folder("all", "model.safetensors.index.json"), B(index));
    test_write(in_folder("all", "config.json"), "{}", 2);
    assert_true(test_every_allocation(open_path, (void *)(uintptr_t)test_path("all")) > 10);
    write_model(in_folder("one", "m1.safetensors"), "a");
    assert_true(test_every_allocation(open_path, (void *)(uintptr_t)test_path("one")) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),        cmocka_unit_test(golden_alias),      cmocka_unit_test(resnet),
        cmocka_unit_test(tinystories),   cmocka_unit_test(safetensors_forms), cmocka_unit_test(misaligned),
        cmocka_unit_test(header_of_118), cmocka_unit_test(fifty_thousand),    cmocka_unit_test(torch_names),
        cmocka_unit_test(torch_aliases), cmocka_unit_test(torch_objects),     cmocka_unit_test(torch_opcodes),
        cmocka_unit_test(torch_many),    cmocka_unit_test(torch_forms),       cmocka_unit_test(torch_legacy_view),
        cmocka_unit_test(folders),       cmocka_unit_test(other_folders),     cmocka_unit_test(shards),
        cmocka_unit_test(allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
