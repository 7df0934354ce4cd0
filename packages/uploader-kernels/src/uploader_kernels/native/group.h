// A group of blocks, one in each lane: how values come in and bytes go out.
#pragma once

#include "half.h"
#include "lanes.h"

typedef struct {
    const float *x[LANES];           // values of the blocks
    const float *importance[LANES];  // importance of the same columns, or NULL
    uint8_t *out[LANES];             // where the blocks go
} Group;

#if LANES == 8
INLINE void transpose(__m256 r[8]) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
#endif

// values[i][lane] = from[lane][start + i]; count is a multiple of 8.
INLINE void gather(const float *const *from, int start, int count, vf *values) {
#if LANES == 8
    for (int i = 0; i < count; i += 8) {
        __m256 rows[8];
        for (int lane = 0; lane < 8; ++lane) rows[lane] = _mm256_loadu_ps(from[lane] + start + i);
        transpose(rows);
        for (int k = 0; k < 8; ++k) values[i + k] = (vf)rows[k];
    }
#else
    for (int i = 0; i < count; ++i)
        for (int lane = 0; lane < LANES; ++lane) values[i][lane] = from[lane][start + i];
#endif
}

INLINE vf sum_of_squares(const vf *x, int count) {
    vf sum = splat(0.f);
    for (int i = 0; i < count; ++i) sum += x[i] * x[i];
    return sum;
}

// w[i] = importance * sqrt(sigma + x[i]^2), for the columns from `start` on; returns their sum.
INLINE vf weigh(const Group *group, int start, int count, const vf *x, vf sigma, vf *w) {
    vf total = splat(0.f);
    gather(group->importance, start, count, w);
    for (int i = 0; i < count; ++i) {
        w[i] *= root(sigma + x[i] * x[i]);
        total += w[i];
    }
    return total;
}

// Four bytes of every block: byte k is in parts[k], 0 to 255.
INLINE void put_bytes(const Group *group, int offset, const vi parts[4]) {
    vi both = parts[0] | parts[1] << 8 | parts[2] << 16 | parts[3] << 24;
    for (int lane = 0; lane < LANES; ++lane) {
        int32_t four = both[lane];
        memcpy(group->out[lane] + offset, &four, 4);
    }
}

// A number of every block in half precision; returns what was stored.
INLINE vf put_half(const Group *group, int offset, vf value) {
    vf stored;
    for (int lane = 0; lane < LANES; ++lane) {
        uint16_t half = to_half(value[lane]);
        memcpy(group->out[lane] + offset, &half, 2);
        stored[lane] = from_half(half);
    }
    return stored;
}
