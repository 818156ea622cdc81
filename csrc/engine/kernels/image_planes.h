// The image as three normalized planes.
#pragma once

#include "../kernels.h"

namespace litehrnet {
namespace {

void image_planes(const ImagePlanes& s, const std::uint8_t* image, float* arena) {
    for (int c = 0; c < 3; ++c) {
        float* out = arena + s.out[c];
        const float scale = s.scale[c], offset = s.offset[c];
        for (std::int64_t i = s.begin; i < s.end; ++i) out[i] = image[3 * i + c] * scale + offset;
    }
}

}  // namespace
}  // namespace litehrnet
