#include "sharing.h"

#include <algorithm>

namespace litehrnet {
namespace {

struct Sharing {
    Share share;
    const Kernels& kernels;
    Place scratch;

    ReadyStep operator()(Pointwise s) const {
        s = part_of(s, [](std::int32_t) {});
        s.scratch += scratch;
        return s;
    }

    ReadyStep operator()(PointwiseBf16 s) const {
        s.product = part_of(s.product, [&](std::int32_t first) { s.weight += first * pair_count(s.product.inputs); });
        s.scratch += scratch;
        return s;
    }

    ReadyStep operator()(Depthwise s) const {
        const std::int32_t first = take(s.channels);
        s.in += first;
        s.out += first;
        if (s.channel_weight) s.channel_weight += first;
        if (s.means) s.means += first;
        s.scratch += scratch;
        if (s.weight) s.weight += s.size * s.size * first;
        if (s.kernel) s.kernel += s.size * s.size * first;
        s.bias += first;
        return s;
    }

    ReadyStep operator()(Pool s) const {
        const std::int32_t first = take(s.channels);
        s.in += first;
        s.out += first;
        return s;
    }

    // Every share computes the dense layers: they are too small to wait for.
    ReadyStep operator()(SpatialWeighting s) const {
        s.begin = share.begin(s.channels);
        s.end = share.end(s.channels);
        s.scratch += scratch;
        return s;
    }

    ReadyStep operator()(Enlarge s) const {
        const std::int32_t first = take(s.channels);
        if (s.addend) s.addend += first;
        s.in += first;
        s.out += first;
        return s;
    }

    ReadyStep operator()(FuseFirst s) const {
        const std::int32_t first = take(s.channels);
        s.in += first;
        s.lower += first;
        s.out += first;
        for (int b = 0; b < s.branches; ++b) {
            s.lowered[b] += first;
            s.weight[b] += 9 * first;
            s.bias[b] += first;
        }
        return s;
    }

    ReadyStep operator()(EnlargeBilinear s) const {
        const std::int32_t first = take(s.channels);
        s.addend += first;
        s.in += first;
        s.out += first;
        return s;
    }

    ReadyStep operator()(Means s) const {
        const std::int32_t first = take(s.channels);
        s.in += first;
        if (s.channel_weight) s.channel_weight += first;
        s.out += first;
        return s;
    }

    ReadyStep operator()(MixKernels s) const {
        if (share.index > 0) s.floats = 0;
        return s;
    }

    // Every share computes the softmax.
    ReadyStep operator()(Context s) const {
        s.begin = share.begin(s.channels);
        s.end = share.end(s.channels);
        s.scratch += scratch;
        return s;
    }

    ReadyStep operator()(Stem s) const {
        // A vector that reaches into the next row would overwrite values of another share.
        const bool whole_vectors = (s.width + 3) / 4 % kernels.vector_floats == 0;
        s.begin = whole_vectors ? share.begin(s.end) : 0;
        s.end = whole_vectors ? share.end(s.end) : share.index == 0 ? s.end : 0;
        s.scratch += scratch;
        return s;
    }

    ReadyStep operator()(ImagePlanes s) const {
        const std::int32_t pixels = s.end;
        s.begin = share.begin(pixels);
        s.end = share.end(pixels);
        return s;
    }

    ReadyStep operator()(DenseConvolution s) const {
        s.product = part_of(s.product, [&](std::int32_t first) { s.first_output = first; });
        s.copies.offset = scratch;
        return s;
    }

    // By outputs: interleaved rows of two shares would overlap.
    ReadyStep operator()(Transposed s) const {
        s.phase.product = outputs_of(s.phase.product, [&](std::int32_t first) {
            s.phase.first_output = first;
            s.out += first;
        });
        s.phase.copies.offset = scratch;
        return s;
    }

    ReadyStep operator()(MaxPool s) const {
        const std::int32_t first = take(s.channels);
        s.in += first;
        s.out += first;
        return s;
    }

    ReadyStep operator()(Add s) const {
        const std::int32_t first = take(s.channels);
        s.a += first;
        s.b += first;
        s.out += first;
        return s;
    }

private:
    // Returns the first channel of this share, and replaces `channels` by their number.
    std::int32_t take(std::int32_t& channels) const {
        const std::int32_t first = share.begin(channels);
        channels = share.end(channels) - first;
        return first;
    }

    // Divides the pixels into whole vectors, or the outputs if there are few pixels, and then calls skip(first output).
    template <typename Skip>
    Pointwise part_of(Pointwise s, Skip skip) const {
        const std::int32_t vectors = (s.end + kernels.vector_floats - 1) / kernels.vector_floats;
        if (vectors < 3 * share.of) return outputs_of(s, skip);
        s.begin = share.begin(vectors) * kernels.vector_floats;
        s.end = std::min(share.end(vectors) * kernels.vector_floats, s.end);
        return s;
    }

    template <typename Skip>
    Pointwise outputs_of(Pointwise s, Skip skip) const {
        const std::int32_t blocks = block_count(s.outputs, kernels.tile_rows);
        std::int32_t first = block_begin(s.outputs, blocks, share.begin(blocks));
        std::int32_t outputs = block_begin(s.outputs, blocks, share.end(blocks)) - first;
        if (!keeps_blocks(s.outputs)) first = 0, outputs = share.index == 0 ? s.outputs : 0;
        if (s.weight) s.weight += first * s.inputs;
        if (s.kernel) s.kernel += first * s.inputs;
        skip(first);
        s.bias += first;
        if (s.addend) s.addend += first;
        s.out += first;
        s.outputs = outputs;
        return s;
    }

    // Whether the blocks of every share are blocks of the packed weights too.
    bool keeps_blocks(std::int32_t outputs) const {
        const std::int32_t blocks = block_count(outputs, kernels.tile_rows);
        for (std::int32_t i = 0; i < share.of; ++i) {
            const Share other{i, share.of};
            const std::int32_t begin = other.begin(blocks), count = other.end(blocks) - begin;
            const std::int32_t first = block_begin(outputs, blocks, begin);
            const std::int32_t own = block_begin(outputs, blocks, begin + count) - first;
            if (block_count(own, kernels.tile_rows) != count) return false;
            for (std::int32_t block = 0; block < count; ++block)
                if (first + block_begin(own, count, block) != block_begin(outputs, blocks, begin + block)) return false;
        }
        return true;
    }
};

}  // namespace

ReadyStep share_of(const ReadyStep& step, Share share, const Kernels& kernels, std::int64_t scratch) {
    return std::visit(Sharing{share, kernels, static_cast<Place>(scratch * share.index)}, step);
}

}  // namespace litehrnet
