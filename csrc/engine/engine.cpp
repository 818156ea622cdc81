#include "engine.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <tuple>
#include <utility>

#include "float_state.h"

namespace litehrnet {
namespace {

constexpr std::int64_t arena_margin = 8 * slack_floats;  // kernels may read, but not use, vectors after the last plane

// Sixteen tiles of the widest vectors: every band copies a row above and one below its own. Transposed convolutions have
// bands of whole rows, of about four tiles, as their results are in scratch too.
std::int32_t band_pixels(const Step& step) {
    constexpr std::int32_t tile = 3 * slack_floats;
    const std::int32_t width = step.reads[0].width;
    return step.kind == Kind::transposed ? std::max(4 * tile / width, 1) * width : 16 * tile;
}

std::int64_t copy_pitch(const Step& step) {
    const std::int32_t width = (step.reads[0].width + step.stride - 1) / step.stride;
    return plane_floats(std::int64_t{copied_rows(band_pixels(step), width)} * width);
}

std::int64_t convolution_scratch(const Step& step) {
    const std::int64_t results = step.kind == Kind::transposed ? 4 * step.writes[0].count() : 0;
    const std::int64_t planes = std::min(step.reads[0].count(), ShiftedCopies::most_planes);
    return (3 * step.stride * planes + results) * copy_pitch(step) + 2 * slack_floats;
}

std::int64_t scratch_floats(const Step& step) {
    const Planes& first = step.reads[0];
    switch (step.kind) {
        case Kind::stem: return stem_scratch(first.width);
        case Kind::pointwise:
            return std::max(pointwise_scratch(first.count()),
                            step.reads.size() == 3 ? step.reads[2].pixels() + slack_floats : 0);
        case Kind::depthwise:
            return depthwise_scratch(first.height, first.width, kernel_size(step), step.stride);
        case Kind::spatial_weighting: return 2 * (dense_row(first.count()) + slack_floats);
        case Kind::mix_kernels:
            return dense_row(step.constants[0].shape[0]) + dense_row(step.constants[2].shape[0]) + slack_floats;
        case Kind::context: return first.pixels() + 2 * slack_floats;
        case Kind::convolution:
        case Kind::transposed: return convolution_scratch(step);
        case Kind::pool:
        case Kind::enlarge:
        case Kind::fuse_first:
        case Kind::enlarge_bilinear:
        case Kind::means:
        case Kind::image:
        case Kind::max_pool:
        case Kind::add: return 0;
    }
    refuse("it has a step of an unknown kind");
}

}  // namespace

Arena::Arena(std::int64_t floats) : memory_(allocate_aligned<float>(static_cast<std::size_t>(floats))) {
    std::fill_n(memory_.get(), floats, 0.0f);
}

Engine::Engine(const Program& program, const Kernels& kernels, Precision precision, int shares)
    : kernels_(kernels),
      precision_(precision),
      constants_(kernels.tile_rows),
      scratch_(static_cast<Place>(program.arena_floats)),
      image_bytes_(std::int64_t{3} * program.width * program.height),
      output_(program.output) {
    if (precision == Precision::bfloat16 && !kernels.pointwise_bf16)
        refuse(std::string("the ") + kernels.name + " kernels have no bfloat16 (a CPU with AVX512-BF16 has)");
    std::int64_t scratch = 0;
    for (const Step& step : program.steps)
        scratch = std::max(scratch, (scratch_floats(step) + slack_floats - 1) / slack_floats * slack_floats);
    arena_floats_ = program.arena_floats + std::max(shares, 1) * scratch + arena_margin;
    require(arena_floats_ <= largest_arena, "its arena has an impossible size");
    for (const Step& step : program.steps) steps_.push_back(prepare(step));
    if (shares < 2) return;
    for (const ReadyStep& step : steps_)
        for (int index = 0; index < shares; ++index)
            shares_.push_back(share_of(step, {index, shares}, kernels, scratch));
}

void Engine::run(const std::uint8_t* image, float* heatmaps, Arena& arena) const {
    const FloatState state;
    for (const ReadyStep& step : steps_) run_step(step, image, arena.data());
    copy_heatmaps(heatmaps, arena);
}

void Engine::run_shares(const std::uint8_t* image, Arena& arena, Turns& turns) const {
    const FloatState state;
    turns.take([&](std::int64_t turn) { run_step(shares_[static_cast<std::size_t>(turn)], image, arena.data()); });
}

void Engine::copy_heatmaps(float* heatmaps, const Arena& arena) const {
    const auto pixels = static_cast<std::size_t>(output_.pixels());
    for (std::size_t i = 0; i < output_.places.size(); ++i)
        std::memcpy(heatmaps + i * pixels, arena.data() + output_.places[i], pixels * sizeof(float));
}

void Engine::profile(const std::uint8_t* image, double* seconds, Arena& arena) const {
    using Clock = std::chrono::steady_clock;
    const FloatState state;
    auto before = Clock::now();
    for (const ReadyStep& step : steps_) {
        run_step(step, image, arena.data());
        const auto after = Clock::now();
        *seconds++ = std::chrono::duration<double>(after - before).count();
        before = after;
    }
}

void Engine::run_step(const ReadyStep& step, const std::uint8_t* image, float* memory) const {
    struct Run {
        const Kernels& k;
        const std::uint8_t* image;
        float* arena;
        void operator()(const Pointwise& s) const { k.pointwise(s, arena); }
        void operator()(const PointwiseBf16& s) const { k.pointwise_bf16(s, arena); }
        void operator()(const Depthwise& s) const { k.depthwise(s, arena); }
        void operator()(const Pool& s) const { k.pool(s, arena); }
        void operator()(const SpatialWeighting& s) const { k.spatial_weighting(s, arena); }
        void operator()(const Enlarge& s) const { k.enlarge(s, arena); }
        void operator()(const FuseFirst& s) const { k.fuse_first(s, arena); }
        void operator()(const EnlargeBilinear& s) const { k.enlarge_bilinear(s, arena); }
        void operator()(const Means& s) const { k.means(s, arena); }
        void operator()(const MixKernels& s) const { k.mix_kernels(s, arena); }
        void operator()(const Context& s) const { k.context(s, arena); }
        void operator()(const Stem& s) const { k.stem(s, image, arena); }
        void operator()(const ImagePlanes& s) const { k.image_planes(s, image, arena); }
        void operator()(const DenseConvolution& s) const { k.convolution(s, arena); }
        void operator()(const Transposed& s) const { k.transposed(s, arena); }
        void operator()(const MaxPool& s) const { k.max_pool(s, arena); }
        void operator()(const Add& s) const { k.add(s, arena); }
    };
    std::visit(Run{kernels_, image, memory}, step);
}

ReadyStep Engine::prepare(const Step& step) {
    const Planes &first = step.reads[0], &out = step.writes[0];
    switch (step.kind) {
        case Kind::stem: return prepare_stem(step);
        case Kind::pointwise: return prepare_pointwise(step);
        case Kind::depthwise: return prepare_depthwise(step);
        case Kind::pool:
            return Pool{.in = keep(first), .out = keep(out), .channels = out.count(), .height = out.height,
                        .width = out.width, .shift = shift_between(first, out)};
        case Kind::spatial_weighting: return prepare_spatial_weighting(step);
        case Kind::enlarge: {
            const Planes& in = step.reads[1];
            return Enlarge{.addend = keep(first), .in = keep(in), .out = keep(out), .channels = in.count(),
                           .height = in.height, .width = in.width};
        }
        case Kind::fuse_first: return prepare_fuse_first(step);
        case Kind::enlarge_bilinear: return prepare_enlarge_bilinear(step);
        case Kind::means:
            return Means{.in = keep(first), .channel_weight = keep(step.reads[1]), .out = out.places[0],
                         .channels = first.count(), .height = first.height, .width = first.width,
                         .shift = step.reads[1].places.empty() ? 0 : shift_between(first, step.reads[1])};
        case Kind::mix_kernels: return prepare_mix_kernels(step);
        case Kind::context: return prepare_context(step);
        case Kind::image: {
            const float* normalization = keep(step.constants[0]);
            return ImagePlanes{.out = keep(out), .begin = 0, .end = static_cast<std::int32_t>(out.pixels()),
                               .scale = normalization, .offset = normalization + 3};
        }
        case Kind::convolution: return prepare_convolution(step);
        case Kind::transposed: return prepare_transposed(step);
        case Kind::max_pool:
            return MaxPool{.in = keep(first), .out = keep(out), .channels = out.count(), .height = first.height,
                           .width = first.width};
        case Kind::add:
            return Add{.a = keep(first), .b = keep(step.reads[1]), .out = keep(out), .channels = out.count(),
                       .pixels = static_cast<std::int32_t>(out.pixels()), .activation = step.activation};
    }
    refuse("it has a step of an unknown kind");
}

ReadyStep Engine::prepare_pointwise(const Step& step) {
    const Planes &in = step.reads[0], &out = step.writes[0];
    Pointwise ready{.in = keep(in), .addend = keep(step.reads[1]), .out = keep(out), .inputs = in.count(),
                    .outputs = out.count(), .begin = 0, .end = static_cast<std::int32_t>(out.pixels()),
                    .weight = nullptr, .bias = keep(step.constants.back()), .activation = step.activation,
                    .scratch = scratch_};
    if (step.reads.size() == 3) {
        ready.kernel = step.reads[2].places[0];
        return ready;
    }
    if (precision_ == Precision::bfloat16)
        return PointwiseBf16{
            .product = ready, .weight = constants_.keep_packed_pairs(step.constants[0]), .scratch = scratch_};
    ready.weight = keep_packed(step.constants[0]);
    return ready;
}

ReadyStep Engine::prepare_depthwise(const Step& step) {
    const Planes &in = step.reads[0], &weight = step.reads[1], &out = step.writes[0], &means = step.writes[1];
    return Depthwise{.in = keep(in), .channel_weight = keep(weight), .out = keep(out),
                     .means = means.places.empty() ? 0 : means.places[0], .scratch = scratch_, .channels = in.count(),
                     .height = in.height, .width = in.width, .stride = step.stride,
                     .size = kernel_size(step),
                     .shift = weight.places.empty() ? 0 : shift_between(in, weight),
                     .weight = step.constants.size() == 1 ? nullptr : keep(step.constants[0]),
                     .bias = keep(step.constants.back()),
                     .kernel = step.constants.size() == 1 ? step.reads[2].places[0] : 0,
                     .activation = step.activation};
}

ReadyStep Engine::prepare_stem(const Step& step) {
    const auto& constants = step.constants;
    const float* normalization = keep(constants[0]);
    const Planes &image = step.reads[0], &out = step.writes[0];
    return Stem{.out = keep(out), .scratch = scratch_, .height = image.height, .width = image.width, .begin = 0,
                .end = out.height, .scale = normalization, .offset = normalization + 3,
                .conv = keep_packed(constants[1]), .conv_bias = keep(constants[2]), .depthwise_a = keep(constants[3]),
                .depthwise_a_bias = keep(constants[4]), .pointwise_a = keep_packed(constants[5]),
                .pointwise_a_bias = keep(constants[6]), .expand = keep_packed(constants[7]),
                .expand_bias = keep(constants[8]), .depthwise_b = keep(constants[9]),
                .depthwise_b_bias = keep(constants[10]), .linear = keep_packed(constants[11]),
                .linear_bias = keep(constants[12])};
}

ReadyStep Engine::prepare_spatial_weighting(const Step& step) {
    const auto& [weight1, bias1, weight2, bias2] =
        std::tie(step.constants[0], step.constants[1], step.constants[2], step.constants[3]);
    const Planes &in = step.reads[0], &out = step.writes[0];
    const bool scaled = step.constants.size() == 6;
    return SpatialWeighting{.in = keep(in), .out = keep(out), .means = step.reads[1].places[0], .scratch = scratch_,
                            .channels = in.count(), .hidden = weight1.shape[0],
                            .pixels = static_cast<std::int32_t>(in.pixels()), .begin = 0, .end = in.count(),
                            .weight1 = constants_.keep_transposed(weight1), .bias1 = constants_.keep_padded(bias1),
                            .weight2 = constants_.keep_transposed(weight2), .bias2 = constants_.keep_padded(bias2),
                            .scale = scaled ? keep(step.constants[4]) : nullptr,
                            .offset = scaled ? keep(step.constants[5]) : nullptr,
                            .hard = step.activation == Activation::hard_sigmoid};
}

ReadyStep Engine::prepare_fuse_first(const Step& step) {
    const Planes &in = step.reads[0], &out = step.writes[0];
    FuseFirst ready{.in = keep(in), .lower = keep(step.reads[1]), .out = keep(out), .lowered = {},
                    .weight = {}, .bias = {}, .channels = in.count(), .height = in.height, .width = in.width,
                    .branches = static_cast<std::int32_t>(step.writes.size()) - 1,
                    .rectified = step.activation == Activation::relu};
    for (int b = 0; b < ready.branches; ++b) {
        ready.lowered[b] = keep(step.writes[b + 1]);
        ready.weight[b] = keep(step.constants[2 * b]);
        ready.bias[b] = keep(step.constants[2 * b + 1]);
    }
    return ready;
}

ReadyStep Engine::prepare_mix_kernels(const Step& step) {
    const auto& constants = step.constants;
    return MixKernels{.means = step.reads[0].places[0], .out = step.writes[0].places[0], .scratch = scratch_,
                      .inputs = constants[0].shape[1], .hidden = constants[0].shape[0],
                      .kernels = constants[2].shape[0], .floats = step.writes[0].width,
                      .weight1 = constants_.keep_transposed(constants[0]),
                      .bias1 = constants_.keep_padded(constants[1]),
                      .weight2 = constants_.keep_transposed(constants[2]),
                      .bias2 = constants_.keep_padded(constants[3]), .values = constants_.keep_padded(constants[4])};
}

ReadyStep Engine::prepare_context(const Step& step) {
    const Planes &in = step.reads[0], &out = step.writes[0];
    std::vector<Place> places = out.places;
    const bool means = writes_means(step);
    if (means)
        for (std::int32_t c = 1; c < in.count(); ++c) places.push_back(places[0] + c);
    const auto runs = static_cast<std::int32_t>(means ? 1 : out.pixels());
    return Context{.in = keep(in), .out = keep(places), .logits = step.reads[1].places[0], .scratch = scratch_,
                   .channels = in.count(), .runs = runs, .length = static_cast<std::int32_t>(in.pixels()) / runs,
                   .begin = 0, .end = in.count()};
}

ReadyStep Engine::prepare_enlarge_bilinear(const Step& step) {
    const Planes &addend = step.reads[0], &in = step.reads[1], &out = step.writes[0];
    const std::int32_t vector = kernels_.vector_floats, steps = 2 * in.width - 1;
    std::vector<std::int32_t> first, column;
    std::vector<float> share;
    for (std::int32_t x = 0; x < rounded_up(out.width, slack_floats); ++x) {
        const std::int32_t scaled = std::min(x, out.width - 1) * (in.width - 1);
        // The last column counts as the one before it with a share of 1, so that no column to its right is read.
        const std::int32_t before = std::min(scaled / steps, std::max(in.width - 2, 0));
        if (x % vector == 0) first.push_back(before);
        column.push_back(before - first.back());
        share.push_back(static_cast<float>(scaled - before * steps) / static_cast<float>(steps));
    }
    return EnlargeBilinear{.addend = keep(addend), .in = keep(in), .out = keep(out), .channels = in.count(),
                           .height = in.height, .width = in.width, .first = keep(first), .column = keep(column),
                           .share = keep(share)};
}

ShiftedCopies Engine::prepare_copies(const Step& step) {
    const Planes& in = step.reads[0];
    return ShiftedCopies{.in = keep(in), .inputs = in.count(), .height = in.height, .width = in.width,
                         .stride = step.stride, .band = band_pixels(step),
                         .pitch = static_cast<std::int32_t>(copy_pitch(step)), .scratch = scratch_ + slack_floats,
                         .offset = 0};
}

ReadyStep Engine::prepare_convolution(const Step& step) {
    const Planes &in = step.reads[0], &out = step.writes[0];
    const ShiftedCopies copies = prepare_copies(step);
    std::vector<Place> neighbors;
    for (std::int32_t plane = 0; plane < copies.planes_from(0); ++plane)
        for (std::int32_t i = 0; i < 9; ++i) neighbors.push_back(copies.place(plane, i / 3 - 1, i % 3));
    return DenseConvolution{.copies = copies,
                       .product = {.in = keep(neighbors), .addend = keep(step.reads[1]), .out = keep(out),
                                   .inputs = 9 * in.count(), .outputs = out.count(), .begin = 0,
                                   .end = static_cast<std::int32_t>(out.pixels()), .weight = nullptr,
                                   .bias = keep(step.constants[1]), .activation = step.activation},
                       .weight = constants_.keep_packed_groups(step.constants[0], 1, 9 * ShiftedCopies::most_planes),
                       .zeros = keep(std::vector<float>(out.places.size())), .taps = 9, .first_output = 0,
                       .all_outputs = out.count()};
}

ReadyStep Engine::prepare_transposed(const Step& step) {
    const Planes &in = step.reads[0], &out = step.writes[0];
    const ShiftedCopies copies = prepare_copies(step);
    const std::int32_t planes = copies.planes_from(0);
    std::vector<Place> neighbors, results;
    for (std::int32_t phase = 0; phase < 4; ++phase)
        for (std::int32_t plane = 0; plane < planes; ++plane)
            for (std::int32_t k = 0; k < 4; ++k)
                neighbors.push_back(copies.place(plane, phase / 2 - 1 + k / 2, phase % 2 + k % 2));
    for (std::int32_t m = 0; m < 4 * out.count(); ++m)
        results.push_back(copies.scratch + (3 * planes + m) * copies.pitch);
    const std::int32_t taps = 4;
    return Transposed{
        .phase = {.copies = copies,
                  .product = {.in = keep(neighbors), .addend = nullptr, .out = keep(results),
                              .inputs = taps * in.count(), .outputs = out.count(), .begin = 0,
                              .end = static_cast<std::int32_t>(in.pixels()), .weight = nullptr,
                              .bias = keep(step.constants[1]), .activation = step.activation},
                  .weight = constants_.keep_packed_groups(step.constants[0], 4, taps * ShiftedCopies::most_planes),
                  .zeros = keep(std::vector<float>(out.places.size())), .taps = taps, .first_output = 0,
                  .all_outputs = out.count()},
        .out = keep(out), .phase_inputs = taps * planes, .phase_weights = taps * in.count() * out.count()};
}

}  // namespace litehrnet
