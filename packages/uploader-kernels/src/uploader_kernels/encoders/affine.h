// What Q2_K, Q4_K and Q5_K have in common: levels from 0, a scale and an offset for each sub-block.
#pragma once

#include "../native/group.h"
#include "../native/search.h"

typedef struct {
    vf scale[16], offset[16], weight[16];  // of each sub-block; weight is the sum of its weights
    vi strange;                            // lanes that the stock encoder has to do
    Affine search[16];
} AffineBlocks;

// Take scales and offsets over from the searches; puts the largest of both, at least 0, into the last two.
INLINE void collect(AffineBlocks *blocks, int count, vf *most, vf *lowest) {
    *most = *lowest = splat(0.f);
    for (int j = 0; j < count; ++j) {
        blocks->scale[j] = blocks->search[j].scale;
        blocks->offset[j] = blocks->search[j].offset;
        blocks->strange |= blocks->search[j].strange;
        *most = larger(blocks->scale[j], *most);
        *lowest = larger(blocks->offset[j], *lowest);
    }
}

// One level of the finished block: nearest((x + dm) / d), and what the search found where d is 0.
INLINE vi affine_level(const AffineBlocks *blocks, int sub, vf x, vf d, vf dm, int nmax) {
    vi l = clamp_int(nearest_int((x + dm) / d), 0, nmax);
    vi none = d == 0.f;
    if (any(none)) {
        const Affine *found = &blocks->search[sub];
        vi before = __builtin_convertvector(level(x, found->slope, found->from, (float)nmax), vi);
        l = pick_int(none, before & ~found->flat, l);
    }
    return l;
}

// Scales and offsets of 8 sub-blocks in 6 bits each, as Q4_K and Q5_K pack them at `offset`; puts
// the products with the scale of the block into d and dm.
INLINE void put_scales_6(const Group *group, int offset, const vi *ls, const vi *lm, vf size, vf least,
                         vf *d, vf *dm) {
    uint8_t packed[LANES][12];
    for (int lane = 0; lane < LANES; ++lane) {
        uint8_t *scales = packed[lane];
        for (int j = 0; j < 8; ++j) {
            uint8_t s = (uint8_t)ls[j][lane], m = (uint8_t)lm[j][lane];
            if (j < 4) {
                scales[j] = s;
                scales[j + 4] = m;
            } else {
                scales[j + 4] = (uint8_t)((s & 15) | (m & 15) << 4);
                scales[j - 4] |= (uint8_t)(s >> 4 << 6);
                scales[j] |= (uint8_t)(m >> 4 << 6);
            }
        }
        memcpy(group->out[lane] + offset, scales, 12);
    }
    for (int j = 0; j < 8; ++j) {
        vf s, m;
        for (int lane = 0; lane < LANES; ++lane) {
            const uint8_t *q = packed[lane];
            s[lane] = j < 4 ? q[j] & 63 : (q[j + 4] & 15) | q[j - 4] >> 6 << 4;
            m[lane] = j < 4 ? q[j + 4] & 63 : q[j + 4] >> 4 | q[j] >> 6 << 4;
        }
        d[j] = size * s;
        dm[j] = least * m;
    }
}
