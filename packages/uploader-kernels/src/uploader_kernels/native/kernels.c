// All kernels for one set of instructions; compiled once for each, with -DLEVEL=name.
#include "../compressed/scaled.h"
#include "../compressed/small.h"
#include "../encoders/iq3.h"
#include "../encoders/iq4.h"
#include "../encoders/one_scale.h"
#include "../encoders/q2_k.h"
#include "../encoders/q3_k.h"
#include "../encoders/q45_k.h"
#include "../encoders/q6_k.h"
#include "../merge/add_product.h"
#include "../mlx/affine.h"
#include "kernels.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)

typedef vi (*Encoder)(const Group *group, vf sigma);

static vi q2_k(const Group *group, vf sigma) { return (void)sigma, encode_q2_k(group); }
static vi q3_k(const Group *group, vf sigma) { return (void)sigma, encode_q3_k(group); }
static vi q4_k(const Group *group, vf sigma) { return (void)sigma, encode_q45_k(group, 4); }
static vi q5_k(const Group *group, vf sigma) { return (void)sigma, encode_q45_k(group, 5); }
static vi q6_k(const Group *group, vf sigma) { return (void)sigma, encode_q6_k(group); }
static vi iq3_s(const Group *group, vf sigma) { return (void)sigma, encode_iq3_s(group); }
static vi iq3_xxs(const Group *group, vf sigma) { return (void)sigma, encode_iq3_xxs(group); }
static vi iq4_nl(const Group *group, vf sigma) { return (void)sigma, encode_iq4_nl(group); }
static vi iq4_xs(const Group *group, vf sigma) { return (void)sigma, encode_iq4_xs(group); }
static vi q4_0(const Group *group, vf sigma) { return encode_one_scale(group, 4, sigma); }
static vi q5_0(const Group *group, vf sigma) { return encode_one_scale(group, 5, sigma); }

// Mean square of a row, as quantize_row_q4_0_impl sums it.
static float mean_square(const float *x, int64_t length) {
    float sum = 0;
    for (int64_t i = 0; i < length; ++i) sum += x[i] * x[i];
    return sum / (float)length;
}

int64_t JOIN(encode, LEVEL)(int type, const float *x, const float *importance, int64_t rows,
                            int64_t length, uint8_t *out, int64_t *strange) {
    static const struct {
        int type, values, bytes;
        Encoder encode;
    } encoders[] = {
        {Q4_0, 32, 18, q4_0},     {Q5_0, 32, 22, q5_0},     {Q2_K, 256, 84, q2_k},
        {Q3_K, 256, 110, q3_k},   {Q4_K, 256, 144, q4_k},   {Q5_K, 256, 176, q5_k},
        {Q6_K, 256, 210, q6_k},   {IQ4_NL, 32, 18, iq4_nl}, {IQ4_XS, 256, 136, iq4_xs},
        {IQ3_S, 256, 110, iq3_s}, {IQ3_XXS, 256, 98, iq3_xxs},
    };
    if (type == Q8_0) return encode_q8_0(x, out, rows * (length / 32), strange);
    for (unsigned t = 0; t < sizeof encoders / sizeof *encoders; ++t) {
        if (encoders[t].type != type) continue;
        const int64_t across = length / encoders[t].values, blocks = rows * across;
        const int weighted = importance && (type == Q4_0 || type == Q5_0);
        int64_t odd = 0;
        float sigma_of_row = 0;
        for (int64_t first = 0; first < blocks; first += LANES) {
            Group group;
            vf sigma = splat(0.f);
            for (int lane = 0; lane < LANES; ++lane) {
                // The last group is filled up with its last block, which is then written again.
                const int64_t block = first + lane < blocks ? first + lane : blocks - 1;
                const int64_t column = block % across;
                group.x[lane] = x + block * encoders[t].values;
                group.importance[lane] = importance ? importance + column * encoders[t].values : 0;
                group.out[lane] = out + block * encoders[t].bytes;
                if (weighted) {
                    if (column == 0) sigma_of_row = mean_square(group.x[lane], length);
                    sigma[lane] = sigma_of_row;
                }
            }
            const vi left = encoders[t].encode(&group, sigma);
            if (any(left))
                for (int lane = 0; lane < LANES && first + lane < blocks; ++lane)
                    if (left[lane]) strange[odd++] = first + lane;
        }
        return odd;
    }
    return -1;
}

// The exponent of infinities and of NaN.
#define ALL_ONES 0x7f800000

int JOIN(finite, LEVEL)(const float *x, int64_t count) {
    vi bad = splat_int(0);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vi part;
        memcpy(&part, x + i, sizeof part);
        bad |= (part & ALL_ONES) == ALL_ONES;
    }
    int found = any(bad);
    for (; i < count; ++i) found |= (float_to_bits(x[i]) & ALL_ONES) == ALL_ONES;
    return !found;
}

int JOIN(round_half, LEVEL)(const float *x, float *out, int64_t count) {
    int64_t i = 0;
#if LANES == 8 && defined(__F16C__)
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0)));
#endif
    for (; i < count; ++i) out[i] = from_half(to_half(x[i]));
    return JOIN(finite, LEVEL)(out, count);
}

int JOIN(add_scaled, LEVEL)(int from, const void *x, const float *delta, float scale, int to,
                            void *out, int64_t count) {
    return add_all(from, x, delta, scale, to, out, count);
}

int JOIN(add_product, LEVEL)(int from, const void *x, const float *b, const float *a, int64_t rows,
                             int64_t rank, int64_t columns, float scale, int to, void *out,
                             float *panels) {
    return add_product(from, x, b, a, rows, rank, columns, scale, to, out, panels);
}

int JOIN(compress, LEVEL)(int from, const void *x, int64_t rows, int64_t columns, int64_t group,
                          int type, int bits, int offset, float top, uint8_t *codes, void *scales) {
    return compress_all(from, x, rows, columns, group, type, bits, offset, top, codes, scales);
}

void JOIN(small, LEVEL)(int from, const void *x, int64_t groups, int64_t group,
                        const float *divisors, int rounded, uint8_t *codes) {
    fp4_all(from, x, groups, group, divisors, rounded, codes);
}

int JOIN(affine, LEVEL)(int from, const void *x, int64_t groups, int64_t group, int bits,
                        uint8_t *codes, void *scales, void *biases) {
    return affine_all(from, x, groups, group, bits, codes, scales, biases);
}
