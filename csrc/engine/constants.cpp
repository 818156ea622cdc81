#include "constants.h"

#include <algorithm>

#include "kernels.h"

namespace litehrnet {
namespace {

constexpr std::size_t block_floats = std::size_t{1} << 18;  // 1 MiB

std::size_t size_of(const Constant& constant) {
    std::size_t size = 1;
    for (const std::int32_t side : constant.shape) size *= static_cast<std::size_t>(side);
    return size;
}

}  // namespace

// Takes a whole number of cache lines.
void* Constants::take(std::size_t floats) {
    floats = (floats + slack_floats - 1) / slack_floats * slack_floats;
    if (floats > left_) {
        left_ = std::max(floats, block_floats);
        next_ = blocks_.emplace_back(allocate_aligned<float>(left_)).get();
    }
    float* place = next_;
    next_ += floats;
    left_ -= floats;
    return place;
}

const float* Constants::keep(const Constant& constant) {
    return keep(std::vector<float>(constant.values, constant.values + size_of(constant)));
}

const float* Constants::keep_packed(const Constant& weight) { return keep_packed_groups(weight, 1, weight.shape[1]); }

const float* Constants::keep_packed_groups(const Constant& weight, std::int32_t products, std::int32_t group) {
    const std::int32_t outputs = weight.shape[0] / products, inputs = weight.shape[1];
    const std::int32_t blocks = block_count(outputs, tile_rows_);
    std::vector<float> packed;
    packed.reserve(size_of(weight));
    for (std::int64_t first = 0; first < weight.shape[0]; first += outputs)
        for (std::int32_t begin = 0; begin < inputs; begin += group)
            for (std::int32_t block = 0; block < blocks; ++block)
                for (std::int32_t k = begin; k < std::min(begin + group, inputs); ++k)
                    for (std::int32_t m = block_begin(outputs, blocks, block); m < block_begin(outputs, blocks, block + 1);
                         ++m)
                        packed.push_back(weight.values[(first + m) * inputs + k]);
    return keep(packed);
}

const std::uint32_t* Constants::keep_packed_pairs(const Constant& weight) {
    const std::int32_t outputs = weight.shape[0], inputs = weight.shape[1];
    const std::int32_t blocks = block_count(outputs, tile_rows_);
    std::vector<std::uint32_t> packed;
    packed.reserve(static_cast<std::size_t>(outputs) * pair_count(inputs));
    for (std::int32_t block = 0; block < blocks; ++block)
        for (std::int32_t k = 0; k < inputs; k += 2)
            for (std::int32_t m = block_begin(outputs, blocks, block); m < block_begin(outputs, blocks, block + 1);
                 ++m) {
                const float* pair = weight.values + static_cast<std::int64_t>(m) * inputs + k;
                const std::uint32_t upper = k + 1 < inputs ? bf16_bits(pair[1]) : 0;
                packed.push_back(upper << 16 | bf16_bits(pair[0]));
            }
    return keep(packed);
}

const float* Constants::keep_transposed(const Constant& weight) {
    const std::int32_t outputs = weight.shape[0], inputs = weight.shape[1], row = dense_row(outputs);
    std::vector<float> transposed(static_cast<std::size_t>(row) * inputs);
    for (std::int32_t i = 0; i < inputs; ++i)
        for (std::int32_t o = 0; o < outputs; ++o) transposed[i * row + o] = weight.values[o * inputs + i];
    return keep(transposed);
}

const float* Constants::keep_padded(const Constant& rows) {
    const std::int32_t floats = rows.shape.back(), row = dense_row(floats);
    std::vector<float> padded(size_of(rows) / static_cast<std::size_t>(floats) * static_cast<std::size_t>(row));
    for (std::size_t i = 0; i < size_of(rows); ++i) padded[i / floats * row + i % floats] = rows.values[i];
    return keep(padded);
}

}  // namespace litehrnet
