// Numbers of 16 bits.
#pragma once

#include <stdint.h>
#include <string.h>

static inline float bits_to_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline uint32_t float_to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

// Round to IEEE half precision, to the even one of two that are as near.
static inline uint16_t to_half(float x) {
    uint32_t bits = float_to_bits(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return sign | 0x7e00;   // NaN
    if (rest >= 0x477ff000) return sign | 0x7c00;  // 65520 and above
    if (rest < 0x38800000)                         // below 2^-14: units of 2^-24
        return sign | (uint16_t)(float_to_bits(bits_to_float(rest) + 0.5f) - 0x3f000000);
    return sign | (uint16_t)((rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13);
}

static inline float from_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    if (rest >= 0x7c00) return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest < 0x400) {
        float x = (float)rest * 0x1p-24f;
        return bits_to_float(sign | float_to_bits(x));
    }
    return bits_to_float(sign | ((rest << 13) + 0x38000000));
}
