// Several threads on one image: every step is divided. No thread begins the next step before all have finished this
// one.
#pragma once

#include <atomic>
#include <cstdint>
#if !defined(__wasm__)
#include <thread>
#endif
#include <variant>

#include "kernels.h"

namespace litehrnet {

using ReadyStep = std::variant<Pointwise, PointwiseBf16, Depthwise, Pool, SpatialWeighting, Enlarge, FuseFirst,
                               EnlargeBilinear, Means, MixKernels, Context, Stem, ImagePlanes, DenseConvolution, Transposed,
                               MaxPool, Add>;

// One of `of` equal shares.
struct Share {
    std::int32_t index, of;

    std::int32_t begin(std::int32_t count) const {
        return static_cast<std::int32_t>(static_cast<std::int64_t>(count) * index / of);
    }
    std::int32_t end(std::int32_t count) const { return Share{index + 1, of}.begin(count); }
};

// One share of a step: some of its channels, of a product's or the image's pixels, or of the stem's rows. Together the shares write
// the same values as the step. They may run at once: each has its own scratch, `scratch` floats after the one before. A
// step that cannot be divided goes to the first share.
ReadyStep share_of(const ReadyStep& step, Share share, const Kernels& kernels, std::int64_t scratch);

// The shares of all steps. Free threads take them in order, so no share waits for a thread that the system has paused
// before it took one.
class Turns {
public:
    Turns(std::int64_t steps, std::int32_t shares) : count_(steps * shares), shares_(shares) {}

    // Calls task(turn) until all turns are taken; turns are counted through all steps. A turn begins when all turns of
    // the steps before it are finished. After an exception of a task, all threads return.
    template <typename Task>
    void take(const Task& task) {
        int looked = 0;
        for (std::int64_t turn = taken_.load(); turn < count_; turn = taken_.load()) {
            if (finished_.load(std::memory_order_acquire) < turn / shares_ * shares_) {
                // Steps take microseconds; sleeping and waking would take longer. Computing threads get the CPU first.
                if (++looked >= 1000) yield();
            } else if (taken_.compare_exchange_weak(turn, turn + 1)) {
                looked = 0;
                OrStop unless_finished{*this};
                task(turn);
                unless_finished.is_finished = true;
                finished_.fetch_add(1, std::memory_order_release);
            }
        }
    }

private:
    // After an exception of a task, nobody takes another turn.
    struct OrStop {
        Turns& turns;
        bool is_finished = false;
        ~OrStop() {
            if (!is_finished) turns.taken_ = turns.count_;
        }
    };

    static void yield() {
#if !defined(__wasm__)  // which has one thread
        std::this_thread::yield();
#endif
    }

    const std::int64_t count_;
    const std::int32_t shares_;
    alignas(64) std::atomic<std::int64_t> taken_{0};
    alignas(64) std::atomic<std::int64_t> finished_{0};
};

}  // namespace litehrnet
