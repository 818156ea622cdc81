// Memory that is aligned to cache lines.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace litehrnet {

constexpr std::align_val_t cache_line{64};

struct FreeAligned {
    void operator()(void* p) const { ::operator delete(p, cache_line); }
};

template <typename T>
using Aligned = std::unique_ptr<T[], FreeAligned>;

// `count` numbers, not initialized.
template <typename T>
Aligned<T> allocate_aligned(std::size_t count) {
    return Aligned<T>(static_cast<T*>(::operator new(count * sizeof(T), cache_line)));
}

}  // namespace litehrnet
