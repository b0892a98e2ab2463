# The test ladder: RELIABILITY.md says what each rung shows. BUDGET=full is what the file prints.
.PHONY: crash machine ways flips kill power mutants reliability

SEED    ?= 1
CRASHES ?= $(if $(filter full,$(BUDGET)),1000000,100000)
MACHINES ?= $(if $(filter full,$(BUDGET)),5000,500)
WAYS    ?= $(if $(filter full,$(BUDGET)),2000,500)
KILLS   ?= $(if $(filter full,$(BUDGET)),500,50)
FLIPS   ?= $(if $(filter full,$(BUDGET)),1000000,2500)
CUTS    ?= $(if $(filter full,$(BUDGET)),100,12)
LADDER   = $(GO) test -count=1 -v -timeout 60m ./internal/ladder -seed $(SEED)

# A long run goes in pieces: each prints next_seed, from which the following piece goes on.
crash: ## a crash after every call of a simulated file system (CRASHES, SEED)
	$(LADDER) -run '^TestCrash$$' -crashes $(CRASHES)

machine: ## one state machine of the whole engine, driven and shrunk by rapid (MACHINES, SEED)
	$(LADDER) -run '^TestMachine$$' -rapid.checks $(MACHINES) -rapid.seed $(SEED)

ways: ## the same life lived in different ways shows the same (WAYS, SEED)
	$(LADDER) -run '^TestWays$$' -rapid.checks $(WAYS) -rapid.seed $(SEED)

flips: ## one flipped byte of a closed store at a time (FLIPS, SEED)
	$(LADDER) -run '^TestFlipped$$' -flips $(FLIPS)

kill: ## kill -9 of a real server under load (KILLS, SEED)
	$(LADDER) -run '^TestKill$$' -kills $(KILLS)

power: ## power cuts of a real file system; root only (CUTS, SEED)
	$(LADDER) -run '^TestPower$$' -cuts $(CUTS)

mutants: ## every seeded bug of internal/mutants must be caught
	$(GO) run ./internal/mutants

reliability: ## all rungs, and the table of RELIABILITY.md (BUDGET=small or full)
	$(GO) run ./internal/reliability BUDGET=$(or $(BUDGET),small) SEED=$(SEED)
