// Q2_K: 16 sub-blocks of 16 values, 2 bits for a value.
//
// block_q2_K of ggml-common.h: scales[16], qs[64], d, dmin (half).
#pragma once

#include "affine.h"

INLINE vi encode_q2_k(const Group *group) {
    vf x[256], w[32];
    AffineBlocks blocks;
    vi ls[16], lm[16];
    vf size, least, most, lowest;
    gather(group->x, 0, 256, x);
    blocks.strange = splat_int(0);
    vf sigma = splat(0.f);
    if (group->importance[0]) sigma = sum_of_squares(x, 256) / 256.f;
    for (int j = 0; j < 16; j += 2) {
        const vf *part = x + 16 * j;
        if (group->importance[0]) {
            for (int p = 0; p < 2; ++p)
                blocks.weight[j + p] = weigh(group, 16 * (j + p), 16, part + 16 * p, sigma, w + 16 * p);
            search_affine(16, 3, part, w, -0.9f, 0.05f, 36, 0, blocks.search + j);
        } else {
            for (int i = 0; i < 32; ++i) w[i] = absolute(part[i]);
            search_affine(16, 3, part, w, -0.5f, 0.1f, 15, 1, blocks.search + j);
        }
    }
    collect(&blocks, 16, &most, &lowest);
    if (group->importance[0]) {
        size = search_positive(16, 15, blocks.scale, blocks.weight, ls);
        least = search_positive(16, 15, blocks.offset, blocks.weight, lm);
    } else {
        vi some = most > 0.f, lower = lowest > 0.f;
        vf over = 15.f / most, under = 15.f / lowest;
        for (int j = 0; j < 16; ++j) {
            ls[j] = nearest_int(over * blocks.scale[j]) & 255 & some;
            lm[j] = nearest_int(under * blocks.offset[j]) & lower;
        }
        size = pick(some, most / 15.f, splat(0.f));
        least = pick(lower, lowest / 15.f, splat(0.f));
    }
    size = put_half(group, 80, size);
    least = put_half(group, 82, least);
    blocks.strange |= not_finite(size) | not_finite(least);
    vf d[16], dm[16];
    vi packed[16];
    for (int j = 0; j < 16; ++j) {
        packed[j] = (ls[j] | lm[j] << 4) & 255;
        d[j] = size * to_float(packed[j] & 15);
        dm[j] = least * to_float(packed[j] >> 4);
    }
    for (int j = 0; j < 16; j += 4) put_bytes(group, j, packed + j);
    for (int j = 0; j < 256; j += 128)
        for (int i = 0; i < 32; i += 4) {
            vi parts[4];
            for (int k = 0; k < 4; ++k) {
                parts[k] = splat_int(0);
                for (int part = 0; part < 4; ++part) {
                    int at = j + 32 * part + i + k, sub = at / 16;
                    parts[k] |= affine_level(&blocks, sub, x[at], d[sub], dm[sub], 3) << (2 * part);
                }
            }
            put_bytes(group, 16 + j / 4 + i, parts);
        }
    return blocks.strange;
}
