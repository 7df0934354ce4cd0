// Codes with a scale for each group of columns: whole numbers of 4 and 8 bits, and FP8. scaled.py says
// the same in numpy.
//
// Every step is rounded to the type of the weights, as compressed-tensors computes: the scale is a
// quotient in that type, and so is the weight divided by it. Plain loops, which the compiler turns
// into vectors, over parts that stay in the first cache.
#pragma once

#include "../merge/add_scaled.h"
#include "../native/half.h"
#include "../native/kernels.h"
#include "../native/lanes.h"

// Types of codes: whole numbers less their offset, with the two of a byte packed where bits is 4; FP8.
enum { INTEGERS = 0, FP8 = 1 };

// The largest magnitude by its bits, which are in the order of magnitudes; NaN and infinity last.
#define MAGNITUDE(name, Stored, mask)                                                              \
    static uint32_t name(const Stored *restrict x, int64_t count) {                                \
        Stored most = 0;                                                                           \
        for (int64_t i = 0; i < count; ++i) {                                                      \
            const Stored size = x[i] & mask;                                                       \
            most = size > most ? size : most;                                                      \
        }                                                                                          \
        return most;                                                                               \
    }

MAGNITUDE(magnitude_16, uint16_t, 0x7fff)
MAGNITUDE(magnitude_32, uint32_t, 0x7fffffff)

INLINE float round_bf16(float x) {
    return bits_to_float(narrow_bf16(float_to_bits(x)) & 0xffff0000u);
}

static float round_to(int type, float x) {
    return type == BF16 ? round_bf16(x) : type == F16 ? from_half(to_half(x)) : x;
}

// What stands for a scale of zero: the distance of 1 to its neighbour.
static float smallest(int type) { return type == BF16 ? 0x1p-7f : type == F16 ? 0x1p-10f : 0x1p-23f; }

static void divide(int from, const void *x, float scale, float *restrict out, int64_t count) {
    if (from == BF16) {
        const uint16_t *restrict stored = x;
        for (int64_t i = 0; i < count; ++i)
            out[i] = round_bf16(bits_to_float((uint32_t)stored[i] << 16) / scale);
        return;
    }
    if (from == F32) {
        const float *restrict stored = x;
        for (int64_t i = 0; i < count; ++i) out[i] = stored[i] / scale;
        return;
    }
    uint16_t halves[PART];
    widen_f16(x, out, count);
    for (int64_t i = 0; i < count; ++i) out[i] /= scale;
    narrow_f16(out, halves, count);
    widen_f16(halves, out, count);
}

INLINE float between(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

static void to_integers(const float *restrict x, int bits, int offset, uint8_t *restrict out,
                        int64_t count) {
    const float half = (float)(1 << (bits - 1));
    for (int64_t i = 0; i < count; ++i) {
        // The next whole number, the even one of two that are as near.
        const float whole = between(x[i], -half, half - 1) + 12582912.f;
        out[i] = (uint8_t)((float_to_bits(whole) & 0x7fffff) - 0x400000 + (uint32_t)offset);
    }
}

// Rounds to nearest, to the even one of two; there is nothing above 448 to round.
static void to_fp8(const float *restrict x, uint8_t *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const uint32_t all = float_to_bits(between(x[i] + 0.f, -448.f, 448.f));
        const uint32_t size = all & 0x7fffffff;
        // Below 2^-6 in units of 2^-9, by a sum whose last bit is one of them.
        const uint32_t small = float_to_bits(bits_to_float(size) + 16384.f) - 0x46800000;
        const uint32_t large = (size + 0x7ffff + (size >> 20 & 1) - 0x3c000000) >> 20;
        out[i] = (uint8_t)((size < 0x3c800000 ? small : large) | (all >> 24 & 0x80));
    }
}

// Returns whether all weights are finite; what stands in codes and scales is of no use otherwise.
static int compress_all(int from, const void *x, int64_t rows, int64_t columns, int64_t group,
                        int type, int bits, int offset, float top, uint8_t *codes, void *scales) {
    const int64_t size = from == F32 ? 4 : 2, groups = rows * (columns / group);
    float quotients[PART];
    uint8_t unpacked[PART];
    for (int64_t g = 0; g < groups; ++g) {
        const char *weights = (const char *)x + g * group * size;
        uint32_t most = from == F32 ? magnitude_32((const uint32_t *)weights, group)
                                    : magnitude_16((const uint16_t *)weights, group);
        if (most >= (from == F32 ? 0x7f800000u : from == BF16 ? 0x7f80u : 0x7c00u)) return 0;
        const float largest = from == F32    ? bits_to_float(most)
                              : from == BF16 ? bits_to_float(most << 16)
                                             : from_half((uint16_t)most);
        float scale = round_to(from, largest / top);
        if (scale == 0) scale = smallest(from);
        if (from == F32) ((float *)scales)[g] = scale;
        else if (from == BF16) ((uint16_t *)scales)[g] = (uint16_t)(float_to_bits(scale) >> 16);
        else ((uint16_t *)scales)[g] = to_half(scale);
        for (int64_t i = 0; i < group; i += PART) {
            const int64_t count = group - i < PART ? group - i : PART, at = g * group + i;
            divide(from, weights + i * size, scale, quotients, count);
            if (type == FP8) {
                to_fp8(quotients, codes + at, count);
            } else if (bits == 8) {
                to_integers(quotients, bits, offset, codes + at, count);
            } else {
                to_integers(quotients, bits, offset, unpacked, count);
                for (int64_t j = 0; j < count / 2; ++j)
                    codes[at / 2 + j] = (uint8_t)(unpacked[2 * j] | unpacked[2 * j + 1] << 4);
            }
        }
    }
    return 1;
}
