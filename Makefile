# Everything a contributor runs. `make` alone lists the targets.

# rustup installs here; not every shell has it on PATH.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

CARGO ?= cargo
CARGO_FLAGS ?= --locked
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/release/expurgate
LISTEN ?= 127.0.0.1:8080
ADMIN ?= 127.0.0.1:9090
PYTEST_FLAGS ?=
# Of `make equality`: documents times ways to cut each.
CASES ?= 10000000
SECONDS ?= 60
# Of `make bench`; all unless told.
TABLES ?=
TARGETS ?=
PARTS ?=
# Of the soak of `make reliability`.
MINUTES ?= 20
# Lints come with every Rust. They fail the build with this version, for which
# all were mended last, and warn with others.
LINTED := 1.95

.DEFAULT_GOAL := help
.PHONY: help build demo run test test-rust test-sdk deploy-test arm64 image image-from-source package equality accuracy features captures bench memory performance loadtest reliability fuzz sanitize fmt lint clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What --version and build_info tell. Tests that are built for themselves do without,
# so that a commit alone does not build them anew.
build bench: export EXPURGATE_REVISION = $(shell scripts/revision)

build: ## Install what is missing and build the release binary
	@scripts/setup build
	$(CARGO) build $(CARGO_FLAGS) --release

demo: build ## See recorded SDK payloads go through the proxy, before and after
	$(BIN) demo

run: ## Run the proxy: make run PROTOCOL=openai, or UPSTREAM=https://api.example.com, or both
	@test -n "$(UPSTREAM)$(PROTOCOL)" || { echo "usage: make run UPSTREAM=https://... or PROTOCOL=openai, or both [LISTEN=127.0.0.1:8080] [ADMIN=127.0.0.1:9090]" >&2; exit 2; }
	@$(MAKE) --no-print-directory build
	exec $(BIN) run --listen $(LISTEN) --admin $(ADMIN) $(if $(UPSTREAM),--upstream "$(UPSTREAM)") $(if $(PROTOCOL),--protocol "$(PROTOCOL)")

test: ## Run every check: format, lints, Rust tests, real SDKs through the binary
	@scripts/setup test
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory test-rust
	$(MAKE) --no-print-directory test-sdk

test-rust: ## Run the Rust tests only
	$(CARGO) test $(CARGO_FLAGS)

equality: ## Hold the scanner to its oracle: make equality CASES=10000000
	EQUALITY_CASES=$(CASES) EQUALITY_SEED=$$(date +%s) $(CARGO) test $(CARGO_FLAGS) --test it equality -- --nocapture

accuracy: build ## Recall and false findings on public data, into docs/accuracy.md
	EXPURGATE_BIN="$(abspath $(BIN))" python3 tests/accuracy.py --check --write

captures: build ## Recall, damage and added time on recorded requests, into docs/captures.md
	@scripts/python-env
	EXPURGATE_BIN="$(abspath $(BIN))" .venv/bin/python tests/sdk/captures_table.py --write

features: ## Build with each feature in turn, and show what is linked
	@scripts/setup features
	scripts/features

test-sdk: build ## Run the Python tests against the release binary only
	@scripts/python-env
	@scripts/node-env
	@scripts/kubectl
	EXPURGATE_BIN="$(abspath $(BIN))" .venv/bin/python -m pytest tests/sdk $(PYTEST_FLAGS)

deploy-test: build ## Test all of deploy/: image and pod by podman, package, manifests, chart, alerts
	@scripts/setup test
	@scripts/setup deploy
	@scripts/python-env
	@scripts/kubectl
	EXPURGATE_DEPLOY=1 EXPURGATE_BIN="$(abspath $(BIN))" .venv/bin/python -m pytest -rs \
		tests/sdk/test_image.py tests/sdk/test_package.py tests/sdk/test_compose.py tests/sdk/test_manifests.py \
		tests/sdk/test_metrics.py tests/sdk/test_deploy.py tests/sdk/test_inject.py $(PYTEST_FLAGS)

image-from-source: ## Build the whole Dockerfile without a registry, and run the image
	@scripts/setup deploy arm64
	scripts/image-from-source

arm64: ## Build for 64-bit ARM in a root of Debian's, and run it on an emulated processor
	@scripts/setup arm64
	scripts/arm64

image: build ## Build the container image, without a registry
	@scripts/setup deploy
	scripts/image "$(BIN)"

package: build ## Make a tarball and a Debian package, into target/package
	scripts/package "$(BIN)" "$(TARGET_DIR)/package"

bench: build ## Run the in-process benches on one core: make bench [TABLES="density flat"]
	$(CARGO) bench $(CARGO_FLAGS) --bench redact --no-run
	@# A bench that wanders between cores measures the scheduler too.
	@core=$$(taskset -cp $$$$ 2>/dev/null | sed 's/.*: *//; s/[-,].*//'); \
	set -x; $${core:+taskset -c "$$core"} $(CARGO) bench $(CARGO_FLAGS) --bench redact -- $(TABLES)

memory: build ## Memory by the size of a body, from 1 MiB to 2 GiB
	EXPURGATE_BIN="$(abspath $(BIN))" loadtest/memory --output $(TARGET_DIR)/bench/memory.md

performance: bench memory ## Measure, and refresh the tables of docs/performance.md
	@# Without valgrind these parts of the page stay as they are.
	-scripts/callgrind --table low high base64 member-names
	-EXPURGATE_BIN="$(abspath $(BIN))" loadtest/instructions --output $(TARGET_DIR)/bench/instructions.md
	scripts/performance

loadtest: build ## Compare CPU, latency and memory with nginx, side by side
	@scripts/setup bench
	EXPURGATE_BIN="$(abspath $(BIN))" loadtest/compare --output $(TARGET_DIR)/bench/loadtest.md

reliability: build ## Leaks, drains, reloads, memory, bad networks, a soak: make reliability [PARTS="leaks soak"] [MINUTES=20]
	@scripts/setup test reliability
	@scripts/python-env
	EXPURGATE_BIN="$(abspath $(BIN))" .venv/bin/python reliability/run --write --minutes $(MINUTES) $(PARTS)

fuzz: ## Fuzz each target: make fuzz [SECONDS=60] [TARGETS="hyperscan pipeline"]
	scripts/fuzz $(SECONDS) $(TARGETS)

sanitize: ## Look for bad accesses and leaks: make sanitize [PARTS="address valgrind neon miri"]
	@scripts/setup build
	scripts/sanitize $(PARTS)

fmt: ## Format the Rust code
	$(CARGO) fmt

lint: ## Check format and lints
	$(CARGO) fmt --check
	@deny=$$(rustc --version | grep -q '^rustc $(LINTED)\.' && echo '-D warnings'); \
	set -x; $(CARGO) clippy $(CARGO_FLAGS) --all-targets -- $$deny

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf .venv .work fuzz/target tests/sdk/node/node_modules
