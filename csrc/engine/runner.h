// Batches on several threads: persons first; one person alone is shared by them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"

namespace litehrnet {

// Threads that wait for work. The caller is the first of them.
class Workers {
public:
    // Throws std::system_error where the system gives no more threads.
    explicit Workers(int threads);
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // Calls task(index, thread) for every index below `count`, and returns when all are done; the first exception of a
    // task is thrown then, and what was not begun is left out. One caller at a time.
    void for_each(std::int64_t count, const std::function<void(std::int64_t, int)>& task);

private:
    void stop();
    void work(int thread);
    void take_tasks(int thread) noexcept;

    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::condition_variable start_, finished_;
    const std::function<void(std::int64_t, int)>* task_ = nullptr;
    std::int64_t count_ = 0;
    std::atomic<std::int64_t> next_{0};
    std::uint64_t round_ = 0;
    int working_ = 0;
    std::exception_ptr failure_;
    bool open_ = false, stop_ = false;
};

// An engine with threads and an arena for each.
class Runner {
public:
    Runner(const Program& program, const Kernels& kernels, int threads, Precision precision = Precision::float32);
    ~Runner();
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    const Engine& engine() const { return engine_; }

    // Images one after another to heatmaps one after another. Callers in several threads wait for one another.
    void run(const std::uint8_t* images, std::int64_t count, float* heatmaps);

    // See Engine::profile.
    void profile(const std::uint8_t* image, double* seconds);

private:
    struct Team {
        Team(std::int64_t arena_floats, int threads);

        std::int64_t process;
        std::vector<Arena> arenas;
        std::mutex mutex;
        Workers workers;
    };

    // This process's team. In a forked process the threads of the other one's do not exist and its lock may be held by
    // one of them for ever: it gets a new team, and the other's is left alone.
    Team& team();

    Engine engine_;
    int threads_;
    std::atomic<Team*> team_;
};

}  // namespace litehrnet
