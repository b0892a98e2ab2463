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

# What make lines does not count: tests, and what only they use.
NO_PRODUCT = _test\.go$$|^(bench|examples|enginetest)/|testdata/|^internal/(ladder|history|hostile|leftout|arch)/|/waltest/|/clustertest/|/natstest/|/freeport/|/enginelog/

.DEFAULT_GOAL := help
.PHONY: help check fmt vet staticcheck unit peers layers cross test install left-out race hostile vulnerable fuzz fuzz-long bench bench-engine bench-peers bench-peers-long challenge build man packages demo lines weigh \
        pictures crash machine ways journeys flips salvage kill cluster cluster-test owners py power mutants reliability

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: fmt vet staticcheck cross unit peers ## format, vet, staticcheck, builds for other systems, tests, layers

fmt: ## gofmt has nothing to say
	@out=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')) || exit 1; \
	if [ -n "$$out" ]; then echo "gofmt these:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, pinned
	$(STATICCHECK) ./...

unit: ## every test, without the race detector
	$(TEST) -timeout 25m -parallel 6 ./...

layers: ## who may import whom
	$(GO) test -count=1 ./internal/arch

# Its modules are many and no part of the product, so they are fetched only where everything is wanted.
peers: # the bench beside other queues, a module of its own, still builds and passes
	$(if $(FULL),cd bench/peers && $(GO) vet . && $(GO) test -count=1 .)

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
	@echo "  floods at full size, with times: make hostile. Known weaknesses of modules: make vulnerable"
	@echo "  long fuzzing: go test ran the seeds of every fuzz test; make fuzz searches for more"
	@echo "  benchmarks: they measure and cannot fail; make bench"
	@echo "  running on darwin and windows: built for, not run"
	@$(if $(FULL),:,echo "  bench/peers, a module of its own: INSTALL=1 make test, or make bench-peers")
	@$(if $(CAN_RACE),:,echo "  the race detector: it needs a C compiler (and CGO_ENABLED=1)")
	@echo "Everything else ran.$(if $(FULL),, INSTALL=1 make test installs what is missing and runs the rest.)"

weigh: ## the size of the stripped program, and the code and tables of each module in it
	@dir=$$(mktemp -d) && $(GO) build -trimpath -ldflags='-s -w' -o $$dir/stripped ./cmd/glassq && $(GO) build -o $$dir/whole ./cmd/glassq && \
	printf '%10d bytes, the stripped program\n' $$(wc -c <$$dir/stripped) && $(GO) tool nm -size $$dir/whole | \
	awk '$$3 ~ /[TtRrDd]/ && split($$4, a, "/") > 2 && a[1] ~ /^[a-z0-9.-]+[.][a-z]+$$/ {sub(/[.].*/, "", a[3]); s[a[1] "/" a[2] "/" a[3]] += $$2} \
	END {for (m in s) printf "%10d %s\n", s[m], m}' | sort -k1,1nr -k2; rm -r $$dir

lines: ## how many lines the product has, by folder
	@git ls-files --cached --others --exclude-standard '*.go' | grep -vE '$(NO_PRODUCT)' | while read -r f; do \
		if [ -e "$$f" ]; then echo "$$(wc -l <"$$f") $$(dirname "$$f")"; fi; done | \
	awk '{n[$$2] += $$1; all += $$1} END {for (d in n) printf "%7d %s\n", n[d], d; printf "%7d in all\n", all}' | sort -k1,1nr

race: ## go test -race, everything, in full
	$(GO) test -timeout 30m -race ./...

hostile: ## attacks over all doors: floods at full size with times, and the tests of the doors that attack
	$(GO) test -count=1 -v -timeout 60m ./internal/hostile -full
	$(GO) test -count=1 -timeout 30m ./internal/door/... ./internal/rights -run '$(HOSTILE)'
	$(GO) test -count=1 -timeout 30m ./cmd/glassq -run '^(TestScopes|TestForeignLease|TestRevoked|TestTunnel)'
	$(GO) test -count=1 -timeout 30m ./internal/fetch -run 'Guard|Redirect|Blocked|Addr'

HOSTILE = Hostile|Bad|Stranger|Silence|Stall|Slow|Scopes|Revoked|Guard|Wrong|Long|Bounded|Room|Receive|File

# What govulncheck needs is not in this repository: where its database cannot be reached, that is said, and nothing fails.
UNREACHED = 'no such host|dial tcp|timeout|server misbehaving|proxyconnect'
vulnerable: ## known weaknesses of what this is built with, where the database can be reached
	@if $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./... >.ci/vulnerable 2>&1; then tail -n 3 .ci/vulnerable; \
	elif grep -qE $(UNREACHED) .ci/vulnerable; then \
		echo "make vulnerable: left out, the database of weaknesses cannot be reached:"; grep -m 1 -E $(UNREACHED) .ci/vulnerable; \
	else cat .ci/vulnerable; exit 1; fi

fuzz: ## each fuzz test for FUZZTIME (10s)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

# The three whose input anybody sends or a crash leaves have an hour each; 10 minutes are for each of the others.
LONG = internal/wal.FuzzReplay internal/door/manager/pickle.FuzzDecode internal/door/memcache.FuzzStream
HOUR    ?= 60m
MINUTES ?= 10m
fuzz-long: ## the log, pickle and memcached for HOUR (60m) each, every other fuzz test for MINUTES (10m)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			t=$(MINUTES); case " $(LONG) " in *" $${pkg#github.com/glassq/glassq/}.$$f "*) t=$(HOUR);; esac; \
			echo "$$pkg $$f $$t"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $$t $$pkg; \
		done; \
	done

bench-engine: ## the embedded engine: speed, memory, start, disk space, compaction
	$(GO) run ./bench engine compaction

bench: ## every benchmark for BENCHTIME (1s), then glassq beside what it is compared with
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...
	$(GO) run ./bench

# Servers of others are Debian packages or modules that bench/peers/go.mod pins; INSTALL=1 installs the packages.
PEERS_TIME ?= 6m
PEERS = cd bench/peers && $(GO) vet . && $(GO) build -o ../../bin/peers/bench . && ../../bin/peers/bench $(if $(FULL),-install)
bench-peers: ## Glassq beside other queues: what fits into PEERS_TIME (6m; cells of 5 s need 25m), into bench/RESULTS.md
	$(PEERS) -budget $(PEERS_TIME)

bench-peers-long: ## the same with 1 and 10 million tasks, one round, into bench/RESULTS-long.md; takes hours
	$(PEERS) -n 1000000,10000000 -rounds 1 -limit 120s -out bench/RESULTS-long.md

URLS ?= 1000000
SLOW ?= 100000
challenge: ## URLS (1,000,000) asked for once while every part is killed ten times, beside others with SLOW (100,000)
	$(GO) run ./bench/challenge -n $(URLS) -slow $(SLOW)

build: ## bin/glassq
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/glassq ./cmd/glassq

packages: ## a release, built twice and tried with the tools that install it
	packaging/check

man: ## bin/man, the manual pages
	$(GO) run ./cmd/glassq man bin/man

pictures: ## pictures of the dashboard under a load, and of a run, into docs/img; needs chromium
	$(GO) test -count=1 -tags pictures -run TestPicture ./internal/dashboard -pictures $(CURDIR)/docs/img

demo: ## the four programs and a target on free ports, 100,000 URLs, and the books
	$(GO) run ./cmd/glassq demo

# The test ladder: RELIABILITY.md says what each rung shows. BUDGET=full is what the file prints.

SEED    ?= 1
CRASHES ?= $(if $(filter full,$(BUDGET)),1000000,100000)
MACHINES ?= $(if $(filter full,$(BUDGET)),5000,500)
WAYS    ?= $(if $(filter full,$(BUDGET)),2000,500)
JOURNEYS ?= $(if $(filter full,$(BUDGET)),1000,100)
SALVAGES ?= $(if $(filter full,$(BUDGET)),1000,100)
KILLS   ?= $(if $(filter full,$(BUDGET)),500,50)
FLIPS   ?= $(if $(filter full,$(BUDGET)),1000000,2500)
PYKILLS ?= 100
CUTS    ?= $(if $(filter full,$(BUDGET)),100,12)
LADDER   = $(GO) test -count=1 -v -timeout 60m ./internal/ladder -seed $(SEED)

# A long run goes in pieces: each prints next_seed, from which the following piece goes on.
crash: ## a crash after every call of a simulated file system (CRASHES, SEED)
	$(LADDER) -run '^TestCrash$$' -crashes $(CRASHES)

machine: ## one state machine of the whole engine, driven and shrunk by rapid (MACHINES, SEED)
	$(LADDER) -run '^TestMachine$$' -rapid.checks $(MACHINES) -rapid.seed $(SEED)

ways: ## the same life lived in different ways shows the same (WAYS, SEED)
	$(LADDER) -run '^TestWays$$' -rapid.checks $(WAYS) -rapid.seed $(SEED)

journeys: ## a store goes by archives from a folder to several machines and back (JOURNEYS, SEED)
	$(LADDER) -run '^TestJourney$$' -journeys $(JOURNEYS)

salvage: ## one damaged frame of a killed store at a time, and what a repair makes of it (SALVAGES, SEED)
	$(LADDER) -run '^TestSalvage$$' -salvages $(SALVAGES)

flips: ## one flipped byte of a closed store at a time (FLIPS, SEED)
	$(LADDER) -run '^TestFlipped$$' -flips $(FLIPS)

kill: ## kill -9 of a real server under load (KILLS, SEED)
	$(LADDER) -run '^TestKill$$' -kills $(KILLS)

py: ## Python's own master and workers while the server is killed PYKILLS (100) times
	$(GO) test -count=1 -v -timeout 60m ./cmd/glassq -run '^TestPyKilled$$' -py.kills $(PYKILLS)

power: ## power cuts of a real file system; root only (CUTS, SEED)
	$(LADDER) -run '^TestPower$$' -cuts $(CUTS)

cluster: build ## three NATS servers and two gateways on loopback; the programs run through any of them while one of each is killed
	$(GO) run ./internal/ladder/cluster -glassq bin/glassq

ROUNDS ?= 3
SOAK   ?= 0
cluster-test: ## real NATS servers: the laws, what is refused, each fault row ROUNDS (3) times, 10 power cuts, SOAK (0, or 60m) of faults by chance; LAZY=1 syncs as by default; ROW is a test or one row of it
	$(if $(ROW),,$(GO) test -count=1 -timeout 20m ./internal/jetstream/...)
	$(GO) test -count=1 -v -timeout 3h ./internal/ladder -seed $(SEED) -run '$(or $(ROW),^TestCluster)' -every-row -rounds $(ROUNDS) -cuts 10 -soak $(SOAK) $(if $(LAZY),-lazy)

STEPS   ?= 1000000
owners: ## owners of one queue on several machines, that come, go, and meet faults by chance; STEPS (1,000,000) beside the model
	$(GO) test -count=1 -timeout 60m ./internal/cluster -run 'FenceAlone|Faults' -rounds 10000 -seeds 200
	$(GO) test -count=1 -v -timeout 300m ./internal/ladder -seed $(SEED) -run '^TestOwners$$' -owners $(STEPS)

mutants: ## every seeded bug of internal/ladder/mutants must be caught
	$(GO) run ./internal/ladder/mutants

reliability: ## all rungs or RUNGS, and their rows in RELIABILITY.md (BUDGET=small or full)
	$(GO) run ./internal/ladder/reliability $(if $(RUNGS),-rungs "$(RUNGS)") BUDGET=$(or $(BUDGET),small) SEED=$(SEED)
