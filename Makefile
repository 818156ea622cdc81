# Everything a fresh machine needs is made here: an own .venv with every package at the pinned version.
# Index settings (mirrors, wheel folders) are left to pip's own configuration and environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CSRC := src/litehrnet/engine/csrc
ENGINE := $(wildcard $(CSRC)/*.* $(CSRC)/kernels/* $(CSRC)/python/CMakeLists.txt $(CSRC)/python/*.cpp)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Build-time packages are pinned by the same file: pip reads it from the environment in isolated builds too.
export PIP_CONSTRAINT := $(abspath constraints.txt)
export PIP_BUILD_CONSTRAINT := $(abspath constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test test-slow lint types doctest benchmark tools-system clean

help:
	@echo "make demo          install into .venv and find a person in a portrait"
	@echo "make test          the quick tests (under 10 minutes on 2 cores)"
	@echo "make test-slow     the slow tests"
	@echo "make lint types doctest"
	@echo "make benchmark     speed of the predict path on this machine"
	@echo "make tools-system  Debian packages that slow tests need"
	@echo "make clean         remove .venv and caches"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(ENGINE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	# Judges identities in a test. Alone: it asks for opencv-python, which would overwrite the headless one.
	$(BIN)/python -m pip install --quiet --no-deps trackeval
	touch $@

demo: install
	$(BIN)/litehrnet demo

test: install
	$(BIN)/python -m pytest -m "not slow"

test-slow: install
	$(BIN)/python -m pytest -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

doctest: install
	$(BIN)/python -m pytest --doctest-modules --pyargs litehrnet

benchmark: install
	$(BIN)/python benchmarks/pipeline.py

# A C++ compiler and CMake, for torch.compile and the engine; a compiler for ARM and an emulator, for the engine's NEON
# kernels; Open MPI, for a run under mpirun. Needs root (or sudo) only where one is missing.
TOOLS := g++ cmake mpirun aarch64-linux-gnu-g++ qemu-aarch64
tools-system:
	command -v $(TOOLS) | [ "$$(wc -l)" = $(words $(TOOLS)) ] || { $(SUDO) apt-get update -qq && \
		$(SUDO) apt-get install -qq --no-install-recommends cmake g++ openmpi-bin g++-aarch64-linux-gnu qemu-user; }

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist demo-out src/litehrnet/engine/_native.*.so
	find $(CSRC)/python -mindepth 1 ! -name CMakeLists.txt ! -name binding.cpp -delete
