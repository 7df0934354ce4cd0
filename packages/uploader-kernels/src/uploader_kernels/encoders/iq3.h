// IQ3_S and IQ3_XXS: four levels of 3 bits that are kept as the number of a point on a grid.
//
// block_iq3_s of ggml-common.h: d (half), qs[64], qh[8], signs[32], scales[4]: 8 sub-blocks of 32.
// block_iq3_xxs: d (half), qs[64], scales and signs[32].
#pragma once

#include "../native/group.h"
#include "../native/search.h"
#include "grid.h"

// Values of a sub-block without their signs, and the groups of four that the search finds.
typedef struct {
    const Grid *grid;
    vf x[32], w[32];
    float of_lane[LANES][32], root_w[LANES][32];  // x and the roots of w, by lane
    vi open;     // lanes in which something is searched
    vi strange;  // an error left the range of floats
} SubBlock;

// Put x and w by lane, for the search in groups of four.
INLINE void spread(SubBlock *block) {
    for (int i = 0; i < 32; ++i) {
        const vf w = root(block->w[i]);
        for (int lane = 0; lane < LANES; ++lane) {
            block->of_lane[lane][i] = block->x[i][lane];
            block->root_w[lane][i] = w[lane];
        }
    }
}

// The cells that values fall into, x ~ scale * (2 * level + 1). Returns a bit for each that is no point.
INLINE vi find_cells(const SubBlock *block, vf slope, vi cells[8]) {
    vi off = splat_int(0);
    for (int k = 0; k < 8; ++k) {
        vi cell = splat_int(0);
        for (int i = 0; i < 4; ++i) {
            vi l = nearest_int(0.5f * (slope * block->x[4 * k + i] - 1.f));
            cell |= clamp_int(l, 0, 7) << 3 * i;
        }
        cells[k] = cell;
        for (int lane = 0; lane < LANES; ++lane) off[lane] |= (block->grid->count[cell[lane]] != 0) << k;
    }
    return off;
}

// Replace the cells that are no points by the nearest points, in the lanes and groups of `wanted`.
INLINE void move_to_points(SubBlock *block, vi wanted, vf scale, vi cells[8]) {
    for (int lane = 0; lane < LANES; ++lane) {
        if (!wanted[lane]) continue;
#if LANES >= 8
        const __m256 sizes =
            _mm256_mul_ps(_mm256_set1_ps(scale[lane]), _mm256_setr_ps(1, 3, 5, 7, 9, 11, 13, 15));
#else
        float sizes[8];
        for (int l = 0; l < 8; ++l) sizes[l] = scale[lane] * (float)(2 * l + 1);
#endif
        for (unsigned left = (unsigned)wanted[lane]; left; left &= left - 1) {
            const int k = __builtin_ctz(left);
            const int point = nearest_point(block->grid, cells[k][lane], sizes,
                                            block->of_lane[lane] + 4 * k, block->root_w[lane] + 4 * k);
            cells[k][lane] = point < 0 ? 0 : point;
            if (point < 0) block->strange[lane] = -1;
        }
    }
}

// sum w x q and sum w q^2 over a sub-block.
INLINE void add_points(const SubBlock *block, const vi cells[8], vf *sumqx, vf *sumq2) {
    *sumqx = *sumq2 = splat(0.f);
    for (int i = 0; i < 32; ++i) {
        const vf q = to_float((cells[i / 4] >> 3 * (i % 4) & 7) * 2 + 1), w = block->w[i];
        *sumqx += w * block->x[i] * q;
        *sumq2 += w * q * q;
    }
}

// The search of quantize_row_iq3_s_impl and quantize_row_iq3_xxs_impl, over 2 * steps + 1 scales; returns
// the scale. `again` is whether all groups of four are searched once more at the end, and not only
// those whose cells were no points.
INLINE vf search_iq3(SubBlock *block, vf max, int steps, int again, vi points[8]) {
    const vi open = block->open;
    max = pick(open, max, splat(1.f));
    vf best = splat(0.f), scale = max / 15.f, sumqx, sumq2;
    vi off = splat_int(again ? 255 : 0), cells[8];
    for (int k = 0; k < 8; ++k) points[k] = splat_int(0);
    for (int step = -steps; step <= steps; ++step) {
        const vf slope = (15.f + (float)step * 0.2f) / max;
        const vi tried = find_cells(block, slope, cells);
        move_to_points(block, tried & open, 1.f / slope, cells);
        add_points(block, cells, &sumqx, &sumq2);
        const vi better = (sumq2 > 0.f) & (sumqx * sumqx > best * sumq2);
        const vf fit = sumqx / sumq2;
        scale = pick(better, fit, scale);
        best = pick(better, fit * sumqx, best);
        off = pick_int(better, tried, off);
        for (int k = 0; k < 8; ++k) points[k] = pick_int(better, cells[k], points[k]);
    }
    // Once more for the scale that was found.
    const vi finish = open & (off != 0) & (scale > 0.f);
    if (any(finish)) {
        const vi tried = find_cells(block, 1.f / scale, cells);
        if (again) off = splat_int(255);
        move_to_points(block, tried & off & finish, scale, cells);
        for (int k = 0; k < 8; ++k)
            points[k] = pick_int(finish & ((off >> k & 1) != 0), cells[k], points[k]);
        add_points(block, points, &sumqx, &sumq2);
        scale = pick(finish & (sumq2 > 0.f), sumqx / sumq2, scale);
    }
    return pick(open, scale, splat(0.f));
}

INLINE void iq3_weights(const Group *group, int start, const vf *x, vf sigma, vf *w) {
    if (group->importance[0]) {
        weigh(group, start, 32, x, sigma, w);
    } else {
        for (int i = 0; i < 32; ++i) w[i] = x[i] * x[i];
    }
}

// Scales of the sub-blocks in 4 bits, scale ~ (2 * level + 1) * size, and the size times `more` in front
// of the block. Returns the lanes in which half precision cannot hold that.
INLINE vi put_scales_4(const Group *group, const vf scales[8], float more, vi levels[8]) {
    vf most = splat(0.f);
    for (int j = 0; j < 8; ++j) most = larger(most, scales[j]);
    const vi some = most != 0.f;
    const vf d = most / 31.f, slope = 1.f / d;
    for (int j = 0; j < 8; ++j)
        levels[j] = clamp_int(nearest_int(0.5f * (slope * scales[j] - 1.f)), 0, 15) & some;
    return not_finite(put_half(group, 0, pick(some, d * more, splat(0.f))));
}

INLINE vi encode_iq3_s(const Group *group) {
    SubBlock block = {.grid = grid_of(512), .strange = splat_int(0)};
    if (!block.grid) return splat_int(-1);
    vf x[256], scales[8];
    vi points[8], levels[8], at = splat_int(0);
    gather(group->x, 0, 256, x);
    const vf sigma = 2.f * sum_of_squares(x, 256) / 256.f;
    for (int lane = 0; lane < LANES; ++lane) memset(group->out[lane], 0, 110);
    for (int j = 0; j < 8; ++j) {
        const vf *xj = x + 32 * j;
        vi signs = splat_int(0);
        vf max = splat(0.f);
        iq3_weights(group, 32 * j, xj, sigma, block.w);
        for (int i = 0; i < 32; ++i) {
            block.x[i] = absolute(xj[i]);
            signs |= (xj[i] < 0.f) & (int32_t)(1u << i);
            max = larger(block.x[i], max);
        }
        block.open = max != 0.f;
        spread(&block);
        scales[j] = search_iq3(&block, max, 9, 1, points);
        for (int lane = 0; lane < LANES; ++lane) {
            // A sub-block of zeros takes no place: the next one is put where it would be.
            if (!block.open[lane]) continue;
            uint8_t *out = group->out[lane];
            for (int k = 0; k < 8; ++k) {
                const int number = block.grid->number[points[k][lane]];
                out[2 + 8 * at[lane] + k] = (uint8_t)number;
                out[66 + j] |= (uint8_t)(number >> 8 << k);
            }
            const int32_t four = signs[lane];
            memcpy(out + 74 + 4 * at[lane], &four, 4);
        }
        at -= block.open;
    }
    block.strange |= put_scales_4(group, scales, 1.033f, levels);
    const vi pairs[4] = {levels[0] | levels[1] << 4, levels[2] | levels[3] << 4,
                         levels[4] | levels[5] << 4, levels[6] | levels[7] << 4};
    put_bytes(group, 106, pairs);
    return block.strange;
}

// Make the number of minus signs in every eight even: the value that counts least takes the other one.
// Returns the signs, seven bits for each eight; the eighth follows from them.
INLINE vi even_signs(const vf *x, const vf *w, vf *sizes) {
    vi signs = splat_int(0);
    for (int j = 0; j < 4; ++j) {
        vi eight = splat_int(0), odd = splat_int(0), at = splat_int(0);
        vf least = splat(0.f);
        for (int i = 0; i < 8; ++i) {
            const vf xi = x[8 * j + i], counts = w[8 * j + i] * xi * xi;
            const vi minus = xi < 0.f, less = i ? counts < least : splat_int(-1);
            sizes[8 * j + i] = absolute(xi);
            eight |= minus & 1 << i;
            odd ^= minus;
            at = pick_int(less, splat_int(i), at);
            least = pick(less, counts, least);
        }
        for (int i = 0; i < 8; ++i) {
            const vi other = odd & (at == i);
            sizes[8 * j + i] = pick(other, negative(sizes[8 * j + i]), sizes[8 * j + i]);
            eight ^= other & 1 << i;
        }
        signs |= (eight & 127) << 7 * j;
    }
    return signs;
}

INLINE vi encode_iq3_xxs(const Group *group) {
    SubBlock block = {.grid = grid_of(256), .strange = splat_int(0)};
    if (!block.grid) return splat_int(-1);
    vf x[256], scales[8], most = splat(0.f);
    vi points[8], levels[8], signs[8];
    gather(group->x, 0, 256, x);
    const vf sigma = 2.f * sum_of_squares(x, 256) / 256.f;
    for (int lane = 0; lane < LANES; ++lane) memset(group->out[lane], 0, 98);
    for (int j = 0; j < 8; ++j) {
        iq3_weights(group, 32 * j, x + 32 * j, sigma, block.w);
        signs[j] = even_signs(x + 32 * j, block.w, block.x);
        vf max = block.x[0];
        for (int i = 1; i < 32; ++i) max = larger(max, block.x[i]);
        block.open = ~(max < 1e-8f);  // GROUP_MAX_EPS_IQ3_XXS
        spread(&block);
        vf scale = search_iq3(&block, max, 15, 0, points);
        // A scale below zero is kept with the other signs.
        const vi below = scale < 0.f;
        scales[j] = pick(below, negative(scale), scale);
        signs[j] = (signs[j] ^ (below & 0x0fffffff)) & block.open;
        most = larger(most, scales[j]);
        for (int k = 0; k < 8; k += 4) {
            vi parts[4];
            for (int i = 0; i < 4; ++i) {
                vi number = splat_int(0);
                for (int lane = 0; lane < LANES; ++lane)
                    number[lane] = block.grid->number[points[k + i][lane]];
                parts[i] = number & block.open;
            }
            put_bytes(group, 2 + 8 * j + k, parts);
        }
    }
    block.strange |= put_scales_4(group, scales, 1.0125f, levels);
    for (int j = 0; j < 8; ++j)
        for (int lane = 0; lane < LANES; ++lane) {
            const int32_t four = most[lane] != 0.f ? signs[j][lane] | levels[j][lane] << 28 : 0;
            memcpy(group->out[lane] + 66 + 4 * j, &four, 4);
        }
    return block.strange;
}
