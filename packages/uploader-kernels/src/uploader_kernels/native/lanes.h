// Vectors of floats and integers, as wide as the instructions that this file is compiled for.
//
// A kernel is written like a program for one block. It runs on LANES blocks at once, a block in each
// lane: no lane ever sees another one's values, so every lane adds in the order of the reference.
// Compile with -ffp-contract=off: a fused multiply-add rounds once where the reference rounds twice.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vi splat_int(int32_t x) { return x - (vi){0}; }

// Bits of one vector where the mask is set, of the other where it is not.
INLINE vi pick_int(vi mask, vi a, vi b) { return (mask & a) | (~mask & b); }

INLINE vf pick(vi mask, vf a, vf b) {
#if LANES == 8
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#else
    return (vf)pick_int(mask, (vi)a, (vi)b);
#endif
}

// a < b ? a : b, and a > b ? a : b, zeros of both signs and NaN included.
INLINE vf smaller(vf a, vf b) {
#if LANES == 16
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif LANES == 8
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return pick(a < b, a, b);
#endif
}

INLINE vf larger(vf a, vf b) {
#if LANES == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif LANES == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return pick(a > b, a, b);
#endif
}

INLINE vf root(vf x) {
#if LANES == 16
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif LANES == 8
    return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
    return (vf)_mm_sqrt_ps((__m128)x);
#else
    vf y;
    for (int lane = 0; lane < LANES; ++lane) y[lane] = sqrtf(x[lane]);
    return y;
#endif
}

INLINE vf absolute(vf x) { return (vf)((vi)x & 0x7fffffff); }

// Lanes whose number is infinite or none at all.
INLINE vi not_finite(vf x) { return ~(absolute(x) <= 3.402823466e+38f); }

INLINE vf negative(vf x) { return (vf)((vi)x ^ (int32_t)0x80000000); }
INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }

// The next whole number, the even one of two that are as near. Only for |x| < 4194304.
INLINE vf nearest(vf x) {
#if LANES == 16
    return (vf)_mm512_roundscale_ps((__m512)x, 0x08);
#elif LANES == 8
    return (vf)_mm256_round_ps((__m256)x, 0x08);
#else
    return (x + 12582912.f) - 12582912.f;
#endif
}

// The same as an integer, by the reference's trick, so that it is equal outside of that range too.
INLINE vi nearest_int(vf x) { return ((vi)(x + 12582912.f) & 0x007fffff) - 0x00400000; }

INLINE vi smaller_int(vi a, vi b) {
#if LANES == 8
    return (vi)_mm256_min_epi32((__m256i)a, (__m256i)b);
#else
    return pick_int(a < b, a, b);
#endif
}

INLINE vi larger_int(vi a, vi b) {
#if LANES == 8
    return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return pick_int(a > b, a, b);
#endif
}

INLINE vi clamp_int(vi x, int low, int high) {
    return larger_int(smaller_int(x, splat_int(high)), splat_int(low));
}

// Whether a mask is set in any lane.
INLINE int any(vi mask) {
#if LANES == 16
    return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif LANES == 8
    return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)mask) != 0;
#else
    int32_t found = 0;
    for (int lane = 0; lane < LANES; ++lane) found |= mask[lane];
    return found != 0;
#endif
}

// The largest of all lanes.
INLINE float largest(vf x) {
#if LANES == 8
    __m128 half = _mm_max_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
#else
    float most = x[0];
    for (int lane = 1; lane < LANES; ++lane) most = x[lane] > most ? x[lane] : most;
    return most;
#endif
}
