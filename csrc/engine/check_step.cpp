// What every kind of step reads, writes and holds. This is the only definition: Python asks it too (_native.check).
//
//   kind                reads                  writes               constants
//   stem                image (no places)      out                  normalization; weight, bias of six convolutions
//   pointwise           in, [addend], (kernel) out                  [weight], bias
//   depthwise           in, [channel weight],  out, [means]         [weight (channels, 9, 25, 49 or 81)], bias
//                       (kernel)
//   pool                in                     out
//   spatial_weighting   in, means              out                  weight, bias, weight, bias, [scale, offset]
//   enlarge             [addend], in           out
//   fuse_first          in, lower              out, one per lower   weight, bias per lower branch
//   enlarge_bilinear    addend, in             out
//   means               in, [channel weight]   means
//   mix_kernels         means                  kernel               weight, bias, weight, bias, kernels
//   context             in, logits             means, or out
//   image               image (no places)      out                  normalization
//   convolution         in, [addend]           out                  weight, bias
//   transposed          in                     out                  weight, bias
//   max_pool            in                     out
//   add                 a, b                   out
//
// An operand in brackets may be absent. A step has either a kernel, one plane of one row, or a weight.
#include <vector>

#include "program.h"

namespace litehrnet {
namespace {

using Shape = std::vector<std::int32_t>;

bool same_size(const Planes& a, const Planes& b) { return a.height == b.height && a.width == b.width; }

void require_operands(const Step& step, std::size_t reads, std::size_t writes) {
    require(step.reads.size() == reads && step.writes.size() == writes, "has another number of inputs or outputs");
}

void require_constants(const Step& step, const std::vector<Shape>& shapes) {
    require(step.constants.size() == shapes.size(), "has another number of constants");
    for (std::size_t i = 0; i < shapes.size(); ++i)
        require(step.constants[i].shape == shapes[i], "has a constant of another shape");
}

void require_addend(const Planes& addend, const Planes& out) {
    if (addend.places.empty()) return;
    require(addend.count() == out.count() && same_size(addend, out), "adds planes that do not fit");
}

void require_size(const Planes& in, const Planes& out, std::int32_t stride) {
    require(out.height == (in.height + stride - 1) / stride && out.width == (in.width + stride - 1) / stride,
            "writes planes that do not fit");
}

void require_strided(const Planes& in, const Planes& out, std::int32_t stride) {
    require(in.count() == out.count(), "writes planes that do not fit");
    require_size(in, out, stride);
}

void require_means(const Planes& means, const Planes& of) {
    require(means.count() == 1 && means.height == 1 && means.width == of.count(), "has another number of means");
}

// The weight of `floats` numbers and the bias; the weight may be a plane that another step has computed.
void require_weights(const Step& step, const Shape& weight) {
    const std::int32_t outputs = weight[0];
    if (step.reads.size() < 3) return require_constants(step, {weight, {outputs}});
    const Planes& kernel = step.reads[2];
    require(kernel.count() == 1 && kernel.height == 1 && kernel.width == std::int64_t{outputs} * weight[1],
            "has a kernel of another size");
    require_constants(step, {{outputs}});
}

void require_channel_weight(const Planes& in, const Planes& weight) {
    if (!weight.places.empty())
        require(weight.count() == in.count() && shift_between(in, weight) >= 0, "has channel weights that do not fit");
}

void require_image(const Planes& image, const Program& program) {
    require(image.places.empty() && image.width == program.width && image.height == program.height,
            "reads an image of another size than the program");
}

void check_stem(const Step& step, const Program& program) {
    require_operands(step, 1, 1);
    const Planes& out = step.writes[0];
    require_image(step.reads[0], program);
    require(out.count() == Stem::channels && out.width == (program.width + 3) / 4 &&
                out.height == (program.height + 3) / 4,
            "writes planes that do not fit");
    require_constants(step, {{2, 3}, {32, 27}, {32}, {16, 9}, {16}, {16, 16}, {16}, {32, 16}, {32}, {32, 9}, {32},
                             {16, 32}, {16}});
}

void check_pointwise(const Step& step) {
    require_operands(step, step.reads.size() == 3 ? 3 : 2, 1);
    const Planes &in = step.reads[0], &out = step.writes[0];
    require(in.count() > 0 && same_size(in, out), "reads planes that do not fit");
    require_addend(step.reads[1], out);
    require_weights(step, {out.count(), in.count()});
}

void check_depthwise(const Step& step) {
    require_operands(step, step.reads.size() == 3 ? 3 : 2, 2);
    const Planes &in = step.reads[0], &weight = step.reads[1], &out = step.writes[0], &means = step.writes[1];
    require(step.stride == 1 || step.stride == 2, "has an unknown stride");
    require_strided(in, out, step.stride);
    require(step.stride == 1 || weight.places.empty(), "has channel weights that do not fit");
    require_channel_weight(in, weight);
    if (!means.places.empty()) require_means(means, out);
    const std::int32_t size = kernel_size(step);
    require(size > 0, "has kernels of an unknown size");
    require_weights(step, {out.count(), size * size});
}

void check_pool(const Step& step) {
    require_operands(step, 1, 1);
    require(step.reads[0].count() == step.writes[0].count() && shift_between(step.reads[0], step.writes[0]) >= 0,
            "pools to planes that do not fit");
    require_constants(step, {});
}

std::int32_t hidden_channels(const Step& step) {
    require(!step.constants.empty() && !step.constants[0].shape.empty(), "has no weights");
    return step.constants[0].shape[0];
}

void check_spatial_weighting(const Step& step) {
    require_operands(step, 2, 1);
    const Planes &in = step.reads[0], &out = step.writes[0];
    require(in.count() == out.count() && same_size(in, out), "writes planes that do not fit");
    require_means(step.reads[1], out);
    const std::int32_t hidden = hidden_channels(step), channels = out.count();
    require(hidden <= channels, "has too many hidden channels");
    std::vector<Shape> shapes{{hidden, channels}, {hidden}, {channels, hidden}, {channels}};
    if (step.constants.size() == 6) shapes.insert(shapes.end(), {{channels}, {channels}});
    require_constants(step, shapes);
}

void check_fuse_first(const Step& step) {
    require(step.reads.size() == 2 && step.writes.size() >= 2 && step.writes.size() <= 1 + FuseFirst::most,
            "has another number of inputs or outputs");
    const Planes &in = step.reads[0], &lower = step.reads[1], &out = step.writes[0];
    require(in.count() == out.count() && same_size(in, out), "writes planes that do not fit");
    require(lower.count() == out.count() && shift_between(out, lower) == 1, "enlarges planes that do not fit");
    std::vector<Shape> shapes;
    for (std::size_t i = 1; i < step.writes.size(); ++i) {
        require_strided(out, step.writes[i], 2);
        shapes.insert(shapes.end(), {{out.count(), 9}, {out.count()}});
    }
    require_constants(step, shapes);
}

void check_enlarge(const Step& step) {
    require_operands(step, 2, 1);
    const Planes &addend = step.reads[0], &in = step.reads[1], &out = step.writes[0];
    require(in.count() == out.count() && shift_between(out, in) == 1, "enlarges planes that do not fit");
    require_addend(addend, out);
    require(step.kind == Kind::enlarge || !addend.places.empty(), "adds to nothing");
    require_constants(step, {});
}

void check_means(const Step& step) {
    require_operands(step, 2, 1);
    require(step.reads[0].count() > 0, "reads nothing");
    require_channel_weight(step.reads[0], step.reads[1]);
    require_means(step.writes[0], step.reads[0]);
    require_constants(step, {});
}

void check_mix_kernels(const Step& step) {
    require_operands(step, 1, 1);
    const Planes &means = step.reads[0], &out = step.writes[0];
    require(means.count() == 1 && means.height == 1 && out.count() == 1 && out.height == 1, "mixes planes");
    require(step.constants.size() == 5 && !step.constants[4].shape.empty(), "has another number of constants");
    const std::int32_t hidden = hidden_channels(step), kernels = step.constants[4].shape[0];
    require_constants(step, {{hidden, means.width}, {hidden}, {kernels, hidden}, {kernels}, {kernels, out.width}});
}

void check_context(const Step& step) {
    require_operands(step, 2, 1);
    const Planes &in = step.reads[0], &logits = step.reads[1], &out = step.writes[0];
    require(in.count() > 0 && logits.count() == 1 && same_size(in, logits), "reads planes that do not fit");
    if (!writes_means(step))
        require(out.count() == in.count() && shift_between(in, out) >= 0, "writes planes that do not fit");
    require_constants(step, {});
}

void check_image(const Step& step, const Program& program) {
    require_operands(step, 1, 1);
    require_image(step.reads[0], program);
    require(step.writes[0].count() == 3 && same_size(step.reads[0], step.writes[0]), "writes planes that do not fit");
    require_constants(step, {{2, 3}});
}

void check_convolution(const Step& step) {
    require_operands(step, 2, 1);
    const Planes &in = step.reads[0], &out = step.writes[0];
    require(step.stride == 1 || step.stride == 2, "has an unknown stride");
    require(in.count() > 0, "reads nothing");
    require_size(in, out, step.stride);
    require_addend(step.reads[1], out);
    require_constants(step, {{out.count(), 9 * in.count()}, {out.count()}});
}

void check_transposed(const Step& step) {
    require_operands(step, 1, 1);
    const Planes &in = step.reads[0], &out = step.writes[0];
    require(in.count() > 0 && shift_between(out, in) == 1, "writes planes that do not fit");
    require_constants(step, {{4 * out.count(), 4 * in.count()}, {out.count()}});
}

void check_max_pool(const Step& step) {
    require_operands(step, 1, 1);
    require_strided(step.reads[0], step.writes[0], 2);
    require_constants(step, {});
}

void check_add(const Step& step) {
    require_operands(step, 2, 1);
    const Planes& out = step.writes[0];
    for (const Planes& in : step.reads)
        require(in.count() == out.count() && same_size(in, out), "adds planes that do not fit");
    require_constants(step, {});
}

// Whether steps of this kind end with this activation.
bool allows(Kind kind, Activation activation) {
    if (activation == Activation::none) return true;
    if (kind == Kind::spatial_weighting) return activation == Activation::hard_sigmoid;
    if (kind == Kind::fuse_first) return activation == Activation::relu;
    return kind == Kind::pointwise || kind == Kind::depthwise || kind == Kind::convolution ||
           kind == Kind::transposed || kind == Kind::add;
}

}  // namespace

std::int32_t kernel_size(const Step& step) {
    std::int64_t floats = 0;
    if (step.reads.size() == 3)
        floats = step.reads[2].width % step.writes[0].count() ? 0 : step.reads[2].width / step.writes[0].count();
    else if (!step.constants.empty() && step.constants[0].shape.size() == 2)
        floats = step.constants[0].shape[1];
    for (std::int32_t size = 3; size <= 1 + 2 * most_reach; size += 2)
        if (floats == size * size) return size;
    return 0;
}

bool writes_means(const Step& step) {
    const Planes& out = step.writes[0];
    return out.count() == 1 && out.height == 1 && out.width == step.reads[0].count();
}

int shift_between(const Planes& large, const Planes& small) {
    for (int shift = 0; shift <= most_shift; ++shift)
        if (large.height == small.height << shift && large.width == small.width << shift) return shift;
    return -1;
}

void check_step(const Step& step, const Program& program) {
    require(!step.writes.empty() && !step.writes[0].places.empty(), "writes nothing");
    require(allows(step.kind, step.activation), "has an activation");
    require(step.stride == 1 || step.kind == Kind::depthwise || step.kind == Kind::convolution, "has a stride");
    switch (step.kind) {
        case Kind::stem: return check_stem(step, program);
        case Kind::pointwise: return check_pointwise(step);
        case Kind::depthwise: return check_depthwise(step);
        case Kind::pool: return check_pool(step);
        case Kind::spatial_weighting: return check_spatial_weighting(step);
        case Kind::fuse_first: return check_fuse_first(step);
        case Kind::enlarge:
        case Kind::enlarge_bilinear: return check_enlarge(step);
        case Kind::means: return check_means(step);
        case Kind::mix_kernels: return check_mix_kernels(step);
        case Kind::context: return check_context(step);
        case Kind::image: return check_image(step, program);
        case Kind::convolution: return check_convolution(step);
        case Kind::transposed: return check_transposed(step);
        case Kind::max_pool: return check_max_pool(step);
        case Kind::add: return check_add(step);
    }
    refuse("is of an unknown kind");
}

}  // namespace litehrnet
