# Weir. `make demo` shows the main job, `make test` runs every test; both need nothing but Go.
GO     ?= go
TOOL   := $(GO) tool -modfile=tools/go.mod
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/weir-lb/weir/internal/cli.version=$(VERSION)

PEERS  := weir-p2c,weir-wasm,weir-log,haproxy-rr,haproxy,haproxy-lua,nginx-rr,nginx-lua,caddy-rr,reverseproxy

.DEFAULT_GOAL := help
.PHONY: help build demo run test check race fuzz bench sim torture testssl slow-clients streaming chaos bench-peers bench-peers-quick bench-growth pgo plugins tools

# Only builds of weir are worth the second compilation of everything that default.pgo asks for.
test check race fuzz bench sim: export GOFLAGS := -pgo=off $(GOFLAGS)

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/weir
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir .

demo: ## the main job on an embedded default: three endpoints, a Wasm policy, one of them killed
	$(GO) run . demo

run: ## the gateway with examples/weir.yaml
	$(GO) run . run -c examples/weir.yaml

test: tools ## every test: race detector, a real Consul agent, allocation laws
	$(GO) vet ./...
	$(GO) test -race -shuffle=on -timeout=20m ./...
	$(GO) test -run 'Alloc' ./...

check: ## formatting, vet, staticcheck, tidiness; changes nothing
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go')); test -z "$$out" || { printf "gofumpt: %s\n" "$$out"; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@out=$$($(GO) fix -diff ./... 2>&1); test -z "$$out" || { printf "%s\n" "$$out"; exit 1; }
	$(GO) mod tidy -diff

race: ## the hammer tests, longer
	$(GO) test -race -run 'Hammer' -count=20 ./...

fuzz: ## each fuzz target for FUZZTIME (default 30s)
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-30s} $$p || exit 1; done; done

bench: ## micro-benchmarks and instruction counts, compared with the last commit's (apt-get install valgrind); then make sim
	@mkdir -p bin
	@$(GO) test -run '^$$' -bench . -benchmem -benchtime=20ms -count=10 -skip 'CompileBombs|Fleet' ./policies/... ./wasmhost/... ./gateway/internal/... > bin/bench.txt || { cat bin/bench.txt; exit 1; }
	@grep -E '^(goos|goarch|pkg|cpu|Benchmark)' bin/bench.txt > benchmarks/results/bench.txt
	@$(GO) run ./benchmarks/guard -instructions benchmarks/results/instructions.txt benchmarks/results/bench.txt
	@$(MAKE) --no-print-directory sim

sim: ## every published figure beside ours: G1..G5 and E1..E12, whole; some minutes
	@WEIR_EXPERIMENTS=whole $(GO) test -json -timeout=30m -run '^TestPublished' ./policies/... ./gateway/internal/... ./internal/scenario | $(GO) run ./internal/experiments/table

torture: ## benchmarks/results/torture.txt: raw HTTP/1 exchanges through Weir, HAProxy and nginx (apt-get install haproxy nginx-light)
	$(GO) test -count=1 -run '^TestGatewayHoldsTheTable$$' ./benchmarks/torture -args -rounds=3 -peers=weir,haproxy,nginx -out=$(CURDIR)/benchmarks/results/torture.txt
	@sed '/^Why/,$$d' benchmarks/results/torture.txt

testssl: ## benchmarks/results/testssl.txt: testssl.sh against the defaults of TLS (apt-get install testssl.sh)
	$(GO) test -count=1 -run '^TestTestsslFindsNothing$$' ./benchmarks/clients -args -testssl=$(CURDIR)/benchmarks/results/testssl.txt

slow-clients: ## benchmarks/results/slow-clients.txt: what 2,000 slow clients cost a normal one
	$(GO) test -count=1 -run '^TestSlowClientsHoldNobodyUp$$' ./benchmarks/clients -args -slow=$(CURDIR)/benchmarks/results/slow-clients.txt

streaming: ## benchmarks/results/streaming.txt: how late pieces of streams come, and what bodies of 10 GiB cost; ten minutes
	$(GO) test -count=1 -timeout=60m -run '^TestStreaming$$' ./benchmarks/clients -args -streaming=$(CURDIR)/benchmarks/results/streaming.txt

CHAOS_CADDY ?= $(HOME)/.cache/weir-chaos/caddy
CHAOS := $(GO) run ./benchmarks/chaos/run
chaos: $(CHAOS_CADDY) ## benchmarks/results/chaos*.txt: what faults cost behind Weir and its peers (root, apt-get install haproxy nginx-light)
	$(CHAOS) -caddy $(CHAOS_CADDY) -trials 0 -out benchmarks/results/chaos.txt -json benchmarks/results/chaos.json
	$(CHAOS) -gateways weir -faults none -out benchmarks/results/chaos-coverage.txt

$(CHAOS_CADDY):
	GOBIN=$(dir $@) $(GO) install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9

bench-peers: bin/cost ## benchmarks/results/peers.*: CPU time per request, latency and memory beside seven others; 20 minutes
	bin/cost -peers=$(PEERS) -rounds=10 -tls -idle=10000 -out=benchmarks/results/peers.txt -json=benchmarks/results/peers.json -svg=benchmarks/results/peers.svg $(BENCH)
	$(GO) run ./benchmarks/guard benchmarks/results/peers.json

bench-peers-quick: bin/cost ## the same beside HAProxy and nginx alone, three minutes, on the screen; BENCH=... adds flags
	bin/cost -rounds=5 -retakes=1 $(BENCH)

bench-growth: bin/cost ## benchmarks/results/growth.*: what a request costs as configuration and load grow; 8 minutes
	bin/cost -growth -peers=weir-wasm,haproxy-rr -rounds=5 -retakes=1 -out=benchmarks/results/growth.txt -svg=benchmarks/results/growth.svg $(BENCH)

pgo: bin/cost ## default.pgo, which every build of weir takes: a CPU profile of the gateway under the loads of bench-peers; 1 minute
	bin/cost -peers=weir-wasm -rounds=2 -window=5s -retakes=0 -profile=default.pgo

.PHONY: bin/cost
bin/cost:
	$(GO) build -o $@ ./benchmarks/cost/run

plugins: ## build the example policies again (needs clang, lld, wabt, npm)
	examples/plugins/build.sh

tools: ## build and cache the Consul agent that tests and `weir demo --consul` run
	$(GO) run ./discovery/consul/agent/build
