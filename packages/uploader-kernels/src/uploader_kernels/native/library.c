// The functions that Python calls: which instructions the processor has, and the kernels for them.
#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#include <cpuid.h>
#else
#define X86 0
#endif

#if X86
// Of the operating system, which has to save wide registers: bits of XCR0.
static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}
#endif

// 0 plain, 1 AVX2, 2 AVX-512: the most that this processor can.
//
// The processor itself is asked: __builtin_cpu_supports says no to everything in what zig links.
EXPORT int uploader_kernels_level(void) {
#if X86
    uint32_t a, b, c, d, features;
    if (!__get_cpuid(1, &a, &b, &features, &d) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    const uint32_t wanted = bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C;
    const uint32_t wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if ((features & wanted) != wanted || !(b & bit_AVX2)) return 0;
    const uint64_t saved = saved_registers();
    if ((saved & 0x06) != 0x06) return 0;
    if ((b & wide) == wide && (saved & 0xe6) == 0xe6) return 2;
    return 1;
#else
    return 0;
#endif
}

// Number of this interface; Python refuses any other.
EXPORT int uploader_kernels_interface(void) { return 6; }

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

// Codes and scales of rows; see compressed/scaled.h.
EXPORT int uploader_kernels_compress(int level, int from, const void *x, int64_t rows,
                                     int64_t columns, int64_t group, int type, int bits, int offset,
                                     float top, uint8_t *codes, void *scales) {
#if X86
    if (level == 2)
        return compress_avx512(from, x, rows, columns, group, type, bits, offset, top, codes, scales);
    if (level == 1)
        return compress_avx2(from, x, rows, columns, group, type, bits, offset, top, codes, scales);
#endif
    (void)level;
    return compress_plain(from, x, rows, columns, group, type, bits, offset, top, codes, scales);
}

// FP4 codes of groups with scales from outside; see compressed/small.h.
EXPORT void uploader_kernels_small(int level, int from, const void *x, int64_t groups, int64_t group,
                                   const float *divisors, int rounded, uint8_t *codes) {
#if X86
    if (level == 2) {
        small_avx512(from, x, groups, group, divisors, rounded, codes);
        return;
    }
    if (level == 1) {
        small_avx2(from, x, groups, group, divisors, rounded, codes);
        return;
    }
#endif
    (void)level;
    small_plain(from, x, groups, group, divisors, rounded, codes);
}

// Codes, scales and biases of groups; see mlx/affine.h.
EXPORT int uploader_kernels_affine(int level, int from, const void *x, int64_t groups, int64_t group,
                                   int bits, uint8_t *codes, void *scales, void *biases) {
#if X86
    if (level == 2) return affine_avx512(from, x, groups, group, bits, codes, scales, biases);
    if (level == 1) return affine_avx2(from, x, groups, group, bits, codes, scales, biases);
#endif
    (void)level;
    return affine_plain(from, x, groups, group, bits, codes, scales, biases);
}
