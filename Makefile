# SPDX-License-Identifier: GPL-2.0-or-later
# Everything a developer types. meson does the building; each target installs the packages it misses.

BUILD := build
PREFIX ?= /usr/local

.PHONY: all run run-arm64 check check-long bench bench-all fuzz format install clean setup

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja: meson.build
	@command -v meson >/dev/null || { echo "meson is missing: run \"make setup\"" >&2; exit 1; }
	@meson setup $(BUILD) --prefix=$(PREFIX) $(if $(wildcard $(BUILD)/meson-private),--reconfigure)

setup:
	@scripts/setup build root image check bench

run:
	@scripts/setup build image
	@$(MAKE) --no-print-directory all
	@scripts/run

run-arm64:
	@scripts/setup build root
	@$(MAKE) --no-print-directory all
	@scripts/run-arm64

check:
	@scripts/setup build root image check
	@scripts/check short

check-long:
	@scripts/setup build root image check
	@scripts/check long

bench:
	@scripts/setup build root image bench
	@$(MAKE) --no-print-directory all
	@bench/run --svg build/bench.svg
	@bench/machine --json build/bench-machine.json

bench-all:
	@scripts/setup build root bench wide
	@$(MAKE) --no-print-directory all
	@bench/run --all --svg build/bench.svg

fuzz:
	@scripts/setup build check
	@scripts/fuzz

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf $(BUILD) $(BUILD)-*
