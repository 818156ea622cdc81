#include "operations.h"

#include <algorithm>

namespace litehrnet::training {

namespace {

std::vector<Shape> shapes_of(const std::vector<Images>& branches) {
    std::vector<Shape> shapes;
    for (const Images& images : branches) shapes.push_back(images.shape);
    return shapes;
}

Shape half(const Shape& shape) { return {shape.images, shape.height, shape.width, shape.channels / 2}; }

}  // namespace

Int factor_between(const Shape& large, const Shape& small) {
    const Int factor = large.height / std::max<Int>(small.height, 1);
    require(factor > 0 && small.images == large.images && small.height * factor == large.height &&
                small.width * factor == large.width,
            "sizes of arrays are not multiples of one another");
    return factor;
}

struct WeightingUnit::Layout {
    Shape cells;
    std::vector<Int> firsts;  // the first of a branch's channels in the cells
    float* pooled;
    std::vector<Kept> cross;
    std::vector<float*> y;
    std::vector<double*> moments;

    Cells of(std::size_t branch, const Shape& shape, const float* values) const {
        return {values + firsts[branch], cells.channels, factor_between(shape, cells)};
    }
};

Shape WeightingUnit::cells(const std::vector<Shape>& shapes) const {
    require(shapes.size() == branches_.size(), "a unit has another number of branches");
    Shape cells = shapes.back();
    cells.channels = 0;
    for (std::size_t b = 0; b < shapes.size(); ++b) {
        require(shapes[b].channels == 2 * branches_[b].channels(), "a branch has another number of channels");
        factor_between(shapes[b], shapes.back());
        cells.channels += branches_[b].channels();
    }
    require(cross_.result(cells) == cells, "a unit's weights have another shape than its branches");
    return cells;
}

WeightingUnit::Layout WeightingUnit::layout(Memory& memory, const std::vector<Shape>& shapes) const {
    Layout layout{cells(shapes), {}, nullptr, {}, {}, {}};
    layout.pooled = memory.floats(layout.cells);
    layout.cross = cross_.keep(memory, layout.cells);
    Int first = 0;
    for (const Shape& shape : shapes) {
        layout.firsts.push_back(first);
        layout.y.push_back(memory.floats(half(shape)));
        layout.moments.push_back(memory.doubles(3 * shape.images * half(shape).channels));
        first += half(shape).channels;
    }
    return layout;
}

Int WeightingUnit::bytes(const std::vector<Shape>& shapes) const {
    Memory memory(nullptr);
    layout(memory, shapes);
    return memory.bytes();
}

Int WeightingUnit::gradients() const {
    Int count = cross_.gradients();
    for (const UnitBranch& branch : branches_) count += branch.gradients();
    return count;
}

void WeightingUnit::forward_cross(const Run& run, const std::vector<Images>& branches, std::byte* begin,
                                  float* logits) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(branches));
    for (std::size_t b = 0; b < branches.size(); ++b) {
        const Images& x = branches[b];
        run.kernels.pool_forward(half(x.shape), x.values, kept.pooled + kept.firsts[b], kept.cells.channels,
                                 factor_between(x.shape, kept.cells), run.threads_for(x));
    }
    cross_.forward(run, dense_images(kept.pooled, kept.cells), kept.cross, logits);
}

void WeightingUnit::forward(const Run& run, const std::vector<Images>& branches, const float* cells, std::byte* begin,
                            const std::vector<float*>& outputs) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(branches));
    for (std::size_t b = 0; b < branches.size(); ++b) {
        const Images& x = branches[b];
        const UnitBranch& branch = branches_[b];
        branch.norm.count(half(x.shape));
        run.kernels.unit_forward(half(x.shape), x.values, kept.of(b, x.shape, cells), branch.kernel, branch.norm.norm,
                                 branch.layers, kept.y[b], kept.moments[b], outputs[b], run.threads_for(x));
    }
}

void WeightingUnit::backward(const Run& run, const std::vector<Images>& branches, const float* cells, std::byte* begin,
                             const std::vector<float*>& doutputs, const std::vector<float*>& dbranches, float* dcells,
                             float* gradients) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(branches));
    gradients += cross_.gradients();
    for (std::size_t b = 0; b < branches.size(); ++b) {
        const Images& x = branches[b];
        const UnitBranch& branch = branches_[b];
        const Int c = branch.channels(), size = branch.layers.reduced * c;
        float* weight1 = gradients + 11 * c;
        float* weight2 = weight1 + size + branch.layers.reduced;
        run.kernels.unit_backward(half(x.shape), x.values, kept.of(b, x.shape, cells), branch.kernel, branch.norm.norm,
                                  branch.layers, kept.y[b], kept.moments[b], doutputs[b], dbranches[b],
                                  dcells + kept.firsts[b], gradients, {gradients + 9 * c, gradients + 10 * c},
                                  {weight1, weight1 + size, weight2, weight2 + size}, run.threads_for(x));
        gradients += branch.gradients();
    }
}

void WeightingUnit::backward_cross(const Run& run, const std::vector<Images>& branches, const float* dlogits,
                                   std::byte* begin, const std::vector<float*>& dbranches, float* gradients) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(branches));
    const Scratch dpooled(kept.cells);
    cross_.backward(run, dense_images(kept.pooled, kept.cells), kept.cross, dlogits, dpooled, false, gradients);
    for (std::size_t b = 0; b < branches.size(); ++b) {
        const Images& x = branches[b];
        run.kernels.pool_backward(half(x.shape), dbranches[b], dpooled + kept.firsts[b], kept.cells.channels,
                                  factor_between(x.shape, kept.cells), run.threads_for(x));
    }
}

namespace {

// Memory for the gradients of an output's terms.
struct TermGradients {
    std::vector<TermGradient> terms;

    TermGradients(const std::vector<PathTerm>& of_output, const std::vector<Images>& sources) {
        for (const PathTerm& term : of_output) {
            const Shape& source = sources[static_cast<std::size_t>(term.source)].shape;
            scratch_.push_back(std::make_unique<const Scratch>(term.path.result(source)));
            terms.push_back({*scratch_.back(), term.factor, term.weight});
        }
    }

private:
    std::vector<std::unique_ptr<const Scratch>> scratch_;
};

}  // namespace

struct Exchange::Layout {
    float* sum = nullptr;  // output 0 before its ReLU
    std::vector<std::vector<std::vector<Kept>>> terms;
};

Exchange::Exchange(std::vector<std::vector<PathTerm>> terms, bool rectified)
    : terms_(std::move(terms)), rectified_(rectified) {
    for (const auto& of_output : terms_) {
        require(of_output.size() <= static_cast<std::size_t>(most_terms), "a sum has too many terms");
        for (const PathTerm& term : of_output)
            require(term.source >= 0 && term.source < static_cast<Int>(terms_.size()), "a term has no source");
    }
}

Exchange::Layout Exchange::layout(Memory& memory, const std::vector<Shape>& shapes) const {
    require(shapes.size() == terms_.size(), "an exchange has another number of branches");
    Layout layout;
    if (keeps_sum()) layout.sum = memory.floats(shapes[0]);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        layout.terms.emplace_back();
        for (const PathTerm& term : terms_[i]) {
            const Shape& source = shapes[static_cast<std::size_t>(term.source)];
            const Shape result = term.path.result(source);
            require(result.channels == shapes[i].channels, "a term has another number of channels");
            require(factor_between(shapes[i], result) == term.factor, "a term has another size");
            layout.terms.back().push_back(term.path.keep(memory, source));
        }
    }
    return layout;
}

Int Exchange::bytes(const std::vector<Shape>& shapes) const {
    Memory memory(nullptr);
    layout(memory, shapes);
    return memory.bytes();
}

Int Exchange::gradients() const {
    Int count = 0;
    for (const auto& of_output : terms_)
        for (const PathTerm& term : of_output) count += term.path.gradients();
    return count;
}

void Exchange::forward(const Run& run, std::vector<Images> sources, std::byte* begin,
                       const std::vector<float*>& outputs) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(sources));
    for (std::size_t i = 0; i < sources.size(); ++i) {
        std::vector<Term> added;
        for (std::size_t t = 0; t < terms_[i].size(); ++t) {
            const PathTerm& term = terms_[i][t];
            const std::vector<Kept>& of_path = kept.terms[i][t];
            term.path.forward(run, sources[static_cast<std::size_t>(term.source)], of_path, nullptr);
            added.push_back({of_path.back().y, term.factor, term.weight, term.path.last().last.norm,
                             of_path.back().statistics});
        }
        const Images& x = sources[i];
        run.kernels.fuse_forward(x.shape, x.values, i == 0 ? 2.0f : 1.0f, added.data(), static_cast<Int>(added.size()),
                                 i == 0 ? kept.sum : nullptr, outputs[i], run.threads_for(x));
        if (i == 0) sources[0].values = keeps_sum() ? kept.sum : outputs[0];
    }
}

void Exchange::backward(const Run& run, std::vector<Images> sources, std::byte* begin,
                        const std::vector<float*>& outputs, const std::vector<float*>& doutputs,
                        const std::vector<float*>& dbranches, float* gradients) const {
    Memory memory(begin);
    const Layout kept = layout(memory, shapes_of(sources));
    gradients += this->gradients();
    const Scratch dsource(sources[0].shape);  // the gradient of source 0 of the lower outputs
    sources[0].values = keeps_sum() ? kept.sum : outputs[0];
    // The first operation that reads a source writes its gradient, and the others add to it.
    std::vector<float*> dsources = dbranches;
    dsources[0] = dsource;
    std::vector<bool> is_written(sources.size());
    for (std::size_t i = sources.size(); i-- > 0;) {
        const Images& x = sources[i];
        const float *dout = doutputs[i], *dsum = i == 0 && is_written[0] ? +dsource : nullptr;
        if (dsum && rectified_) {
            for (Int j = 0; j < x.floats(); ++j) dsource[j] += dout[j];
            dout = dsource, dsum = nullptr;
        }
        const TermGradients dterms(terms_[i], sources);
        run.kernels.fuse_backward(x.shape, outputs[i], dsum, dout, i == 0 ? 2.0f : 1.0f, dbranches[i],
                                  i > 0 && is_written[i], dterms.terms.data(), static_cast<Int>(dterms.terms.size()),
                                  run.threads_for(x));
        is_written[i] = true;
        for (std::size_t t = terms_[i].size(); t-- > 0;) {
            const PathTerm& term = terms_[i][t];
            const auto source = static_cast<std::size_t>(term.source);
            gradients -= term.path.gradients();
            term.path.backward(run, sources[source], kept.terms[i][t], dterms.terms[t].values, dsources[source],
                               is_written[source], gradients);
            is_written[source] = true;
        }
    }
}

}  // namespace litehrnet::training
