// stored + delta * scale, in float32 with both roundings, stored again: one pass over the memory.
// add_scaled.py says the same in numpy.
//
// Plain loops, which the compiler turns into vectors, over parts that stay in the first cache.
#pragma once

#include "../native/half.h"
#include "../native/kernels.h"
#include "../native/lanes.h"

#define PART 1024

// The exponent of infinities and of NaN.
#define ALL_ONES_32 0x7f800000u
#define ALL_ONES_F16 0x7c00u

static void widen_f16(const uint16_t *restrict x, float *restrict out, int64_t count) {
    int64_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
#endif
    for (; i < count; ++i) out[i] = from_half(x[i]);
}

static void narrow_f16(const float *restrict x, uint16_t *restrict out, int64_t count) {
    int64_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
    for (; i < count; ++i) out[i] = to_half(x[i]);
}

// Round to nearest, to the even one of two. What a NaN becomes does not matter: it is refused.
INLINE uint32_t narrow_bf16(uint32_t bits) { return bits + 0x7fff + (bits >> 16 & 1); }

// The sums of a part, and whether one is not finite.
#define SUMS(name, Stored, widened)                                                                \
    static uint32_t name(const Stored *restrict x, const float *restrict delta, float scale,       \
                         float *restrict out, int64_t count) {                                     \
        uint32_t bad = 0;                                                                          \
        for (int64_t i = 0; i < count; ++i) {                                                      \
            const float scaled = delta[i] * scale;                                                 \
            out[i] = (widened) + scaled;                                                           \
            bad |= (float_to_bits(out[i]) & ALL_ONES_32) == ALL_ONES_32;                           \
        }                                                                                          \
        return bad;                                                                                \
    }

SUMS(sums_of_f32, float, x[i])
SUMS(sums_of_bf16, uint16_t, bits_to_float((uint32_t)x[i] << 16))

// The same for what most models are stored as, without the sums in between.
static uint32_t sums_in_bf16(const uint16_t *restrict x, const float *restrict delta, float scale,
                             uint16_t *restrict out, int64_t count) {
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; ++i) {
        const float scaled = delta[i] * scale;
        const uint32_t sum = float_to_bits(bits_to_float((uint32_t)x[i] << 16) + scaled);
        const uint32_t stored = narrow_bf16(sum);
        out[i] = (uint16_t)(stored >> 16);
        bad |= ((sum & ALL_ONES_32) == ALL_ONES_32) | ((stored & ALL_ONES_32) == ALL_ONES_32);
    }
    return bad;
}

static uint32_t add_part(int from, const void *x, const float *delta, float scale, int to, void *out,
                         int64_t count) {
    float wide[PART], kept[PART];
    if (from == BF16 && to == BF16) return sums_in_bf16(x, delta, scale, out, count);
    float *sums = to == F32 ? out : kept;
    if (from == F16) widen_f16(x, wide, count);
    uint32_t bad = from == BF16 ? sums_of_bf16(x, delta, scale, sums, count)
                                : sums_of_f32(from == F16 ? wide : x, delta, scale, sums, count);
    if (to == F16) {
        uint16_t *stored = out;
        narrow_f16(sums, stored, count);
        for (int64_t i = 0; i < count; ++i) bad |= (stored[i] & ALL_ONES_F16) == ALL_ONES_F16;
    } else if (to == BF16) {
        uint16_t *stored = out;
        for (int64_t i = 0; i < count; ++i) {
            const uint32_t bits = narrow_bf16(float_to_bits(sums[i]));
            stored[i] = (uint16_t)(bits >> 16);
            bad |= (bits & ALL_ONES_32) == ALL_ONES_32;
        }
    }
    return bad;
}

// Returns whether all sums are finite, and all that was stored.
static int add_all(int from, const void *x, const float *delta, float scale, int to, void *out,
                   int64_t count) {
    const int64_t before = from == F32 ? 4 : 2, after = to == F32 ? 4 : 2;
    uint32_t bad = 0;
    for (int64_t i = 0; i < count; i += PART)
        bad |= add_part(from, (const char *)x + i * before, delta + i, scale, to,
                        (char *)out + i * after, count - i < PART ? count - i : PART);
    return !bad;
}
