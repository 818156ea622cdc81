#!/bin/sh
# The engine as WebAssembly: csrc/build_web.sh FOLDER [PYTHON]. Needs the Python package ziglang, which has a C++
# compiler for WebAssembly. Writes engine.wasm and engine_relaxed.wasm, for browsers with fused multiply-add.
# With KERNEL_TEST=1 it writes kernel_test.wasm and kernel_test_relaxed.wasm instead, for node csrc/web/run_test.mjs.
set -eu
folder=$(cd "$1" && pwd)
compiler="${2:-python3} -m ziglang"
cd "$(dirname "$0")"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
options="-target wasm32-wasi -O3 -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -ffp-contract=fast
    -DNDEBUG -DLITEHRNET_SET=web -D_LIBCPP_DISABLE_EXTERN_TEMPLATE -Wall -Wextra -Werror=switch -Wno-psabi"
sources="web/support.cpp engine/check_step.cpp engine/constants.cpp engine/engine.cpp engine/program.cpp
    engine/sharing.cpp engine/vector_kernels.cpp"
if [ "${KERNEL_TEST:-}" = 1 ]; then
    name=kernel_test model=command
    sources="$sources engine/plain_kernels.cpp web/present_kernels.cpp tests/engine_kernel_test.cpp"
else
    name=engine model=reactor
    sources="$sources web/module.cpp"
fi
for kind in "" _relaxed; do
    for source in $sources; do
        # shellcheck disable=SC2086 # lists of options
        $compiler c++ $options -msimd128 ${kind:+-mrelaxed-simd} -c "$source" -o "$objects/$(basename "$source").o"
    done
    # As C: the C++ library is not linked.
    $compiler cc -target wasm32-wasi -mexec-model=$model -s "$objects"/*.o -o "$folder/$name$kind.wasm.tmp"
    mv "$folder/$name$kind.wasm.tmp" "$folder/$name$kind.wasm"
done
