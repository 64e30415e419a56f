/* SPDX-License-Identifier: Apache-2.0 */
/* embed_text OUT.c FILE...: the files as zlib streams in a C source that defines pare_bundled_texts (src/flow/bundled_text.h). Runs while pare is built. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static int fail(const char *what, const char *path) {
    fprintf(stderr, "embed_text: %s: %s\n", path, what);
    return 1;
}

static unsigned char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    unsigned char *at = NULL;
    long size;
    if (f && fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0 && (at = malloc((size_t)size)) != NULL) {
        *n = (size_t)size;
        if (fread(at, 1, *n, f) != *n) free(at), at = NULL;
    }
    if (f) fclose(f);
    return at;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One array; its sizes are kept for the table. */
static int embed(FILE *out, int i, const char *path, size_t *raw, uLongf *packed) {
    unsigned char *text = read_file(path, raw), *stream;
    *packed = text ? compressBound(*raw) : 0;
    if (!text) return fail("cannot be read, or is empty", path);
    if (!(stream = malloc(*packed)) || compress2(stream, packed, text, *raw, 9) != Z_OK) return fail("cannot be compressed", path);
    fprintf(out, "static const unsigned char text_%d[] = {", i);
    for (uLongf k = 0; k < *packed; k++) fprintf(out, "%s%u,", k % 32 ? "" : "\n", stream[k]);
    fprintf(out, "\n};\n");
    free(text);
    free(stream);
    return 0;
}

int main(int argc, char **argv) {
    size_t *raw = calloc((size_t)argc, sizeof *raw);
    uLongf *packed = calloc((size_t)argc, sizeof *packed);
    FILE *out = argc > 2 ? fopen(argv[1], "wb") : NULL;
    if (!raw || !packed || !out) return fail("usage: embed_text OUT.c FILE...", argc > 1 ? argv[1] : "");
    fprintf(out, "/* Made by tools/embed_text.c. */\n#include \"flow/bundled_text.h\"\n");
    for (int i = 2; i < argc; i++)
        if (embed(out, i, argv[i], &raw[i], &packed[i])) return 1;
    fprintf(out, "const pare_bundled_text pare_bundled_texts[] = {\n");
    for (int i = 2; i < argc; i++) fprintf(out, "    { \"%s\", text_%d, %lu, %lu },\n", base_name(argv[i]), i, (unsigned long)packed[i], (unsigned long)raw[i]);
    fprintf(out, "};\nconst int pare_n_bundled_texts = %d;\n", argc - 2);
    free(raw);
    free(packed);
    return fclose(out) == 0 ? 0 : fail("cannot be written", argv[1]);
}
