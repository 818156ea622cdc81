// Operations of several branches, forward and backward: units of conditional channel weighting, and the exchange.
#pragma once

#include "layers.h"

namespace litehrnet::training {

// How many times larger the sides of one are.
Int factor_between(const Shape& large, const Shape& small);

// One branch of conditional channel weighting, of `channels` channels in either half.
struct UnitBranch {
    const float* kernel;
    TrackedNorm norm;
    SpatialWeighting layers;
    std::shared_ptr<const void> owner;

    Int channels() const { return norm.channels; }
    Int gradients() const { return 12 * channels() + layers.reduced * (2 * channels() + 1); }
};

// Conditional channel weighting of all branches, each twice as large as the next one. A sigmoid stands between the
// result of `cross` and the cells; the caller computes it.
class WeightingUnit {
public:
    WeightingUnit(Path cross, std::vector<UnitBranch> branches)
        : cross_(std::move(cross)), branches_(std::move(branches)) {}

    // All take the same `shapes`, of the branches.
    Shape cells(const std::vector<Shape>& shapes) const;
    Int bytes(const std::vector<Shape>& shapes) const;
    Int gradients() const;

    // Writes what the sigmoid is applied to.
    void forward_cross(const Run& run, const std::vector<Images>& branches, std::byte* memory, float* logits) const;
    void forward(const Run& run, const std::vector<Images>& branches, const float* cells, std::byte* memory,
                 const std::vector<float*>& outputs) const;
    // Writes the gradients of cells and parameters, and of the branches but for the way through `cross`.
    void backward(const Run& run, const std::vector<Images>& branches, const float* cells, std::byte* memory,
                  const std::vector<float*>& doutputs, const std::vector<float*>& dbranches, float* dcells,
                  float* gradients) const;
    // Adds the way through `cross`.
    void backward_cross(const Run& run, const std::vector<Images>& branches, const float* dlogits, std::byte* memory,
                        const std::vector<float*>& dbranches, float* gradients) const;

private:
    struct Layout;
    Layout layout(Memory& memory, const std::vector<Shape>& shapes) const;

    Path cross_;
    std::vector<UnitBranch> branches_;
};

// A term of an output: the path of a source without its last normalization, which the sum applies, enlarged by `factor`
// and multiplied by `weight`.
struct PathTerm {
    Int source;
    Path path;
    Int factor;
    float weight;
};

// Output 0 is ReLU(twice branch 0 plus its terms), output i ReLU(branch i plus its terms). Source 0 of the terms of
// lower outputs is output 0, with its ReLU if `rectified`.
class Exchange {
public:
    Exchange(std::vector<std::vector<PathTerm>> terms, bool rectified);

    Int bytes(const std::vector<Shape>& shapes) const;
    Int gradients() const;
    void forward(const Run& run, std::vector<Images> branches, std::byte* memory,
                 const std::vector<float*>& outputs) const;
    void backward(const Run& run, std::vector<Images> branches, std::byte* memory, const std::vector<float*>& outputs,
                  const std::vector<float*>& doutputs, const std::vector<float*>& dbranches, float* gradients) const;

private:
    struct Layout;
    Layout layout(Memory& memory, const std::vector<Shape>& shapes) const;
    bool keeps_sum() const { return !rectified_; }

    std::vector<std::vector<PathTerm>> terms_;
    bool rectified_;
};

}  // namespace litehrnet::training
