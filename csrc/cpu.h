// Which instruction set runs here: one answer for the engine and for training.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace litehrnet {

// Names of the instruction sets of this CPU, the best first. The last two are always there: what every CPU of this
// kind has, and "plain", loops without vectors.
const std::vector<std::string_view>& instruction_sets();

// Chooses the best of them. The environment variable LITEHRNET_KERNELS overrides the choice. Throws
// std::invalid_argument, with one sentence, if this CPU lacks the instruction set that it names.
std::string_view chosen_instruction_set();

// The tables of this CPU, the best first. A table has a name, which is that of its instruction set.
template <typename Kernels>
std::vector<const Kernels*> present(std::initializer_list<const Kernels*> tables) {
    std::vector<const Kernels*> result;
    for (const std::string_view name : instruction_sets())
        for (const Kernels* table : tables)
            if (table->name == name) result.push_back(table);
    return result;
}

// The table of the chosen instruction set. Where it has none (training has neither bfloat16 nor plain loops): that of
// the next simpler instruction set, or else the simplest.
template <typename Kernels>
const Kernels& choose(const std::vector<const Kernels*>& present) {
    bool reached = false;
    for (const std::string_view name : instruction_sets()) {
        reached |= name == chosen_instruction_set();
        for (const Kernels* table : present)
            if (reached && table->name == name) return *table;
    }
    return *present.back();
}

}  // namespace litehrnet
