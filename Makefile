# Everything a fresh machine needs is made here: an own .venv with every package at the pinned version.
# Index settings (mirrors, wheel folders) are left to pip's own configuration and environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CSRC := csrc/CMakeLists.txt $(wildcard $(addprefix csrc/,*.cpp *.h engine/*.* engine/kernels/* training/* python/*.cpp))
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Build-time packages are pinned by the same file: pip reads it from the environment in isolated builds too.
export PIP_CONSTRAINT := $(abspath constraints.txt)
export PIP_BUILD_CONSTRAINT := $(abspath constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# ONNX Runtime for browsers, for litehrnet serve: its version is locked in web/package-lock.json.
WEB := src/litehrnet/serving/onnxruntime_web
WEB_FILES := $(addprefix web/node_modules/onnxruntime-web/,package.json $(addprefix dist/,\
	ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm \
	ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm))

.PHONY: help install web demo test test-slow lint types doctest benchmark weights tools-system clean

help:
	@echo "make demo          install into .venv and find the people in a photo"
	@echo "make web           ONNX Runtime for browsers, for litehrnet serve (needs npm)"
	@echo "make test          the quick tests (under 10 minutes on 2 cores)"
	@echo "make test-slow     the slow tests"
	@echo "make lint types doctest"
	@echo "make benchmark     speed of the predict path on this machine"
	@echo "make weights       train the bundled weights again (hours; see docs/weights.md)"
	@echo "make tools-system  Debian packages that slow tests and make web need"
	@echo "make clean         remove .venv and caches"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(CSRC)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	# Judges identities in a test. Alone: it asks for opencv-python, which would overwrite the headless one.
	$(BIN)/python -m pip install --quiet --no-deps trackeval
	touch $@

web: $(WEB)/package.json

# package.json is copied last: where it is, everything is.
$(WEB)/package.json: web/package.json web/package-lock.json web/LICENSE.onnxruntime-web
	cd web && npm ci --ignore-scripts --no-audit --no-fund --silent
	rm -rf $(WEB)
	mkdir $(WEB)
	cp web/LICENSE.onnxruntime-web $(filter-out %/package.json,$(WEB_FILES)) $(WEB)
	cp web/node_modules/onnxruntime-web/package.json $(WEB)
	rm -rf web/node_modules

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

# All stages of the bundled weights, the detector last, from the folders data and reference beside this file. Stopped, it goes on where it
# was when it is called again.
STAGE2 := litehrnet_18_256x192
DETECTOR := litehrnet_18_person_320x320
BACKGROUNDS := augmentation.background_probability=0.7
VARIED := $(addprefix augmentation.,brightness=0.2 contrast=0.4 saturation=0.5 blur_probability=0.3 cutout_probability=0.3)
TURNED := $(addprefix augmentation.,rotation_deg=30 half_body_probability=0.3)
weights: install
	$(BIN)/litehrnet train litehrnet_18_128x96 --resume-from latest
	$(BIN)/litehrnet train $(STAGE2) --resume-from latest
	last=work_dirs/$(STAGE2); for seed in 3 4; do \
		$(BIN)/litehrnet train $(STAGE2) --resume-from latest --work-dir work_dirs/$(STAGE2)_$$seed load_from=$$last/last.safetensors \
			training.seed=$$seed training.epochs=2 training.optimizer.learning_rate=6e-4 || exit; \
		last=work_dirs/$(STAGE2)_$$seed; done
	last=work_dirs/$(STAGE2)_4; for stage in "5 11 1.4e-3" "6 8 1.4e-3 $(BACKGROUNDS)" "7 12 1.4e-3 $(BACKGROUNDS)" \
		"8 12 1.4e-3 $(BACKGROUNDS) $(VARIED) augmentation.anywhere_probability=0.1" \
		"9 26 3e-3 $(BACKGROUNDS) $(VARIED) $(TURNED) augmentation.anywhere_probability=0.25"; do \
		set -- $$stage; seed=$$1 epochs=$$2 rate=$$3; shift 3; \
		$(BIN)/torchrun --standalone --nproc-per-node 2 -m litehrnet train $(STAGE2) --launcher pytorch --resume-from latest \
			--work-dir work_dirs/$(STAGE2)_$$seed load_from=$$last/last.safetensors training.seed=$$seed training.epochs=$$epochs \
			training.optimizer.learning_rate=$$rate training.evaluate_every=3 "$$@" || exit; \
		last=work_dirs/$(STAGE2)_$$seed; done
	$(BIN)/litehrnet convert work_dirs/$(STAGE2)_9/last.safetensors work_dirs/lite_hrnet_18.safetensors --codec dark --half
	$(BIN)/torchrun --standalone --nproc-per-node 2 -m litehrnet train $(DETECTOR) --launcher pytorch --resume-from latest
	$(BIN)/litehrnet convert work_dirs/$(DETECTOR)/last.safetensors work_dirs/person.safetensors --half

# A C++ compiler and CMake, for torch.compile and the engine; a compiler for ARM and an emulator, for the engine's NEON
# kernels; Open MPI, for a run under mpirun; npm, for make web (Debian's only where there is none: it excludes others); a
# browser, to test the live view in. Needs root (or sudo) only where one is missing.
TOOLS := g++ cmake mpirun aarch64-linux-gnu-g++ qemu-aarch64 npm chromium chromedriver
tools-system:
	command -v $(TOOLS) | [ "$$(wc -l)" = $(words $(TOOLS)) ] || { $(SUDO) apt-get update -qq && \
		$(SUDO) apt-get install -qq --no-install-recommends cmake g++ openmpi-bin g++-aarch64-linux-gnu qemu-user \
		chromium chromium-driver $$(command -v npm >/dev/null || echo npm); }

clean:
	rm -rf $(WEB) web/node_modules
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist demo-out src/litehrnet/engine/_native.*.so src/litehrnet/training/fast/_kernels.*.so
	git clean -fdXq csrc # what the editable install built there
