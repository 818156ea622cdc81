// What steps read besides planes: weights, biases, lists of places.
//
// They are stored in the order in which the steps read them. CPUs prefetch memory that is read in order, which matters
// when other work has replaced the caches since the last image.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "aligned.h"
#include "program.h"

namespace litehrnet {

class Constants {
public:
    explicit Constants(std::int32_t tile_rows) : tile_rows_(tile_rows) {}

    template <typename T>
    const T* keep(const std::vector<T>& values) {
        static_assert(sizeof(T) == sizeof(float));
        return static_cast<const T*>(std::memcpy(take(values.size()), values.data(), values.size() * sizeof(T)));
    }

    const Place* keep(const Planes& planes) { return planes.places.empty() ? nullptr : keep(planes.places); }
    const float* keep(const Constant& constant);
    const float* keep_packed(const Constant& weight);                // for Pointwise
    // For `products` of DenseConvolution with as many outputs each; `group` is the number of inputs of a group.
    const float* keep_packed_groups(const Constant& weight, std::int32_t products, std::int32_t group);
    const std::uint32_t* keep_packed_pairs(const Constant& weight);  // for PointwiseBf16
    const float* keep_transposed(const Constant& weight);            // for SpatialWeighting
    const float* keep_padded(const Constant& rows);  // one row, or several of the same length

private:
    void* take(std::size_t floats);

    std::int32_t tile_rows_;
    std::vector<Aligned<float>> blocks_;
    float* next_ = nullptr;
    std::size_t left_ = 0;
};

}  // namespace litehrnet
