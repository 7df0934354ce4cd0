// What the library exports, and the numbers of types (enum ggml_type).
#pragma once

#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { F32 = 0, F16 = 1, Q4_0 = 2, Q5_0 = 6, Q8_0 = 8, Q2_K = 10, Q3_K = 11, Q4_K = 12, Q5_K = 13,
       Q6_K = 14, IQ3_XXS = 18, IQ4_NL = 20, IQ3_S = 21, IQ4_XS = 23, BF16 = 30 };

#define DECLARE(level)                                                                             \
    int64_t encode_##level(int type, const float *x, const float *importance, int64_t rows,        \
                           int64_t length, uint8_t *out, int64_t *strange);                        \
    int finite_##level(const float *x, int64_t count);                                             \
    int round_half_##level(const float *x, float *out, int64_t count);                             \
    int add_scaled_##level(int from, const void *x, const float *delta, float scale, int to,       \
                           void *out, int64_t count);                                              \
    int add_product_##level(int from, const void *x, const float *b, const float *a, int64_t rows, \
                            int64_t rank, int64_t columns, float scale, int to, void *out,         \
                            float *panels);                                                        \
    int compress_##level(int from, const void *x, int64_t rows, int64_t columns, int64_t group,    \
                         int type, int bits, int offset, float top, uint8_t *codes, void *scales); \
    void small_##level(int from, const void *x, int64_t groups, int64_t group,                     \
                       const float *divisors, int rounded, uint8_t *codes);                        \
    int affine_##level(int from, const void *x, int64_t groups, int64_t group, int bits,           \
                       uint8_t *codes, void *scales, void *biases);

DECLARE(plain)
DECLARE(avx2)
DECLARE(avx512)
