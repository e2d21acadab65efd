# The front door: each verb is a few words here and a script behind. Variables on the command line reach the scripts
# through the environment.
SHELL := /bin/bash
PRESET ?= release
export CDPATH :=

.PHONY: all deps check fuzz repro minimize promote bisect corpus bugs mutants coverage nightly pressure modules peers bench format tidy clean help
all:
	@.ci/build.sh $(PRESET)

# In one command with others, deps comes first, under -j too; one verb at a time in any case.
.NOTPARALLEL:
ifneq ($(filter deps,$(MAKECMDGOALS)),)
all check fuzz repro minimize promote bisect corpus bugs mutants coverage nightly pressure modules peers bench format tidy: deps
endif
deps:
	@.ci/deps.sh

check:
	@.ci/check.sh

fuzz:
	@fuzz/fuzz.sh

repro:
	@fuzz/repro.sh

minimize:
	@fuzz/minimize.sh

promote:
	@fuzz/promote.sh

bisect:
	@fuzz/bisect.sh

corpus:
	@fuzz/corpus.sh

bugs:
	@regress/bugs.sh

pressure:
	@regress/pressure.sh

coverage:
	@.ci/coverage.sh

nightly:
	@.ci/nightly.sh

modules:
	@.ci/modules.sh

peers:
	@.ci/peers.sh

bench:
	@bench/bench.sh

mutants:
	@regress/mutants.sh

format:
	@. .ci/toolchain.sh && format=$$(find_clang_tool clang-format) \
	    || { echo "no clang-format $$cow_clang_tools_version here: run make deps" >&2; exit 2; }; \
	find impl reference fuzz bench regress -name '*.[ch]' -exec "$$format" -i {} +

tidy:
	@.ci/build.sh $(PRESET) >/dev/null && regress/test_tidy.sh

# var/ (what the fuzzers evolved) and findings/ stay.
clean:
	rm -rf build

help:
	@echo 'make deps                          install what is missing'
	@echo 'make [PRESET=release]              build library and tools (presets: CMakePresets.json)'
	@echo 'make check                         all tests; ends with "N passed, N failed"'
	@echo 'make fuzz [TIME=60] [SEED=n] [CORPUS=none|DIR] [SANITIZE=none|address]'
	@echo '          [ENGINE=libfuzzer|afl] [JOBS=1] [TARGET=program|text|wasm]'
	@echo '                                   fuzz the pool against the model; findings/ holds what it finds (fuzz/README.md)'
	@echo 'make repro ENTRY=file [SANITIZE=none|address]'
	@echo '                                   replay one program or finding, operation by operation'
	@echo 'make minimize ENTRY=file           the smallest program that fails the same way'
	@echo "make promote KEY=key STORY='..'    a finding becomes a program of regress/programs, with its story"
	@echo 'make bisect ENTRY=file [GOOD=rev] [BAD=HEAD]'
	@echo '                                   the commit that made a program fail'
	@echo 'make corpus                        distil what the fuzzers evolved into corpus/evolved'
	@echo 'make bugs [ONLY="B1 M7"] [TRIALS=1] [TIME=60] [MUTANTS=no]'
	@echo '                                   the kill matrix: each historic bug put back, and all mutants; build/bugs.json'
	@echo "make mutants [ONLY=regex] [JOBS=1] small changes of pool and model, one by one: what notices them; build/mutants.json"
	@echo 'make pressure [ONLY="case ..."] [PRESSURE_OVERCOMMIT=1]'
	@echo '                                   the pool under the real machine: swap, KSM, mlock, limits, a full tmpfs'
	@echo 'make coverage [TESTS=no]           what the tests, or programs alone, run of impl/: build/coverage/index.html'
	@echo 'make nightly [TIME=600] [JOBS=processors] [SHARE=5] [EVOLVED=DIR] [HISTORY=file]'
	@echo '                                   fuzz with every engine, distil, replay, canary, floors, some historic bugs;'
	@echo '                                   one page: build/nightly/index.html (fuzz/README.md)'
	@echo 'make modules                       fetch published WebAssembly modules, and compare their memories with V8'
	@echo 'make peers                         fetch what the benchmark compares with: the library of wasmtime'
	@echo 'make bench [QUICK=1]               speed of pool and rig against peers and floor; build/bench/results.json (bench/README.md)'
	@echo 'make format, make tidy, make clean lay out the C files; run clang-tidy; remove build/'
