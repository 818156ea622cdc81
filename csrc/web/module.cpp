// The engine as a WebAssembly module without imports: a network per instance, on one thread. serving/web/engine.js calls
// it. What is refused stops the module (support.cpp).
#include <cstdint>
#include <optional>
#include <span>

#include "../engine/engine.h"

#define LITEHRNET_EXPORT(name) [[gnu::used]] __attribute__((export_name(#name)))

namespace litehrnet {

extern const Kernels web_kernels;

namespace {

// Maps may be named many times.
std::size_t checked(std::int64_t floats) {
    require(floats <= largest_arena, "its output has an impossible size");
    return static_cast<std::size_t>(floats);
}

struct Network {
    Network(std::span<const std::int32_t> numbers, std::span<const float> constants)
        : Network(read_program(numbers, constants)) {}
    explicit Network(const Program& program)
        : engine(program, web_kernels),
          arena(engine.arena_floats()),
          image(allocate_aligned<std::uint8_t>(static_cast<std::size_t>(engine.image_bytes()))),
          maps(allocate_aligned<float>(checked(engine.heatmap_floats()))),
          shape{program.output.count(), program.output.height, program.output.width} {}

    Engine engine;
    Arena arena;
    Aligned<std::uint8_t> image;
    Aligned<float> maps;
    std::int32_t shape[3];
};

std::optional<Network> network;

}  // namespace

extern "C" {

// Memory for what litehrnet_open reads.
LITEHRNET_EXPORT(litehrnet_allocate) void* litehrnet_allocate(std::size_t bytes) { return ::operator new(bytes); }
LITEHRNET_EXPORT(litehrnet_free) void litehrnet_free(void* memory) { ::operator delete(memory); }

// Checks a program (programfile.py lists its numbers) and prepares to run it. Neither array is needed after that.
LITEHRNET_EXPORT(litehrnet_open)
void litehrnet_open(const std::int32_t* numbers, std::size_t number_count, const float* constants,
                    std::size_t constant_count) {
    network.emplace(std::span(numbers, number_count), std::span(constants, constant_count));
}

// Where the image goes: rows of 3-channel pixels, in the order that the program states.
LITEHRNET_EXPORT(litehrnet_image) std::uint8_t* litehrnet_image() { return network->image.get(); }
LITEHRNET_EXPORT(litehrnet_run) void litehrnet_run() {
    network->engine.run(network->image.get(), network->maps.get(), network->arena);
}
// The results: maps of rows; and how many maps, rows and columns there are.
LITEHRNET_EXPORT(litehrnet_maps) const float* litehrnet_maps() { return network->maps.get(); }
LITEHRNET_EXPORT(litehrnet_shape) const std::int32_t* litehrnet_shape() { return network->shape; }

}  // extern "C"

}  // namespace litehrnet
