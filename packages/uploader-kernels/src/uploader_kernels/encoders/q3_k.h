// Q3_K: 16 sub-blocks of 16 values, 3 bits for a value.
//
// block_q3_K of ggml-common.h: hmask[32], qs[64], scales[12], d (half).
#pragma once

#include "../native/group.h"
#include "../native/search.h"

INLINE vi encode_q3_k(const Group *group) {
    vf x[256], scale[16], size;
    vi levels[256], ls[16], strange = splat_int(0);
    gather(group->x, 0, 256, x);
    if (group->importance[0]) {
        vf w[16], total[16], sigma = 2.f * sum_of_squares(x, 256) / 256.f;
        for (int j = 0; j < 16; ++j) {
            total[j] = weigh(group, 16 * j, 16, x + 16 * j, sigma, w);
            Symmetric found = search_symmetric(16, 4, x + 16 * j, w);
            scale[j] = found.scale;
            strange |= found.strange | not_finite(total[j]);
            for (int i = 0; i < 16; ++i) levels[16 * j + i] = symmetric_level(&found, x[16 * j + i], 4);
        }
        Symmetric found = search_symmetric(16, 32, scale, total);
        for (int j = 0; j < 16; ++j) ls[j] = symmetric_level(&found, scale[j], 32);
        size = found.scale;
        strange |= found.strange;
    } else {
        vf max = splat(0.f), amax = splat(0.f);
        for (int j = 0; j < 16; ++j) {
            Symmetric found = search_by_turns(16, 4, x + 16 * j, levels + 16 * j);
            scale[j] = found.scale;
            strange |= found.strange;
            vf absolute_scale = absolute(scale[j]);
            max = pick(absolute_scale > amax, scale[j], max);
            amax = larger(absolute_scale, amax);
        }
        vi some = max != 0.f;
        vf slope = -32.f / max;
        for (int j = 0; j < 16; ++j) {
            vi l = nearest_int(slope * scale[j]) << 24 >> 24;  // int8_t
            ls[j] = (clamp_int(l, -32, 31) + 32) & some;
        }
        size = pick(some, 1.f / slope, splat(0.f));
    }
    size = put_half(group, 108, size);
    strange |= not_finite(size);
    vi packed[12];
    for (int j = 0; j < 8; ++j) packed[j] = (ls[j] & 15) | (ls[j + 8] & 15) << 4;
    for (int j = 0; j < 4; ++j)
        packed[8 + j] = ls[j] >> 4 | ls[j + 4] >> 4 << 2 | ls[j + 8] >> 4 << 4 | ls[j + 12] >> 4 << 6;
    for (int j = 0; j < 12; j += 4) put_bytes(group, 96 + j, packed + j);
    for (int j = 0; j < 16; ++j) {
        vf d = size * to_float(ls[j] - 32);
        vi none = d == 0.f;
        for (int i = 16 * j; i < 16 * j + 16; ++i)
            levels[i] = pick_int(none, levels[i], clamp_int(nearest_int(x[i] / d), -4, 3) + 4);
    }
    for (int i = 0; i < 32; i += 4) {
        vi parts[4];
        for (int k = 0; k < 4; ++k) {
            parts[k] = splat_int(0);
            for (int part = 0; part < 8; ++part) parts[k] |= levels[32 * part + i + k] >> 2 << part;
        }
        put_bytes(group, i, parts);
    }
    for (int j = 0; j < 256; j += 128)
        for (int i = 0; i < 32; i += 4) {
            vi parts[4];
            for (int k = 0; k < 4; ++k) {
                const vi *l = levels + j + i + k;
                parts[k] = (l[0] & 3) | (l[32] & 3) << 2 | (l[64] & 3) << 4 | (l[96] & 3) << 6;
            }
            put_bytes(group, 32 + j / 4 + i, parts);
        }
    return strange;
}
