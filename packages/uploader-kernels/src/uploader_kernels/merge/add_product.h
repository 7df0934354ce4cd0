// stored + (B @ A) * scale without the product in memory: tiles of it stay in registers.
//
// Each element of the product is one chain of fused multiply-adds over the rank, from zero on, as
// libraries of linear algebra sum it in the middle of a matrix; add_product.py says the same in numpy.
#pragma once

#include "add_scaled.h"

#define TILE_ROWS 6
#define TILE_COLUMNS (2 * LANES)
// Columns that a strip of rows is worked on at once; a multiple of every TILE_COLUMNS.
#define STRIP 512

#if defined(__AVX512F__) || defined(__FMA__) || defined(__aarch64__)
#define HAS_FMA 1

INLINE vf fused(vf a, vf b, vf c) {
#if LANES == 16
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANES == 8
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int lane = 0; lane < LANES; ++lane) c[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
    return c;
#endif
}

typedef float loose __attribute__((vector_size(4 * LANES), aligned(4)));

// Sums by name: compilers keep an array of them in memory.
#define EACH_ROW(do) do(0) do(1) do(2) do(3) do(4) do(5)

static void tile(const float *const *b, const float *panel, int64_t rank, float *out) {
#define START(row)                                                                                 \
    const float *const b##row = b[row];                                                            \
    vf left##row = splat(0.f), right##row = splat(0.f);
    EACH_ROW(START)
    for (int64_t k = 0; k < rank; ++k) {
        const vf left = *(const loose *)(panel + k * TILE_COLUMNS);
        const vf right = *(const loose *)(panel + k * TILE_COLUMNS + LANES);
#define ADD(row)                                                                                   \
    const vf factor##row = splat(b##row[k]);                                                       \
    left##row = fused(factor##row, left, left##row);                                               \
    right##row = fused(factor##row, right, right##row);
        EACH_ROW(ADD)
    }
#define STORE(row)                                                                                 \
    *(loose *)(out + row * STRIP) = left##row;                                                     \
    *(loose *)(out + row * STRIP + LANES) = right##row;
    EACH_ROW(STORE)
}
#endif

// Put the columns of A that a tile needs one after the other; the last tile is filled up with zeros.
static void pack(const float *a, int64_t rank, int64_t columns, float *panels) {
    for (int64_t first = 0; first < columns; first += TILE_COLUMNS)
        for (int64_t k = 0; k < rank; ++k, panels += TILE_COLUMNS)
            for (int64_t j = 0; j < TILE_COLUMNS; ++j)
                panels[j] = first + j < columns ? a[k * columns + first + j] : 0.f;
}

// Returns 1 if all sums are finite, and all that was stored; 0 if not; -1 without the instructions.
static int add_product(int from, const void *x, const float *b, const float *a, int64_t rows,
                       int64_t rank, int64_t columns, float scale, int to, void *out, float *panels) {
#if defined(HAS_FMA)
    const int64_t before = from == F32 ? 4 : 2, after = to == F32 ? 4 : 2;
    float product[TILE_ROWS * STRIP];
    uint32_t bad = 0;
    pack(a, rank, columns, panels);
    for (int64_t first = 0; first < rows; first += TILE_ROWS) {
        const float *factors[TILE_ROWS];
        // A tile that has too few rows repeats the last one.
        for (int row = 0; row < TILE_ROWS; ++row)
            factors[row] = b + rank * (first + row < rows ? first + row : rows - 1);
        for (int64_t left = 0; left < columns; left += STRIP) {
            const int64_t width = columns - left < STRIP ? columns - left : STRIP;
            for (int64_t j = 0; j < width; j += TILE_COLUMNS)
                tile(factors, panels + (left + j) * rank, rank, product + j);
            for (int row = 0; row < TILE_ROWS && first + row < rows; ++row) {
                const int64_t place = (first + row) * columns + left;
                bad |= add_part(from, (const char *)x + place * before, product + row * STRIP, scale,
                                to, (char *)out + place * after, width);
            }
        }
    }
    return !bad;
#else
    (void)from, (void)x, (void)b, (void)a, (void)rows, (void)rank, (void)columns, (void)scale;
    (void)to, (void)out, (void)panels, (void)pack;
    return -1;
#endif
}
