// Q6_K: 16 sub-blocks of 16 values, 6 bits for a value.
//
// block_q6_K of ggml-common.h: ql[128], qh[64], scales[16] (signed), d (half).
#pragma once

#include "../native/group.h"
#include "../native/search.h"

INLINE vi encode_q6_k(const Group *group) {
    vf x[256], w[16], max = splat(0.f), amax = splat(0.f);
    vi strange = splat_int(0);
    Symmetric search[16];
    gather(group->x, 0, 256, x);
    for (int j = 0; j < 16; ++j) {
        if (group->importance[0]) gather(group->importance, 16 * j, 16, w);
        search[j] = search_symmetric(16, 32, x + 16 * j, group->importance[0] ? w : 0);
        strange |= search[j].strange;
        vf size = absolute(search[j].scale);
        max = pick(size > amax, search[j].scale, max);
        amax = larger(size, amax);
    }
    vi zero = amax < SMALLEST;  // the whole block is zeros
    vf slope = -128.f / max;
    vf size = put_half(group, 208, pick(zero, splat(0.f), 1.f / slope));
    strange |= not_finite(size);
    vf d[16];
    vi ls[16];
    for (int j = 0; j < 16; ++j) {
        vi l = smaller_int(nearest_int(slope * search[j].scale), splat_int(127)) << 24 >> 24 & ~zero;
        d[j] = size * to_float(l);
        ls[j] = l & 255;
    }
    for (int j = 0; j < 16; j += 4) put_bytes(group, 192 + j, ls + j);
    for (int j = 0; j < 256; j += 128)
        for (int i = 0; i < 32; i += 4) {
            vi low[4], high[4], upper[4];
            for (int k = 0; k < 4; ++k) {
                vi l[4];
                for (int part = 0; part < 4; ++part) {
                    int at = j + 32 * part + i + k, sub = at / 16;
                    l[part] = clamp_int(nearest_int(x[at] / d[sub]), -32, 31) + 32;
                    vi none = d[sub] == 0.f;
                    if (any(none)) l[part] = pick_int(none, symmetric_level(&search[sub], x[at], 32), l[part]);
                    l[part] &= ~zero;
                }
                low[k] = (l[0] & 15) | (l[2] & 15) << 4;
                high[k] = (l[1] & 15) | (l[3] & 15) << 4;
                upper[k] = l[0] >> 4 | l[1] >> 4 << 2 | l[2] >> 4 << 4 | l[3] >> 4 << 6;
            }
            put_bytes(group, j / 2 + i, low);
            put_bytes(group, j / 2 + 32 + i, high);
            put_bytes(group, 128 + j / 4 + i, upper);
        }
    return strange;
}
