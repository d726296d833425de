# Needs Go, git, make and a POSIX shell. The list of modules is go.work; the
# linter and the WebAssembly runtime are built from the modules in tools/.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The workspace is used whatever the environment says; recipes that build a
# module by itself turn it off again.
export GOWORK := $(CURDIR)/go.work

PREFIX := github.com/gcnode/gcnode
MODULES := $(patsubst $(PREFIX)/%,%,$(shell GOWORK='$(GOWORK)' go list -m -f '{{.Path}}'))
ifeq ($(MODULES),)
$(error cannot read the list of modules from go.work: is Go installed?)
endif

# Modules with programs for GOOS=wasip1, which are built and linted for it as
# well. Their tests run on the host, beside a stand-in for the node.
GUESTS := $(filter plugins plugins/%,$(MODULES))
WASIP1 := GOOS=wasip1 GOARCH=wasm

# Modules outside of go.work, so that what they require cannot change what the
# others are built from: with code of ours, and tools that are only built here.
ALONE := bench tools/release-check
TOOLS := tools/buf tools/golangci-lint tools/wazero

# What the end-to-end tests with faults have met, and how they made them: "go
# test" is silent about tests that pass.
export GCNODE_E2E_REPORT := $(CURDIR)/bin/e2e.txt

# End-to-end tests that have their own way to connect nodes, or none.
E2E_OWN_TRANSPORT := OwnersAreKilled|OwnerThatHangs|StandsStill|CannotReachEachOther|RollingRestart|OneOfSix|TestNodesLose|WatchedFile|FindEachOtherInTheDNS|ModulesImport|NoNATSServer

# Packages some of whose tests compute in one goroutine, or are too much for the race
# detector, and are run without it.
COMPUTING := ./core ./core/internal/ring ./core/internal/store ./e2e/model ./e2e/sim ./getters/wasm/fuel ./getters/wasm/wasmtest ./plugins/godoc ./plugins/internal/guesttest

# What "make test-arm64" tests, which takes ten times as long under qemu: what
# has to be the same on all platforms.
ARM64 ?= ./core/internal/ring

# Tests that count what becomes of millions of keys, the same on all platforms,
# which take minutes under qemu.
STATISTICS := TestKeysSpread|TestNobodyExceedsTheCap|TestLargeListsMoveLittleMore|TestFewKeysMove|TestZipf|TestScans|TestLoops|TestPhases

# Packages with many tests take long on a small machine: only what hangs is to be
# ended.
PATIENTLY := -timeout=30m

# How long each fuzz target runs.
FUZZTIME ?= 2s

# How many states of each scenario "make model" looks at; a million take about
# 1 GB of memory and 10 s.
STATES ?= 2000000

# Cheap stages come first. The end-to-end tests run within "test". Tests are not
# vetted: build-off does that for each module, and cross for other platforms.
CI_STAGES := tidy-check generate-check build-off lint cross test-32bit \
	test-arm64 test test-e2e-nats test-plugins test-wasip1 fuzz sim release-check demo demo-nats

.PHONY: help
help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1 /p' Makefile | \
		while read -r name text; do printf '  %-15s %s\n' "$$name" "$$text"; done

.PHONY: build
build: ## build bin/gcnode
	@go build -trimpath -o bin/gcnode ./cmd/gcnode

.PHONY: plugins
plugins: ## build the ready-made getters in Go into bin/plugins/
	@set -e; packages=$$(cd plugins && $(WASIP1) go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...); \
	for package in $$packages; do \
		$(WASIP1) go build -buildmode=c-shared -trimpath -ldflags='-s -w' \
			-o bin/plugins/$${package##*/}.wasm $$package; \
	done

.PHONY: plugins-all
plugins-all: plugins ## the same, and those and the examples in other languages (installs what they take)
	@tools/plugins.sh

.PHONY: probes
probes: ## build probes and getters in other languages than Go, and keep them for machines that cannot
	@PLUGINS=required tools/plugins.sh
	@tools/probes.sh

.PHONY: demo
demo: build plugins ## show a cluster of three nodes at work (TRANSPORT=nats: over NATS; KEEP=1 leaves it up)
	@exec bin/gcnode demo --plugin bin/plugins/godoc.wasm $(if $(TRANSPORT),--transport '$(TRANSPORT)') $(if $(filter 1,$(KEEP)),--keep)

.PHONY: demo-nats
demo-nats: ## the same over NATS
	@$(MAKE) --no-print-directory demo TRANSPORT=nats

.PHONY: test
test: ## test all modules, with the race detector where it works
	@set -e; race=$$(tools/race.sh); mkdir -p bin; rm -f "$$GCNODE_E2E_REPORT"; \
	status=0; (set -x; tools/test.sh $$race -vet=off -shuffle=on $(PATIENTLY)) || status=$$?; \
	cat "$$GCNODE_E2E_REPORT" || status=1; \
	[ -z "$$race" ] || (set -x; go test -vet=off -shuffle=on $(COMPUTING) && go test -vet=off -shuffle=on -run='^TestConformance$$' ./transport/http) || status=$$?; \
	exit $$status
	@set -e; for module in $(ALONE); do (set -x; cd $$module && GOWORK=off go test -vet=off -shuffle=on ./...); done

.PHONY: test-e2e
test-e2e: ## run the end-to-end tests alone (GCNODE_E2E_PARTITIONS=netns or proxy, how nodes are kept apart)
	@mkdir -p bin; rm -f "$$GCNODE_E2E_REPORT"; status=0; (set -x; go test -count=1 $(PATIENTLY) ./e2e/...) || status=$$?; \
	cat "$$GCNODE_E2E_REPORT" || status=1; exit $$status

.PHONY: test-plugins
test-plugins: ## build the examples in all languages as documented, and test all SDKs (installs what they take)
	@if PLUGINS=required tools/plugins.sh; then \
		set -x; GCNODE_SDKS=installed go test -count=1 ./getters/wasm/wasmtest; \
	elif [ "$$PLUGINS" = required ]; then \
		exit 1; \
	else \
		echo 'SDKs are tested with the probes that are kept: not all of them could be built'; \
		set -x; go test -count=1 ./getters/wasm/wasmtest; \
	fi

.PHONY: test-e2e-nats
test-e2e-nats: ## run those end-to-end tests over NATS that run over HTTP elsewhere, with servers in the nodes
	GCNODE_E2E_TRANSPORT=nats GCNODE_E2E_REPORT= go test -vet=off -count=1 $(PATIENTLY) -skip='$(E2E_OWN_TRANSPORT)' ./e2e
	go test -count=1 -run='TestAHundredNodes|TestRemovalsAndSlowConsumers|TestAFetchAllocates' ./transport/nats/test

.PHONY: test-e2e-nats-server
test-e2e-nats-server: ## the same with a server that is not in them
	GCNODE_E2E_TRANSPORT=nats-server GCNODE_E2E_REPORT= go test -vet=off -count=1 $(PATIENTLY) -skip='$(E2E_OWN_TRANSPORT)|GarbageOnThePeerPort' ./e2e

.PHONY: model
model: ## search the schedules of the removal protocol further (up to STATES of each scenario)
	go test -count=1 -timeout=2h -v ./e2e/model -states=$(STATES)

.PHONY: mutants
mutants: ## break core in every way that its tests or the simulation must notice (MUTANTS="-run causal" for some)
	@go run ./e2e/mutants $(MUTANTS)

.PHONY: test-wasip1
test-wasip1: wazero ## run core's tests compiled for wasip1, under wazero
	$(WASIP1) go test -vet=off -shuffle=on -exec '"$(CURDIR)/bin/tools/wazero" run -mount=/:/ -env-inherit "-cachedir=$(CURDIR)/bin/wazero"' ./core/...

.PHONY: test-32bit
test-32bit: ## run core's tests in 32-bit processes: 386, or arm under qemu where the machine has none
	@set -e; run=$$(tools/emulator.sh 386 arm); set -- $$run; arch=$$1; shift; [ $$# = 0 ] || set -- "$$@" -skip='$(STATISTICS)'; \
	set -x; GOOS=linux GOARCH=$$arch go test -vet=off -shuffle=on "$$@" ./core/...

.PHONY: test-arm64
test-arm64: ## run tests of core for linux/arm64, under qemu elsewhere (ARM64=./core/... for all of them)
	@set -e; run=$$(tools/emulator.sh arm64); set -- $$run; shift; set -x; GOOS=linux GOARCH=arm64 go test -vet=off -shuffle=on "$$@" $(ARM64)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (2s)
	@tools/fuzz.sh $(FUZZTIME)

SIM := go test -count=1 -timeout=0 -v -run=TestSimulation ./sim

.PHONY: sim
sim: ## simulate clusters with faults: SEEDS (10000) schedules, or SIM_TIME (4m) of them
	cd e2e && $(SIM) -sim.seeds=$(or $(SEEDS),10000) -sim.time=$(or $(SIM_TIME),4m)

.PHONY: soak
soak: ## simulate a million schedules
	cd e2e && $(SIM) -sim.seeds=1000000 -sim.time=1000h

.PHONY: lint
# The linter's cache does not tell platforms apart, so that each has its own.
# "unused" does not know that go:wasmexport uses a function.
lint: golangci-lint ## lint all modules, the guests for wasip1 too
	@status=0; \
	lint() { \
		cache="$(CURDIR)/bin/lint/$$1"; shift; echo "lint $$*"; \
		env GOLANGCI_LINT_CACHE="$$cache" "$$@" || status=1; \
	}; \
	run='$(CURDIR)/bin/tools/golangci-lint run'; \
	lint host $$run $(MODULES:%=./%/...); \
	for module in $(ALONE); do (cd $$module && lint host env GOWORK=off $$run; exit $$status) || status=1; done; \
	lint wasip1 env $(WASIP1) $$run --tests=false --disable=unused $(GUESTS:%=./%/...); \
	exit $$status

.PHONY: fmt
fmt: golangci-lint ## format all Go files
	@bin/tools/golangci-lint fmt

.PHONY: generate
generate: ## write the generated files anew
	@go generate work
	@set -e; for module in $(ALONE); do (cd $$module && GOWORK=off go generate ./...); done

.PHONY: generate-check
generate-check: ## fail if "make generate" would change a file
	@tools/generate-check.sh $(MAKE) --no-print-directory generate

.PHONY: bench
bench: ## measure beside other caches and write docs/benchmarks.md (on an idle machine; BENCH="Hit Fill" for some)
	@tools/bench.sh $(BENCH)

.PHONY: bench-cluster
bench-cluster: ## measure whole clusters alone, and write docs/benchmarks.md (on an idle machine)
	@tools/bench.sh cluster

.PHONY: bench-fetch
bench-fetch: ## measure fetches from another process alone, and write docs/benchmarks.md (on an idle machine)
	@tools/bench.sh fetch

.PHONY: bench-wasm
bench-wasm: ## measure getters in WebAssembly alone, and write docs/benchmarks.md (on an idle machine)
	@tools/bench.sh wasm

.PHONY: tidy
tidy: ## tidy every go.mod
	@set -e; for module in $(MODULES) $(ALONE) $(TOOLS); do (cd $$module && GOWORK=off go mod tidy); done

.PHONY: tidy-check
tidy-check: ## fail if "make tidy" would change a file
	@status=0; for module in $(MODULES) $(ALONE) $(TOOLS); do \
		(cd $$module && GOWORK=off go mod tidy -diff) || { echo "$$module: go.mod is not tidy" >&2; status=1; }; \
	done; exit $$status

.PHONY: build-off
build-off: ## build and vet every module by itself, without go.work
	@set -e; \
	for module in $(MODULES) $(ALONE); do \
		echo "build $$module"; \
		(cd $$module; export GOWORK=off; go build -o /dev/null ./... && go vet ./...); \
	done; \
	for module in $(GUESTS); do \
		echo "build $$module for wasip1"; \
		(cd $$module; export GOWORK=off $(WASIP1); go build -o /dev/null ./...); \
	done

.PHONY: cross
cross: ## build and vet core for other platforms
	@set -e; for platform in js/wasm linux/arm windows/amd64; do \
		(set -x; export GOOS=$${platform%/*} GOARCH=$${platform#*/}; go build ./core/... && go vet ./core/... && go build -o /dev/null ./examples/embedded); \
	done

.PHONY: release-check
release-check: ## use the modules as a stranger would after a release
	@GOWORK=off go -C tools/release-check build -o ../../bin/tools/release-check .
	@bin/tools/release-check

.PHONY: ci
ci: ## everything that has to be green before a merge
	@summary=; \
	for stage in $(CI_STAGES); do \
		echo "== $$stage"; \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$stage </dev/null || { \
			echo "ci: stage $$stage failed after $$(($$(date +%s) - start)) s" >&2; exit 1; }; \
		took=$$(($$(date +%s) - start)); \
		echo "== $$stage: $$took s"; \
		summary="$$summary $$stage=$$took"; \
	done; \
	echo "ci: all stages passed"; \
	for line in $$summary; do printf '  %-15s %5s s\n' "$${line%=*}" "$${line#*=}"; done

.PHONY: clean
clean: ## remove what the other targets built
	@rm -rf bin

.PHONY: golangci-lint
golangci-lint:
	@GOWORK=off go -C tools/golangci-lint build -trimpath -o ../../bin/tools/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: wazero
wazero:
	@GOWORK=off go -C tools/wazero build -trimpath -o ../../bin/tools/wazero github.com/tetratelabs/wazero/cmd/wazero
