#include "runner.h"

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

#include <algorithm>
#include <memory>

namespace litehrnet {
namespace {

#ifdef _WIN32
int this_process() { return _getpid(); }
#else
int this_process() { return getpid(); }
#endif

constexpr int most_shares = 4;  // of an image: measured for 2 threads, assumed for more

}  // namespace

Workers::Workers(int threads) {
    try {
        for (int thread = 1; thread < threads; ++thread) threads_.emplace_back([this, thread] { work(thread); });
    } catch (...) {
        stop();
        throw;
    }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
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
    failure_ = nullptr;
    const bool alone = threads_.empty() || count < 2;
    if (!alone) {
        const std::lock_guard lock(mutex_);
        ++round_;
        open_ = true;
    }
    if (!alone) start_.notify_all();
    take_tasks(0);
    if (!alone) {
        std::unique_lock lock(mutex_);
        open_ = false;  // threads that have not woken up by now are not waited for
        finished_.wait(lock, [this] { return working_ == 0; });
    }
    if (failure_) std::rethrow_exception(failure_);
}

void Workers::work(int thread) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
        start_.wait(lock, [&] { return stop_ || round_ != seen; });
        if (stop_) return;
        seen = round_;
        if (!open_) continue;
        ++working_;
        lock.unlock();
        take_tasks(thread);
        lock.lock();
        if (--working_ == 0) finished_.notify_one();
    }
}

void Workers::take_tasks(int thread) noexcept {
    try {
        for (std::int64_t index = next_++; index < count_; index = next_++) (*task_)(index, thread);
    } catch (...) {
        next_ = count_;
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
    }
}

Runner::Team::Team(std::int64_t arena_floats, int threads) : process(this_process()), workers(threads) {
    for (int thread = 0; thread < threads; ++thread) arenas.emplace_back(arena_floats);
}

Runner::Runner(const Program& program, const Kernels& kernels, int threads, Precision precision)
    : engine_(program, kernels, precision, std::clamp(threads, 1, most_shares)),
      threads_(std::max(threads, 1)),
      team_(new Team(engine_.arena_floats(), threads_)) {}

Runner::~Runner() {
    Team* team = team_.load();
    if (team->process == this_process()) delete team;
}

Runner::Team& Runner::team() {
    Team* team = team_.load();
    if (team->process == this_process()) return *team;
    auto own = std::make_unique<Team>(engine_.arena_floats(), threads_);
    // Several threads may get here at once: all use the team of the first.
    return team_.compare_exchange_strong(team, own.get()) ? *own.release() : *team;
}

void Runner::run(const std::uint8_t* images, std::int64_t count, float* heatmaps) {
    Team& own = team();
    const std::lock_guard lock(own.mutex);
    if (count == 1 && engine_.shares() > 0) {
        Turns turns = engine_.turns();
        own.workers.for_each(engine_.shares(), [&](std::int64_t, int) {
            engine_.run_shares(images, own.arenas[0], turns);
        });
        return engine_.copy_heatmaps(heatmaps, own.arenas[0]);
    }
    own.workers.for_each(count, [&](std::int64_t index, int thread) {
        engine_.run(images + index * engine_.image_bytes(), heatmaps + index * engine_.heatmap_floats(),
                    own.arenas[static_cast<std::size_t>(thread)]);
    });
}

void Runner::profile(const std::uint8_t* image, double* seconds) {
    Team& own = team();
    const std::lock_guard lock(own.mutex);
    engine_.profile(image, seconds, own.arenas[0]);
}

}  // namespace litehrnet
