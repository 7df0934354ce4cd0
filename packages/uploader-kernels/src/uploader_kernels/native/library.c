// The functions that Python calls: which instructions the processor has, and the kernels for them.
#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#else
#define X86 0
#endif

// 0 plain, 1 AVX2, 2 AVX-512: the most that this processor can.
EXPORT int uploader_kernels_level(void) {
#if X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
        __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

// Number of this interface; Python refuses any other.
EXPORT int uploader_kernels_interface(void) { return 3; }

// Encode rows. Numbers of blocks that the stock encoder has to do go to `strange`, which has room for
// all; returns how many, or -1 for a type that is not here.
EXPORT int64_t uploader_kernels_encode(int level, int type, const float *x, const float *importance,
                                       int64_t rows, int64_t length, uint8_t *out, int64_t *strange) {
#if X86
    if (level == 2) return encode_avx512(type, x, importance, rows, length, out, strange);
    if (level == 1) return encode_avx2(type, x, importance, rows, length, out, strange);
#endif
    (void)level;
    return encode_plain(type, x, importance, rows, length, out, strange);
}

// Whether all values are finite.
EXPORT int uploader_kernels_finite(int level, const float *x, int64_t count) {
#if X86
    if (level == 2) return finite_avx512(x, count);
    if (level == 1) return finite_avx2(x, count);
#endif
    (void)level;
    return finite_plain(x, count);
}

// Round to half precision and back; returns whether all are finite then.
EXPORT int uploader_kernels_round_half(int level, const float *x, float *out, int64_t count) {
#if X86
    if (level == 2) return round_half_avx512(x, out, count);
    if (level == 1) return round_half_avx2(x, out, count);
#endif
    (void)level;
    return round_half_plain(x, out, count);
}

// stored + delta * scale, stored again; returns whether all of it is finite.
EXPORT int uploader_kernels_add_scaled(int level, int from, const void *x, const float *delta,
                                       float scale, int to, void *out, int64_t count) {
#if X86
    if (level == 2) return add_scaled_avx512(from, x, delta, scale, to, out, count);
    if (level == 1) return add_scaled_avx2(from, x, delta, scale, to, out, count);
#endif
    (void)level;
    return add_scaled_plain(from, x, delta, scale, to, out, count);
}

// stored + (B @ A) * scale, stored again; see merge/add_product.h.
EXPORT int uploader_kernels_add_product(int level, int from, const void *x, const float *b,
                                        const float *a, int64_t rows, int64_t rank, int64_t columns,
                                        float scale, int to, void *out, float *panels) {
#if X86
    if (level == 2)
        return add_product_avx512(from, x, b, a, rows, rank, columns, scale, to, out, panels);
    if (level == 1)
        return add_product_avx2(from, x, b, a, rows, rank, columns, scale, to, out, panels);
#endif
    (void)level;
    return add_product_plain(from, x, b, a, rows, rank, columns, scale, to, out, panels);
}
