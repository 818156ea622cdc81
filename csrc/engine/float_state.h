// The floating-point state of a thread while the engine runs: round to nearest, flush denormals to zero.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <cstdint>

namespace litehrnet {

// Sets the state, and restores the caller's in its destructor.
class FloatState {
public:
    FloatState() : before_(read()) { write(wanted); }
    ~FloatState() { write(before_); }
    FloatState(const FloatState&) = delete;
    FloatState& operator=(const FloatState&) = delete;

private:
#if defined(__x86_64__)
    // All exceptions masked, round to nearest, flush to zero, denormals are zero.
    static constexpr std::uint64_t wanted = 0x9fc0;
    static std::uint64_t read() { return _mm_getcsr(); }
    static void write(std::uint64_t state) { _mm_setcsr(static_cast<unsigned>(state)); }
#elif defined(__aarch64__)
    static constexpr std::uint64_t wanted = std::uint64_t{1} << 24;  // round to nearest, flush
    static std::uint64_t read() {
        std::uint64_t state;
        asm volatile("mrs %0, fpcr" : "=r"(state));
        return state;
    }
    static void write(std::uint64_t state) { asm volatile("msr fpcr, %0" : : "r"(state)); }
#else
    static constexpr std::uint64_t wanted = 0;
    static std::uint64_t read() { return 0; }
    static void write(std::uint64_t) {}
#endif
    std::uint64_t before_;
};

}  // namespace litehrnet
