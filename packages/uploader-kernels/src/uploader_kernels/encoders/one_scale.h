// Q4_0, Q5_0 and Q8_0: blocks of 32 values with one scale.
//
// block_q4_0 of ggml-common.h: d (half), qs[16]; block_q5_0: d, qh[4], qs[16]; block_q8_0: d, qs[32].
#pragma once

#include "../native/group.h"
#include "../native/search.h"

INLINE void put_one_scale(const Group *group, int bits, const vi *l) {
    const int qs = bits == 4 ? 2 : 6;
    for (int i = 0; i < 16; i += 4) {
        vi parts[4];
        for (int k = 0; k < 4; ++k) parts[k] = (l[i + k] & 15) | (l[i + k + 16] & 15) << 4;
        put_bytes(group, qs + i, parts);
    }
    if (bits == 5) {
        vi high = splat_int(0);
        for (int i = 0; i < 32; ++i) high |= (l[i] >> 4 & 1) << i;
        for (int lane = 0; lane < LANES; ++lane) {
            int32_t four = high[lane];
            memcpy(group->out[lane] + 2, &four, 4);
        }
    }
}

// Q4_0 and Q5_0. The importance is weighed by `sigma`, the mean square of the row.
INLINE vi encode_one_scale(const Group *group, int bits, vf sigma) {
    const int nmax = 1 << (bits - 1);
    vf x[32], w[32];
    vi l[32], strange;
    gather(group->x, 0, 32, x);
    if (group->importance[0]) {
        weigh(group, 0, 32, x, sigma, w);
        Symmetric found = search_symmetric(32, nmax, x, w);
        strange = found.strange | not_finite(put_half(group, 0, found.scale));
        for (int i = 0; i < 32; ++i) l[i] = symmetric_level(&found, x[i], nmax);
    } else {
        vf max = splat(0.f), amax = splat(0.f);
        for (int i = 0; i < 32; ++i) {
            vf size = absolute(x[i]);
            max = pick(size > amax, x[i], max);
            amax = larger(size, amax);
        }
        vf d = max / (float)-nmax, slope = pick(d != 0.f, 1.f / d, splat(0.f));
        strange = not_finite(slope) | not_finite(put_half(group, 0, d));
        for (int i = 0; i < 32; ++i) {
            vi whole = __builtin_convertvector(x[i] * slope + ((float)nmax + 0.5f), vi) << 24 >> 24;
            l[i] = smaller_int(whole & 255, splat_int(2 * nmax - 1));
        }
    }
    put_one_scale(group, bits, l);
    return strange;
}

// roundf: halves go away from zero.
INLINE vi round_away(vf x) {
    vi whole = __builtin_convertvector(x, vi);
    vf rest = absolute(x - to_float(whole));
    return whole + ((rest >= 0.5f) & (((vi)x >> 31) | 1));
}

// The nearest levels of 32 values, in bytes.
INLINE void narrow(const vf *x, float slope, int8_t *levels) {
#if LANES == 8
    __m256i l[4];
    for (int i = 0; i < 4; ++i) l[i] = (__m256i)round_away(x[i] * slope);
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(l[0], l[1]), _mm256_packs_epi32(l[2], l[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    memcpy(levels, &bytes, 32);
#else
    typedef int8_t bytes __attribute__((vector_size(LANES)));
    for (int i = 0; i < 32 / LANES; ++i) {
        const bytes l = __builtin_convertvector(round_away(x[i] * slope), bytes);
        memcpy(levels + LANES * i, &l, LANES);
    }
#endif
}

// Q8_0, one block after the other: what it costs is memory. Returns how many blocks are in `strange`.
INLINE int64_t encode_q8_0(const float *x, uint8_t *out, int64_t blocks, int64_t *strange) {
    int64_t odd = 0;
    for (int64_t block = 0; block < blocks; ++block, x += 32, out += 34) {
        vf part[32 / LANES], most = splat(0.f);
        for (int i = 0; i < 32 / LANES; ++i) {
            memcpy(&part[i], x + LANES * i, sizeof(vf));
            most = larger(most, absolute(part[i]));
        }
        const float amax = largest(most);
        const float d = amax / 127;
        const float slope = d != 0 ? 1.0f / d : 0.0f;
        const uint16_t half = to_half(d);
        if (!(slope <= 3.402823466e+38f) || half >= 0x7c00) strange[odd++] = block;
        memcpy(out, &half, 2);
        int8_t l[32];
        narrow(part, slope, l);
        memcpy(out + 2, l, 32);
    }
    return odd;
}
