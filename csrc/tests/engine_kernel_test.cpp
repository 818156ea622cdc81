// Compares every vector kernel with its plain version, on shapes that leave incomplete vectors everywhere.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../engine/engine.h"

namespace litehrnet {
namespace {

// Builds a program of one step, with the operands of the step one after another in the arena.
class Case {
public:
    explicit Case(unsigned seed) : random_(seed) {}

    Planes planes(int count, int height, int width) {
        const std::int64_t pixels = static_cast<std::int64_t>(height) * width;
        Planes result{height, width, {}};
        for (int i = 0; i < count; ++i) {
            result.places.push_back(static_cast<Place>(end_));
            end_ += plane_floats(pixels);
        }
        std::shuffle(result.places.begin(), result.places.end(), random_);
        return result;
    }

    Constant constant(std::vector<std::int32_t> shape) {
        std::size_t size = 1;
        for (const auto side : shape) size *= static_cast<std::size_t>(side);
        values_.emplace_back(size);
        for (float& x : values_.back()) x = uniform();
        return {std::move(shape), values_.back().data()};
    }

    float uniform() { return std::uniform_real_distribution<float>(-1, 1)(random_); }
    int between(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }

    // Largest difference between the results of `kernels` and of the plain ones. Everything but the inputs is NaN before.
    double difference(const Step& step, const Kernels& kernels, int image_width = 1, int image_height = 1) {
        const Program program{image_width, image_height, end_ + 16, step.writes[0], {step}};
        return difference(step, program, Engine(program, kernels), Engine(program, *present_kernels().back()));
    }

    double difference(const Step& step, const Kernels& kernels, Precision precision, Precision plain_precision) {
        const Program program{1, 1, end_ + 16, step.writes[0], {step}};
        return difference(step, program, Engine(program, kernels, precision),
                          Engine(program, *present_kernels().back(), plain_precision));
    }

private:
    double difference(const Step& step, const Program& program, const Engine& vector, const Engine& plain) {
        check_step(step, program);
        Arena first(vector.arena_floats()), second(plain.arena_floats());
        const auto floats = std::min(vector.arena_floats(), plain.arena_floats());
        std::fill_n(first.data(), floats, std::numeric_limits<float>::quiet_NaN());
        for (const Planes& planes : step.reads)
            for (const Place place : planes.places)
                for (std::int64_t i = 0; i < planes.pixels(); ++i) first.data()[place + i] = uniform();
        std::copy_n(first.data(), floats, second.data());
        std::vector<std::uint8_t> image(static_cast<std::size_t>(vector.image_bytes()));
        for (auto& level : image) level = static_cast<std::uint8_t>(between(0, 255));
        std::vector<float> heatmaps(static_cast<std::size_t>(vector.heatmap_floats()));
        vector.run(image.data(), heatmaps.data(), first);
        plain.run(image.data(), heatmaps.data(), second);
        double worst = 0;
        for (const Planes& planes : step.writes)
            for (const Place place : planes.places)
                for (std::int64_t i = 0; i < planes.pixels(); ++i) {
                    const double error = std::abs(first.data()[place + i] - second.data()[place + i]);
                    if (std::isnan(error)) return error;
                    worst = std::max(worst, error);
                }
        return worst;
    }

    std::mt19937 random_;
    std::int64_t end_ = 16;
    std::deque<std::vector<float>> values_;
};

Activation any_activation(Case& c) { return static_cast<Activation>(c.between(0, activations - 1)); }

Step step(Kind kind, std::vector<Planes> reads, std::vector<Planes> writes, std::vector<Constant> constants = {}) {
    return {kind, Activation::none, 1, std::move(reads), std::move(writes), std::move(constants)};
}

Step pointwise_step(Case& c) {
    const int height = c.between(1, 20), width = c.between(1, 30);
    const int inputs = c.between(1, 90), outputs = c.between(1, 40);
    const Planes in = c.planes(inputs, height, width), out = c.planes(outputs, height, width);
    const int addend = c.between(0, 2);
    Step s = step(Kind::pointwise,
                  {in, addend == 0 ? Planes{} : addend == 1 ? out : c.planes(outputs, height, width)}, {out},
                  {c.constant({outputs, inputs}), c.constant({outputs})});
    s.activation = any_activation(c);
    return s;
}

double pointwise(Case& c, const Kernels& kernels) { return c.difference(pointwise_step(c), kernels); }

double pointwise_bf16(Case& c, const Kernels& kernels) {
    if (!kernels.pointwise_bf16) return 0;
    return c.difference(pointwise_step(c), kernels, Precision::bfloat16, Precision::bfloat16);
}

double bf16_rounding(Case& c, const Kernels& kernels) {
    if (!kernels.pointwise_bf16) return 0;
    return c.difference(pointwise_step(c), kernels, Precision::bfloat16, Precision::float32);
}

double depthwise(Case& c, const Kernels& kernels) {
    const int shift = c.between(0, 3), channels = c.between(1, 5), stride = c.between(1, 2);
    const int height = c.between(1, 4) << shift, width = c.between(1, 9) << shift;
    const int size = 1 + 2 * c.between(1, most_reach);
    const Planes in = c.planes(channels, height, width);
    const bool weighted = stride == 1 && c.between(0, 1);
    Step s = step(Kind::depthwise, {in, weighted ? c.planes(channels, height >> shift, width >> shift) : Planes{}},
                  {stride == 1 && c.between(0, 1) ? in
                                                  : c.planes(channels, (height + stride - 1) / stride,
                                                             (width + stride - 1) / stride),
                   weighted ? c.planes(1, 1, channels) : Planes{}},
                  {c.constant({channels, size * size}), c.constant({channels})});
    s.stride = stride;
    return c.difference(s, kernels);
}

double odd_depthwise(Case& c, const Kernels& kernels) {
    const int channels = 2, stride = c.between(1, 2), height = c.between(1, 12), width = c.between(1, 220);
    const int size = 1 + 2 * c.between(1, most_reach);
    Step s = step(Kind::depthwise, {c.planes(channels, height, width), {}},
                  {c.planes(channels, (height + stride - 1) / stride, (width + stride - 1) / stride), {}},
                  {c.constant({channels, size * size}), c.constant({channels})});
    s.stride = stride;
    return c.difference(s, kernels);
}

double activated_depthwise(Case& c, const Kernels& kernels) {
    const int channels = c.between(1, 5), stride = c.between(1, 2), height = c.between(1, 12), width = c.between(1, 60);
    const int size = 1 + 2 * c.between(1, most_reach);
    Step s = step(Kind::depthwise, {c.planes(channels, height, width), {}},
                  {c.planes(channels, (height + stride - 1) / stride, (width + stride - 1) / stride),
                   c.between(0, 1) ? c.planes(1, 1, channels) : Planes{}},
                  {c.constant({channels, size * size}), c.constant({channels})});
    s.stride = stride;
    s.activation = any_activation(c);
    return c.difference(s, kernels);
}

double pool(Case& c, const Kernels& kernels) {
    const int shift = c.between(0, 3), channels = c.between(1, 5), height = c.between(1, 5), width = c.between(1, 40);
    return c.difference(step(Kind::pool, {c.planes(channels, height << shift, width << shift)},
                             {c.planes(channels, height, width)}),
                        kernels);
}

double spatial_weighting(Case& c, const Kernels& kernels) {
    const int channels = c.between(4, 50), hidden = c.between(1, channels);
    const Planes in = c.planes(channels, c.between(1, 9), c.between(1, 9));
    std::vector<Constant> constants{c.constant({hidden, channels}), c.constant({hidden}),
                                    c.constant({channels, hidden}), c.constant({channels})};
    for (int i = 2 * c.between(0, 1); i > 0; --i) constants.push_back(c.constant({channels}));
    Step s = step(Kind::spatial_weighting, {in, c.planes(1, 1, channels)}, {in}, std::move(constants));
    s.activation = c.between(0, 1) ? Activation::hard_sigmoid : Activation::none;
    return c.difference(s, kernels);
}

double enlarge(Case& c, const Kernels& kernels) {
    const int channels = c.between(1, 5), height = c.between(1, 9), width = c.between(1, 40);
    const Planes in = c.planes(channels, height, width), out = c.planes(channels, 2 * height, 2 * width);
    const bool bilinear = c.between(0, 1);
    const Planes addend = bilinear || c.between(0, 1) ? c.planes(channels, 2 * height, 2 * width) : Planes{};
    return c.difference(step(bilinear ? Kind::enlarge_bilinear : Kind::enlarge, {addend, in}, {out}), kernels);
}

double fuse_first(Case& c, const Kernels& kernels) {
    const int channels = c.between(1, 5), height = 2 * c.between(1, 6), width = 2 * c.between(1, 110);
    std::vector<Planes> writes{c.planes(channels, height, width)};
    std::vector<Constant> constants;
    for (int b = c.between(1, 3); b > 0; --b) {
        writes.push_back(c.planes(channels, height / 2, width / 2));
        constants.push_back(c.constant({channels, 9}));
        constants.push_back(c.constant({channels}));
    }
    const Planes in = c.planes(channels, height, width), lower = c.planes(channels, height / 2, width / 2);
    Step s = step(Kind::fuse_first, {in, lower}, std::move(writes), std::move(constants));
    s.activation = c.between(0, 1) ? Activation::relu : Activation::none;
    return c.difference(s, kernels);
}

double means(Case& c, const Kernels& kernels) {
    const int shift = c.between(0, 3), channels = c.between(1, 20);
    const int height = c.between(1, 4) << shift, width = c.between(1, 20) << shift;
    const bool weighted = c.between(0, 1);
    return c.difference(step(Kind::means,
                             {c.planes(channels, height, width),
                              weighted ? c.planes(channels, height >> shift, width >> shift) : Planes{}},
                             {c.planes(1, 1, channels)}),
                        kernels);
}

double mix_kernels(Case& c, const Kernels& kernels) {
    const int inputs = c.between(1, 40), hidden = c.between(1, 40), count = c.between(1, 20);
    const int floats = c.between(1, 400);
    return c.difference(step(Kind::mix_kernels, {c.planes(1, 1, inputs)}, {c.planes(1, 1, floats)},
                             {c.constant({hidden, inputs}), c.constant({hidden}), c.constant({count, hidden}),
                              c.constant({count}), c.constant({count, floats})}),
                        kernels);
}

double context(Case& c, const Kernels& kernels) {
    const int shift = c.between(0, 3), channels = c.between(0, 1) ? 4 * c.between(1, 6) : c.between(1, 20);
    const int height = c.between(1, 4), width = c.between(1, 12);
    const Planes in = c.planes(channels, height << shift, width << shift), logits = c.planes(1, in.height, in.width);
    return c.difference(step(Kind::context, {in, logits},
                             {c.between(0, 1) ? c.planes(1, 1, channels) : c.planes(channels, height, width)}),
                        kernels);
}

double dynamic_kernel(Case& c, const Kernels& kernels) {
    const int height = c.between(1, 12), width = c.between(1, 40), inputs = c.between(1, 20);
    const bool depthwise = c.between(0, 1);
    const int size = 1 + 2 * c.between(1, most_reach), outputs = depthwise ? inputs : c.between(1, 20);
    std::vector<Planes> writes{c.planes(outputs, height, width)};
    if (depthwise) writes.emplace_back();
    return c.difference(step(depthwise ? Kind::depthwise : Kind::pointwise,
                             {c.planes(inputs, height, width), {},
                              c.planes(1, 1, outputs * (depthwise ? size * size : inputs))},
                             std::move(writes), {c.constant({outputs})}),
                        kernels);
}

double stem(Case& c, const Kernels& kernels) {
    const int height = c.between(1, 40), width = c.between(1, 150);
    std::vector<Constant> constants;
    const std::vector<std::vector<std::int32_t>> shapes{{2, 3}, {32, 27}, {32}, {16, 9},  {16},     {16, 16}, {16},
                                                        {32, 16}, {32},   {32, 9}, {32}, {16, 32}, {16}};
    for (const auto& shape : shapes) constants.push_back(c.constant(shape));
    std::vector<float> small(6);
    for (float& x : small) x = c.uniform() / 100;
    constants[0].values = small.data();
    const Step s = step(Kind::stem, {{height, width, {}}}, {c.planes(32, (height + 3) / 4, (width + 3) / 4)},
                        std::move(constants));
    return c.difference(s, kernels, width, height);
}

double image(Case& c, const Kernels& kernels) {
    const int height = c.between(1, 40), width = c.between(1, 150);
    const Step s = step(Kind::image, {{height, width, {}}}, {c.planes(3, height, width)}, {c.constant({2, 3})});
    return c.difference(s, kernels, width, height) / 255;
}

double convolution(Case& c, const Kernels& kernels) {
    const int height = c.between(1, 30), width = c.between(1, 60), stride = c.between(1, 2);
    const int inputs = c.between(1, 40), outputs = c.between(1, 20);
    const int out_height = (height + stride - 1) / stride, out_width = (width + stride - 1) / stride;
    const Planes in = c.planes(inputs, height, width), out = c.planes(outputs, out_height, out_width);
    const int addend = c.between(0, 2);
    Step s = step(Kind::convolution,
                  {in, addend == 0 ? Planes{} : addend == 1 ? out : c.planes(outputs, out_height, out_width)}, {out},
                  {c.constant({outputs, 9 * inputs}), c.constant({outputs})});
    s.stride = stride;
    s.activation = any_activation(c);
    return c.difference(s, kernels);
}

double transposed(Case& c, const Kernels& kernels) {
    const int height = c.between(1, 20), width = c.between(1, 40), inputs = c.between(1, 40), outputs = c.between(1, 20);
    Step s = step(Kind::transposed, {c.planes(inputs, height, width)}, {c.planes(outputs, 2 * height, 2 * width)},
                  {c.constant({4 * outputs, 4 * inputs}), c.constant({outputs})});
    s.activation = any_activation(c);
    return c.difference(s, kernels);
}

double max_pool(Case& c, const Kernels& kernels) {
    const int channels = c.between(1, 5), height = c.between(1, 20), width = c.between(1, 90);
    return c.difference(step(Kind::max_pool, {c.planes(channels, height, width)},
                             {c.planes(channels, (height + 1) / 2, (width + 1) / 2)}),
                        kernels);
}

double add(Case& c, const Kernels& kernels) {
    const int channels = c.between(1, 5), height = c.between(1, 9), width = c.between(1, 40);
    const Planes a = c.planes(channels, height, width), b = c.planes(channels, height, width);
    Step s = step(Kind::add, {a, b}, {c.between(0, 1) ? a : c.planes(channels, height, width)});
    s.activation = any_activation(c);
    return c.difference(s, kernels);
}

struct Test {
    const char* name;
    double (*run)(Case&, const Kernels&);
    double tolerance;
};

// Sums of up to 90 products of numbers up to 1, and of up to 3 layers of them in the stem. Rounding both factors to
// bfloat16 changes a product of numbers by up to 2^-8 of it, in either direction.
constexpr Test tests[] = {
    {"pointwise", pointwise, 2e-5},
    {"bf16 pointwise", pointwise_bf16, 2e-5}, {"bf16 rounding", bf16_rounding, 0.06},
    {"depthwise", depthwise, 2e-6},
    {"odd depthwise", odd_depthwise, 2e-6}, {"pool", pool, 1e-6},
    {"spatial weighting", spatial_weighting, 2e-6}, {"enlarge", enlarge, 1e-6},
    {"fuse first", fuse_first, 5e-6},  {"means", means, 1e-6},
    {"mix kernels", mix_kernels, 5e-6}, {"context", context, 2e-6},
    {"dynamic kernel", dynamic_kernel, 1e-5}, {"stem", stem, 2e-4},
    {"activated depthwise", activated_depthwise, 5e-6},
    {"image", image, 1e-6}, {"convolution", convolution, 3e-5},
    {"transposed", transposed, 2e-5}, {"max pool", max_pool, 0},
    {"add", add, 1e-6},
};

int run_all(unsigned repetitions) {
    int failures = 0;
    for (const Kernels* kernels : present_kernels()) {
        for (const Test& test : tests) {
            double worst = 0;
            for (unsigned seed = 0; seed < repetitions; ++seed) {
                Case c(seed);
                const double error = test.run(c, *kernels);
                if (!(error <= test.tolerance)) {
                    std::printf("FAILED %s %s, seed %u: %g\n", kernels->name, test.name, seed, error);
                    ++failures;
                }
                worst = std::max(worst, error);
            }
            std::printf("%s %s: %g\n", kernels->name, test.name, worst);
        }
    }
    return failures;
}

}  // namespace
}  // namespace litehrnet

int main(int count, char** words) { return litehrnet::run_all(count > 1 ? static_cast<unsigned>(std::atoi(words[1])) : 100) ? 1 : 0; }
