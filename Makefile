# Commands for developers. Everything is installed in .venv, with every package at its pinned version.
# Package index settings (mirrors, wheel folders) come from pip's own configuration and environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CSRC := csrc/CMakeLists.txt $(wildcard $(addprefix csrc/,*.cpp *.h engine/*.* engine/kernels/* training/* python/*.cpp))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# The same file pins build-time packages: pip reads these variables in isolated builds too.
export PIP_CONSTRAINT := $(abspath constraints.txt)
export PIP_BUILD_CONSTRAINT := $(abspath constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The engine for browsers, for litehrnet serve.
WEB := src/litehrnet/serving/web/engine_relaxed.wasm

.PHONY: help install web demo docs test test-slow lint types doctest benchmark weights tools-system clean

help:
	@echo "make demo          install into .venv and find the people in the bundled photo"
	@echo "make web           the engine for browsers, for litehrnet serve"
	@echo "make docs          the documentation site, in build/docs"
	@echo "make test          the quick tests (under 10 minutes on 2 cores)"
	@echo "make test-slow     the slow tests"
	@echo "make lint types doctest"
	@echo "make benchmark     speed of the predict path on this machine"
	@echo "make weights       train the bundled weights again (many hours)"
	@echo "make tools-system  install Debian packages for the slow tests"
	@echo "make clean         remove .venv and caches"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(CSRC)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	# Tests compare with trackeval and rtmlib. --no-deps, as their opencv-python would overwrite the headless one.
	$(BIN)/python -m pip install --quiet --no-deps trackeval rtmlib
	touch $@

web: $(WEB)

$(WEB): $(INSTALLED) csrc/build_web.sh $(wildcard csrc/web/*.cpp)
	csrc/build_web.sh $(@D) $(abspath $(BIN))/python

demo: install
	$(BIN)/litehrnet demo

# Every warning is an error.
docs: install
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env --conf-dir docs/site docs build/docs

# Two processes, a file of tests in one of them.
test: install
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: install
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

doctest: install
	$(BIN)/python -m pytest --doctest-modules --pyargs litehrnet

benchmark: install
	$(BIN)/python benchmarks/pipeline.py

weights: install
	PATH="$(abspath $(BIN)):$$PATH" runs/train_bundled_weights.sh

# For torch.compile and the engine: a C++ compiler and CMake. For the engine's NEON kernels: a compiler for ARM and an
# emulator. For runs under mpirun: Open MPI. For tests of the engine for browsers: Node (installed only if missing). For
# tests of the live view: a browser. Needs root or sudo only if one is missing.
TOOLS := g++ cmake mpirun aarch64-linux-gnu-g++ qemu-aarch64 node chromium chromedriver
tools-system:
	command -v $(TOOLS) | [ "$$(wc -l)" = $(words $(TOOLS)) ] || { $(SUDO) apt-get update -qq && \
		$(SUDO) apt-get install -qq --no-install-recommends cmake g++ openmpi-bin g++-aarch64-linux-gnu qemu-user \
		chromium chromium-driver $$(command -v node >/dev/null || echo nodejs); }

clean:
	rm -f src/litehrnet/serving/web/*.wasm
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist demo-out src/litehrnet/engine/_native.*.so src/litehrnet/training/fast/_kernels.*.so
	git clean -fdXq csrc # what the editable install built there
