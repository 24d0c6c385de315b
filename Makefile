# canton-backup. `make help` lists the targets.
GO ?= go

# Packages that need neither Docker nor servers of their own: the quick loop.
UNIT = ./activities ./bench/... ./workflows ./internal/atomicfile ./internal/backupset ./internal/catalog ./internal/canton ./internal/cli ./internal/config \
	./internal/docker ./internal/fleet ./internal/health ./internal/identities ./internal/keyring ./internal/layers ./internal/metrics ./internal/notify ./internal/panel ./internal/postgres ./internal/process ./internal/restore ./internal/retention ./internal/seal ./internal/sqltext ./internal/secret \
	./internal/store ./internal/store/dir ./internal/temporalclient ./internal/uplink

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/canton-backup and bin/canton-backup-worker
	@$(GO) build -o bin/canton-backup ./starter
	@$(GO) build -o bin/canton-backup-worker ./worker

.PHONY: install
install: ## Install or upgrade programs and service: sudo make install OWNER=<user> (PREFIX, DESTDIR)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" OWNER="$(OWNER)" GO="$(GO)" ./deploy/install.sh install

.PHONY: uninstall
uninstall: ## Remove programs and service; settings, sets and logs stay
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" ./deploy/install.sh uninstall

.PHONY: tools
tools: ## Install what tests and demo need (Debian packages, a browser, Prometheus, a Docker engine, Compose, two S3 servers, tctl)
	@./testbed/install.sh

.PHONY: unit
unit: ## Test what needs no servers, in under a minute
	@$(GO) test $(UNIT)

.PHONY: test
test: tools ## Test everything against real components
	@TEST_REPORT=$(CURDIR)/.tools/report.txt $(GO) test -p 2 -parallel 3 -timeout 75m $$($(GO) list ./... | grep -v /e2e/fleet)
	@$(GO) test ./e2e/fleet # by itself: it takes the machine, and measures
	@if [ -f .tools/report.txt ]; then cat .tools/report.txt; fi

.PHONY: bench
bench: tools build ## Measure this program beside the script and its peers, write docs/benchmarks.md (an hour; BENCH=-h lists the flags)
	@./bench/install.sh
	@$(GO) run ./bench $(BENCH)

.PHONY: lint
lint: ## Formatting, vet, staticcheck, workflow determinism, layers
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...
	@$(GO) tool workflowcheck ./workflows/...
	@$(GO) test -count=1 ./internal/layers
	@v=$$($(GO) list -m -f '{{.Version}}' go.opentelemetry.io/otel/log); if [ "$$v" != v0.20.0 ]; then \
		echo "go.opentelemetry.io/otel/log is $$v: the Temporal server compiles with v0.20.0 only (docs/decisions/0007-dependencies.md)"; exit 1; fi

.PHONY: docs
docs: ## Write the pages that are made from the code
	@UPDATE_DOCS=1 $(GO) test -count=1 -run TestDocs ./internal/config ./internal/cli ./activities ./internal/restore ./internal/metrics ./internal/health

.PHONY: screenshots
screenshots: tools ## Take the pictures of the manual anew, from a real node
	@TEST_ARTEFACTS=$(CURDIR)/.tools/artefacts $(GO) test -count=1 -run TestPage_Pictures ./e2e
	@cp .tools/artefacts/status.png .tools/artefacts/run.png .tools/artefacts/run-details.png docs/img/

.PHONY: demo
demo: tools ## Bring up a node's double, an S3 server and the worker, and back up
	@echo "demo: building (the first time takes some minutes)" >&2
	@$(MAKE) --no-print-directory build
	@GO="$(GO)" ./demo/up.sh

.PHONY: demo-down
demo-down: ## End the demo and remove all that it made
	@./demo/down.sh
