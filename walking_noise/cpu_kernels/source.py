"""C source of the CPU kernels. Every operation is rounded by itself, as the plain torch operations of the reference."""

from __future__ import annotations

SOURCE = r"""
#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || FLT_EVAL_METHOD != 0
#error "the compiler does not round every operation by itself"
#endif

/* Noise of one member at one noise point. factor_draws, added_draws: standard draws, NULL without the term. */
typedef struct {
    const float *factor_draws, *added_draws;
    float mul, add;
    int32_t add_first, exact_gradient;
} Noise;

/* y = x*(1 + mul*e1) + add*e2, or (x + add*e2)*(1 + mul*e1); x and y may be the same. */
static void add_noise(const float *x, float *y, const Noise *noise, ptrdiff_t offset, ptrdiff_t n)
{
    const float *factor = noise->factor_draws ? noise->factor_draws + offset : NULL;
    const float *added = noise->added_draws ? noise->added_draws + offset : NULL;
    const float mul = noise->mul, add = noise->add;
    if (!factor)
        for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] + add * added[i];
    else if (!added)
        for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] * (mul * factor[i] + 1.0f);
    else if (noise->add_first)
        for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] + add * added[i]) * (mul * factor[i] + 1.0f);
    else
        for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] * (mul * factor[i] + 1.0f) + add * added[i];
}

static int is_noisy(const Noise *noise) { return noise->factor_draws || noise->added_draws; }

/* The noise of samples of n contiguous elements each, which lie x_stride and y_stride elements apart. */
static void inject(const Noise *noise, const float *x, float *y, ptrdiff_t samples, ptrdiff_t n, ptrdiff_t x_stride,
                   ptrdiff_t y_stride)
{
    for (ptrdiff_t b = 0; b < samples; b++) add_noise(x + b * x_stride, y + b * y_stride, noise, b * n, n);
}

/* Multiply the gradient by the factor 1 + mul*e1 if the gradient is exact, else copy it; may be in place. */
static void pass_gradient(const Noise *noise, const float *gradient, float *result, ptrdiff_t offset, ptrdiff_t n)
{
    const float *factor = noise->exact_gradient && noise->factor_draws ? noise->factor_draws + offset : NULL;
    const float mul = noise->mul;
    if (factor)
        for (ptrdiff_t i = 0; i < n; i++) result[i] = gradient[i] * (mul * factor[i] + 1.0f);
    else if (result != gradient)
        memcpy(result, gradient, n * sizeof(float));
}

/* The gradient of inject. */
static void inject_gradient(const Noise *noise, const float *gradient, float *result, ptrdiff_t samples, ptrdiff_t n,
                            ptrdiff_t gradient_stride, ptrdiff_t result_stride)
{
    for (ptrdiff_t b = 0; b < samples; b++)
        pass_gradient(noise, gradient + b * gradient_stride, result + b * result_stride, b * n, n);
}

/* inject, or its gradient, for the chosen rows of tensors of many members, each with its own noise. */
void inject_members(const Noise *noises, const ptrdiff_t *rows, ptrdiff_t count, const float *x, float *y,
                    ptrdiff_t samples, ptrdiff_t n, ptrdiff_t x_row, ptrdiff_t y_row, ptrdiff_t x_stride,
                    ptrdiff_t y_stride, int32_t gradient)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *from = x + rows[i] * x_row;
        float *to = y + rows[i] * y_row;
        if (gradient)
            inject_gradient(noises + i, from, to, samples, n, x_stride, y_stride);
        else
            inject(noises + i, from, to, samples, n, x_stride, y_stride);
    }
}

/* Sums over the samples of x - x[0] and of its square, for each of n elements of a sample. */
void deviation_sums(const float *x, ptrdiff_t sample_stride, ptrdiff_t samples, ptrdiff_t n, float *sums,
                    float *squares)
{
    enum { BLOCK = 8192 };
    for (ptrdiff_t start = 0; start < n; start += BLOCK) {
        const ptrdiff_t size = n - start < BLOCK ? n - start : BLOCK;
        const float *first = x + start;
        float *restrict sum = sums + start, *restrict square = squares + start;
        memset(sum, 0, size * sizeof(float));
        memset(square, 0, size * sizeof(float));
        for (ptrdiff_t b = 1; b < samples; b++) {
            const float *row = first + b * sample_stride;
            for (ptrdiff_t i = 0; i < size; i++) {
                const float deviation = row[i] - first[i];
                sum[i] += deviation;
                square[i] += deviation * deviation;
            }
        }
    }
}

/* A chain of layers on the images of one member: [normalisation] [noise] ReLU [noise] [2x2 max-pooling]. */
typedef struct {
    ptrdiff_t samples, channels, height, width;
    ptrdiff_t x_stride, gradient_stride;         /* of a sample of x and of its gradient, whose images are contiguous */
    const float *mean, *scale, *bias;            /* of each channel; NULL without normalisation */
    Noise before_relu, after_relu;
    int32_t pools;                               /* whether there is max-pooling; width is even then */
} Chain;

/* The input of the ReLU for image number `image` in (samples, channels), in z or in x itself. */
static const float *input_of_relu(const Chain *chain, const float *x, ptrdiff_t image, float *z)
{
    const ptrdiff_t n = chain->height * chain->width, c = image % chain->channels;
    if (chain->mean) {
        const float mean = chain->mean[c], scale = chain->scale[c], bias = chain->bias[c];
        for (ptrdiff_t i = 0; i < n; i++) z[i] = (x[i] - mean) * scale + bias;
        x = z;
    }
    if (is_noisy(&chain->before_relu)) {
        add_noise(x, z, &chain->before_relu, image * n, n);
        x = z;
    }
    return x;
}

/* The larger of two rows, and its position in the 2x2 windows: 2*row. The upper of equal ones; NaN is the largest. */
static void pool_rows(const float *restrict upper, const float *restrict lower, float *restrict largest,
                      float *restrict position, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        largest[i] = lower[i] > upper[i] || lower[i] != lower[i] ? lower[i] : upper[i];
        position[i] = lower[i] > upper[i] ? 2.0f : 0.0f;
    }
}

/* The larger of two neighbours in a row, and its position: 2*row + column. The first of equal ones in reading order. */
static void pool_columns(const float *restrict x, const float *restrict position, float *restrict largest,
                         float *restrict where, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const float left = x[2 * i], right = x[2 * i + 1], p = position[2 * i], q = position[2 * i + 1] + 1.0f;
        const int first = q < p;
        largest[i] = right > left || right != right ? right : left;
        where[i] = right > left || (right == left && first) ? q : p;
    }
}

/* Maximum of each 2x2 window of an image, and the position of its first maximum; scratch: 5/4 images. */
static void pool(const Chain *chain, const float *x, float *y, uint8_t *position, float *scratch)
{
    const ptrdiff_t height = chain->height / 2, width = chain->width, outputs = height * width / 2;
    float *largest = scratch, *row_position = largest + 2 * outputs, *where = row_position + 2 * outputs;
    for (ptrdiff_t row = 0; row < height; row++) {
        const float *upper = x + 2 * row * width;
        pool_rows(upper, upper + width, largest + row * width, row_position + row * width, width);
    }
    pool_columns(largest, row_position, y, where, outputs);
    if (position)
        for (ptrdiff_t i = 0; i < outputs; i++) position[i] = (uint8_t)where[i];
}

/* y and position: (samples, channels, pooled height, pooled width); position may be NULL; scratch: 4 images. */
void chain_forward(const Chain *chain, const float *x, float *y, uint8_t *position, float *scratch)
{
    const ptrdiff_t n = chain->height * chain->width;
    const ptrdiff_t outputs = chain->pools ? chain->height / 2 * (chain->width / 2) : n;
    for (ptrdiff_t b = 0; b < chain->samples; b++)
        for (ptrdiff_t c = 0; c < chain->channels; c++) {
            const ptrdiff_t image = b * chain->channels + c;
            const float *z = input_of_relu(chain, x + b * chain->x_stride + c * n, image, scratch);
            float *r = chain->pools ? scratch + n : y + image * n;
            for (ptrdiff_t i = 0; i < n; i++) r[i] = z[i] < 0.0f ? 0.0f : z[i];
            if (is_noisy(&chain->after_relu)) add_noise(r, r, &chain->after_relu, image * n, n);
            uint8_t *where = position ? position + image * outputs : NULL;
            if (chain->pools) pool(chain, r, y + image * outputs, where, scratch + 2 * n);
        }
}

/* The gradient of every window at its maximum, 0 elsewhere; scratch: 1 image. */
static void spread(const Chain *chain, const float *restrict gradient, const uint8_t *restrict position,
                   float *restrict result, float *restrict scratch)
{
    const ptrdiff_t height = chain->height / 2, width = chain->width, outputs = height * width / 2;
    float *restrict repeated = scratch, *restrict row_position = scratch + 2 * outputs;
    for (ptrdiff_t i = 0; i < outputs; i++) {
        repeated[2 * i] = repeated[2 * i + 1] = gradient[i];
        row_position[2 * i] = position[i];
        row_position[2 * i + 1] = position[i] - 1.0f;
    }
    for (ptrdiff_t row = 0; row < height; row++) {
        const float *restrict g = repeated + row * width, *restrict p = row_position + row * width;
        float *restrict upper = result + 2 * row * width, *restrict lower = upper + width;
        for (ptrdiff_t i = 0; i < width; i++) {
            upper[i] = p[i] == 0.0f ? g[i] : 0.0f;
            lower[i] = p[i] == 2.0f ? g[i] : 0.0f;
        }
    }
    memset(result + 4 * outputs, 0, (chain->height % 2) * width * sizeof(float));
}

/* Gradient at the output of the normalisation of one image; scratch: 2 images. */
static void image_gradient(const Chain *chain, const float *x, const float *gradient, const uint8_t *position,
                           ptrdiff_t image, float *restrict result, float *scratch)
{
    const ptrdiff_t n = chain->height * chain->width;
    if (chain->pools) {
        const ptrdiff_t outputs = chain->height / 2 * (chain->width / 2);
        spread(chain, gradient + image * outputs, position + image * outputs, result, scratch + n);
    } else
        memcpy(result, gradient + image * n, n * sizeof(float));
    pass_gradient(&chain->after_relu, result, result, image * n, n);
    const float *z = input_of_relu(chain, x, image, scratch);
    for (ptrdiff_t i = 0; i < n; i++) result[i] = z[i] <= 0.0f ? 0.0f : result[i];
    pass_gradient(&chain->before_relu, result, result, image * n, n);
}

/* Gradient at the output of the normalisation, in result. With normalisation also the sums over the samples of the
   gradient and of its product with x - mean, for each pixel of each channel. scratch: 2 images. */
void chain_gradient(const Chain *chain, const float *x, const float *gradient, const uint8_t *position, float *result,
                    float *sums, float *products, float *scratch)
{
    const ptrdiff_t n = chain->height * chain->width;
    if (chain->mean) {
        memset(sums, 0, chain->channels * n * sizeof(float));
        memset(products, 0, chain->channels * n * sizeof(float));
    }
    for (ptrdiff_t b = 0; b < chain->samples; b++)
        for (ptrdiff_t c = 0; c < chain->channels; c++) {
            const float *restrict row = x + b * chain->x_stride + c * n;
            float *restrict g = result + b * chain->gradient_stride + c * n;
            image_gradient(chain, row, gradient, position, b * chain->channels + c, g, scratch);
            if (!chain->mean) continue;
            float *restrict sum = sums + c * n, *restrict product = products + c * n;
            const float mean = chain->mean[c];
            for (ptrdiff_t i = 0; i < n; i++) {
                sum[i] += g[i];
                product[i] += g[i] * (row[i] - mean);
            }
        }
}

/* Gradient of x, in the place of the gradient g at the output: ((x - mean)*slope + g - shift)*scale. */
void normalisation_gradient(const Chain *chain, const float *x, const float *slope, const float *shift, float *g)
{
    const ptrdiff_t n = chain->height * chain->width;
    for (ptrdiff_t b = 0; b < chain->samples; b++)
        for (ptrdiff_t c = 0; c < chain->channels; c++) {
            const float mean = chain->mean[c], scale = chain->scale[c], s = slope[c], t = shift[c];
            const float *restrict row = x + b * chain->x_stride + c * n;
            float *restrict out = g + b * chain->gradient_stride + c * n;
            for (ptrdiff_t i = 0; i < n; i++) out[i] = ((row[i] - mean) * s + out[i] - t) * scale;
        }
}
"""
