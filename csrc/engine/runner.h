// Batches on several threads: every thread takes whole images. A single image is shared by all threads.
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

// Threads that wait for work. The caller is the first one.
class Workers {
public:
    // Throws std::system_error if the system gives no more threads.
    explicit Workers(int threads);
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // Calls task(index, thread) for every index below `count` and returns when all calls are done. Throws the first
    // exception of a task; calls that were not begun by then are skipped. Only one thread may call this at a time.
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

// An engine with threads, and an arena for each of them.
class Runner {
public:
    Runner(const Program& program, const Kernels& kernels, int threads, Precision precision = Precision::float32);
    ~Runner();
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    const Engine& engine() const { return engine_; }

    // Computes the heatmaps of `count` images. Callers in several threads wait for one another.
    void run(const std::uint8_t* images, std::int64_t count, float* heatmaps);

    // Engine::profile on one thread.
    void profile(const std::uint8_t* image, double* seconds);

private:
    struct Team {
        Team(std::int64_t arena_floats, int threads);

        std::int64_t process;
        std::vector<Arena> arenas;
        std::mutex mutex;
        Workers workers;
    };

    // The team of this process. A forked process gets a new one: the threads of the old one do not exist in it, and its
    // lock may be held forever.
    Team& team();

    Engine engine_;
    int threads_;
    std::atomic<Team*> team_;
};

}  // namespace litehrnet
