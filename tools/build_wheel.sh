#!/usr/bin/env bash
# Build a Linux wheel for glibc 2.28 and later into dist/, without containers: tools/build_wheel.sh PYTHON [x86_64|aarch64]
#
# Clang comes from the package ziglang, which has the headers of every glibc. PYTHON needs the packages build, auditwheel,
# scikit-build-core, nanobind and ziglang, its own headers, and CMake and Ninja. Releases are built by cibuildwheel.
set -euo pipefail
python=$(realpath --no-symlinks "$1")
processor=${2:-$(uname -m)}
cd "$(dirname "$0")/.."

work=$PWD/build/wheel-$processor
rm -rf "$work"/*.whl "$work/include"
mkdir -p "$work/include"
for tool in c++ ar ranlib; do
    printf '#!/bin/sh\nexec "%s" -m ziglang %s "$@"\n' "$python" "$tool" >"$work/$tool"
    chmod +x "$work/$tool"
done

# Debian's headers of Python include <PROCESSOR-linux-gnu/python3.X/pyconfig.h>, which is the same on both processors.
ln -s "/usr/include/$(uname -m)-linux-gnu" "$work/include/$processor-linux-gnu"

# Where the processor is another one, Python is told that it runs there. Only the stable ABI has no processor in its name.
export _PYTHON_HOST_PLATFORM="linux-$processor"
"$python" -m build --wheel --no-isolation --outdir "$work" \
    -Cbuild-dir="$work/build" \
    -Ccmake.define.CMAKE_SYSTEM_NAME=Linux \
    -Ccmake.define.CMAKE_SYSTEM_PROCESSOR="$processor" \
    -Ccmake.define.CMAKE_CXX_COMPILER="$work/c++" \
    -Ccmake.define.CMAKE_CXX_COMPILER_TARGET="$processor-linux-gnu.2.28" \
    -Ccmake.define.CMAKE_CXX_FLAGS="-isystem $work/include" \
    -Ccmake.define.CMAKE_AR="$work/ar" \
    -Ccmake.define.CMAKE_RANLIB="$work/ranlib"
"$python" tools/check_wheel.py "$work"/*.whl
unset _PYTHON_HOST_PLATFORM
"$python" -m auditwheel repair --wheel-dir dist "$work"/*.whl
