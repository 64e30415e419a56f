/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pare.h
 * @brief The stable C API of libpare: number formats, linear quantization, bit packing, checkpoints, and whole-model jobs.
 *
 * Reading order: errors and context, number formats, packing, schemes and quantized tensors, checkpoints, jobs, registries.
 * Tables, JSON output and pictures are in <pare/report.h>.
 *
 * Conventions
 *  - Fallible functions return a ::pare_status (0 = done) and fill `err` (may be NULL) with one sentence that names the
 *    place and holds the numbers.
 *  - `open/close` for files, `new/free` for heap objects; `free`/`close` accept NULL. A returned `const` pointer is
 *    borrowed and lives as long as the object it came from, unless stated otherwise.
 *  - Matrices are row-major; a linear layer's weight is [out, in], as in PyTorch. Sizes and counts are int64_t or size_t.
 *  - The library never prints, exits, reads the environment or starts threads of its own accord: threads belong to the
 *    ::pare_ctx that the caller makes. Functions that take the same ctx may not run at the same time.
 *  - Results (codes, scales, files) are byte-identical for every thread count and every instruction-set level.
 */
#ifndef PARE_PARE_H
#define PARE_PARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PARE_BUILD_SHARED) && defined(__GNUC__)
#define PARE_API __attribute__((visibility("default")))
#else
#define PARE_API
#endif

#define PARE_VERSION_MAJOR 0
#define PARE_VERSION_MINOR 2
#define PARE_VERSION_PATCH 0
/** Version of the library that is running, e.g. "0.1.0". */
PARE_API const char *pare_version(void);

/* ------------------------------------------------------------------------------------------------ errors and context */

typedef enum pare_status {
    PARE_OK = 0,
    PARE_ERR_USAGE = -1,       /**< wrong argument, option or combination */
    PARE_ERR_IO = -2,          /**< the operating system refused: not found, permission, disk full */
    PARE_ERR_FORMAT = -3,      /**< a file's content breaks the rules of its format */
    PARE_ERR_UNSUPPORTED = -4, /**< well-formed, but pare (or the loader it writes for) does not handle it */
    PARE_ERR_MEMORY = -5,      /**< allocation failed */
    PARE_ERR_DATA = -6,        /**< values forbid the work: NaN or Inf in a weight, a check that did not hold */
    PARE_ERR_CANCELLED = -7,   /**< pare_ctx_cancel() was called */
    PARE_ERR_EXISTS = -8       /**< output exists and neither overwrite nor resume was asked for */
} pare_status;

/** One error. Fixed size, no heap: safe to keep on the stack and to fill when memory is gone. */
typedef struct pare_err {
    pare_status code;
    char text[512]; /**< "WHERE: WHAT, with the numbers"; no trailing newline */
    char hint[256]; /**< what to try, or empty */
} pare_err;

/** Short name of a status ("io", "format", ...). */
PARE_API const char *pare_status_name(pare_status status);

typedef struct pare_allocator {
    /** realloc-shaped: (NULL, n) allocates, (p, 0) frees and returns NULL, else resizes. Must be thread-safe. */
    void *(*realloc_fn)(void *user, void *ptr, size_t bytes);
    void *user;
} pare_allocator;

/** Replaces the allocator of the whole process; call before any other function, or with nothing allocated. NULL restores libc. */
PARE_API void pare_set_allocator(const pare_allocator *allocator);

typedef enum pare_log_level {
    PARE_LOG_WARNING = 1,
    PARE_LOG_INFO = 2,
    PARE_LOG_DEBUG = 3,
    PARE_LOG_NOTE = 4 /**< everybody should see it: what a long job is going to take */
} pare_log_level;

typedef struct pare_progress {
    const char *what;     /**< stage, e.g. "quantize" */
    const char *item;     /**< tensor or file at hand, may be NULL */
    uint64_t done, total; /**< in `unit`; total 0 = unknown */
    const char *unit;     /**< "bytes", "tensors", ... */
} pare_progress;

typedef struct pare_ctx_options {
    int threads;     /**< 0 = the cores this process may use */
    const char *isa; /**< force a kernel level: "ref", "avx2", "avx512", "amx", ...; NULL = the best that runs here */
    void (*log)(void *user, pare_log_level level, const char *text); /**< may be NULL */
    void (*progress)(void *user, const pare_progress *progress);     /**< called from the calling thread; may be NULL */
    void *user;
} pare_ctx_options;

/** Threads, kernel table, log and cancel flag of a caller. */
typedef struct pare_ctx pare_ctx;

/** @param options NULL = defaults. @return PARE_ERR_USAGE for an unknown or unavailable isa. */
PARE_API pare_status pare_ctx_new(const pare_ctx_options *options, pare_ctx **out, pare_err *err);
PARE_API void pare_ctx_free(pare_ctx *ctx);
/** Asks running work to stop soon with PARE_ERR_CANCELLED. Async-signal-safe. */
PARE_API void pare_ctx_cancel(pare_ctx *ctx);
PARE_API int pare_ctx_threads(const pare_ctx *ctx);
/** Name of the kernel level in use ("ref", "avx2", "avx512", "amx"). */
PARE_API const char *pare_ctx_isa(const pare_ctx *ctx);

/* ---------------------------------------------------------------------------------------------------- number formats */

typedef enum pare_dtype {
    PARE_DTYPE_NONE = 0,
    PARE_F64, PARE_F32, PARE_F16, PARE_BF16,
    PARE_F8_E4M3FN, PARE_F8_E5M2, PARE_F8_E4M3FNUZ, PARE_F8_E5M2FNUZ, PARE_F8_E8M0,
    PARE_F4_E2M1,
    PARE_I8, PARE_I16, PARE_I32, PARE_I64,
    PARE_U8, PARE_U16, PARE_U32, PARE_U64,
    PARE_BOOL,
    PARE_C64, /**< two f32; stored and copied, never quantized */
    PARE_DTYPE_COUNT
} pare_dtype;

typedef enum pare_dtype_kind { PARE_KIND_NONE, PARE_KIND_FLOAT, PARE_KIND_INT, PARE_KIND_UINT, PARE_KIND_BOOL, PARE_KIND_COMPLEX } pare_dtype_kind;

/** What finfo/iinfo print elsewhere. Float fields are 0 for integers and the other way round. */
typedef struct pare_dtype_info {
    const char *name;        /**< pare's name: "f32", "bf16", "f8_e4m3fn", "i8", ... */
    const char *safetensors; /**< "F32", "BF16", "F8_E4M3", ...; NULL when that container has no name for it */
    const char *torch;       /**< "float32", ...; NULL when torch has none */
    const char *about;       /**< one line */
    pare_dtype_kind kind;
    int bits;
    int exponent_bits, mantissa_bits, bias;
    double max, tiny, smallest, eps; /**< largest finite, smallest normal, smallest subnormal, spacing at 1 */
    int64_t imin;
    uint64_t imax;
} pare_dtype_info;

/** @return NULL for PARE_DTYPE_NONE or a value outside the enum. */
PARE_API const pare_dtype_info *pare_dtype_get_info(pare_dtype dtype);
/** Accepts pare's, safetensors' and torch's names and the usual short forms (fp16, float, half, int8, fp8). NONE if unknown. */
PARE_API pare_dtype pare_dtype_parse(const char *name);
/** Bytes that n elements take (sub-byte dtypes rounded up); SIZE_MAX on overflow. */
PARE_API size_t pare_dtype_bytes(pare_dtype dtype, uint64_t n);

/**
 * Converts n elements; src and dst may not overlap. Through f64 where both are wide, else f32; round to nearest even;
 * float to int rounds to nearest even and saturates; f32 to f8_e4m3fn saturates when `saturate`, else becomes NaN, as torch does.
 */
PARE_API pare_status pare_convert(void *dst, pare_dtype dst_dtype, const void *src, pare_dtype src_dtype, int64_t n, bool saturate,
                                  pare_err *err);

/* ------------------------------------------------------------------------------------------------------- bit packing */

/** The index rules of docs/formats.md. `n` codes of `bits` bits, one byte each, value < 2^bits. */
typedef enum pare_pack_rule {
    PARE_PACK_LSB = 1,         /**< P1  little-endian bit stream, fields may cross words (GPTQ, compressed-tensors, course) */
    PARE_PACK_PADDED,          /**< P1' floor(32/bits) codes per 32-bit word, high bits zero */
    PARE_PACK_HIGH_FIRST,      /**< P2  first code in the highest bits of the byte (bitsandbytes 4 bit) */
    PARE_PACK_STRIDED_HIGH,    /**< P3  leading dimension in slabs, slab 0 in the highest bits (HQQ) */
    PARE_PACK_STRIDED_LOW,     /**< P4  leading dimension in slabs, slab 0 in the lowest bits (optimum-quanto, BitNet) */
    PARE_PACK_AWQ,             /**< P5  4 bit, 32-bit word: nibble i holds column [0,2,4,6,1,3,5,7][i] (AWQ GEMM) */
    PARE_PACK_AWQ_FAST,        /**< P6  4 bit, int16 [rows/4, cols] (AWQ gemv_fast, llm-awq) */
    PARE_PACK_PLANES           /**< P7  bit planes over 32 codes (gptq_p) */
} pare_pack_rule;

/**
 * Bytes that packing a [rows, cols] matrix of codes takes; rows are packed on their own under LSB, PADDED, AWQ and PLANES
 * (each row padded to a whole byte or word), slabs run over rows under STRIDED_*.
 * @return PARE_ERR_UNSUPPORTED when the rule does not exist for these bits or this shape.
 */
PARE_API pare_status pare_packed_bytes(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, size_t *bytes, pare_err *err);
/** Packs codes (one byte each, [rows, cols]); refuses codes >= 2^bits with PARE_ERR_DATA. dst holds pare_packed_bytes(). */
PARE_API pare_status pare_pack(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const uint8_t *codes, void *dst, pare_err *err);
PARE_API pare_status pare_unpack(pare_pack_rule rule, int bits, int64_t rows, int64_t cols, const void *src, uint8_t *codes, pare_err *err);

/* ------------------------------------------------------------------------------------- schemes and quantized tensors */

typedef enum pare_code_kind {
    PARE_CODE_INT = 1, /**< W = (code - zero) * scale, code and zero in 0 ... 2^bits-1 */
    PARE_CODE_FLOAT,   /**< W = float(code) * scale; code_dtype is an 8-bit float or f4_e2m1 */
    PARE_CODE_TABLE    /**< W = table[code] * scale; the table is that of `codebook` */
} pare_code_kind;
typedef enum pare_codebook { PARE_BOOK_NONE = 0, PARE_BOOK_NF4, PARE_BOOK_FP4 /**< of bitsandbytes, not e2m1 */ } pare_codebook;
typedef enum pare_granularity { PARE_PER_TENSOR = 1, PARE_PER_CHANNEL, PARE_PER_GROUP, PARE_PER_BLOCK } pare_granularity;
typedef enum pare_range {
    PARE_RANGE_AUTO = 0, /**< narrow at 8 bits, full below */
    PARE_RANGE_FULL,     /**< symmetric: scale = absmax / ((2^b - 1) / 2), signed codes -2^(b-1) ... 2^(b-1)-1 */
    PARE_RANGE_NARROW    /**< symmetric: scale = absmax / (2^(b-1) - 1), signed codes of equal reach on both sides */
} pare_range;
typedef enum pare_clip {
    PARE_CLIP_NONE = 0,
    PARE_CLIP_MSE, /**< search the range with the least squared error */
    PARE_CLIP_LP   /**< search the range with the least sum of |error|^clip_p */
} pare_clip;
typedef enum pare_act {
    PARE_ACT_NONE = 0,
    PARE_ACT_DYNAMIC_TOKEN, /**< a scale per token, found at run time */
    PARE_ACT_STATIC_TENSOR, /**< one scale, found by calibration, stored */
    PARE_ACT_DYNAMIC_GROUP, /**< a scale per token and act_group columns, found at run time */
    PARE_ACT_OUTLIERS       /**< LLM.int8(): columns with a value of at least act_threshold in 16 bits, the rest per token in int8 */
} pare_act;

/** How a tensor becomes codes. Fill with pare_scheme_init() or pare_scheme_parse(), then change fields. */
typedef struct pare_scheme {
    char name[40];            /**< as users know it ("W4A16:g64"); derived from the fields when empty */
    pare_code_kind kind;
    int bits;                 /**< 1 ... 8 */
    pare_dtype code_dtype;    /**< PARE_CODE_FLOAT only: an 8-bit float or f4_e2m1 */
    pare_codebook codebook;   /**< PARE_CODE_TABLE only */
    bool symmetric;
    pare_granularity granularity;
    int axis;                 /**< channel: the axis whose every index has its own scale (0 = output channel);
                                   group: the axis along which groups run (-1 = last = input channel) */
    int64_t group_size;       /**< group: elements per scale along `axis`; the last group may be shorter */
    int64_t block[2];         /**< block: rows, cols of a tile of a matrix */
    pare_dtype scale_dtype;   /**< f32, f16, bf16, f8_e8m0 (MX), f8_e4m3fn (NVFP4); PARE_DTYPE_NONE = the layout's choice, else f32 */
    bool two_level;           /**< one f32 for the tensor multiplies every scale (NVFP4) */
    bool nested;              /**< scales are themselves 8-bit codes in blocks of 256 (double quantization of QLoRA) */
    bool float_zero;          /**< asymmetric: zero points are floats, W = (code - zero) * scale (HQQ) */
    pare_range range;
    pare_clip clip;
    double clip_p;            /**< PARE_CLIP_LP: the exponent, 0 = 2.4 */
    int zero_min;             /**< asymmetric: smallest zero point that may be used; set by layouts (GPTQ v1 cannot store 0: 1) */
    bool course;              /**< the course's own arithmetic, defects included (lesson numbers) */
    pare_act act;             /**< activations: how they will be quantized at run time */
    int act_bits;             /**< 16 or 32 = left in float */
    bool act_float;           /**< activation codes are floats of act_bits (8: e4m3fn, 4: e2m1), else integers */
    int64_t act_group;        /**< PARE_ACT_DYNAMIC_GROUP */
    float act_threshold;      /**< PARE_ACT_OUTLIERS; INFINITY = none is an outlier */
} pare_scheme;

/** W8A16: 8 bit, symmetric, per output channel. */
PARE_API void pare_scheme_init(pare_scheme *scheme);
/** "W8A16", "W4A16_ASYM", "W4A16:g64", "INT8", "FP8_DYNAMIC", ...; see pare_list("schemes"). */
PARE_API pare_status pare_scheme_parse(const char *text, pare_scheme *scheme, pare_err *err);
/** Checks that the fields agree (bits, group, axis against a shape; shape may be NULL). */
PARE_API pare_status pare_scheme_check(const pare_scheme *scheme, int ndim, const int64_t *shape, pare_err *err);

/** A quantized tensor in its logical form: codes, scales, zero points; knows no file layout. */
typedef struct pare_qtensor pare_qtensor;

/** Quantizes a row-major tensor. NaN/Inf: PARE_ERR_DATA. With course, see docs/lessons.md. */
PARE_API pare_status pare_quantize(pare_ctx *ctx, const void *data, pare_dtype dtype, int ndim, const int64_t *shape, const pare_scheme *scheme,
                                   pare_qtensor **out, pare_err *err);
/**
 * The same with scales and zero points given, one per block of the scheme's granularity (per tensor: one), in block order.
 * zeros are in the domain of codes, 0 ... 2^bits-1; NULL = 2^(bits-1), the middle. Scales are rounded to scale_dtype.
 */
PARE_API pare_status pare_quantize_with(pare_ctx *ctx, const void *data, pare_dtype dtype, int ndim, const int64_t *shape,
                                        const pare_scheme *scheme, const float *scales, const int32_t *zeros, pare_qtensor **out,
                                        pare_err *err);
/** What the course's helper functions compute for one block, in double as its Python prints it. */
typedef struct pare_course_params {
    double min, max;    /**< of the block, float32 values */
    double scale;       /**< asymmetric (max - min) / (2^b - 1), symmetric max |x| / (2^(b-1) - 1) */
    double zero_raw;    /**< signed domain, before clipping and rounding; 0 when symmetric */
    int32_t zero;       /**< signed domain, -2^(b-1) ... 2^(b-1)-1; add 2^(b-1) for pare_quantize_with() */
} pare_course_params;
/** @return PARE_ERR_DATA where the course divides by zero (constant tensor; all zeros when symmetric) or meets NaN or Inf. */
PARE_API pare_status pare_course_get_params(const float *data, int64_t n, int bits, bool symmetric, pare_course_params *out, pare_err *err);
PARE_API void pare_qtensor_free(pare_qtensor *q);
/** Writes numel f32 values. */
PARE_API pare_status pare_dequantize(const pare_qtensor *q, float *out, pare_err *err);
PARE_API const pare_scheme *pare_qtensor_scheme(const pare_qtensor *q);
PARE_API int pare_qtensor_shape(const pare_qtensor *q, const int64_t **shape); /**< returns ndim */
/** Codes in 0 ... 2^bits-1, one byte each, in the tensor's order (float kinds: the float's bit pattern). */
PARE_API const uint8_t *pare_qtensor_codes(const pare_qtensor *q);
/** Signed view: code - 2^(bits-1), the numbers that int8 storage and the courses print. */
PARE_API void pare_qtensor_signed_codes(const pare_qtensor *q, int8_t *out);
/** Scales as stored (already rounded to scale_dtype), in block order; *n of them. */
PARE_API const float *pare_qtensor_scales(const pare_qtensor *q, int64_t *n);
/** Zero points in the domain of codes; symmetric: 2^(bits-1) everywhere. Subtract 2^(bits-1) for the signed domain. */
PARE_API const int32_t *pare_qtensor_zeros(const pare_qtensor *q, int64_t *n);
/** Bits per weight including scales and zero points (zero points count only when asymmetric, at `bits` bits each). */
PARE_API double pare_qtensor_bits_per_weight(const pare_qtensor *q);

/** Error of b against a. */
typedef struct pare_error {
    int64_t n;
    double mse;        /**< mean (b-a)^2 */
    double mean_abs;   /**< mean |b-a| */
    double max_abs;
    double sqnr_db;    /**< 10 log10(sum a^2 / sum (b-a)^2); INFINITY when equal */
    double cosine;     /**< 1 when both are zero */
    double signal;     /**< sum a^2 */
    double noise;      /**< sum (b-a)^2 */
} pare_error;
PARE_API void pare_measure(const float *a, const float *b, int64_t n, pare_error *out);

/* ------------------------------------------------------------------------------------------------------- checkpoints */

/** An opened checkpoint: a folder, a file of a known container, or an index; quantized layers appear as one logical tensor. */
typedef struct pare_model pare_model;

typedef struct pare_model_tensor {
    const char *name;    /**< logical name, e.g. "model.layers.0.mlp.up_proj.weight" */
    pare_dtype dtype;    /**< stored dtype; for a quantized layer the dtype that it stands for */
    int ndim;
    int64_t shape[8];
    uint64_t bytes;      /**< stored bytes, all parts */
    const char *file;    /**< file name that holds it (first part) */
    bool quantized;
    pare_scheme scheme;  /**< when quantized */
    const char *layout;  /**< when quantized: "gptq", ... */
    const char *alias_of;/**< name of the tensor whose storage this one shares (tied weights), or NULL */
    bool is_linear;      /**< a dense or convolution weight that `pare quantize` would take by default */
} pare_model_tensor;

typedef struct pare_model_info {
    const char *path;          /**< resolved */
    const char *container;     /**< "safetensors", "torch", "npz", ... */
    const char *architecture;  /**< config.json architectures[0], or model_type, or NULL */
    const char *layout;        /**< quantization layout found, or NULL */
    const char *kv_cache;      /**< "int8" or "float8" when the checkpoint has scales for the key/value cache, else NULL */
    int64_t tensors;
    uint64_t parameters;       /**< elements of weights and buffers, shared storage once */
    uint64_t bytes;            /**< tensor bytes, shared storage once */
    const char *config_json;   /**< raw text of config.json, or NULL */
    bool tied_embeddings;      /**< config says tie_word_embeddings */
} pare_model_info;

/** Path of MODEL: itself when it exists, else a Hub id looked up in hub_cache (NULL = none). Free with pare_free(). */
PARE_API pare_status pare_find_model(const char *model, const char *hub_cache, char **path, pare_err *err);
/** MODEL as in the manual: folder, file, *.index.json, or a Hub id when hub_cache (a folder) is given. Only headers are read. */
PARE_API pare_status pare_model_open(pare_ctx *ctx, const char *path, const char *hub_cache, pare_model **out, pare_err *err);
PARE_API void pare_model_close(pare_model *model);
PARE_API const pare_model_info *pare_model_get_info(const pare_model *model);
PARE_API int64_t pare_model_count(const pare_model *model);
PARE_API const pare_model_tensor *pare_model_get(const pare_model *model, int64_t i);
PARE_API int64_t pare_model_find(const pare_model *model, const char *name); /**< -1 when absent */
/** Dequantized or converted values of rows [row, row+rows) (first axis; a scalar or vector counts as rows of 1). */
PARE_API pare_status pare_model_read(pare_model *model, int64_t tensor, int64_t row, int64_t rows, float *out, pare_err *err);
/** Logical form of a quantized tensor. */
PARE_API pare_status pare_model_read_quantized(pare_model *model, int64_t tensor, pare_qtensor **out, pare_err *err);

/* -------------------------------------------------------------------------------------------------------------- jobs */

/** One rule of a recipe, first match wins. NULL/0 fields inherit. */
typedef struct pare_rule {
    const char *match;   /**< glob, "re:REGEX", or a bare path segment */
    const char *action;  /**< "quantize", "keep", "cast" */
    const char *scheme;
    const char *method;
    const char *dtype;   /**< cast target */
} pare_rule;

typedef struct pare_quantize_options {
    const char *scheme_name;           /**< NULL: `scheme` counts when scheme.bits > 0, else W8A16. "none": weights stay as they are */
    pare_scheme scheme;
    const char *method;                /**< NULL = "rtn" */
    const char *format;                /**< layout; NULL = "compressed-tensors" */
    const char *container;             /**< NULL = "safetensors" */
    const char *dtype;                 /**< dtype of what is kept; NULL = as stored */
    const char *const *ignore;         /**< patterns, n_ignore */
    size_t n_ignore;
    const char *const *only;
    size_t n_only;
    const char *recipe;                /**< path of a recipe file */
    const char *const *set;            /**< "key=value" options of the method, n_set */
    size_t n_set;
    uint64_t memory;                   /**< working memory in bytes, 0 = default */
    uint64_t shard_size;               /**< bytes, 0 = default 5 GB */
    const char *hash;                  /**< of input files in pare.json: "xxh128" (NULL; memory speed) or "sha256"; outputs are always sha256 */
    uint64_t seed;
    bool resume, overwrite, dry_run, allow_nonfinite;
    const char *calibration;           /**< text for methods that look at activations; NULL = the text that comes with pare */
    int64_t samples, seq_len;          /**< windows of so many tokens; 0 = 128 of 2048, or what text and model have room for */
    const char *kv_cache;              /**< "fp8", "int8", with ":key=value,...": scales of the key/value cache are measured and written; NULL = none */
    bool no_bos;                       /**< no beginning-of-sequence id at the head of a window */
} pare_quantize_options;

typedef struct pare_job_result {
    uint64_t input_bytes, output_bytes; /**< weight files */
    int64_t quantized_tensors, kept_tensors;
    double bits_per_weight;             /**< of the quantized tensors, scales included */
    double sqnr_db;                     /**< of the quantized tensors together */
    double seconds;
    uint64_t peak_rss_bytes;
    uint64_t calibration_memory, calibration_disk; /**< that calibration was expected to take; 0 = none */
    double calibration_seconds;
} pare_job_result;

typedef struct pare_table pare_table; /**< <pare/report.h> */

/** `pare quantize`. plan (may be NULL) receives a table of what is or would be done; free with pare_table_free(). */
PARE_API pare_status pare_quantize_model(pare_ctx *ctx, const char *model, const char *out, const pare_quantize_options *options,
                                         pare_job_result *result, pare_table **plan, pare_err *err);
/** `pare dequantize` and `pare convert`: any checkpoint back to (or over to) float. options: dtype, container, shard_size, resume, overwrite, dry_run. */
PARE_API pare_status pare_convert_model(pare_ctx *ctx, const char *model, const char *out, bool dequantize, const pare_quantize_options *options,
                                        pare_job_result *result, pare_err *err);

typedef struct pare_compare_result {
    pare_error total;
    pare_table *tensors; /**< name, shape, mse, sqnr_db, max_abs, cosine; free with pare_table_free() */
    int64_t only_a, only_b;
} pare_compare_result;
PARE_API pare_status pare_compare_models(pare_ctx *ctx, const char *a, const char *b, pare_compare_result *result, pare_err *err);

typedef struct pare_estimate_options {
    int64_t ctx_tokens;      /**< KV cache for this many tokens; 0 = none */
    bool train;              /**< add gradients and optimizer states */
    int64_t group_size;      /**< scales counted for this group; 0 = per output channel */
    pare_dtype dtype;        /**< what the quantized rows leave in float is stored in this; NONE = f16 */
    pare_dtype scale_dtype;  /**< NONE = as dtype */
    bool all_layers;         /**< the output head is quantized, too */
    const char *format;      /**< layout whose extra tensors count ("quanto": two f32 scalars a layer); NULL = none */
    const char *const *ignore; /**< patterns of layers that stay in float */
    size_t n_ignore;
    pare_dtype kv_dtype;     /**< of the KV cache: f32, f16, bf16, i8 (and an f32 scale a head and position) or f8_e4m3fn; NONE = 16 bits */
} pare_estimate_options;
/** MODEL: checkpoint, a config.json, or a count such as "7B". One row a storage choice: storage, weights, scales, rest, total (bytes). */
PARE_API pare_status pare_estimate(pare_ctx *ctx, const char *model, const pare_estimate_options *options, pare_table **out, pare_err *err);

typedef struct pare_sweep_options {
    const int *bits;
    size_t n_bits;           /**< 0 = 8 4 3 2 */
    int64_t group_size;      /**< 0 = 32 64 128 */
} pare_sweep_options;
/** mode x granularity x bits x method -> mse, sqnr_db, bits_per_weight, bytes; over one tensor (name not NULL) or the whole model. */
PARE_API pare_status pare_sweep(pare_ctx *ctx, pare_model *model, const char *name, const pare_sweep_options *options, pare_table **out,
                                pare_err *err);

/* ----------------------------------------------------------------------------------------------------------- running */

/** How activations meet weights. */
typedef enum pare_compute {
    PARE_COMPUTE_EXACT = 0, /**< f32 times the dequantized weight: the truth within float rounding */
    PARE_COMPUTE_FAST,      /**< quantized weights: activations as int8 in blocks of 128, integer sums; float weights: as exact (bf16: as BF16) */
    PARE_COMPUTE_BF16       /**< bf16 weights: activations rounded to bf16, f32 sums; others: exact */
} pare_compute;

typedef struct pare_session_options {
    pare_compute compute;
    pare_dtype dtype;       /**< hold float matrices in f32, f16 or bf16; NONE = as stored, used in place in the mapped file */
    pare_dtype kv_dtype;    /**< key/value cache: f32, f16, bf16, i8, f8_e4m3fn; NONE = as the checkpoint says, else f32 when exact, else f16 */
    int64_t ctx;            /**< positions of a sequence; 0 = what the model allows, at most 4096 */
    int64_t sequences;      /**< that run side by side; 0 = 1 */
    uint64_t memory;        /**< bytes for weights, cache and activations together; a bigger model is streamed from its file layer by layer
                                 (same results). 0 = no limit */
    bool profile;           /**< keep times per kind of operation */
} pare_session_options;

/** A checkpoint, quantized or not, ready to run: weights bound, tokenizer read (when there is one), cache empty. */
typedef struct pare_session pare_session;

typedef struct pare_session_info {
    const char *summary;       /**< "llama: 4 layers, 4/2 heads of 64, ffn 768" */
    const char *kind;          /**< "decoder", "encoder", "encoder-decoder" */
    const char *tokenizer;     /**< "bpe", "unigram", ...; NULL = none found (ids only) */
    int64_t vocab, hidden, layers, ctx;
    uint64_t weight_bytes;     /**< in memory or mapped */
    uint64_t bytes_per_token;  /**< of weights that one decoded token reads */
    uint64_t cache_bytes;      /**< of the key/value cache when full */
    uint64_t streamed_bytes;   /**< read again for every step because of the memory limit; 0 = all is held */
    int32_t bos, eos;          /**< -1 = none */
    double load_seconds;
} pare_session_info;

/** Checks every weight against config.json before it loads anything. options NULL = defaults. */
PARE_API pare_status pare_session_open(pare_ctx *ctx, const char *model, const char *hub_cache, const pare_session_options *options, pare_session **out,
                                       pare_err *err);
PARE_API void pare_session_close(pare_session *s);
PARE_API const pare_session_info *pare_session_get_info(const pare_session *s);

/** Ids of a text; special: with BOS and the like, as the model was trained. *ids is freed with pare_free(). */
PARE_API pare_status pare_session_tokenize(const pare_session *s, const char *text, size_t bytes, bool special, int32_t **ids, int64_t *n, pare_err *err);
/** Text of ids; *text is freed with pare_free(). */
PARE_API pare_status pare_session_detokenize(const pare_session *s, const int32_t *ids, int64_t n, bool skip_special, char **text, pare_err *err);

typedef struct pare_message { const char *role, *content; } pare_message;
/** The prompt that the checkpoint's own chat template makes of messages, ready for tokenize(special = false); freed with pare_free(). */
PARE_API pare_status pare_session_chat(const pare_session *s, const pare_message *messages, size_t n, char **prompt, pare_err *err);

/**
 * Appends n tokens to the sequence and computes them. logits (may be NULL): [n, vocab] when all, else [vocab] of the last one. Encoders: hidden rows
 * of the whole text, `hidden` columns each.
 */
PARE_API pare_status pare_session_forward(pare_session *s, const int32_t *ids, int64_t n, bool all, float *logits, pare_err *err);
/** Numbers in a row that forward() gives: the vocabulary, or what an encoder computes for a token. */
PARE_API int64_t pare_session_columns(const pare_session *s);
/** Encoder-decoder models: the source text that forward() and generate() then listen to. */
PARE_API pare_status pare_session_encode(pare_session *s, const int32_t *ids, int64_t n, pare_err *err);
/** Forgets the sequence. */
PARE_API void pare_session_reset(pare_session *s);
/** One vector for a text, as the checkpoint's pooling says (encoders); *dim numbers, freed with pare_free(). */
PARE_API pare_status pare_session_embed(pare_session *s, const char *text, size_t bytes, float **vector, int64_t *dim, pare_err *err);
/** Times per kind of operation since the session began (profile): op, seconds, share, calls, bytes, gmacs. */
PARE_API pare_status pare_session_profile(const pare_session *s, pare_table **out, pare_err *err);

typedef struct pare_generate_options {
    int64_t max_tokens;         /**< 0 = until the end of the context; -1 = none: the prompt is computed, that is all */
    double temperature;         /**< 0 = greedy */
    int64_t top_k;              /**< 0 = off */
    double top_p, min_p;        /**< 0 = off */
    double repetition_penalty;  /**< 0 or 1 = off; over the whole sequence, as in transformers */
    uint64_t seed;              /**< same seed, same text, on any number of threads */
    const char *const *stop;    /**< n_stop strings that end the text (they are not part of it) */
    size_t n_stop;
    bool ignore_eos;
    /** Called with each piece of text (whole UTF-8 characters) as soon as it is certain; false ends the generation. May be NULL. */
    bool (*piece)(void *user, const char *text, size_t bytes);
    /** Called with the logits of every prompt and generated position; a status other than PARE_OK ends the work. May be NULL. */
    pare_status (*logits)(void *user, int64_t position, const float *row, int64_t vocab, pare_err *err);
    void *user;
} pare_generate_options;

typedef struct pare_generated {
    int64_t prompt_tokens, generated_tokens;
    int32_t *tokens;            /**< generated ids */
    char *text;                 /**< their text; "" without a tokenizer */
    const char *stop_reason;    /**< "length", "eos", "stop", "context", "callback" */
    double prefill_seconds, decode_seconds;
} pare_generated;

/** Continues a prompt. The session's sequence is begun anew. Encoder-decoder: the prompt is the source text. */
PARE_API pare_status pare_generate(pare_session *s, const int32_t *ids, int64_t n, const pare_generate_options *options, pare_generated *out, pare_err *err);
PARE_API void pare_generated_clear(pare_generated *g);

/* -------------------------------------------------------------------------------------------------------- evaluation */

typedef struct pare_eval_options {
    const char *protocol;       /**< "gptq" (NULL): windows of ctx, every next token scored; "llamacpp": second half of each window scored */
    int64_t ctx;                /**< window; 0 = the protocol's: 2048, 512 (and never more than the model allows) */
    int64_t windows;            /**< 0 = all whole windows of the text; a text shorter than one is one short window */
    pare_session *against;      /**< reference model with the same vocabulary, or NULL */
    const char *reference;      /**< reference file made by save_reference, or NULL */
    const char *save_reference; /**< write this model's distributions there, or NULL */
    const char *state;          /**< file that keeps finished windows, so that a run can be continued; NULL = none */
} pare_eval_options;

typedef struct pare_eval_result {
    double perplexity, nll;     /**< exp(nll), mean negative log-likelihood of a scored token in nats */
    double nll_error;           /**< standard error of nll */
    int64_t tokens, windows;    /**< scored tokens */
    double seconds;
    bool compared;              /**< the rest is filled */
    double kl_mean, kl_median, kl_p99, kl_max; /**< KL(reference || model) of a position in nats */
    double top1_agreement;      /**< share of positions whose most likely token is the same */
    double perplexity_ref;
} pare_eval_result;

/** Perplexity of a text, and how far the predictions are from a reference's. Deterministic for any number of threads. */
PARE_API pare_status pare_evaluate(pare_session *s, const char *text, size_t bytes, const pare_eval_options *options, pare_eval_result *out, pare_err *err);

typedef struct pare_choices_result { int64_t questions; double accuracy, accuracy_normalized, seconds; } pare_choices_result;
/**
 * Multiple choice from a JSONL file, a question a line: {"question": text, "choices": [texts], "answer": index}. A choice's score is the sum of the
 * log-likelihoods of its tokens after the question; normalized: divided by the choice's bytes.
 */
PARE_API pare_status pare_evaluate_choices(pare_session *s, const char *path, pare_choices_result *out, pare_err *err);

typedef struct pare_similarity_result { int64_t texts; double cosine_mean, cosine_min, pair_rmse, seconds; } pare_similarity_result;
/**
 * Encoders: the vectors of each line of a text by two models: their cosine, and how far the cosines between neighbouring lines moved (root mean
 * square).
 */
PARE_API pare_status pare_evaluate_similarity(pare_session *s, pare_session *against, const char *text, size_t bytes, pare_similarity_result *out,
                                              pare_err *err);

typedef struct pare_bench_options {
    int64_t prompt;             /**< tokens of the prefill; 0 = 512 */
    int64_t tokens;             /**< tokens decoded; 0 = 64 */
    int64_t depth;              /**< positions that the cache holds when decoding begins; 0 = 16 */
    int repeat;                 /**< the median of so many runs; 0 = 3 */
    bool limits;                /**< the machine's limits too, by turns with the model: takes 256 MiB and half as much time again */
} pare_bench_options;
/** What prompts reach of peak arithmetic on all threads, 0 = not measured or no such instruction: linear layers alone over the whole time. */
typedef struct pare_bench_peaks { double f32, int8, bf16, int8_tiles, bf16_tiles; } pare_bench_peaks;
typedef struct pare_bench_result {
    double prefill_tokens_per_s, decode_tokens_per_s;
    double bytes_per_token;     /**< weights, and keys and values of the middle of the decoded stretch */
    double depth_seconds;       /**< what a token at `depth` takes more than one at depth 16: the median of `tokens` pairs, by turns in two sequences; 0 = not measured: not
                                     deeper than 16, or the session has one sequence */
    double read_bytes_per_s;    /**< with `limits`: reads of memory by all threads between stretches of decoding; the median */
    double read_fraction;       /**< of a stretch's bytes_per_token over its time, of the mean of the reads before and after it; the median */
    double ops_per_token;       /**< two for each multiply-add of a prompt's token in linear layers, the head not counted */
    pare_bench_peaks prefill_of; /**< a prompt's ops_per_token over its time, of the mean of the peaks before and after it; the median */
    int64_t prompt, tokens, depth;
} pare_bench_result;
/**
 * Prefill and decode of random tokens. A machine that others use changes its speed from one second to the next, so the fractions compare neighbours in
 * time: what tokens reach with what the machine did just before and just after.
 */
PARE_API pare_status pare_bench(pare_session *s, const pare_bench_options *options, pare_bench_result *out, pare_err *err);

/** What pare_assess() measures on, and how. */
typedef struct pare_assess_options {
    const char *hub_cache;      /**< for Hub ids, or NULL */
    const char *text;           /**< `bytes` of UTF-8; encoders: a text a line */
    size_t bytes;
    const char *name;           /**< of the text, for the record */
    const char *protocol;       /**< as in pare_eval_options */
    int64_t ctx, windows;
    pare_compute compute;       /**< of the smaller model; the original is always exact where it is the truth to compare with */
    uint64_t memory;            /**< limit for each of the two, 0 = none */
    bool no_speed;              /**< tokens a second are not measured */
} pare_assess_options;
/** One model before and after. */
typedef struct pare_assessment {
    bool encoder;
    pare_eval_result eval;             /**< decoders; perplexity_ref is the original's */
    pare_similarity_result similarity; /**< encoders */
    uint64_t bytes_before, bytes_after; /**< weight files */
    double prefill_before, prefill_after, decode_before, decode_after; /**< tokens a second, 0 = not measured */
} pare_assessment;
/** Can MODEL be evaluated on a text at all? The question to ask before hours of work. */
PARE_API pare_status pare_assess_check(pare_ctx *ctx, const char *model, const pare_assess_options *options, pare_err *err);
/** Perplexity, KL divergence, agreement, bytes and speed of `after` against `before`. */
PARE_API pare_status pare_assess(pare_ctx *ctx, const char *before, const char *after, const pare_assess_options *options, pare_assessment *out, pare_err *err);
/** For people: measure, before, after, ratio, unit, as text. */
PARE_API pare_status pare_assess_table(const pare_assessment *a, pare_table **out, pare_err *err);
typedef struct pare_json pare_json; /**< <pare/report.h> */
/** The same for programs: one object. */
PARE_API void pare_assess_json(pare_json *j, const char *key, const pare_assessment *a, const pare_assess_options *options);
/** Puts it into folder/pare.json as "evaluation", in the place of an earlier one; atomic. */
PARE_API pare_status pare_assess_record(const char *folder, const pare_assessment *a, const pare_assess_options *options, pare_err *err);

typedef struct pare_analyze_options {
    const char *hub_cache;
    const char *const *methods;        /**< n_methods; none = rtn */
    size_t n_methods;
    const int *bits;                   /**< n_bits; none = 8 4 3 2 */
    size_t n_bits;
    int64_t group_size;                /**< 0 = 128 */
    bool per_channel, asymmetric;
    const char *calibration;           /**< file, or NULL = the bundled text */
    int64_t samples, seq_len;          /**< 0 = 32 windows of 512 tokens */
    uint64_t seed;
    uint64_t memory;                   /**< limit for the model that measures, 0 = none */
    bool measure;                      /**< also what the whole model loses when each layer alone is quantized by the first candidate, on `text` */
    const char *text;
    size_t bytes;
    int64_t ctx, windows;              /**< of that evaluation */
    const char *work_file;             /**< measure: a file that is written and removed */
} pare_analyze_options;
/**
 * Sensitivity of every linear layer, before anything is quantized. layers: ranges of weights and inputs, channels that stand out, and for each method and bit
 * width the error of the layer's output in parts of its energy, weighted by the inputs of the calibration text. findings: finding, where, evidence, advice.
 */
PARE_API pare_status pare_analyze(pare_ctx *ctx, const char *model, const pare_analyze_options *options, pare_table **layers, pare_table **findings, pare_err *err);

typedef struct pare_compare_methods_options {
    const char *const *methods;        /**< n_methods of METHOD[:KEY=VALUE,...][@SCHEME]; those with a scheme of their own are measured once */
    size_t n_methods;
    const int *bits;                   /**< n_bits */
    size_t n_bits;
    int64_t group_size;                /**< 0 = 128 */
    bool per_channel, asymmetric;
    const char *folder;                /**< where the models are made, a folder each */
    bool keep;                         /**< they stay */
    pare_quantize_options quantize;    /**< format, calibration, ignore ...; method, scheme and set are given by the list */
    pare_assess_options assess;
} pare_compare_methods_options;
/** A row a way: method, scheme, bits_per_weight, bytes, sqnr_db, perplexity, kl_mean, kl_p99, top1_agreement, decode_tokens_per_s, seconds, note. */
PARE_API pare_status pare_compare_methods(pare_ctx *ctx, const char *model, const pare_compare_methods_options *options, pare_table **out, pare_err *err);

/** What this machine can do, measured now in about a second: read bandwidth and peak arithmetic with one and with all threads. */
typedef struct pare_machine {
    double read_bytes_per_s[2], f32_flops[2], int8_ops[2], bf16_flops[2]; /**< [0] one thread, [1] all; 0 = not there */
    double int8_tile_ops[2], bf16_tile_flops[2];                         /**< the same in tile registers (AMX) */
} pare_machine;
PARE_API pare_status pare_measure_machine(pare_ctx *ctx, pare_machine *out, pare_err *err);
/** Kernels against those limits, in a few seconds: a row a kind of weight and mode. */
PARE_API pare_status pare_bench_kernels(pare_ctx *ctx, const pare_machine *machine, pare_table **out, pare_err *err);

/* -------------------------------------------------------------------------------------------------------- registries */

/** WHAT: schemes methods quantizers formats layouts archs kernels ops tokenizers dtypes. A table of names and one-line descriptions. */
PARE_API pare_status pare_list(pare_ctx *ctx, const char *what, pare_table **out, pare_err *err);

#ifdef __cplusplus
}
#endif
#endif
