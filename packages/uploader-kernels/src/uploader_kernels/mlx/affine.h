// Codes with a scale and a bias for each group of weights, as mlx's `quantize` makes them. affine.py says
// the same in numpy.
//
// Scale and bias are computed in float32, codes by them, and both are rounded to the type of the weights
// when they are stored. Plain loops, which the compiler turns into vectors, a group at a time.
#pragma once

#include "../compressed/scaled.h"

// Weights of a group at most.
#define WIDEST 128

INLINE void widen_group(int from, const void *x, float *restrict out, int64_t count) {
    if (from == F16) {
        widen_f16(x, out, count);
    } else if (from == BF16) {
        const uint16_t *restrict stored = x;
        for (int64_t i = 0; i < count; ++i) out[i] = bits_to_float((uint32_t)stored[i] << 16);
    } else {
        memcpy(out, x, (size_t)count * 4);
    }
}

INLINE void store_as(int to, float x, void *out, int64_t at) {
    if (to == F32) ((float *)out)[at] = x;
    else if (to == F16) ((uint16_t *)out)[at] = to_half(x);
    else ((uint16_t *)out)[at] = (uint16_t)(narrow_bf16(float_to_bits(x)) >> 16);
}

// One code after the other, lowest bits first.
static void pack_codes(const uint8_t *restrict codes, int bits, uint8_t *restrict out, int64_t count) {
    if (bits == 8) {
        memcpy(out, codes, (size_t)count);
    } else if (bits == 4) {
        for (int64_t i = 0; i < count / 2; ++i)
            out[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
    } else {
        // Eight codes are whole bytes.
        for (int64_t i = 0; i < count; i += 8) {
            uint64_t all = 0;
            for (int j = 0; j < 8; ++j) all |= (uint64_t)codes[i + j] << (j * bits);
            for (int j = 0; j < bits; ++j) *out++ = (uint8_t)(all >> (8 * j));
        }
    }
}

// Returns whether all weights are finite; what was stored is of no use otherwise.
static int affine_all(int from, const void *x, int64_t groups, int64_t group, int bits,
                      uint8_t *codes, void *scales, void *biases) {
    const int64_t size = from == F32 ? 4 : 2;
    const float top = (float)((1 << bits) - 1);
    float wide[WIDEST];
    uint8_t unpacked[WIDEST];
    for (int64_t g = 0; g < groups; ++g) {
        widen_group(from, (const char *)x + g * group * size, wide, group);
        float low[16], high[16];
        uint32_t bad = 0;
        for (int j = 0; j < 16; ++j) low[j] = high[j] = wide[j];
        for (int64_t i = 0; i < group; i += 16) {
            for (int j = 0; j < 16; ++j) {
                const float w = wide[i + j];
                low[j] = w < low[j] ? w : low[j];
                high[j] = w > high[j] ? w : high[j];
                bad |= (float_to_bits(w) & ALL_ONES_32) == ALL_ONES_32;
            }
        }
        if (bad) return 0;
        float least = low[0], most = high[0];
        for (int j = 1; j < 16; ++j) {
            least = low[j] < least ? low[j] : least;
            most = high[j] > most ? high[j] : most;
        }
        const int below = fabsf(least) > fabsf(most);
        float scale = (most - least) / top;
        scale = scale > 1e-7f ? scale : 1e-7f;
        scale = below ? scale : -scale;
        // The end that is farther from zero is stored exactly, if it is a whole number of steps away.
        const float edge = below ? least : most, steps = rintf(edge / scale);
        float bias = 0;
        if (steps != 0) {
            scale = edge / steps;
            bias = edge;
        }
        for (int64_t i = 0; i < group; ++i) {
            // The next whole number, the even one of two that are as near.
            const float whole = between((wide[i] - bias) / scale, 0.f, top) + 12582912.f;
            unpacked[i] = (uint8_t)(float_to_bits(whole) & 0xff);
        }
        pack_codes(unpacked, bits, codes + g * group * bits / 8, group);
        store_as(from, scale, scales, g);
        store_as(from, bias, biases, g);
    }
    return 1;
}
