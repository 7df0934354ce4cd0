// Q4_K and Q5_K: 8 sub-blocks of 32 values, with 4 and 5 bits for a value.
//
// block_q4_K of ggml-common.h: d, dmin (half), scales[12], qs[128].
// block_q5_K: d, dmin (half), scales[12], qh[32], qs[128].
#pragma once

#include "affine.h"

INLINE vi encode_q45_k(const Group *group, int bits) {
    const int nmax = (1 << bits) - 1;
    vf x[256], w[64];
    AffineBlocks blocks;
    vi ls[8], lm[8];
    vf size, least, most, lowest;
    gather(group->x, 0, 256, x);
    blocks.strange = splat_int(0);
    vf sigma = splat(0.f);
    if (group->importance[0]) sigma = 2.f * sum_of_squares(x, 256) / 256.f;
    for (int j = 0; j < 8; j += 2) {
        const vf *part = x + 32 * j;
        if (group->importance[0]) {
            for (int p = 0; p < 2; ++p)
                blocks.weight[j + p] = weigh(group, 32 * (j + p), 32, part + 32 * p, sigma, w + 32 * p);
            search_affine(32, nmax, part, w, -0.9f, 0.05f, 36, 0, blocks.search + j);
            continue;
        }
        for (int p = 0; p < 2; ++p) {
            vf mean = root(sum_of_squares(part + 32 * p, 32) / 32.f);
            for (int i = 32 * p; i < 32 * p + 32; ++i) w[i] = mean + absolute(part[i]);
        }
        if (bits == 4) search_affine(32, nmax, part, w, -1.f, 0.1f, 20, 0, blocks.search + j);
        else search_affine(32, nmax, part, w, -0.5f, 0.1f, 15, 0, blocks.search + j);
    }
    collect(&blocks, 8, &most, &lowest);
    if (group->importance[0]) {
        size = search_positive(8, 63, blocks.scale, blocks.weight, ls);
        least = search_positive(8, 63, blocks.offset, blocks.weight, lm);
    } else {
        vf over = pick(most > 0.f, 63.f / most, splat(0.f));
        vf under = pick(lowest > 0.f, 63.f / lowest, splat(0.f));
        for (int j = 0; j < 8; ++j) {
            ls[j] = smaller_int(nearest_int(over * blocks.scale[j]) & 255, splat_int(63));
            lm[j] = smaller_int(nearest_int(under * blocks.offset[j]) & 255, splat_int(63));
        }
        size = most / 63.f;
        least = lowest / 63.f;
    }
    if (bits == 5 && group->importance[0])
        for (int j = 0; j < 8; ++j) {
            ls[j] = smaller_int(ls[j], splat_int(63));
            lm[j] = smaller_int(lm[j], splat_int(63));
        }
    vf d[8], dm[8];
    size = put_half(group, 0, size);
    least = put_half(group, 2, least);
    blocks.strange |= not_finite(size) | not_finite(least);
    put_scales_6(group, 4, ls, lm, size, least, d, dm);
    const int qs = bits == 4 ? 16 : 48;
    vi high[32];
    for (int i = 0; i < 32; ++i) high[i] = splat_int(0);
    for (int j = 0; j < 8; j += 2)
        for (int i = 0; i < 32; i += 4) {
            vi parts[4];
            for (int k = 0; k < 4; ++k) {
                vi a = affine_level(&blocks, j, x[32 * j + i + k], d[j], dm[j], nmax);
                vi b = affine_level(&blocks, j + 1, x[32 * j + 32 + i + k], d[j + 1], dm[j + 1], nmax);
                parts[k] = (a & 15) | (b & 15) << 4;
                if (bits == 5) high[i + k] |= (a >> 4) << j | (b >> 4) << (j + 1);
            }
            put_bytes(group, qs + 16 * j + i, parts);
        }
    if (bits == 5)
        for (int i = 0; i < 32; i += 4) put_bytes(group, 16 + i, high + i);
    return blocks.strange;
}
