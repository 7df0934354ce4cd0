// FP4: the nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6, the even code of two that are as near. small.py says the
// same in numpy.
//
// Scales come from outside: they are few, and each scheme makes them in another way.
#pragma once

#include "scaled.h"

static void to_fp4(const float *restrict x, uint8_t *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        const float size = bits_to_float(float_to_bits(x[i]) & 0x7fffffff);
        const int code = (size > 0.25f) + (size >= 0.75f) + (size > 1.25f) + (size >= 1.75f) +
                         (size > 2.5f) + (size >= 3.5f) + (size > 5.f);
        out[i] = (uint8_t)(code | (x[i] < 0) << 3);
    }
}

// x / divisor of each group, rounded to the type of x or not, and two codes in a byte. PART is whole groups.
static void fp4_all(int from, const void *x, int64_t groups, int64_t group, const float *divisors,
                    int rounded, uint8_t *codes) {
    const int64_t size = from == F32 ? 4 : 2, most = PART / group;
    float wide[PART];
    uint8_t unpacked[PART];
    for (int64_t g = 0; g < groups; g += most) {
        const int64_t here = groups - g < most ? groups - g : most, count = here * group;
        const char *weights = (const char *)x + g * group * size;
        if (from == F16) {
            widen_f16((const uint16_t *)weights, wide, count);
        } else if (from == BF16) {
            const uint16_t *restrict stored = (const uint16_t *)weights;
            for (int64_t i = 0; i < count; ++i)
                wide[i] = bits_to_float((uint32_t)stored[i] << 16);
        } else {
            const float *restrict stored = (const float *)weights;
            for (int64_t i = 0; i < count; ++i) wide[i] = stored[i];
        }
        for (int64_t j = 0; j < here; ++j) {
            const float divisor = divisors[g + j];
            float *restrict part = wide + j * group;
            for (int64_t i = 0; i < group; ++i) part[i] /= divisor;
        }
        if (rounded && from == BF16) {
            for (int64_t i = 0; i < count; ++i) wide[i] = round_bf16(wide[i]);
        } else if (rounded && from == F16) {
            uint16_t halves[PART];
            narrow_f16(wide, halves, count);
            widen_f16(halves, wide, count);
        }
        to_fp4(wide, unpacked, count);
        uint8_t *restrict out = codes + g * group / 2;
        for (int64_t i = 0; i < count / 2; ++i)
            out[i] = (uint8_t)(unpacked[2 * i] | unpacked[2 * i + 1] << 4);
    }
}
