# SPDX-License-Identifier: Apache-2.0
# A thin front: everything is built by CMake and Ninja, everything here also works by hand.
#
#   make            build the command and the libraries          (build/)
#   make demo       install what is needed, build, show what pare does
#   make test       everything: unit, kernel, command, interop tests; sanitizers; a second compiler
#   make test-quick build and run the tests of the release build only
#   make bench      kernels and whole jobs against the machine's limits
#   make fuzz       build the fuzzers with clang and run each for FUZZ_SECONDS
#   make install    PREFIX=/usr/local DESTDIR=

BUILD  ?= build
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
CMAKE_FLAGS ?=

.PHONY: all build deps demo test test-quick test-interop bench fuzz install uninstall coverage clean
all: build

# Configures once; after that Ninja notices by itself what has changed.
build: deps
	@test -f $(BUILD)/build.ninja || cmake -S . -B $(BUILD) -G Ninja -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS) >/dev/null
	@ninja -C $(BUILD) --quiet

deps:
	@tools/install_deps build

demo: build
	@tools/demo.sh

test:
	@tools/run_tests

test-quick: build
	@ctest --test-dir $(BUILD) --output-on-failure -j 2

test-interop: build
	@tests/interop/setup.sh
	@tests/interop/run.py --pare $(BUILD)/pare

bench: build
	@ninja -C $(BUILD) --quiet bench
	@bench/bench.sh $(BUILD)

fuzz:
	@tools/install_deps test
	@tools/run_fuzzers $(FUZZ_SECONDS)

install: build
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(PREFIX) >/dev/null
	@echo "installed to $(DESTDIR)$(PREFIX)"

uninstall:
	@test -f $(BUILD)/install_manifest.txt && xargs -r rm -fv < $(BUILD)/install_manifest.txt

coverage:
	@tools/install_deps test
	@cmake -S . -B build-coverage -G Ninja -DCMAKE_BUILD_TYPE=Debug -DPARE_COVERAGE=ON >/dev/null && ninja -C build-coverage --quiet
	@ctest --test-dir build-coverage -j 2 >/dev/null; tools/coverage build-coverage

clean:
	rm -rf build build-*
