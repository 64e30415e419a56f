/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of containers (formats.def) and the recognition of a file by its first bytes. Containers that pare knows by
 * sight but does not read are listed here too, so that the message names what the file is.
 */
#include <string.h>
#include "file/file.h"

#define PARE_FORMAT(x) extern const pare_format pare_format_##x;
#include "file/formats.def"
#undef PARE_FORMAT

static const pare_format *const formats[] = {
#define PARE_FORMAT(x) &pare_format_##x,
#include "file/formats.def"
#undef PARE_FORMAT
    NULL
};

const pare_format *const *pare_formats(void) { return formats; }

const pare_format *pare_format_find(const char *name)
{
    for (size_t i = 0; formats[i]; i++)
        if (!strcmp(formats[i]->name, name)) return formats[i];
    return NULL;
}

/* Recognised to be refused by name: magic bytes at the file's start, or an extension, or both. */
static const struct foreign { const char *what, *magic; size_t n; const char *extension; } foreign[] = {
    {"GGUF", "GGUF", 4, ".gguf"},
    {"GGML", "lmgg", 4, NULL},
    {"GGML", "tjgg", 4, NULL},
    {"ONNX", NULL, 0, ".onnx"},
    {"HDF5 (Keras)", "\x89HDF\r\n\x1a\n", 8, NULL},
    {"Apache Arrow", "ARROW1", 6, NULL},
    {"Parquet", "PAR1", 4, NULL},
    {"TensorFlow Lite", NULL, 0, ".tflite"},
    {"msgpack (Flax)", NULL, 0, ".msgpack"},
};

static const char *foreign_name(const char *name, const uint8_t *head, size_t n)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        const struct foreign *f = &foreign[i];
        if (f->magic && n >= f->n && !memcmp(head, f->magic, f->n)) return f->what;
        if (f->extension && !f->magic && pare_str_ends(name, f->extension)) return f->what;
    }
    return NULL;
}

pare_status pare_format_probe(const char *name, const uint8_t *head, size_t n, uint64_t file_size, const pare_format **out, pare_err *err)
{
    *out = NULL;
    if (n > 64) n = 64;
    const char *other = foreign_name(name, head, n);
    if (other) return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: %s files are not read by this version", name, other);
    if (n >= 23 && !memcmp(head, "version https://git-lfs", 23)) {
        pare_fail(err, PARE_ERR_FORMAT, "%s: is a Git LFS pointer of %llu bytes, not the file itself", name, (unsigned long long)file_size);
        pare_hint(err, "run `git lfs pull` in that folder");
        return PARE_ERR_FORMAT;
    }
    for (size_t i = 0; formats[i]; i++)
        if (formats[i]->probe(name, head, n, file_size)) {
            *out = formats[i];
            return PARE_OK;
        }
    if (file_size == 0) return pare_fail(err, PARE_ERR_FORMAT, "%s: the file is empty", name);
    return pare_fail(err, PARE_ERR_UNSUPPORTED, "%s: not a file of a known container (safetensors, torch, npz, npy)", name);
}
