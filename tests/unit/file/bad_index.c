/* SPDX-License-Identifier: Apache-2.0 */
/* Shard indexes that break one rule each, and files of other kinds. */
#include "bad.h"

static const struct { const char *what, *text, *expected; } indexes[] = {
    {"empty", "", "m.index.json: line 1"},
    {"no JSON", "weights", "m.index.json: line 1 column 7: invalid token"},
    {"an array", "[]", "m.index.json: has no object 'weight_map'"},
    {"no map", "{}", "has no object 'weight_map'"},
    {"map is an array", "{\"weight_map\": []}", "has no object 'weight_map'"},
    {"map is null", "{\"weight_map\": null}", "has no object 'weight_map'"},
    {"map is empty", "{\"weight_map\": {}}", "'weight_map' names no tensor"},
    {"file is a number", "{\"weight_map\": {\"a\": 1}}", "the file of tensor 'a' is not a string"},
    {"file is null", "{\"weight_map\": {\"a\": null}}", "the file of tensor 'a' is not a string"},
    {"file is a list", "{\"weight_map\": {\"a\": [\"x\"]}}", "the file of tensor 'a' is not a string"},
    {"file is empty", "{\"weight_map\": {\"a\": \"\"}}", "tensor 'a' is said to be in '', which is not a plain relative file name"},
    {"file is above", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}", "'../x.safetensors', which is not a plain relative file name"},
    {"file climbs", "{\"weight_map\": {\"a\": \"b/../../x.safetensors\"}}", "which is not a plain relative file name"},
    {"file is absolute", "{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "'/etc/passwd', which is not a plain relative file name"},
    {"file is a folder", "{\"weight_map\": {\"a\": \"x/\"}}", "which is not a plain relative file name"},
    {"file is a dot", "{\"weight_map\": {\"a\": \".\"}}", "which is not a plain relative file name"},
    {"file with a backslash", "{\"weight_map\": {\"a\": \"..\\\\x\"}}", "which is not a plain relative file name"},
    {"file with a newline", "{\"weight_map\": {\"a\": \"x\\ny\"}}", "which is not a plain relative file name"},
    {"file with a NUL", "{\"weight_map\": {\"a\": \"x\\u0000y\"}}", "m.index.json: line 1"},
    {"tensor twice", "{\"weight_map\": {\"a\": \"x\", \"a\": \"y\"}}", "duplicate"},
    {"map twice", "{\"weight_map\": {\"a\": \"x\"}, \"weight_map\": {\"b\": \"x\"}}", "duplicate"},
    {"not closed", "{\"weight_map\": {\"a\": \"x\"", "m.index.json: line 1"},
    {"a comma too many", "{\"weight_map\": {\"a\": \"x\",}}", "m.index.json: line 1"},
    {"a comment", "{\"weight_map\": {\"a\": \"x\"}} // all", "m.index.json: line 1 column"},
    {"two documents", "{\"weight_map\": {\"a\": \"x\"}}{}", "m.index.json: line 1 column"},
    {"not UTF-8", "{\"weight_map\": {\"\xff\": \"x\"}}", "m.index.json: line 1 column 17: unable to decode byte"},
    {"control byte in text", "{\"weight_map\": {\"a\1\": \"x\"}}", "m.index.json: line 1"},
    {"error in line 3", "{\n\"weight_map\": {\n\"a\" \"x\"}}", "m.index.json: line 3"},
};

void bad_index(bad_emit *emit)
{
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
        emit(&(bad_case){"m.index.json", indexes[i].what, indexes[i].text, strlen(indexes[i].text), indexes[i].expected});
}

void bad_other(bad_emit *emit)
{
    static const uint8_t zeros[600];
    uint8_t tar[600] = "sys_info";
    memcpy(tar + 257, "ustar", 5);
    const bad_case cases[] = {
        {"x.gguf", "GGUF", "GGUF\3\0\0\0", 8, "x.gguf: GGUF files are not read by this version"},
        {"x.bin", "GGUF by another name", "GGUF\3\0\0\0", 8, "x.bin: GGUF files are not read by this version"},
        {"x.onnx", "ONNX", "\10\7\22\4", 4, "x.onnx: ONNX files are not read by this version"},
        {"x.h5", "HDF5", "\x89HDF\r\n\x1a\n0000", 12, "x.h5: HDF5 (Keras) files are not read by this version"},
        {"x.tflite", "TensorFlow Lite", "\x1c\0\0\0TFL3", 8, "TensorFlow Lite files are not read by this version"},
        {"x.msgpack", "Flax", "\x81\xa6params", 8, "msgpack (Flax) files are not read by this version"},
        {"x.bin", "zeros", zeros, 600, "x.bin: not a file of a known container (safetensors, torch, npz, npy)"},
        {"x.txt", "text", "hello, world", 12, "x.txt: not a file of a known container"},
        {"x.bin", "empty", "", 0, "x.bin: the file is empty"},
        {"x.pt", "empty", "", 0, "x.pt: the file is empty"},
        {"x.npz", "empty", "", 0, "x.npz: the file is empty"},
        {"x.pt", "zeros", zeros, 600, "x.pt: is neither a ZIP archive nor a pickle, so not torch's"},
        {"x.pt", "tar", tar, 600, "x.pt: is the tar form that torch wrote before 0.1.10, which is not read"},
        {"x.bin", "a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", 43, "x.bin: is a Git LFS pointer of 43 bytes"},
        {"x.pt", "a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", 43, "x.pt: is a Git LFS pointer of 43 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) emit(&cases[i]);
}
