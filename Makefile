# The two that a newcomer needs: `make demo` and `make test`. The others are parts of them or longer.
.PHONY: demo test lint unit house soak bench fmt deps-demo deps-test

CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto
CARGO_DENY_VERSION := 0.20.2

## Build a release, start everything, publish a test stream, print the links; Ctrl-C stops it.
demo:
	scripts/deps.sh demo
	$(CARGO) build --release --locked -p weir
	scripts/demo.sh

## Everything CI holds: lints, unit tests, the whole house through real clients.
test: deps-test lint unit

deps-test:
	scripts/deps.sh test

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	scripts/deny.sh $(CARGO_DENY_VERSION)

unit:
	cd web && npm test
	$(CARGO) test --locked --workspace --no-fail-fast

## Minutes-long runs and kill loops of hundreds; their figures go into release notes.
soak:
	scripts/deps.sh test
	$(CARGO) build --release --locked -p weir
	WEIR_SOAK=1 $(CARGO) test --locked --workspace --no-fail-fast -- --ignored --nocapture --test-threads=1

## Side by side with nginx on this machine; prints ratios.
bench:
	scripts/deps.sh bench
	$(CARGO) build --release --locked -p weir
	benches/run.sh

fmt:
	$(CARGO) fmt --all
