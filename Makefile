# `make` lists the targets. Everything runs offline but `components`, which downloads and builds once.

SHELL := /bin/bash
GO    ?= go
# `make fuzz` runs each target this often; `make test` and `make check` run the seeds only.
FUZZTIME ?= 50000x

.DEFAULT_GOAL := help
.PHONY: help demo test check race lint bench fuzz generate components integration record-conformance record-demo demo-real

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## run the demonstration; nothing to install
	$(GO) run ./cmd/mellea demo

test: ## run the tests; integration tests skip what is not installed
	$(GO) test ./...

check: ## run everything: tests, lint, race, fuzz, integration
	.ci/run

race: ## run the tests under the race detector, in random order
	.ci/run race

lint: ## check formatting, vet and lint
	.ci/run format lint

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## fuzz every parser, FUZZTIME runs each
	FUZZTIME=$(FUZZTIME) .ci/run fuzz

generate: ## regenerate the generated files
	$(GO) generate ./...

components: ## install the real servers of the integration tests, once
	scripts/components/install.sh

integration: components ## run the integration tests against the real servers
	MELLEA_REQUIRE_COMPONENTS=1 $(GO) test -tags=llama ./integration/...

record-conformance: components ## record what every backend passes, on fakes and real servers, and make the scoreboard of it
	MELLEA_RECORD_CONFORMANCE=1 $(GO) test -count=1 -run Conformance ./backend/...
	MELLEA_RECORD_CONFORMANCE=1 MELLEA_REQUIRE_COMPONENTS=1 $(GO) test -tags=llama -count=1 -timeout 40m ./integration/...
	$(GO) generate ./backend/backendtest

record-demo: components ## record the demonstration anew from the real small model
	$(GO) run ./scripts/components/run -- \
	  $(GO) run ./cmd/mellea demo --live --backend ollama --record internal/cli/demo/recording.jsonl
	chmod 644 internal/cli/demo/recording.jsonl

demo-real: components ## run a prompt with two requirements on a real Ollama, traced into a real Jaeger (KEEP=-keep leaves them up)
	$(GO) run ./scripts/components/run $(KEEP) -- scripts/demo-real.sh
