// What is wrong with a program: an exception, or without exceptions (WebAssembly) one sentence and the end of the module.
#pragma once

#include <string>

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace litehrnet {

#if defined(__cpp_exceptions)

// Says what is wrong with a program, as the end of a sentence.
struct ProgramError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void refuse(const std::string& reason) { throw ProgramError(reason); }

// Calls check(); the reason of a refusal is preceded by subject().
template <typename Subject, typename Check>
void check_within(const Subject& subject, const Check& check) {
    try {
        check();
    } catch (const ProgramError& error) {
        throw ProgramError(subject() + error.what());
    }
}

#else

// Keeps the sentence where litehrnet_error finds it and stops the module. Its memory must not be used after that.
[[noreturn]] void refuse(const std::string& reason);

// Precedes the reasons of refusals.
void begin_subject(const std::string& subject);

template <typename Subject, typename Check>
void check_within(const Subject& subject, const Check& check) {
    begin_subject(subject());
    check();
    begin_subject("");
}

#endif

inline void require(bool condition, const char* otherwise) {
    if (!condition) refuse(otherwise);
}

}  // namespace litehrnet
