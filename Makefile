# make help tells what there is. Everything needs Go, git and make; the fuller tests need more, and say so.

GO        ?= go
FUZZTIME  ?= 10s
BENCHTIME ?= 1s

# Pinned here and not in go.mod: as a tool of the module it would be a dependency of every build.
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Packages with shared state: the race detector runs over these.
RACE = . ./enginetest/... ./worker/... ./client/... ./internal/...

# With CI=true or INSTALL=1 what the fuller tests need is installed, and a test that lacks it fails.
FULL     = $(filter-out 0 false,$(CI) $(INSTALL))
LEFT_OUT = .ci/left-out
TEST     = $(GO) run ./internal/leftout -list $(LEFT_OUT) $(if $(FULL),-strict) --

# The race detector is built with cgo, which Go enables where there is a C compiler.
CAN_RACE = $(filter 1,$(shell $(GO) env CGO_ENABLED))

.DEFAULT_GOAL := help
.PHONY: help check fmt vet staticcheck unit layers cross test install left-out race fuzz bench bench-engine build man demo

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: fmt vet staticcheck cross unit ## format, vet, staticcheck, builds for other systems, tests, layers

fmt: ## gofmt has nothing to say
	@out=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')) || exit 1; \
	if [ -n "$$out" ]; then echo "gofmt these:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, pinned
	$(STATICCHECK) ./...

unit: ## every test, without the race detector
	$(TEST) -timeout 15m -parallel 6 ./...

layers: ## who may import whom
	$(GO) test -count=1 ./internal/arch

cross: ## it builds for the other systems
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./...

test: install check ## all that this machine can run, and what it left out
	$(if $(CAN_RACE),$(TEST) -timeout 20m -race -short $(RACE))
	@$(MAKE) --no-print-directory left-out

install: # what the fuller tests need, where this is wanted; else nothing
	@rm -f $(LEFT_OUT)
	$(if $(FULL),.ci/install)

left-out:
	@echo
	@echo "Left out:"
	@$(GO) run ./internal/leftout -list $(LEFT_OUT) -print
	@echo "  long fuzzing: go test ran the seeds of every fuzz test; make fuzz searches for more"
	@echo "  benchmarks: they measure and cannot fail; make bench"
	@echo "  running on darwin and windows: built for, not run"
	@$(if $(CAN_RACE),:,echo "  the race detector: it needs a C compiler (and CGO_ENABLED=1)")
	@echo "Everything else ran.$(if $(FULL),, INSTALL=1 make test installs what is missing and runs the rest.)"

race: ## go test -race, everything, in full
	$(GO) test -timeout 30m -race ./...

fuzz: ## each fuzz test for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench-engine: ## the embedded engine: speed, memory, start, disk space
	$(GO) run ./bench engine

bench: ## every benchmark for BENCHTIME (1s), then glassq beside what it is compared with
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...
	$(GO) run ./bench

build: ## bin/glassq
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/glassq ./cmd/glassq

man: ## bin/man, the manual pages
	$(GO) run ./cmd/glassq man bin/man

demo: ## the four programs and a target on free ports, 100,000 URLs, and the books
	$(GO) run ./cmd/glassq demo

include reliability.mk
