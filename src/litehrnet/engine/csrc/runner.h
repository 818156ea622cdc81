// Batches on several threads: persons first, as one image is too small a task to be divided.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"

namespace litehrnet {

// Threads that wait for work. The caller is the first of them.
class Workers {
public:
    explicit Workers(int threads);
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // Calls task(index, thread) for every index below `count`, and returns when all are done. One caller at a time. In
    // a process forked from the one that made them there are no other threads: the caller does everything.
    void for_each(std::int64_t count, const std::function<void(std::int64_t, int)>& task);

private:
    void work(int thread);
    void take_tasks(int thread);

    std::int64_t owner_;  // process
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable start_, finished_;
    const std::function<void(std::int64_t, int)>* task_ = nullptr;
    std::int64_t count_ = 0;
    std::atomic<std::int64_t> next_{0};
    std::uint64_t round_ = 0;
    int working_ = 0;
    bool stop_ = false;
};

// An engine with threads and an arena for each.
class Runner {
public:
    Runner(const Program& program, const Kernels& kernels, int threads);

    const Engine& engine() const { return engine_; }

    // Images one after another to heatmaps one after another. Callers in several threads wait for one another.
    void run(const std::uint8_t* images, std::int64_t count, float* heatmaps);

private:
    Engine engine_;
    std::vector<Arena> arenas_;
    Workers workers_;
    std::mutex mutex_;
};

}  // namespace litehrnet
