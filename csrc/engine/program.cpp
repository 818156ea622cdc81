#include "program.h"

#include <charconv>
#include <iterator>
#include <utility>

namespace litehrnet {
namespace {

constexpr std::int32_t largest_side = 1 << 15;

class Reader {
public:
    Reader(std::span<const std::int32_t> numbers, std::span<const float> constants)
        : numbers_(numbers), constants_(constants) {}

    std::int32_t number() {
        require(!numbers_.empty(), "it ends within a step");
        const std::int32_t value = numbers_.front();
        numbers_ = numbers_.subspan(1);
        return value;
    }

    // Reads a count of items that take at least one number each.
    std::size_t count() {
        const std::int32_t value = number();
        require(value >= 0 && static_cast<std::size_t>(value) <= numbers_.size(), "it ends within a step");
        return static_cast<std::size_t>(value);
    }

    Planes planes() {
        Planes result{number(), number(), {}};
        const std::size_t places = count();
        result.places.assign(numbers_.begin(), numbers_.begin() + static_cast<std::ptrdiff_t>(places));
        numbers_ = numbers_.subspan(places);
        require(result.height >= 0 && result.height <= largest_side && result.width >= 0 &&
                    result.width <= largest_side,
                "it has planes of an impossible size");
        return result;
    }

    Constant constant() {
        Constant result{{}, constants_.data()};
        std::size_t size = 1;
        const std::size_t dimensions = count();
        for (std::size_t i = 0; i < dimensions; ++i) {
            const std::int32_t side = number();
            require(side > 0 && static_cast<std::size_t>(side) <= constants_.size() / size,
                    "it has a constant of an impossible shape");
            size *= static_cast<std::size_t>(side);
            result.shape.push_back(side);
        }
        require(size <= constants_.size(), "its constants end too early");
        constants_ = constants_.subspan(size);
        return result;
    }

    Step step() {
        const std::int32_t kind = number(), activation = number(), stride = number();
        require(kind >= 0 && kind < kinds, "it has a step of an unknown kind");
        require(activation >= 0 && activation < activations, "it has an unknown activation");
        const std::int32_t reads = number(), writes = number(), constants = number();
        Step result{static_cast<Kind>(kind), static_cast<Activation>(activation), stride, {}, {}, {}};
        for (std::int32_t i = 0; i < reads; ++i) result.reads.push_back(planes());
        for (std::int32_t i = 0; i < writes; ++i) result.writes.push_back(planes());
        for (std::int32_t i = 0; i < constants; ++i) result.constants.push_back(constant());
        return result;
    }

    bool finished() const { return numbers_.empty() && constants_.empty(); }

private:
    std::span<const std::int32_t> numbers_;
    std::span<const float> constants_;
};

// std::to_string is not in a header, and the WebAssembly build is linked without the C++ library.
std::string text_of(std::size_t number) {
    char digits[24];
    return {digits, std::to_chars(digits, std::end(digits), number).ptr};
}

void check_places(const Planes& planes, std::int64_t arena_floats) {
    if (planes.places.empty()) return;
    require(planes.height > 0 && planes.width > 0, "has planes without pixels");
    const std::int64_t last = arena_floats - plane_floats(planes.pixels());
    for (const Place place : planes.places) {
        require(place >= slack_floats && place <= last, "has a plane outside its arena");
        require(place % slack_floats == 0, "has a plane that does not begin at a cache line");
    }
}

}  // namespace

Program read_program(std::span<const std::int32_t> numbers, std::span<const float> constants) {
    Reader reader(numbers, constants);
    Program program{};
    program.width = reader.number();
    program.height = reader.number();
    const std::int32_t bgr = reader.number();
    program.arena_floats = reader.number();
    require(bgr == 0 || bgr == 1, "it takes images of an unknown order");
    require(program.width > 0 && program.width <= largest_side && program.height > 0 && program.height <= largest_side,
            "it takes images of an impossible size");
    require(program.arena_floats >= slack_floats && program.arena_floats <= largest_arena,
            "its arena has an impossible size");
    program.output = reader.planes();
    require(!program.output.places.empty(), "it has no output");
    check_within([] { return std::string("its output "); },
                 [&] { check_places(program.output, program.arena_floats); });
    require(program.output.width == (program.width + 3) / 4 && program.output.height == (program.height + 3) / 4,
            "its output is not a quarter of its images");
    const std::size_t count = reader.count();
    require(count > 0, "it has no steps");
    for (std::size_t index = 0; index < count; ++index) {
        Step step = reader.step();
        const auto subject = [&] {
            return "step " + text_of(index) + " (" + kind_names[static_cast<std::int32_t>(step.kind)] + ") ";
        };
        check_within(subject, [&] {
            for (const auto* operands : {&step.reads, &step.writes})
                for (const Planes& planes : *operands) check_places(planes, program.arena_floats);
            check_step(step, program);
        });
        program.steps.push_back(std::move(step));
    }
    require(reader.finished(), "it continues after its last step");
    return program;
}

}  // namespace litehrnet
