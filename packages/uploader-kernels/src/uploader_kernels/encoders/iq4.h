// IQ4_XS and IQ4_NL: 4 bits that stand for one of 16 fixed values.
//
// block_iq4_xs of ggml-common.h: d (half), scales_h (16 bits), scales_l[4], qs[128]: 8 sub-blocks of 32.
// block_iq4_nl: d (half), qs[16]: one of 32.
#pragma once

#include "../native/group.h"
#include "../native/search.h"

// kvalues_iq4nl, and the middles between neighbours: from there on the upper one is nearer.
static const float IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};
static const float IQ4_MIDDLES[15] = {-115.5f, -93.5f, -74.f, -57.f, -42.f, -28.5f, -16.f, -4.5f,
                                      7.f,     19.f,   31.5f, 45.5f, 61.f,  79.f,   101.f};

// best_index_int8. Its two subtractions are exact near a middle, so comparing with that is the same.
INLINE vi iq4_index(vf x) {
#if LANES == 8
    // Halving, as there; the next middle comes out of a table in a register.
    const __m256 third = _mm256_setr_ps(-93.5f, -28.5f, 19.f, 79.f, 0, 0, 0, 0);
    const __m256 fourth = _mm256_setr_ps(-115.5f, -74.f, -42.f, -16.f, 7.f, 31.5f, 61.f, 101.f);
    vi upper = ~(x < -4.5f);  // also for no number, as there
    vi i = -(upper + upper) - ~(x < pick(upper, splat(45.5f), splat(-57.f)));
    i = i * 2 - ~(x < (vf)_mm256_permutevar8x32_ps(third, (__m256i)i));
    return i * 2 - ~(x < (vf)_mm256_permutevar8x32_ps(fourth, (__m256i)i));
#else
    vi index = splat_int(0);
    for (int i = 0; i < 15; ++i) index -= ~(x < IQ4_MIDDLES[i]);
    return index;
#endif
}

// The value that is nearest to x.
INLINE vf iq4_value(vf x) {
#if LANES == 8
    vi i = iq4_index(x);
    __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(IQ4_VALUES), (__m256i)i);
    __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(IQ4_VALUES + 8), (__m256i)i);
    return pick(i > 7, (vf)high, (vf)low);
#else
    vf value = splat(IQ4_VALUES[0]);
    for (int i = 0; i < 15; ++i)
        value += (vf)(~(x < IQ4_MIDDLES[i]) & (vi)splat(IQ4_VALUES[i + 1] - IQ4_VALUES[i]));
    return value;
#endif
}

// The search of quantize_row_iq4_nl_impl with ntry 7: x ~ scale * value, weighted by w.
INLINE vf search_iq4(const vf *x, const vf *w) {
    vf max = splat(0.f), amax = splat(0.f), best = splat(0.f), scale = splat(0.f);
    for (int i = 0; i < 32; ++i) {
        vf size = absolute(x[i]);
        max = pick(size > amax, x[i], max);
        amax = larger(size, amax);
    }
    vi zero = amax < SMALLEST;
    max = pick(zero, splat(1.f), max);
    for (int step = -8; step <= 7; ++step) {
        const int plain = step == -8;  // the first counts whatever comes of it
        vf slope = plain ? 1.f / (negative(max) / IQ4_VALUES[0]) : ((float)step + IQ4_VALUES[0]) / max;
        vf sumqx = splat(0.f), sumq2 = splat(0.f);
        for (int i = 0; i < 32; ++i) {
            vf q = iq4_value(slope * x[i]), wq = w[i] * q;
            sumqx += wq * x[i];
            sumq2 += wq * q;
        }
        vi better = plain ? splat_int(-1) : (sumq2 > 0.f) & (sumqx * sumqx > best * sumq2);
        vf d = pick(sumq2 > 0.f, sumqx / sumq2, splat(0.f));
        scale = pick(better, d, scale);
        best = pick(better, d * sumqx, best);
    }
    return pick(zero, splat(0.f), scale);
}

// Weights of 32 values: their squares, or as the importance says.
INLINE void iq4_weights(const Group *group, int start, const vf *x, vf sigma, vf *w) {
    if (group->importance[0]) {
        weigh(group, start, 32, x, sigma, w);
    } else {
        for (int i = 0; i < 32; ++i) w[i] = x[i] * x[i];
    }
}

INLINE void put_iq4(const Group *group, int offset, const vf *x, vf slope) {
    for (int i = 0; i < 16; i += 4) {
        vi parts[4];
        for (int k = 0; k < 4; ++k)
            parts[k] = iq4_index(slope * x[i + k]) | iq4_index(slope * x[i + k + 16]) << 4;
        put_bytes(group, offset + i, parts);
    }
}

INLINE vi encode_iq4_nl(const Group *group) {
    vf x[32], w[32];
    gather(group->x, 0, 32, x);
    iq4_weights(group, 0, x, sum_of_squares(x, 32) * (2.f / 32), w);
    vf scale = search_iq4(x, w);
    const vi strange = not_finite(put_half(group, 0, scale));
    put_iq4(group, 2, x, pick(scale != 0.f, 1.f / scale, splat(0.f)));
    return strange;
}

INLINE vi encode_iq4_xs(const Group *group) {
    vi strange = splat_int(0);
    vf x[256], w[32], scale[8], max = splat(0.f), amax = splat(0.f);
    gather(group->x, 0, 256, x);
    const vf sigma = sum_of_squares(x, 256) * (2.f / 256);
    for (int j = 0; j < 8; ++j) {
        iq4_weights(group, 32 * j, x + 32 * j, sigma, w);
        scale[j] = search_iq4(x + 32 * j, w);
        strange |= not_finite(scale[j]);
        vf size = absolute(scale[j]);
        max = pick(size > amax, scale[j], max);
        amax = larger(size, amax);
    }
    vf d = negative(max) / 32.f, slope = pick(d != 0.f, 1.f / d, splat(0.f));
    strange |= not_finite(put_half(group, 0, d));
    vi packed[8];
    vi high = splat_int(0);
    for (int j = 0; j < 8; ++j) {
        vi l = clamp_int(nearest_int(slope * scale[j]), -32, 31);
        vf dl = d * to_float(l);
        put_iq4(group, 8 + 16 * j, x + 32 * j, pick(dl != 0.f, 1.f / dl, splat(0.f)));
        l += 32;
        packed[j] = l & 15;
        high |= l >> 4 << (2 * j);
    }
    const vi low[4] = {packed[0] | packed[1] << 4, packed[2] | packed[3] << 4,
                       packed[4] | packed[5] << 4, packed[6] | packed[7] << 4};
    put_bytes(group, 4, low);
    for (int lane = 0; lane < LANES; ++lane) {
        uint16_t both = (uint16_t)high[lane];
        memcpy(group->out[lane] + 2, &both, 2);
    }
    return strange;
}
