#include "runner.h"

#include <unistd.h>

#include <algorithm>

namespace litehrnet {

Workers::Workers(int threads) : owner_(getpid()) {
    for (int thread = 1; thread < threads; ++thread) threads_.emplace_back([this, thread] { work(thread); });
}

Workers::~Workers() {
    if (getpid() != owner_) {
        for (std::thread& thread : threads_) thread.detach();  // they stayed in the other process
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    start_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Workers::for_each(std::int64_t count, const std::function<void(std::int64_t, int)>& task) {
    task_ = &task;
    next_ = 0;
    count_ = count;
    const bool alone = threads_.empty() || count < 2 || getpid() != owner_;
    if (!alone) {
        const std::lock_guard lock(mutex_);
        ++round_;
        working_ = static_cast<int>(threads_.size());
    }
    if (!alone) start_.notify_all();
    take_tasks(0);
    if (alone) return;
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return working_ == 0; });
}

void Workers::work(int thread) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
        start_.wait(lock, [&] { return stop_ || round_ != seen; });
        if (stop_) return;
        seen = round_;
        lock.unlock();
        take_tasks(thread);
        lock.lock();
        if (--working_ == 0) finished_.notify_one();
    }
}

void Workers::take_tasks(int thread) {
    for (std::int64_t index = next_++; index < count_; index = next_++) (*task_)(index, thread);
}

Runner::Runner(const Program& program, const Kernels& kernels, int threads)
    : engine_(program, kernels), workers_(std::max(threads, 1)) {
    for (int thread = 0; thread < std::max(threads, 1); ++thread) arenas_.emplace_back(engine_.arena_floats());
}

void Runner::run(const std::uint8_t* images, std::int64_t count, float* heatmaps) {
    const std::lock_guard lock(mutex_);
    workers_.for_each(count, [&](std::int64_t index, int thread) {
        engine_.run(images + index * engine_.image_bytes(), heatmaps + index * engine_.heatmap_floats(),
                    arenas_[static_cast<std::size_t>(thread)]);
    });
}

}  // namespace litehrnet
