// What the engine needs where there are no exceptions, no console and no C++ library.
//
// What is refused stops the module: a trap, which JavaScript catches. The reason stays in memory. Nothing else of a
// stopped instance may be used.
#include <cstdlib>
#include <new>
#include <string>

#include "../engine/program_error.h"

namespace litehrnet {
namespace {

constexpr std::size_t longest_sentence = 300;
char sentence[longest_sentence];
std::string subject_of_refusals;

// Allocates nothing: memory may be what is missing.
[[noreturn]] void stop(const char* subject, const char* reason) {
    std::size_t length = 0;
    for (const char* part : {subject, reason})
        while (*part && length + 1 < longest_sentence) sentence[length++] = *part++;
    sentence[length] = 0;
    __builtin_trap();
}

void* or_stop(void* memory) {
    if (!memory) stop("", "the browser gives no more memory");
    return memory;
}

}  // namespace

void begin_subject(const std::string& subject) { subject_of_refusals = subject; }
void refuse(const std::string& reason) { stop(subject_of_refusals.c_str(), reason.c_str()); }

// The reason why the module was stopped, in UTF-8, ending with 0.
extern "C" [[gnu::used]] __attribute__((export_name("litehrnet_error"))) const char* litehrnet_error() {
    return sentence;
}

}  // namespace litehrnet

void* operator new(std::size_t bytes) { return litehrnet::or_stop(std::malloc(bytes)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    const auto to = static_cast<std::size_t>(alignment);
    return litehrnet::or_stop(std::aligned_alloc(to, (bytes + to - 1) / to * to));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

// The parts of the C++ library that are used and in no header; building all of it takes a minute.
template class std::basic_string<char>;
_LIBCPP_BEGIN_NAMESPACE_STD
[[noreturn]] void __libcpp_verbose_abort(const char* format, ...) noexcept { litehrnet::stop("", format); }
_LIBCPP_END_NAMESPACE_STD
