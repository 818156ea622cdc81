// Reads the files that programfile.py writes, but not their checksum, and raw bytes.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace litehrnet {

inline std::vector<char> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

struct ProgramFile {
    std::vector<std::int32_t> numbers;
    std::vector<float> constants;

    explicit ProgramFile(const std::string& path) {
        const std::vector<char> content = read_file(path);
        std::uint64_t bytes[3];  // of text, numbers, constants
        if (content.size() < 64) throw std::runtime_error(path + ": no program");
        std::memcpy(bytes, content.data() + 16, sizeof bytes);
        const std::uint64_t left = content.size() - 64;
        if (bytes[0] > left || bytes[1] > left || bytes[2] > left || bytes[0] + bytes[1] + bytes[2] != left)
            throw std::runtime_error(path + ": no program");
        numbers.resize(bytes[1] / sizeof(std::int32_t));
        constants.resize(bytes[2] / sizeof(float));
        std::memcpy(numbers.data(), content.data() + 64 + bytes[0], numbers.size() * sizeof(std::int32_t));
        std::memcpy(constants.data(), content.data() + 64 + bytes[0] + bytes[1], constants.size() * sizeof(float));
    }
};

}  // namespace litehrnet
