// The searches for scales of llama.cpp's ggml-quants.c, a block in each lane.
//
// Every function adds in the order of its namesake there. Where that one leaves a loop early or
// skips a block, lanes go on with values that nothing comes of.
#pragma once

#include "lanes.h"

#define SMALLEST 1e-15f  // GROUP_MAX_EPS: a block that is smaller counts as zero
#define MOST 32          // values of a sub-block

// x ~ scale * level - offset, with levels from 0 to nmax.
typedef struct {
    vf scale;
    vf offset;  // the_min
    vi strange; // a level left the range in which rounding is plain: not to be used
    vf slope, from;  // the levels found are nearest(slope * (x - from))
    vi flat;         // all values are equal: all levels are 0
} Affine;

INLINE vf level(vf x, vf slope, vf from, float nmax) {
    return larger(smaller(nearest(slope * (x - from)), splat(nmax)), splat(0.f));
}

// The levels of two sub-blocks, and their sums.
INLINE void add_levels(int n, int nmax, const vf *x, const vf *w, const vf *slope, const vf *from,
                       int low_end, int high_end, vf *levels, vf *sum_l, vf *sum_l2, vf *sum_xl) {
    for (int i = 0; i < n; ++i)
        for (int p = 0; p < 2; ++p) {
            vf xi = x[p * n + i], l = nearest(slope[p] * (xi - from[p]));
            if (high_end) l = smaller(l, splat((float)nmax));
            if (low_end) l = larger(l, splat(0.f));
            vf wl = w[p * n + i] * l;
            levels[p * n + i] = l;
            sum_l[p] += wl;
            sum_l2[p] += wl * l;
            sum_xl[p] += wl * xi;
        }
}

// make_qkx2_quants and make_qkx3_quants, of two sub-blocks at a time: sums wait for their last addend,
// and meanwhile the processor goes on with the other's. `x` and `w` hold one after the other.
INLINE void search_affine(int n, int nmax, const vf *x, const vf *w, float rmin, float rdelta, int nstep,
                          int absolute_error, Affine found[2]) {
    vf levels[2 * MOST], least[2], high[2], min[2], best[2], sum_w[2], sum_x[2];
    for (int p = 0; p < 2; ++p) {
        const vf *xp = x + p * n, *wp = w + p * n;
        vf low = xp[0], top = xp[0];
        sum_w[p] = wp[0];
        sum_x[p] = wp[0] * xp[0];
        for (int i = 1; i < n; ++i) {
            low = smaller(xp[i], low);
            top = larger(xp[i], top);
            sum_w[p] += wp[i];
            sum_x[p] += wp[i] * xp[i];
        }
        least[p] = low;
        high[p] = top;
        min[p] = pick(low > 0.f, splat(0.f), low);
        found[p].flat = top == min[p];
        found[p].strange = splat_int(0);
        best[p] = splat(0.f);
    }
    // The step before the first is the plain one.
    for (int step = -1; step <= nstep; ++step) {
        vf slope[2], sum_l[2], sum_l2[2], sum_xl[2], scale[2], offset[2], error[2];
        vi valid[2];
        for (int p = 0; p < 2; ++p) {
            const float numerator = step < 0 ? (float)nmax : rmin + rdelta * (float)step + (float)nmax;
            slope[p] = numerator / (high[p] - min[p]);
            found[p].strange |= ~((absolute(slope[p] * (high[p] - min[p])) < 4e6f) &
                                  (absolute(slope[p] * (least[p] - min[p])) < 4e6f));
            sum_l[p] = sum_l2[p] = sum_xl[p] = error[p] = splat(0.f);
        }
        // What cannot pass an end is not held to it.
        const int high_end = step >= 0 && rmin + rdelta * (float)step > 0.4f;
        vi below_low = splat_int(0);
        for (int p = 0; p < 2; ++p) below_low |= slope[p] * (least[p] - min[p]) < -0.5f;
        if (any(below_low))
            add_levels(n, nmax, x, w, slope, min, 1, 1, levels, sum_l, sum_l2, sum_xl);
        else if (high_end)
            add_levels(n, nmax, x, w, slope, min, 0, 1, levels, sum_l, sum_l2, sum_xl);
        else
            add_levels(n, nmax, x, w, slope, min, 0, 0, levels, sum_l, sum_l2, sum_xl);
        for (int p = 0; p < 2; ++p) {
            if (step < 0) {
                scale[p] = 1.f / slope[p];
                offset[p] = min[p];
                valid[p] = splat_int(-1);
                continue;
            }
            vf det = sum_w[p] * sum_l2[p] - sum_l[p] * sum_l[p];
            vf across = (sum_w[p] * sum_xl[p] - sum_x[p] * sum_l[p]) / det;
            vf below = (sum_l2[p] * sum_x[p] - sum_l[p] * sum_xl[p]) / det;
            vi above = below > 0.f;
            offset[p] = pick(above, splat(0.f), below);
            scale[p] = pick(above, sum_xl[p] / sum_l2[p], across);
            valid[p] = det > 0.f;
        }
        for (int i = 0; i < n; ++i)
            for (int p = 0; p < 2; ++p) {
                vf diff = scale[p] * levels[p * n + i] + offset[p] - x[p * n + i];
                error[p] += w[p * n + i] * (absolute_error ? absolute(diff) : diff * diff);
            }
        for (int p = 0; p < 2; ++p) {
            vi better = step < 0 ? valid[p] : valid[p] & (error[p] < best[p]);
            best[p] = pick(better, error[p], best[p]);
            found[p].slope = pick(better, slope[p], found[p].slope);
            found[p].from = pick(better, min[p], found[p].from);
            found[p].scale = pick(better, scale[p], found[p].scale);
            min[p] = pick(better, offset[p], min[p]);
        }
    }
    for (int p = 0; p < 2; ++p) {
        found[p].scale = pick(found[p].flat, splat(0.f), found[p].scale);
        found[p].offset = negative(min[p]);
        found[p].strange &= ~found[p].flat;
        found[p].strange |= not_finite(found[p].scale) | not_finite(min[p]);
    }
}

// x ~ scale * level, with levels from -nmax to nmax - 1.
typedef struct {
    vf scale;
    vf slope;  // the levels found are nearest(slope * x)
    vi zero;   // the block counts as zero: all levels are 0
    vi strange; // its sums left the range of floats: not to be used
} Symmetric;

// make_qx_quants with rmse_type 1: x is weighted by w, or by its square where w is NULL.
INLINE Symmetric search_symmetric(int n, int nmax, const vf *x, const vf *w) {
    vf wx[MOST], ww[MOST], max = splat(0.f), amax = splat(0.f);
    for (int i = 0; i < n; ++i) {
        vf size = absolute(x[i]);
        max = pick(size > amax, x[i], max);
        amax = larger(size, amax);
        ww[i] = w ? w[i] : x[i] * x[i];
        wx[i] = ww[i] * x[i];
    }
    Symmetric found;
    found.zero = amax < SMALLEST;
    max = pick(found.zero, splat(1.f), max);
    found.slope = (float)-nmax / max;
    vf best = splat(0.f);
    for (int step = -10; step <= 9; ++step) {
        if (step == 0) continue;
        // The first is the plain one, which counts whatever comes of it.
        const int plain = step == -10;
        vf slope = plain ? found.slope : -((float)nmax + 0.1f * (float)step) / max;
        vf sumlx = splat(0.f), suml2 = splat(0.f);
        for (int i = 0; i < n; ++i) {
            vf l = larger(smaller(nearest(slope * x[i]), splat((float)(nmax - 1))), splat((float)-nmax));
            sumlx += wx[i] * l;
            suml2 += ww[i] * l * l;
        }
        if (plain) {
            found.scale = pick(suml2 != 0.f, sumlx / suml2, splat(0.f));
            best = found.scale * sumlx;
            continue;
        }
        vi better = (suml2 > 0.f) & (sumlx * sumlx > best * suml2);
        if (any(better)) {
            vf scale = sumlx / suml2;
            found.scale = pick(better, scale, found.scale);
            found.slope = pick(better, slope, found.slope);
            best = pick(better, scale * sumlx, best);
        }
    }
    found.scale = pick(found.zero, splat(0.f), found.scale);
    found.strange = not_finite(found.scale);
    return found;
}

// Levels of search_symmetric, counted from 0.
INLINE vi symmetric_level(const Symmetric *found, vf x, int nmax) {
    return ~found->zero & (clamp_int(nearest_int(found->slope * x), -nmax, nmax - 1) + nmax);
}

// make_q3_quants with do_rmse; levels, counted from 0, go to `levels`.
INLINE Symmetric search_by_turns(int n, int nmax, const vf *x, vi *levels) {
    vf w[MOST], wx[MOST], l[MOST], max = splat(0.f), amax = splat(0.f);
    for (int i = 0; i < n; ++i) {
        vf size = absolute(x[i]);
        max = pick(size > amax, x[i], max);
        amax = larger(size, amax);
        w[i] = x[i] * x[i];
        wx[i] = w[i] * x[i];
    }
    Symmetric found;
    found.zero = amax < SMALLEST;
    max = pick(found.zero, splat(1.f), max);
    found.slope = (float)-nmax / max;
    vf sumlx = splat(0.f), suml2 = splat(0.f);
    for (int i = 0; i < n; ++i) {
        l[i] = larger(smaller(nearest(found.slope * x[i]), splat((float)(nmax - 1))), splat((float)-nmax));
        sumlx += wx[i] * l[i];
        suml2 += w[i] * l[i] * l[i];
    }
    for (int turn = 0; turn < 5; ++turn) {
        vi changed = splat_int(0);
        for (int i = 0; i < n; ++i) {
            vf slx = sumlx - wx[i] * l[i];
            vf sl2 = suml2 - w[i] * l[i] * l[i];
            vi open = slx > 0.f;
            vf other = to_float(clamp_int(nearest_int(x[i] * sl2 / slx), -nmax, nmax - 1));
            open &= other != l[i];
            slx += wx[i] * other;
            sl2 += w[i] * other * other;
            open &= (sl2 > 0.f) & (slx * slx * suml2 > sumlx * sumlx * sl2);
            l[i] = pick(open, other, l[i]);
            sumlx = pick(open, slx, sumlx);
            suml2 = pick(open, sl2, suml2);
            changed |= open;
        }
        if (!any(changed)) break;
    }
    for (int i = 0; i < n; ++i) levels[i] = ~found.zero & (__builtin_convertvector(l[i], vi) + nmax);
    found.scale = pick((suml2 > 0.f) & ~found.zero, sumlx / suml2, splat(0.f));
    found.strange = not_finite(found.scale);
    return found;
}

// make_qp_quants: x ~ scale * level, with levels from 0 to nmax that are kept in a byte.
INLINE vf search_positive(int n, int nmax, const vf *x, const vf *w, vi *levels) {
    vf max = splat(0.f);
    for (int i = 0; i < n; ++i) max = larger(max, x[i]);
    vi zero = max < SMALLEST;
    max = pick(zero, splat(1.f), max);
    vf slope = (float)nmax / max, scale = 1.f / slope, best = splat(0.f);
    for (int i = 0; i < n; ++i) {
        vf diff = x[i] - scale * to_float(nearest_int(slope * x[i]) & 255);
        best += w[i] * diff * diff;
    }
    for (int step = -4; step <= 4; ++step) {
        if (step == 0) continue;
        vf other = (0.1f * (float)step + (float)nmax) / max, size = 1.f / other, error = splat(0.f);
        for (int i = 0; i < n; ++i) {
            vf diff = x[i] - size * to_float(smaller_int(nearest_int(other * x[i]), splat_int(nmax)));
            error += w[i] * diff * diff;
        }
        vi better = error < best;
        best = pick(better, error, best);
        slope = pick(better, other, slope);
    }
    vf sumlx = splat(0.f), suml2 = splat(0.f);
    for (int i = 0; i < n; ++i) {
        vi l = smaller_int(nearest_int(slope * x[i]), splat_int(nmax));
        levels[i] = l & 255;
        sumlx += w[i] * x[i] * to_float(l);
        suml2 += w[i] * to_float(l) * to_float(l);
    }
    for (int turn = 0; turn < 5; ++turn) {
        vi changed = splat_int(0);
        for (int i = 0; i < n; ++i) {
            vf l = to_float(levels[i]);
            vf slx = sumlx - w[i] * x[i] * l;
            vf sl2 = suml2 - w[i] * l * l;
            vi open = (slx > 0.f) & (sl2 > 0.f);
            vi other = smaller_int(nearest_int(x[i] * sl2 / slx), splat_int(nmax));
            open &= other != levels[i];
            vf o = to_float(other);
            slx += w[i] * x[i] * o;
            sl2 += w[i] * o * o;
            open &= slx * slx * suml2 > sumlx * sumlx * sl2;
            levels[i] = pick_int(open, other & 255, levels[i]);
            sumlx = pick(open, slx, sumlx);
            suml2 = pick(open, sl2, suml2);
            changed |= open;
        }
        if (!any(changed)) break;
    }
    for (int i = 0; i < n; ++i) levels[i] &= ~zero;
    return pick((suml2 > 0.f) & ~zero, sumlx / suml2, splat(0.f));
}
